//! Counters and what gates them [priv: machine, "Hardware Performance Monitor"; Zicntr; Zihpm;
//! Sscofpmf; Zkr's `seed`].

use isa::csr;
use isa::field::mhpmevent::{MINH, OF, SINH, UINH, VSINH, VUINH};
use isa::{Mode, Privilege};

use super::{Denied, Row, Use};
use crate::core::Core;

/// The event codes that `mhpmevent` can hold.
const EVENT: u64 = 0xff;
/// The bits that keep a counter from counting in a mode, of the modes that the hart has.
fn mode_filters(core: &Core) -> u64 {
    let of = |has, filters| if has { filters } else { 0 };
    MINH | of(core.has.s, SINH) | of(core.has.u, UINH) | of(core.has.h, VSINH | VUINH)
}

/// mcounteren, then hcounteren at V=1, then scounteren in U below an S [hypervisor, `hcounteren`].
pub(super) fn counter_gate(core: &Core, mode: Mode, bit: u32) -> Result<(), Denied> {
    let enabled = |register: u64| register >> bit & 1 != 0;
    if mode == Mode::M {
        return Ok(());
    }
    if !enabled(core.csrs.mcounteren) {
        return Err(Denied::Illegal);
    }
    if mode.v() && !enabled(core.csrs.hcounteren) {
        return Err(Denied::Virtual);
    }
    if mode.privilege() == Privilege::U && core.has.s && !enabled(core.csrs.scounteren) {
        return Err(if mode.v() { Denied::Virtual } else { Denied::Illegal });
    }
    Ok(())
}

fn gate(core: &Core, mode: Mode, number: u16, _: Use) -> Result<(), Denied> {
    counter_gate(core, mode, u32::from(number - csr::CYCLE))
}

/// What `seed` demands: a write, and leave in `mseccfg` below M [scalar crypto, 4.3].
fn seed_gate(core: &Core, mode: Mode, _: u16, usage: Use) -> Result<(), Denied> {
    const USEED: u64 = 1 << 8;
    const SSEED: u64 = 1 << 9;
    if usage == Use::Read {
        return Err(Denied::Illegal);
    }
    match mode {
        Mode::M => Ok(()),
        Mode::S if core.csrs.mseccfg & SSEED != 0 => Ok(()),
        Mode::U if core.csrs.mseccfg & USEED != 0 => Ok(()),
        Mode::VS | Mode::VU if core.csrs.mseccfg & SSEED != 0 => Err(Denied::Virtual),
        _ => Err(Denied::Illegal),
    }
}

fn index(number: u16) -> usize {
    usize::from(number & 0x1f)
}

pub(super) const ROWS: &[Row] = &[
    Row::constant(csr::CYCLE, |c, _| c.counter(0)).gated(gate),
    Row::constant(csr::TIME, |c, _| c.virtual_time()).gated(gate),
    Row::constant(csr::INSTRET, |c, _| c.counter(2)).gated(gate),
    Row::run(csr::HPMCOUNTER3, csr::HPMCOUNTER31, |c, n| c.counter(index(n)), |_, _, _| {})
        .gated(gate),
    Row::new(csr::MCYCLE, |c, _| c.counter(0), |c, _, v| c.write_counter(0, v)),
    Row::new(csr::MINSTRET, |c, _| c.counter(2), |c, _, v| c.write_counter(2, v)),
    Row::new(
        csr::MCYCLECFG,
        |c, _| c.csrs.mhpmevent[0],
        |c, _, v| c.set_counter_event(0, v & mode_filters(c)),
    ),
    Row::new(
        csr::MINSTRETCFG,
        |c, _| c.csrs.mhpmevent[2],
        |c, _, v| c.set_counter_event(2, v & mode_filters(c)),
    ),
    Row::run(
        csr::MHPMCOUNTER3,
        csr::MHPMCOUNTER31,
        |c, n| c.counter(index(n)),
        |c, n, v| c.write_counter(index(n), v),
    ),
    Row::run(
        csr::MHPMEVENT3,
        csr::MHPMEVENT31,
        |c, n| c.csrs.mhpmevent[index(n)],
        |c, n, v| {
            let filters = if c.has.sscofpmf { OF | mode_filters(c) } else { 0 };
            c.set_counter_event(index(n), v & (EVENT | filters));
        },
    ),
    // TM has no place in `mcountinhibit`: `time` never stops.
    Row::new(
        csr::MCOUNTINHIBIT,
        |c, _| c.csrs.mcountinhibit,
        |c, _, v| c.write_mcountinhibit(v & 0xffff_fffd),
    ),
    Row::new(
        csr::MCOUNTEREN,
        |c, _| c.csrs.mcounteren,
        |c, _, v| {
            c.csrs.mcounteren = v & 0xffff_ffff;
        },
    ),
    Row::new(
        csr::SCOUNTEREN,
        |c, _| c.csrs.scounteren,
        |c, _, v| {
            c.csrs.scounteren = v & 0xffff_ffff;
        },
    ),
    Row::new(
        csr::HCOUNTEREN,
        |c, _| c.csrs.hcounteren,
        |c, _, v| {
            c.csrs.hcounteren = v & 0xffff_ffff;
        },
    ),
    Row::constant(csr::SCOUNTOVF, |c, _| {
        let visible = match c.mode {
            Mode::M => !0,
            mode if mode.v() => c.csrs.mcounteren & c.csrs.hcounteren,
            _ => c.csrs.mcounteren,
        };
        (3..32).filter(|&i| c.csrs.mhpmevent[i] & OF != 0).fold(0, |bits, i| bits | 1 << i)
            & visible
    }),
    Row::new(csr::SEED, |c, _| c.entropy(), |c, _, _| c.advance_entropy()).gated(seed_gate),
];
