//! Double traps [Ssdbltrp; Smdbltrp; supervisor, "Double Trap Control in sstatus Register"; machine, "Double Trap
//! Control in mstatus Register"].

use cpu::{Exit, Hart, Trap};
use isa::field::menvcfg::DTE;
use isa::field::{hstatus, mstatus};
use isa::{Cause, Exception, Ext, ExtSet, Interrupt, Mode, Pa, csr};

use crate::interrupts::{Lines, hart};
use crate::rig::BASE;

const MTVEC: u64 = BASE + 0x4000;
const STVEC: u64 = BASE + 0x5000;
const VSTVEC: u64 = BASE + 0x6000;

/// A hart with one or both of the extensions, where breakpoints go to HS, and from guests to VS.
fn machine(exts: &[Ext]) -> Hart {
    let mut all = ExtSet::default_set();
    for &ext in exts {
        all.insert(ext);
    }
    let mut hart = hart(all, 0);
    hart.set_csr(csr::MTVEC, MTVEC);
    hart.set_csr(csr::STVEC, STVEC);
    hart.set_csr(csr::VSTVEC, VSTVEC);
    hart.set_csr(csr::MEDELEG, Exception::Breakpoint.bit());
    hart
}

fn breakpoint() -> Trap {
    Trap { gva: true, ..Trap::new(Exception::Breakpoint, 0x1234) }
}

fn sdt(hart: &Hart, number: u16) -> bool {
    hart.csr(number).expect("a status register") & mstatus::SDT != 0
}

fn execute(hart: &mut Hart, mode: Mode, word: u32) -> Exit {
    hart.ram().write(Pa(BASE), word).expect("RAM");
    hart.set_mode(mode);
    hart.set_pc(BASE);
    hart.step_logged(&mut Lines::none(), &mut |_| {})
}

const SRET: u32 = 0x1020_0073;
const MRET: u32 = 0x3020_0073;

// norm: sstatus_sdt, menvcfg_dte_op, henvcfg_dte_op, vsstatus_sdt_op
#[test]
fn sdt_exists_where_dte_is_on() {
    let mut hart = machine(&[Ext::Ssdbltrp]);
    for (menvcfg, henvcfg, own, guest) in [
        (0, 0, false, false),
        (0, DTE, false, false),
        (DTE, 0, true, false),
        (DTE, DTE, true, true),
    ] {
        hart.set_csr(csr::MENVCFG, menvcfg);
        hart.set_csr(csr::HENVCFG, henvcfg);
        assert_eq!(hart.csr(csr::HENVCFG), Some(henvcfg & menvcfg));
        for number in [csr::MSTATUS, csr::SSTATUS] {
            hart.set_csr(number, mstatus::SDT);
            assert_eq!((sdt(&hart, csr::MSTATUS), sdt(&hart, csr::SSTATUS)), (own, own));
            hart.set_csr(number, 0);
            assert!(!sdt(&hart, csr::SSTATUS));
        }
        hart.set_csr(csr::VSSTATUS, mstatus::SDT);
        assert_eq!(sdt(&hart, csr::VSSTATUS), guest);
        // Switching it off leaves nothing behind.
        hart.set_csr(csr::MSTATUS, mstatus::SDT);
        hart.set_csr(csr::MENVCFG, 0);
        hart.set_csr(csr::MENVCFG, DTE);
        hart.set_csr(csr::HENVCFG, DTE);
        assert!(!sdt(&hart, csr::SSTATUS) && !sdt(&hart, csr::VSSTATUS));
    }
    // Without the extension there is none of it.
    let mut plain = machine(&[]);
    for number in [csr::MENVCFG, csr::HENVCFG, csr::MSTATUS, csr::VSSTATUS] {
        plain.set_csr(number, u64::MAX);
        assert_eq!(plain.csr(number).expect("it exists") & (DTE | mstatus::SDT | mstatus::MDT), 0);
    }
}

// norm: sstatus_sdt_sstatus_sie_overwrite
#[test]
fn setting_sdt_clears_sie_whatever_is_written_to_it() {
    let mut hart = machine(&[Ext::Ssdbltrp]);
    hart.set_csr(csr::MENVCFG, DTE);
    hart.set_csr(csr::HENVCFG, DTE);
    let both = mstatus::SDT | mstatus::SIE;
    for number in [csr::MSTATUS, csr::SSTATUS, csr::VSSTATUS] {
        let mut write = |value| {
            hart.set_csr(number, value);
            hart.csr(number).expect("a status register") & both
        };
        assert_eq!(write(mstatus::SIE), mstatus::SIE);
        assert_eq!(write(both), mstatus::SDT);
        assert_eq!(write(both), mstatus::SDT);
        assert_eq!(write(mstatus::SIE), mstatus::SIE);
        assert_eq!(write(mstatus::SDT), mstatus::SDT);
    }
}

