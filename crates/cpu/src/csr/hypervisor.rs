//! Hypervisor CSRs [priv: hypervisor].

use isa::csr;
use isa::field::hstatus::*;
use isa::field::mstatus::TVM;
use isa::{Exception, Interrupt, Mode};

use super::{Denied, Row, Use, merge};
use crate::core::Core;
use crate::masking;
use crate::witness::{Notice, RootRegister};

/// `hedeleg`: what the table in the manual marks writable.
fn hedeleg_writable() -> u64 {
    use Exception::*;
    [
        InstructionMisaligned,
        InstructionAccess,
        IllegalInstruction,
        Breakpoint,
        LoadMisaligned,
        LoadAccess,
        StoreMisaligned,
        StoreAccess,
        EcallU,
        InstructionPage,
        LoadPage,
        StorePage,
        SoftwareCheck,
        HardwareError,
    ]
    .iter()
    .fold(0, |mask, exception| mask | exception.bit())
}

pub(super) const VS_INTERRUPTS: u64 =
    Interrupt::VsSoftware.bit() | Interrupt::VsTimer.bit() | Interrupt::VsExternal.bit();

/// LCOFI where a guest may have it: with Shlcofideleg, and while M-mode leaves it to HS.
pub(super) fn guest_lcofi(core: &Core) -> u64 {
    let lcofi = Interrupt::CounterOverflow.bit();
    if core.has.shlcofideleg { core.csrs.mideleg & lcofi } else { 0 }
}

/// The bits that `hideleg` can hold.
fn hideleg_bits(core: &Core) -> u64 {
    VS_INTERRUPTS | guest_lcofi(core)
}

/// The bits of `hie` and `hip`.
fn hie_bits(core: &Core) -> u64 {
    super::machine::always_delegated(core)
}

fn hgatp_gate(core: &Core, mode: Mode, _: u16, _: Use) -> Result<(), Denied> {
    if mode == Mode::S && core.csrs.mstatus & TVM != 0 { Err(Denied::Illegal) } else { Ok(()) }
}

pub(super) const ROWS: &[Row] = &[
    Row::new(csr::HSTATUS, |c, _| c.csrs.hstatus | VSXL_64, write_hstatus),
    Row::new(
        csr::HEDELEG,
        |c, _| c.csrs.hedeleg,
        |c, _, v| {
            c.csrs.hedeleg = v & hedeleg_writable();
        },
    ),
    Row::new(
        csr::HIDELEG,
        |c, _| c.csrs.hideleg & hideleg_bits(c),
        |c, _, v| {
            c.csrs.hideleg = merge(c.csrs.hideleg, v, hideleg_bits(c));
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::HIE,
        |c, _| c.csrs.mie & hie_bits(c),
        |c, _, v| {
            c.csrs.mie = merge(c.csrs.mie, v, hie_bits(c));
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::HIP,
        |c, _| c.mip() & hie_bits(c),
        |c, _, v| {
            c.csrs.hvip = merge(c.csrs.hvip, v, Interrupt::VsSoftware.bit());
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::HVIP,
        |c, _| c.csrs.hvip,
        |c, _, v| {
            c.csrs.hvip = v & VS_INTERRUPTS;
            c.interrupts_changed();
        },
    ),
    Row::new(
        csr::HTIMEDELTA,
        |c, _| c.csrs.htimedelta,
        |c, _, v| {
            c.csrs.htimedelta = v;
            c.interrupts_changed();
        },
    ),
    Row::new(csr::HTVAL, |c, _| c.csrs.htval, |c, _, v| c.csrs.htval = v),
    Row::new(csr::HTINST, |c, _| c.csrs.htinst, |c, _, v| c.csrs.htinst = v),
    Row::new(
        csr::HGEIE,
        |c, _| c.csrs.hgeie,
        |c, _, v| {
            c.csrs.hgeie = v & c.guest_external_lines();
            c.interrupts_changed();
        },
    ),
    Row::constant(csr::HGEIP, |c, _| c.hgeip()),
    Row::new(csr::HGATP, |c, _| c.csrs.hgatp, write_hgatp).gated(hgatp_gate),
];

const VSXL_64: u64 = 2 << VSXL_SHIFT;

fn write_hstatus(core: &mut Core, _: u16, value: u64) {
    let mut mask = VTSR | VTW | VTVM | HU | SPVP | SPV | GVA;
    // VGEIN is WARL: a line the hart does not have leaves it as it was.
    if (value & VGEIN) >> VGEIN_SHIFT <= u64::from(core.geilen) {
        mask |= VGEIN;
    }
    if core.has.ssnpm {
        mask |= HUPMM;
    }
    let value = masking::legal(core.csrs.hstatus, value, HUPMM);
    core.csrs.hstatus = merge(core.csrs.hstatus, value, mask);
    core.masking_changed();
    core.interrupts_changed();
}

/// All fields are WARL; unlike `satp`, an unsupported MODE does not void the write. The root is
/// 16 KiB aligned, so PPN[1:0] read as zero.
fn write_hgatp(core: &mut Core, _: u16, value: u64) {
    let old = core.csrs.hgatp;
    // The scene has the VMID that was in force.
    let scene = core.seen_at(core.at());
    core.csrs.hgatp = core.hgatp(value);
    core.translation_changed();
    if let Some(scene) = scene {
        let (register, new) = (RootRegister::Hgatp, core.csrs.hgatp);
        core.tell(&scene, Notice::Root { register, old, new });
    }
}
