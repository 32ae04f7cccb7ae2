//! `fflags`, `frm`, `fcsr` [unpriv: F].

use isa::{Mode, csr};

use super::{Denied, Row, Use, set_fs_dirty};
use crate::core::Core;

/// Reachable only while FP is on; at V=1 both FS fields count.
fn gate(core: &Core, _: Mode, _: u16, _: Use) -> Result<(), Denied> {
    if core.fp_is_off() { Err(Denied::Illegal) } else { Ok(()) }
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        csr::FFLAGS,
        |c, _| u64::from(c.csrs.fflags),
        |c, _, v| {
            c.csrs.fflags = (v & 0x1f) as u8;
            set_fs_dirty(c);
        },
    )
    .gated(gate),
    Row::new(
        csr::FRM,
        |c, _| u64::from(c.csrs.frm),
        |c, _, v| {
            c.csrs.frm = (v & 7) as u8;
            set_fs_dirty(c);
        },
    )
    .gated(gate),
    Row::new(
        csr::FCSR,
        |c, _| u64::from(c.csrs.frm) << 5 | u64::from(c.csrs.fflags),
        |c, _, v| {
            c.csrs.fflags = (v & 0x1f) as u8;
            c.csrs.frm = (v >> 5 & 7) as u8;
            set_fs_dirty(c);
        },
    )
    .gated(gate),
];
