//! Comparators against time, to the tick [Sstc; hypervisor, "vstimecmp"].

use isa::field::menvcfg::STCE;
use isa::{ExtSet, Mode, Pa, csr};

use super::manual::{STI, VSTI};
use super::{Lines, hart};
use crate::rig::BASE;

/// Cycles in a tick, with the default clock.
const TICK: u64 = 100;

/// Bits of `mip` among STIP and VSTIP at the first and the last cycle of a tick.
fn pending(hart: &mut cpu::Hart, tick: u64) -> u64 {
    let at = |hart: &mut cpu::Hart, cycle| {
        hart.set_cycle(cycle);
        hart.csr(csr::MIP).expect("mip") & (STI | VSTI)
    };
    let first = at(hart, tick * TICK);
    let last = at(hart, tick * TICK + TICK - 1);
    assert_eq!(first, last, "within tick {tick}");
    first
}

fn enabled() -> cpu::Hart {
    let mut hart = hart(ExtSet::default_set(), 0);
    hart.set_csr(csr::MENVCFG, STCE);
    hart.set_csr(csr::HENVCFG, STCE);
    hart
}

// norm: hip_vstip_op, hip_vstip_clear, hip_vstip_vstie_acc_op, sip_stip_sie_stie, mip_stip_stimecmp_clr, sstc_purpose
// norm: sstc_vs_facility
#[test]
fn a_comparator_is_due_from_its_tick_on_and_no_earlier() {
    let mut hart = enabled();
    hart.set_csr(csr::STIMECMP, 50);
    hart.set_csr(csr::VSTIMECMP, 70);
    assert_eq!(pending(&mut hart, 49), 0);
    assert_eq!(pending(&mut hart, 50), STI);
    assert_eq!(pending(&mut hart, 69), STI);
    assert_eq!(pending(&mut hart, 70), STI | VSTI);
    // It stays until the comparator is ahead of time again.
    assert_eq!(pending(&mut hart, 1_000_000), STI | VSTI);
    hart.set_csr(csr::STIMECMP, 1_000_001);
    hart.set_csr(csr::VSTIMECMP, 1_000_001);
    assert_eq!(pending(&mut hart, 1_000_000), 0);
    assert_eq!(pending(&mut hart, 1_000_001), STI | VSTI);
}

// norm: hip_vstip_op, htimedelta_sz_acc_op
#[test]
fn guest_time_is_unsigned_and_wraps() {
    let mut hart = enabled();
    hart.set_csr(csr::STIMECMP, u64::MAX);
    // 40 ticks before guest time wraps to zero.
    hart.set_csr(csr::HTIMEDELTA, 0u64.wrapping_sub(100));
    hart.set_csr(csr::VSTIMECMP, 5);
    // At 60 the guest has -40, which is far beyond 5; at 100 it has 0, at 105 it has 5.
    assert_eq!(pending(&mut hart, 60), VSTI);
    assert_eq!(pending(&mut hart, 99), VSTI);
    assert_eq!(pending(&mut hart, 100), 0);
    assert_eq!(pending(&mut hart, 104), 0);
    assert_eq!(pending(&mut hart, 105), VSTI);
    // A comparator of -10 is due at the end of the first round only.
    hart.set_csr(csr::VSTIMECMP, 0u64.wrapping_sub(10));
    assert_eq!(pending(&mut hart, 89), 0);
    assert_eq!(pending(&mut hart, 90), VSTI);
    assert_eq!(pending(&mut hart, 100), 0);
}

// norm: menvcfg_stce_op2, henvcfg_stce, mip_stip_no_stimecmp_acc
#[test]
fn without_stce_the_pending_bits_are_software_s() {
    let mut hart = enabled();
    hart.set_csr(csr::STIMECMP, 0);
    hart.set_csr(csr::VSTIMECMP, 0);
    assert_eq!(pending(&mut hart, 1), STI | VSTI);
    hart.set_csr(csr::HENVCFG, 0);
    assert_eq!(pending(&mut hart, 1), STI);
    hart.set_csr(csr::HENVCFG, STCE);
    hart.set_csr(csr::MENVCFG, 0);
    assert_eq!(pending(&mut hart, 1), 0);
    hart.set_csr(csr::MIP, STI);
    hart.set_csr(csr::HVIP, VSTI);
    assert_eq!(pending(&mut hart, 1), STI | VSTI);
    hart.set_csr(csr::MIP, 0);
    hart.set_csr(csr::HVIP, 0);
    assert_eq!(pending(&mut hart, 1), 0);
}

/// The cycle at which a hart that executes nothing but jumps to itself in VS-mode takes the guest's timer
/// interrupt.
fn taken_at(delta: u64, comparator: u64, from: u64) -> u64 {
    let mut hart = enabled();
    hart.ram().write(Pa(BASE), 0x6fu32).expect("RAM");
    hart.set_csr(csr::STIMECMP, u64::MAX);
    hart.set_csr(csr::HTIMEDELTA, delta);
    hart.set_csr(csr::VSTIMECMP, comparator);
    hart.set_csr(csr::HIDELEG, VSTI);
    hart.set_csr(csr::HIE, VSTI);
    hart.set_csr(csr::VSTVEC, BASE + 0x100);
    hart.ram().write(Pa(BASE + 0x100), 0x6fu32).expect("RAM");
    hart.set_mode(Mode::VU);
    hart.set_pc(BASE);
    hart.set_cycle(from);
    for _ in 0..2_000 {
        if hart.pc() != BASE {
            return hart.cycle();
        }
        // One cycle at a time at the end, so that the answer is exact; the engine decides how far it may run.
        hart.run(&mut Lines::none(), 7);
    }
    panic!("never");
}

// norm: hip_vstip_enable, hip_vstip_clear
#[test]
fn a_running_guest_is_interrupted_in_the_tick_its_comparator_names() {
    let within = |cycle: u64, tick: u64| (tick * TICK..tick * TICK + 8).contains(&cycle);
    assert!(within(taken_at(0, 30, 0), 30));
    assert!(within(taken_at(1_000, 1_030, 0), 30));
    // Guest time starts at -20, where 7 is long past; taken at once.
    assert!(taken_at(0u64.wrapping_sub(20), 7, 0) < 8);
    // From -20 to a comparator of -5: at tick 15.
    assert!(within(taken_at(0u64.wrapping_sub(20), 0u64.wrapping_sub(5), 0), 15));
}

/// After guest time has wrapped, a comparator that was past is ahead again: the interrupt goes away by itself.
// norm: hip_vstip_clear
#[test]
fn a_deadline_is_set_for_the_wrap_of_guest_time() {
    let mut hart = enabled();
    hart.set_csr(csr::STIMECMP, u64::MAX);
    hart.set_csr(csr::HTIMEDELTA, 0u64.wrapping_sub(20));
    hart.set_csr(csr::VSTIMECMP, 7);
    hart.set_cycle(0);
    assert_eq!(hart.comparator_deadline(), 20 * TICK);
    hart.set_cycle(20 * TICK);
    assert_eq!(hart.comparator_deadline(), 27 * TICK);
}
