//! What is not built in is not there [priv: machine; supervisor]: instructions, registers and lines of harts without a
//! mode or an extension. What registers hold then is in `warl`.

use isa::field::mstatus;
use isa::{Cause, Exception, Ext, Interrupt, Mode, csr};

use crate::rig::{BASE, Empty, Wired, fresh, hart_without, next_trap};

/// The bits of a register that can be 1.
fn holds(hart: &mut cpu::Hart, number: u16) -> Option<u64> {
    hart.set_csr(number, u64::MAX)?;
    let ones = hart.csr(number);
    hart.set_csr(number, 0)?;
    ones
}

// norm: mip_sxip_mie_sxie_rdonly0, std_super_intr_impl
#[test]
fn without_s_mode_no_interrupt_of_it_is_pending() {
    let bits = Interrupt::SupervisorSoftware.bit()
        | Interrupt::SupervisorTimer.bit()
        | Interrupt::SupervisorExternal.bit();
    for (gone, there) in [(&[][..], bits), (&[Ext::S][..], 0)] {
        let hart = &mut hart_without(gone, "nop");
        assert_eq!(holds(hart, csr::MIP).unwrap() & bits, there);
        hart.run(&mut Wired::lines(Interrupt::SupervisorExternal.bit()), 1);
        let line = Interrupt::SupervisorExternal.bit() & there;
        assert_eq!(hart.csr(csr::MIP).unwrap() & bits, line);
    }
}

// norm: mip_lcofip_mie_lcofie_rdonly0, sip_sie_Sscofpmf, std_super_intr_impl, mip_lcofip_acc, mip_lcofip_mie_lcofie_op
#[test]
fn counter_overflow_interrupts_are_there_with_sscofpmf_only() {
    let bit = Interrupt::CounterOverflow.bit();
    let without = &mut hart_without(&[Ext::Sscofpmf], "nop");
    for number in [csr::MIP, csr::MIE, csr::MIDELEG, csr::SIP, csr::SIE] {
        assert_eq!(holds(without, number).unwrap() & bit, 0, "{number:#x}");
    }
    let with = &mut hart_without(&[], "nop");
    with.set_csr(csr::MIDELEG, bit);
    for number in [csr::MIP, csr::MIE, csr::SIP, csr::SIE] {
        assert_eq!(holds(with, number).unwrap() & bit, bit, "{number:#x}");
    }
}

// norm: svbare_satp_mode_bare
#[test]
fn satp_can_always_be_bare() {
    for (gone, mode) in [(&[][..], 8), (&[Ext::Sv39][..], 0)] {
        let hart = &mut hart_without(gone, "nop");
        hart.set_csr(csr::SATP, 8 << 60 | 5);
        assert_eq!(hart.csr(csr::SATP).unwrap() >> 60, mode);
        hart.set_csr(csr::SATP, 0);
        assert_eq!(hart.csr(csr::SATP), Some(0));
    }
}

// norm: satp_mode_roz_sfence_illegal
#[test]
fn sfence_vma_is_there_with_s_mode_whatever_the_modes_of_satp() {
    assert_eq!(next_trap(&mut hart_without(&[Ext::Sv39], "sfence.vma"), &mut Empty), None);
    assert!(next_trap(&mut hart_without(&[Ext::S], "sfence.vma"), &mut Empty).is_some());
}

// norm: sret_presence, medeleg_mideleg_omit_wo_S_mode, mcounteren_presence, menvcfg_menvcfgh_no_U_mode
// norm: medeleg_mideleg_mandatory_S_mode, mcounteren_flds_mandatory_warl
#[test]
fn without_a_mode_its_return_and_its_registers_are_illegal() {
    for (gone, source) in [
        (Ext::S, "sret"),
        (Ext::S, "csrr a0, medeleg"),
        (Ext::S, "csrr a0, mideleg"),
        (Ext::U, "csrr a0, mcounteren"),
        (Ext::U, "csrr a0, menvcfg"),
    ] {
        let trap = next_trap(&mut hart_without(&[gone], source), &mut Empty).expect(source);
        assert_eq!(trap.cause, Cause::Exception(Exception::IllegalInstruction), "{source}");
        assert_eq!(next_trap(&mut hart_without(&[], source), &mut Empty), None, "{source}");
    }
}

// norm: mstatus_xret_op, mstatus_xpp_rdonly0, mret_presence
#[test]
fn without_u_mode_mret_stays_in_m_mode() {
    let hart = &mut hart_without(&[Ext::U], "mret");
    // The least-privileged mode is left in MPP.
    hart.set_csr(csr::MEPC, 0x8000_0100);
    assert_eq!(next_trap(hart, &mut Empty), None);
    assert_eq!((hart.mode(), hart.pc()), (Mode::M, 0x8000_0100));
    assert_eq!(hart.csr(csr::MSTATUS).unwrap() & mstatus::MPP, mstatus::MPP);
    // SPP is not there at all.
    assert_eq!(holds(hart, csr::MSTATUS).unwrap() & mstatus::SPP, 0);
}

