//! Supervisor CSRs [priv: supervisor; Sstc].

use isa::Mode;
use isa::csr;
use isa::field::hstatus::VTVM;
use isa::field::menvcfg::STCE;
use isa::field::mstatus::TVM;

use super::environment::henvcfg;
use super::{Denied, Row, Use, epc, merge, tvec};
use crate::core::Core;

/// TVM keeps S from `satp`, VTVM keeps VS from it.
fn satp_gate(core: &Core, mode: Mode, _: u16, _: Use) -> Result<(), Denied> {
    match mode {
        Mode::S if core.csrs.mstatus & TVM != 0 => Err(Denied::Illegal),
        Mode::VS if core.csrs.hstatus & VTVM != 0 => Err(Denied::Virtual),
        _ => Ok(()),
    }
}

/// STCE and TM of the levels above [Sstc; hypervisor, `hcounteren`].
pub(super) fn comparator_gate(core: &Core, mode: Mode, _: u16, _: Use) -> Result<(), Denied> {
    const TM: u64 = 1 << 1;
    if mode == Mode::M {
        return Ok(());
    }
    if core.csrs.menvcfg & STCE == 0 || core.csrs.mcounteren & TM == 0 {
        return Err(Denied::Illegal);
    }
    if mode.v() && (henvcfg(core) & STCE == 0 || core.csrs.hcounteren & TM == 0) {
        return Err(Denied::Virtual);
    }
    Ok(())
}

/// The bits of `sie` and `sip`: delegated, and not VS-level ones.
fn visible(core: &Core) -> u64 {
    core.csrs.mideleg
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        csr::SIE,
        |c, _| c.csrs.mie & visible(c),
        |c, _, v| {
            c.csrs.mie = merge(c.csrs.mie, v, visible(c));
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::SIP,
        |c, _| c.mip() & visible(c),
        |c, _, v| {
            let mut mask = isa::Interrupt::SupervisorSoftware.bit();
            if c.has.sscofpmf {
                mask |= isa::Interrupt::CounterOverflow.bit();
            }
            c.csrs.mip = merge(c.csrs.mip, v, mask & visible(c));
            c.interrupts_changed();
        },
    ),
    Row::new(csr::STVEC, |c, _| c.csrs.stvec, |c, _, v| c.csrs.stvec = tvec(v)),
    Row::new(csr::SSCRATCH, |c, _| c.csrs.sscratch, |c, _, v| c.csrs.sscratch = v),
    Row::new(csr::SEPC, |c, _| epc(c, c.csrs.sepc), |c, _, v| c.csrs.sepc = v & !1),
    Row::new(csr::SCAUSE, |c, _| c.csrs.scause, |c, _, v| c.csrs.scause = v),
    Row::new(csr::STVAL, |c, _| c.csrs.stval, |c, _, v| c.csrs.stval = v),
    Row::new(
        csr::SATP,
        |c, _| c.csrs.satp,
        |c, _, v| {
            // A write with an unsupported MODE has no effect at all.
            if let Some(value) = c.atp(v) {
                c.csrs.satp = value;
                c.translation_changed();
            }
        },
    )
    .gated(satp_gate),
    Row::new(
        csr::STIMECMP,
        |c, _| c.csrs.stimecmp,
        |c, _, v| {
            c.csrs.stimecmp = v;
            c.interrupts_changed();
        },
    )
    .gated(comparator_gate),
];
