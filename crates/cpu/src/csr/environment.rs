//! `*envcfg` and `*stateen*` [priv: machine; supervisor; hypervisor; Smstateen].

use isa::csr;
use isa::field::menvcfg::{ADUE, CBCFE, CBIE, CBIE_SHIFT, CBZE, DTE, FIOM, PBMTE, STCE};
use isa::field::mstatus::SDT;
use isa::field::stateen0::{ENVCFG, SE};
use isa::field::{henvcfg, menvcfg, senvcfg};
use isa::{Mode, Privilege};

use super::{Denied, Row, Use, merge};
use crate::core::Core;
use crate::masking;

/// The fields every `*envcfg` has.
fn common(core: &Core) -> u64 {
    let mut mask = FIOM;
    if core.has.zicbom {
        mask |= CBIE | CBCFE;
    }
    if core.has.zicboz {
        mask |= CBZE;
    }
    mask
}

/// The fields of `menvcfg` and `henvcfg` that enable extensions for the level below.
fn enables(core: &Core) -> u64 {
    let mut mask = 0;
    if core.has.svadu {
        mask |= ADUE;
    }
    if core.has.svpbmt {
        mask |= PBMTE;
    }
    if core.has.sstc {
        mask |= STCE;
    }
    if core.has.ssdbltrp {
        mask |= DTE;
    }
    mask
}

const CBIE_RESERVED: u64 = 2 << CBIE_SHIFT;

/// CBIE=2 is reserved; such a write leaves the field as it was.
fn envcfg(old: u64, new: u64, mask: u64) -> u64 {
    let mask = if new & CBIE == CBIE_RESERVED { mask & !CBIE } else { mask };
    merge(old, new, mask)
}

/// `henvcfg`, where a field that `menvcfg` leaves off is read-only zero.
pub(crate) fn henvcfg(core: &Core) -> u64 {
    core.csrs.henvcfg & (core.csrs.menvcfg | !(ADUE | PBMTE | STCE | DTE))
}

/// What `mstateen0` can hold of the state this hart has; the others only hold SE.
fn stateen_writable(index: usize) -> u64 {
    if index == 0 { SE | ENVCFG } else { SE }
}

/// Whether SDT of `sstatus` exists: Ssdbltrp is built and on.
pub(crate) fn has_sdt(core: &Core) -> bool {
    core.csrs.menvcfg & DTE != 0
}

/// Whether SDT of `vsstatus` exists.
pub(crate) fn has_guest_sdt(core: &Core) -> bool {
    henvcfg(core) & DTE != 0
}

/// Clears the SDT that DTE has just made read-only zero, so that the stored bit is set only where it exists.
fn forget_double_traps(core: &mut Core) {
    if !has_sdt(core) {
        core.csrs.mstatus &= !SDT;
    }
    if !has_guest_sdt(core) {
        core.csrs.vsstatus &= !SDT;
    }
}

/// What M-mode lets the levels below have: `mstateen`, or everything where Ssstateen is built without
/// Smstateen.
fn mstateen(core: &Core, index: usize) -> u64 {
    if core.has.smstateen { core.csrs.mstateen[index] } else { stateen_writable(index) }
}

/// `hstateen` as it reads: zero where `mstateen` is zero.
fn hstateen(core: &Core, index: usize) -> u64 {
    core.csrs.hstateen[index] & mstateen(core, index)
}

/// Refuses below M what `mstateen0` holds back, and at V=1 what `hstateen0` does [Smstateen].
fn stateen_gate(core: &Core, mode: Mode, index: usize, bit: u64) -> Result<(), Denied> {
    if mode == Mode::M || !core.has.ssstateen {
        return Ok(());
    }
    if mstateen(core, index) & bit == 0 {
        return Err(Denied::Illegal);
    }
    if mode.v() && hstateen(core, index) & bit == 0 {
        return Err(Denied::Virtual);
    }
    Ok(())
}

fn envcfg_gate(core: &Core, mode: Mode, _: u16, _: Use) -> Result<(), Denied> {
    stateen_gate(core, mode, 0, ENVCFG)
}

