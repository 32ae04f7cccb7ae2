//! `mstatus`, `sstatus` and `vsstatus` [priv: machine 3.1.6; supervisor; hypervisor].

use isa::field::mstatus::*;
use isa::{Mode, csr};

use super::environment::{has_guest_sdt, has_sdt};
use super::{Row, merge};
use crate::core::Core;

const FS_DIRTY: u64 = FS;

/// The bits of `sstatus` and `vsstatus` that software can change.
fn sstatus_writable(core: &Core) -> u64 {
    let mut mask = SIE | SPIE | SPP;
    if core.has.paging {
        mask |= SUM | MXR;
    }
    if core.has.f {
        mask |= FS;
    }
    mask
}

/// The bits of `mstatus` that software can change, but for MPP.
fn mstatus_writable(core: &Core) -> u64 {
    let mut mask = MIE | MPIE;
    if core.has.f {
        mask |= FS;
    }
    if core.has.u {
        mask |= MPRV | TW;
    }
    if core.has.s {
        mask |= sstatus_writable(core) | TSR;
    }
    if core.has.paging {
        mask |= TVM;
    }
    if has_sdt(core) {
        mask |= SDT;
    }
    if core.has.smdbltrp {
        mask |= MDT;
    }
    if core.has.h {
        mask |= MPV | GVA;
    }
    mask
}

/// MPP holds the privileges that the hart has.
fn is_mpp(core: &Core, field: u64) -> bool {
    match field >> MPP_SHIFT {
        0 => core.has.u,
        1 => core.has.s,
        3 => true,
        _ => false,
    }
}

/// Adds what is derived: SD, and the fixed XLEN fields.
const fn with_sd(value: u64) -> u64 {
    if value & FS == FS_DIRTY { value | SD } else { value & !SD }
}

const UXL_64: u64 = 2 << UXL_SHIFT;
const SXL_64: u64 = 2 << SXL_SHIFT;

/// SXL and UXL of the modes there are.
fn xlens(core: &Core) -> u64 {
    (if core.has.s { SXL_64 } else { 0 }) | (if core.has.u { UXL_64 } else { 0 })
}

/// The `sstatus` view of a stored `mstatus` or `vsstatus`.
fn sstatus_of(stored: u64) -> u64 {
    with_sd(stored & (SIE | SPIE | SPP | SUM | MXR | FS | SDT)) | UXL_64
}

/// An instruction changed FP state: FS becomes dirty, at V=1 in both registers.
#[inline]
pub(crate) fn set_fs_dirty(core: &mut Core) {
    core.csrs.mstatus |= FS_DIRTY;
    if core.mode.v() {
        core.csrs.vsstatus |= FS_DIRTY;
    }
}

/// Sets or clears bits of `sstatus` as CSRRS and CSRRC do, and returns what it was; `None`, with nothing done, if these are not SIE and SUM alone, if it
/// is not permitted, or if an interrupt may be taken then.
#[inline(never)]
pub(crate) fn switch_status(core: &mut Core, bits: u64, set: bool) -> Option<u64> {
    let guest = match core.mode {
        Mode::M | Mode::S if core.has.s => false,
        Mode::VS => true,
        _ => return None,
    };
    let old = if guest { core.csrs.vsstatus } else { core.csrs.mstatus };
    let new = if set { old | bits } else { old & !bits };
    let opens = new & !old & SIE != 0 && !core.quiet;
    if bits & !(SIE | SUM) != 0 || bits & SUM != 0 && !core.has.paging || old & SDT != 0 || opens {
        return None;
    }
    if guest {
        core.csrs.vsstatus = new;
    } else {
        core.csrs.mstatus = new;
    }
    if (new ^ old) & SUM != 0 {
        core.translation_changed();
    }
    Some(sstatus_of(old))
}

pub(super) const ROWS: &[Row] = &[
    Row::new(csr::MSTATUS, |c, _| with_sd(c.csrs.mstatus) | xlens(c), write_mstatus),
    Row::new(
        csr::SSTATUS,
        |c, _| sstatus_of(c.csrs.mstatus),
        |c, _, v| {
            let mask = sstatus_writable(c) | if has_sdt(c) { SDT } else { 0 };
            c.csrs.mstatus = masked_by_sdt(merge(c.csrs.mstatus, v, mask));
            c.status_changed();
        },
    ),
    Row::new(
        csr::VSSTATUS,
        |c, _| sstatus_of(c.csrs.vsstatus),
        |c, _, v| {
            let mask = sstatus_writable(c) | if has_guest_sdt(c) { SDT } else { 0 };
            c.csrs.vsstatus = masked_by_sdt(merge(c.csrs.vsstatus, v, mask));
            c.status_changed();
        },
    ),
];

fn write_mstatus(core: &mut Core, _: u16, value: u64) {
    let mut mask = mstatus_writable(core);
    // MPP is WARL: what it cannot hold leaves it as it was.
    if is_mpp(core, value & MPP) {
        mask |= MPP;
    }
    let written = merge(core.csrs.mstatus, value, mask);
    // MDT keeps MIE off as SDT does SIE.
    let written = if written & MDT != 0 { written & !MIE } else { written };
    core.csrs.mstatus = masked_by_sdt(written);
    core.status_changed();
}

/// SIE cannot be set while SDT is [supervisor, "Double Trap Control in sstatus Register"].
const fn masked_by_sdt(status: u64) -> u64 {
    if status & SDT != 0 { status & !SIE } else { status }
}