// norm: mseccfg_pmm_presence_op, mseccfg_presence, mseccfg_rlb_mmwp_mml_presence, mseccfg_enc_img, mseccfg_pmm_rdonly0, mseccfg_sseed_useed_presence
#[test]
fn mseccfg_has_the_fields_of_its_extensions() {
    const SEEDS: u64 = 3 << 8;
    const PMP: u64 = 7;
    const PMM: u64 = 2 << 32;
    let with = |added: &[Ext]| {
        let mut exts = isa::ExtSet::default_set();
        exts.remove(Ext::Zkr);
        added.iter().for_each(|&ext| exts.insert(ext));
        fresh(exts, "nop")
    };
    assert_eq!(with(&[]).csr(csr::MSECCFG), None);
    for (added, fields) in [
        (&[Ext::Zkr][..], SEEDS),
        (&[Ext::Smepmp], PMP),
        (&[Ext::Smmpm], PMM),
        (&[Ext::Zkr, Ext::Smepmp, Ext::Smmpm], SEEDS | PMP | PMM),
    ] {
        let mut hart = with(added);
        hart.set_csr(csr::MSECCFG, u64::MAX ^ 1 << 32);
        assert_eq!(hart.csr(csr::MSECCFG), Some(fields), "{added:?}");
    }
}

// norm: Zmmul_misa_m, misa_m_op
#[test]
fn zmmul_multiplies_without_the_letter_m() {
    let hart = &mut hart_without(&[Ext::M], "mul a0, s0, s0");
    assert_eq!(hart.csr(csr::MISA).unwrap() & 1 << 12, 0);
    let illegal = Some(Cause::Exception(Exception::IllegalInstruction));
    assert_eq!(next_trap(hart, &mut Empty).map(|trap| trap.cause), illegal);
    let mut exts = isa::ExtSet::default_set();
    exts.remove(Ext::M);
    exts.insert(Ext::Zmmul);
    let hart = &mut fresh(exts, "mul a0, a1, a1; div a0, a1, a1");
    assert_eq!(hart.csr(csr::MISA).unwrap() & 1 << 12, 0);
    hart.set_x(11, 7);
    assert_eq!(next_trap(hart, &mut Empty), None);
    assert_eq!(hart.x(10), 49);
    assert_eq!(next_trap(hart, &mut Empty).map(|trap| trap.cause), illegal);
}

/// A jump to an address that is no multiple of 4 traps itself and links nothing [unpriv, "Control Transfer Instructions"].
#[test]
fn without_compressed_instructions_jumps_go_to_multiples_of_4() {
    let misaligned = Some(Cause::Exception(Exception::InstructionMisaligned));
    let target = BASE + 4 + 6;
    for jump in ["jal ra, .+6", "jalr ra, 6(s1)", "beq zero, zero, .+6"] {
        let program = format!("nop; {jump}");
        let hart = &mut hart_without(&[Ext::Zca], &program);
        hart.set_x(1, 0x77);
        hart.set_x(9, BASE + 4);
        hart.run(&mut Empty, 2);
        // Both at once are one block; what it did is in the registers.
        let trap = (hart.csr(csr::MCAUSE), hart.csr(csr::MEPC), hart.csr(csr::MTVAL));
        assert_eq!(trap, (Some(0), Some(BASE + 4), Some(target)), "{jump}");
        assert_eq!((hart.x(1), hart.retired()), (0x77, 1), "{jump}");

        let hart = &mut hart_without(&[Ext::Zca], &program);
        hart.set_x(9, BASE + 4);
        assert_eq!(next_trap(hart, &mut Empty), None);
        assert_eq!(next_trap(hart, &mut Empty).map(|trap| trap.cause), misaligned, "{jump}");

        let hart = &mut fresh(isa::ExtSet::default_set(), &program);
        hart.set_x(9, BASE + 4);
        hart.run(&mut Empty, 2);
        assert_eq!((hart.pc(), hart.retired()), (target, 2), "{jump}");
    }
    // Not taken, or to a multiple of 4.
    for (jump, to) in [("bne zero, zero, .+6", 8), ("jalr ra, 8(s1)", 12), ("jal ra, .+8", 12)] {
        let hart = &mut hart_without(&[Ext::Zca], &format!("nop; {jump}"));
        hart.set_x(9, BASE + 4);
        hart.run(&mut Empty, 2);
        assert_eq!((hart.pc(), hart.retired()), (BASE + to, 2), "{jump}");
    }
}
