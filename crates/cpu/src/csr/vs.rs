//! VS CSRs: the guest's supervisor registers [hypervisor, "Virtual Supervisor CSRs"].

use isa::csr;

use super::hypervisor::{VS_INTERRUPTS, guest_lcofi};
use super::supervisor::comparator_gate;
use super::{Row, epc, merge, tvec};
use crate::core::Core;
use crate::witness::{Notice, RootRegister};

/// The VS-level bits that are delegated, which `vsie` and `vsip` show one place lower.
fn visible(core: &Core) -> u64 {
    core.csrs.hideleg & VS_INTERRUPTS
}

/// LCOFI, which `vsie` and `vsip` share with `sie` and `sip` in the same place, where it is delegated.
fn shared(core: &Core) -> u64 {
    core.csrs.hideleg & guest_lcofi(core)
}

/// `mip` or `mie` as a guest sees it.
fn view(core: &Core, bits: u64) -> u64 {
    (bits & visible(core)) >> 1 | bits & shared(core)
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        csr::VSIE,
        |c, _| view(c, c.csrs.mie),
        |c, _, v| {
            let own = merge(c.csrs.mie, v << 1, visible(c));
            c.csrs.mie = merge(own, v, shared(c));
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::VSIP,
        |c, _| view(c, c.mip()),
        |c, _, v| {
            let vssip = isa::Interrupt::VsSoftware.bit();
            c.csrs.hvip = merge(c.csrs.hvip, v << 1, vssip & visible(c));
            c.csrs.mip = merge(c.csrs.mip, v, shared(c));
            c.interrupts_changed();
        },
    ),
    Row::new(csr::VSTVEC, |c, _| c.csrs.vstvec, |c, _, v| c.csrs.vstvec = tvec(v)),
    Row::new(csr::VSSCRATCH, |c, _| c.csrs.vsscratch, |c, _, v| c.csrs.vsscratch = v),
    Row::new(csr::VSEPC, |c, _| epc(c, c.csrs.vsepc), |c, _, v| c.csrs.vsepc = v & !1),
    Row::new(csr::VSCAUSE, |c, _| c.csrs.vscause, |c, _, v| c.csrs.vscause = v),
    Row::new(csr::VSTVAL, |c, _| c.csrs.vstval, |c, _, v| c.csrs.vstval = v),
    Row::new(csr::VSATP, |c, _| c.csrs.vsatp, write_vsatp),
    Row::new(
        csr::VSTIMECMP,
        |c, _| c.csrs.vstimecmp,
        |c, _, v| {
            c.csrs.vstimecmp = v;
            c.interrupts_changed();
        },
    )
    .gated(comparator_gate),
];

/// As for `satp`, a write with an unsupported MODE has no effect: at V=1 the manual voids it, at V=0 it allows to.
fn write_vsatp(core: &mut Core, _: u16, value: u64) {
    let Some(new) = core.atp(value) else { return };
    let old = std::mem::replace(&mut core.csrs.vsatp, new);
    core.translation_changed();
    if let Some(scene) = core.seen_at(core.at()) {
        core.tell(&scene, Notice::Root { register: RootRegister::Vsatp, old, new });
    }
}
