//! Machine-level CSRs: identity, delegation, trap handling, interrupts [priv: machine].

use isa::csr;
use isa::{Exception, Interrupt};

use super::{Row, epc, merge, tvec};
use crate::core::Core;

/// Exceptions that M-mode may delegate.
fn delegable(core: &Core) -> u64 {
    use Exception::*;
    let mut mask = [
        InstructionAccess,
        IllegalInstruction,
        Breakpoint,
        LoadMisaligned,
        LoadAccess,
        StoreMisaligned,
        StoreAccess,
        EcallU,
        EcallS,
        InstructionPage,
        LoadPage,
        StorePage,
        SoftwareCheck,
        HardwareError,
    ]
    .iter()
    .fold(0, |mask, exception| mask | exception.bit());
    // With IALIGN=16 no jump is misaligned.
    if !core.has.c {
        mask |= InstructionMisaligned.bit();
    }
    if core.has.h {
        for exception in
            [EcallVs, InstructionGuestPage, LoadGuestPage, VirtualInstruction, StoreGuestPage]
        {
            mask |= exception.bit();
        }
    }
    mask
}

/// Interrupts of S-mode: those that `mideleg` can hold writable.
fn delegable_interrupts(core: &Core) -> u64 {
    use Interrupt::*;
    if !core.has.s {
        return 0;
    }
    let mask = SupervisorSoftware.bit() | SupervisorTimer.bit() | SupervisorExternal.bit();
    if core.has.sscofpmf { mask | CounterOverflow.bit() } else { mask }
}

/// The VS-level and guest-external bits, which are read-only one in `mideleg` with H.
pub(crate) fn always_delegated(core: &Core) -> u64 {
    use Interrupt::*;
    if !core.has.h {
        return 0;
    }
    let vs = VsSoftware.bit() | VsTimer.bit() | VsExternal.bit();
    if core.geilen == 0 { vs } else { vs | SupervisorGuestExternal.bit() }
}

fn enableable(core: &Core) -> u64 {
    use Interrupt::*;
    MachineSoftware.bit()
        | MachineTimer.bit()
        | MachineExternal.bit()
        | delegable_interrupts(core)
        | always_delegated(core)
}

/// `misa`: MXL=2 and a letter for each single-letter extension.
fn misa(core: &Core) -> u64 {
    core.has.misa
}

pub(super) const ROWS: &[Row] = &[
    Row::constant(csr::MVENDORID, |_, _| 0),
    Row::constant(csr::MARCHID, |_, _| 0),
    Row::constant(csr::MIMPID, |_, _| 0),
    Row::constant(csr::MHARTID, |c, _| c.hartid),
    Row::constant(csr::MCONFIGPTR, |_, _| 0),
    Row::constant(csr::MISA, |c, _| misa(c)),
    Row::new(csr::MEDELEG, |c, _| c.csrs.medeleg, |c, _, v| c.csrs.medeleg = v & delegable(c)),
    Row::new(
        csr::MIDELEG,
        |c, _| c.csrs.mideleg | always_delegated(c),
        |c, _, v| {
            c.csrs.mideleg = v & delegable_interrupts(c);
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::MIE,
        |c, _| c.csrs.mie,
        |c, _, v| {
            c.csrs.mie = v & enableable(c);
            c.interrupts_changed();
        },
    ),
    Row::new(csr::MIP, |c, _| c.mip(), write_mip),
    Row::new(csr::MTVEC, |c, _| c.csrs.mtvec, |c, _, v| c.csrs.mtvec = tvec(v)),
    Row::new(csr::MSCRATCH, |c, _| c.csrs.mscratch, |c, _, v| c.csrs.mscratch = v),
    Row::new(csr::MEPC, |c, _| epc(c, c.csrs.mepc), |c, _, v| c.csrs.mepc = v & !1),
    Row::new(csr::MCAUSE, |c, _| c.csrs.mcause, |c, _, v| c.csrs.mcause = v),
    Row::new(csr::MTVAL, |c, _| c.csrs.mtval, |c, _, v| c.csrs.mtval = v),
    Row::new(csr::MTVAL2, |c, _| c.csrs.mtval2, |c, _, v| c.csrs.mtval2 = v),
    Row::new(csr::MTINST, |c, _| c.csrs.mtinst, |c, _, v| c.csrs.mtinst = v),
    // No debug triggers are built, and Sdtrig is not claimed. To software that looks for some,
    // `tselect` that reads zero and `tinfo` that reads one say that there is none [Sdtrig, "Enumeration"].
    Row::constant(csr::TSELECT, |_, _| 0),
    Row::constant(csr::TDATA1, |_, _| 0),
    Row::constant(csr::TDATA2, |_, _| 0),
    Row::constant(csr::TDATA3, |_, _| 0),
    Row::constant(csr::TINFO, |_, _| 1),
];

fn write_mip(core: &mut Core, _: u16, value: u64) {
    use Interrupt::*;
    let mut mask = delegable_interrupts(core);
    // With a supervisor comparator in use STIP is read-only [Sstc].
    if core.stimecmp_in_use() {
        mask &= !SupervisorTimer.bit();
    }
    core.csrs.mip = merge(core.csrs.mip, value, mask);
    if core.has.h {
        let vssip = VsSoftware.bit();
        core.csrs.hvip = merge(core.csrs.hvip, value, vssip);
    }
    core.interrupts_changed();
}