fn next_stateen_gate(core: &Core, mode: Mode, number: u16, _: Use) -> Result<(), Denied> {
    stateen_gate(core, mode, usize::from(number & 3), SE)
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        csr::MENVCFG,
        |c, _| c.csrs.menvcfg,
        |c, _, v| {
            let old = c.csrs.menvcfg;
            let masking = if c.has.smnpm { menvcfg::PMM } else { 0 };
            let v = masking::legal(old, v, menvcfg::PMM);
            c.csrs.menvcfg = envcfg(old, v, common(c) | enables(c) | masking);
            c.masking_changed();
            forget_double_traps(c);
            c.interrupts_changed();
            c.translation_changed();
        },
    ),
    Row::new(
        csr::SENVCFG,
        |c, _| c.csrs.senvcfg,
        |c, _, v| {
            let old = c.csrs.senvcfg;
            let masking = if c.has.ssnpm { senvcfg::PMM } else { 0 };
            let v = masking::legal(old, v, senvcfg::PMM);
            c.csrs.senvcfg = envcfg(old, v, common(c) | masking);
            c.masking_changed();
        },
    )
    .gated(envcfg_gate),
    Row::new(
        csr::HENVCFG,
        |c, _| henvcfg(c),
        |c, _, v| {
            let old = c.csrs.henvcfg;
            let enabled = enables(c) & c.csrs.menvcfg;
            let masking = if c.has.ssnpm { henvcfg::PMM } else { 0 };
            let v = masking::legal(old, v, henvcfg::PMM);
            c.csrs.henvcfg = envcfg(old, v, common(c) | enabled | masking);
            c.masking_changed();
            forget_double_traps(c);
            c.interrupts_changed();
            c.translation_changed();
        },
    )
    .gated(envcfg_gate),
    Row::run(
        csr::MSTATEEN0,
        csr::MSTATEEN3,
        |c, n| c.csrs.mstateen[usize::from(n & 3)],
        |c, n, v| {
            let index = usize::from(n & 3);
            c.csrs.mstateen[index] = v & stateen_writable(index);
        },
    ),
    Row::run(
        csr::HSTATEEN0,
        csr::HSTATEEN3,
        |c, n| hstateen(c, usize::from(n & 3)),
        |c, n, v| {
            let index = usize::from(n & 3);
            let mask = stateen_writable(index) & mstateen(c, index);
            c.csrs.hstateen[index] = merge(c.csrs.hstateen[index], v, mask);
        },
    )
    .gated(next_stateen_gate),
    // Of the state that U-mode reaches, none here is under `sstateen`.
    Row::run(
        csr::SSTATEEN0,
        csr::SSTATEEN3,
        |c, n| c.csrs.sstateen[usize::from(n & 3)],
        |_, _, _| {},
    )
    .gated(next_stateen_gate),
];

/// A cache-block operation and the field that allows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CacheOp {
    /// `cbo.inval`.
    Inval,
    /// `cbo.clean` and `cbo.flush`.
    Clean,
    /// `cbo.zero`.
    Zero,
}

/// Whether the current mode may execute `op`: `menvcfg`, then `henvcfg` at V=1, then `senvcfg`
/// in U [CMO, "Control and Status Register State"].
pub(crate) fn cache_op_gate(core: &Core, op: CacheOp) -> Result<(), Denied> {
    let field = match op {
        CacheOp::Inval => CBIE,
        CacheOp::Clean => CBCFE,
        CacheOp::Zero => CBZE,
    };
    if core.mode == Mode::M {
        return Ok(());
    }
    if core.csrs.menvcfg & field == 0 {
        return Err(Denied::Illegal);
    }
    if core.mode.v() && core.csrs.henvcfg & field == 0 {
        return Err(Denied::Virtual);
    }
    let user = core.mode.privilege() == Privilege::U && core.has.s;
    if user && core.csrs.senvcfg & field == 0 {
        return Err(if core.mode.v() { Denied::Virtual } else { Denied::Illegal });
    }
    Ok(())
}