// norm: sstatus_sdt_trap, mtval2_Ssdbltrap
#[test]
fn a_trap_into_a_handler_of_hs_goes_to_m_as_a_double_trap() {
    for mode in [Mode::S, Mode::U, Mode::VS, Mode::VU] {
        let mut hart = machine(&[Ext::Ssdbltrp]);
        hart.set_csr(csr::MENVCFG, DTE);
        hart.set_mode(mode);
        hart.set_pc(BASE + 0x40);
        hart.raise(breakpoint());
        assert_eq!((hart.mode(), hart.pc()), (Mode::S, STVEC));
        assert!(sdt(&hart, csr::SSTATUS));
        let (sepc, scause) = (hart.csr(csr::SEPC), hart.csr(csr::SCAUSE));
        let before = hart.csr(csr::HSTATUS);
        hart.set_mode(mode);
        hart.set_pc(BASE + 0x80);
        hart.raise(Trap { tval2: 99, tinst: 77, ..breakpoint() });
        assert_eq!((hart.mode(), hart.pc()), (Mode::M, MTVEC), "{mode}");
        assert_eq!(hart.csr(csr::MCAUSE), Some(16));
        assert_eq!(hart.csr(csr::MTVAL2), Some(Exception::Breakpoint.code()));
        assert_eq!(hart.csr(csr::MEPC), Some(BASE + 0x80));
        assert_eq!((hart.csr(csr::MTVAL), hart.csr(csr::MTINST)), (Some(0x1234), Some(77)));
        let status = hart.csr(csr::MSTATUS).expect("mstatus");
        assert_eq!(isa::field::get(status, mstatus::MPP), mode.privilege() as u64);
        assert_eq!(status & mstatus::MPV != 0, mode.v());
        assert_ne!(status & mstatus::GVA, 0);
        // What HS-mode had saved is untouched.
        assert_eq!((hart.csr(csr::SEPC), hart.csr(csr::SCAUSE)), (sepc, scause));
        assert_eq!(hart.csr(csr::HSTATUS), before);
    }
}

// norm: sstatus_sdt_trap, henvcfg_dte_op, vsstatus_sdt_op
#[test]
fn a_trap_into_a_handler_of_vs_goes_to_m_as_well() {
    for (henvcfg, double) in [(DTE, true), (0, false)] {
        let mut hart = machine(&[Ext::Ssdbltrp]);
        hart.set_csr(csr::MENVCFG, DTE);
        hart.set_csr(csr::HENVCFG, henvcfg);
        hart.set_csr(csr::HEDELEG, Exception::Breakpoint.bit());
        for (mode, twice) in [(Mode::VU, false), (Mode::VS, double)] {
            hart.set_mode(mode);
            hart.raise(breakpoint());
            assert_eq!(hart.mode(), if twice { Mode::M } else { Mode::VS });
            assert_eq!(sdt(&hart, csr::VSSTATUS), double);
            assert!(!sdt(&hart, csr::SSTATUS));
        }
        assert_eq!(hart.csr(csr::MCAUSE), Some(if double { 16 } else { 0 }));
    }
}

/// The interrupt's number is the one `mcause` would have had.
// norm: sstatus_sdt_trap
#[test]
fn an_interrupt_can_be_the_second_trap() {
    let mut hart = machine(&[Ext::Ssdbltrp]);
    hart.set_csr(csr::MENVCFG, DTE);
    hart.set_csr(csr::HENVCFG, DTE);
    hart.set_csr(csr::HIDELEG, Interrupt::VsTimer.bit());
    hart.set_csr(csr::HIE, Interrupt::VsTimer.bit());
    hart.set_csr(csr::HVIP, Interrupt::VsTimer.bit());
    hart.set_csr(csr::VSSTATUS, mstatus::SDT);
    execute(&mut hart, Mode::VU, 0x13);
    assert_eq!((hart.csr(csr::MCAUSE), hart.csr(csr::MTVAL2)), (Some(16), Some(1 << 63 | 6)));
}

// norm: sstatus_sdt_sret, sret_dt, sstatus_sdt_clr_mret_sret, vsstatus_sdt_clr_mret_sret, mstatus_mdt_clr_mret_sret
#[test]
fn returns_clear_sdt_and_mdt() {
    // Instruction and mode; where it goes: SPP or MPP, and V; what is left of SDT, of the guest's, and of MDT.
    let rows = [
        (SRET, Mode::S, 0, 0, (false, true)),
        (SRET, Mode::S, 1, 0, (false, true)),
        (SRET, Mode::S, 0, 1, (false, false)),
        (SRET, Mode::S, 1, 1, (false, true)),
        (SRET, Mode::VS, 0, 0, (true, false)),
        (SRET, Mode::VS, 1, 0, (true, false)),
        (SRET, Mode::M, 1, 0, (false, true)),
        (SRET, Mode::M, 1, 1, (false, true)),
        (SRET, Mode::M, 0, 1, (false, false)),
        (MRET, Mode::M, 0, 0, (false, true)),
        (MRET, Mode::M, 1, 0, (true, true)),
        (MRET, Mode::M, 3, 0, (true, true)),
        (MRET, Mode::M, 1, 1, (false, true)),
        (MRET, Mode::M, 0, 1, (false, false)),
    ];
    for (word, mode, pp, v, after) in rows {
        let mut hart = machine(&[Ext::Ssdbltrp, Ext::Smdbltrp]);
        hart.set_csr(csr::MENVCFG, DTE);
        hart.set_csr(csr::HENVCFG, DTE);
        let spp = isa::field::set(0, mstatus::SPP, pp & 1);
        let mpp = isa::field::set(0, mstatus::MPP, pp) | isa::field::set(0, mstatus::MPV, v);
        hart.set_csr(csr::MSTATUS, mstatus::SDT | mstatus::MDT | spp | mpp);
        hart.set_csr(csr::VSSTATUS, mstatus::SDT | spp);
        hart.set_csr(csr::HSTATUS, isa::field::set(0, hstatus::SPV, v));
        assert_eq!(execute(&mut hart, mode, word), Exit::Budget);
        let done = (sdt(&hart, csr::SSTATUS), sdt(&hart, csr::VSSTATUS));
        assert_eq!(done, after, "{word:#x} in {mode} to {pp} with V={v}");
        let mdt = hart.csr(csr::MSTATUS).expect("mstatus") & mstatus::MDT != 0;
        assert_eq!(mdt, mode != Mode::M, "{word:#x} in {mode}");
    }
}

// norm: mstatus_mdt_sz_warl, mstatus_mdt_rst, mstatus_mie_clr_by_mdt, mstatus_mie_clr_by_mdt_rv64
// norm: mstatus_mie_set_mdt_0, mstatus_mie_set_mdt_0_rv64
#[test]
fn mdt_is_set_at_reset_and_keeps_mie_off() {
    let mut hart = machine(&[Ext::Smdbltrp]);
    let both = mstatus::MDT | mstatus::MIE;
    let mut write = |value| {
        if let Some(value) = value {
            hart.set_csr(csr::MSTATUS, value);
        }
        hart.csr(csr::MSTATUS).expect("mstatus") & both
    };
    assert_eq!(write(None), mstatus::MDT);
    assert_eq!(write(Some(both)), mstatus::MDT);
    assert_eq!(write(Some(mstatus::MIE)), mstatus::MIE);
    assert_eq!(write(Some(both)), mstatus::MDT);
    assert_eq!(write(Some(0)), 0);
    hart.reset(BASE);
    assert_eq!(hart.csr(csr::MSTATUS).expect("mstatus") & both, mstatus::MDT);
}

// norm: trap_exp, trap_unexp_mdt_1, trap_unexp_hndl_no_rnmi
#[test]
fn a_trap_that_m_mode_cannot_take_is_a_critical_error_and_changes_nothing() {
    let mut hart = machine(&[Ext::Smdbltrp]);
    hart.set_csr(csr::MSTATUS, 0);
    // The first one is taken, and sets MDT.
    execute(&mut hart, Mode::U, 0x73);
    assert_eq!((hart.mode(), hart.csr(csr::MCAUSE)), (Mode::M, Some(8)));
    let state = |hart: &Hart| {
        [csr::MSTATUS, csr::MEPC, csr::MCAUSE, csr::MTVAL].map(|number| hart.csr(number))
    };
    let before = state(&hart);
    assert_ne!(before[0].expect("mstatus") & mstatus::MDT, 0);
    let exit = execute(&mut hart, Mode::M, 0);
    let cause = Cause::Exception(Exception::IllegalInstruction);
    assert_eq!(exit, Exit::CriticalError { cause, pc: BASE });
    assert_eq!((hart.mode(), hart.pc()), (Mode::M, BASE));
    assert_eq!(state(&hart), before);
}

/// A double trap of HS-mode is a trap to M-mode like any other.
// norm: sstatus_sdt_trap, trap_exp
#[test]
fn a_double_trap_below_m_sets_mdt() {
    let mut hart = machine(&[Ext::Ssdbltrp, Ext::Smdbltrp]);
    hart.set_csr(csr::MENVCFG, DTE);
    hart.set_csr(csr::MSTATUS, mstatus::SDT);
    hart.set_mode(Mode::S);
    hart.raise(breakpoint());
    assert_eq!((hart.mode(), hart.csr(csr::MCAUSE)), (Mode::M, Some(16)));
    assert_ne!(hart.csr(csr::MSTATUS).expect("mstatus") & mstatus::MDT, 0);
}
