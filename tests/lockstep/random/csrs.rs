//! CSR accesses: reads of whatever there may be, and writes that leave handlers and translation as
//! they are.

use isa::csr::*;
use isa::field::{hstatus, menvcfg, mstatus};
use isa::{Mode, Op};

use super::code::{csr, csrr, csrw, li, reg};
use super::layout::{HS_HANDLER, M_HANDLER, VS_HANDLER};
use super::rng::Rng;

/// What may be written to a CSR.
#[derive(Clone, Copy, Debug)]
enum Allowed {
    /// These bits, whatever the others are.
    All(u64),
    /// Only these bits are set or cleared.
    Bits(u64),
    /// One of these.
    One(&'static [u64]),
}

use Allowed::{All, Bits, One};

const VS_PENDING: u64 = 1 << 2 | 1 << 6 | 1 << 10;
const S_PENDING: u64 = 1 << 1 | 1 << 5 | 1 << 9;

/// `medeleg` without what the handlers rely on (ECALL from HS) and what is a choice (bit 0).
pub(super) const DELEGATED: u64 = 0xf0_b5fe;
/// `hedeleg`'s bits.
pub(super) const DELEGATED_TO_GUESTS: u64 = 0xb1fe;
/// `*stateen0` without bits that differ by choice.
pub(super) const STATEEN0: u64 = !(1 | 1 << 60);

const STATUS: u64 = mstatus::SIE | mstatus::SPIE | mstatus::SPP | mstatus::SUM | mstatus::MXR;
/// Initial, so that floating point stays on more often than not.
const FS_ON: u64 = 1 << mstatus::FS_SHIFT;
const ENVCFG: u64 = menvcfg::CBCFE | menvcfg::CBZE;
/// Causes there are, for registers that need not hold others.
const CAUSES: &[u64] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 20, 21, 22, 23, 1 << 63 | 1, 1 << 63 | 5, 1 << 63 | 9];
/// Never: when a comparator's interrupt becomes pending is up to the clock.
const MOMENTS: &[u64] = &[u64::MAX];

/// The CSRs that random code writes.
const WRITTEN: &[(u16, Allowed)] = &[
    (
        MSTATUS,
        Bits(
            STATUS
                | mstatus::MIE
                | mstatus::MPIE
                | mstatus::TVM
                | mstatus::TW
                | mstatus::TSR
                | mstatus::GVA
                | mstatus::MPV
                | mstatus::XS
                | mstatus::VS,
        ),
    ),
    (MSTATUS, Bits(mstatus::FS)),
    (SSTATUS, Bits(mstatus::FS)),
    (VSSTATUS, Bits(mstatus::FS)),
    (MEDELEG, All(DELEGATED)),
    (MIDELEG, All(S_PENDING)),
    (MIE, All(S_PENDING | VS_PENDING)),
    (MIP, All(S_PENDING | VS_PENDING)),
    (MCOUNTEREN, All(u64::MAX)),
    (MENVCFG, Bits(ENVCFG)),
    (MSTATEEN0, All(STATEEN0)),
    (MSTATEEN1, All(u64::MAX)),
    (MSCRATCH, All(u64::MAX)),
    (MEPC, All(u64::MAX)),
    (MCAUSE, One(CAUSES)),
    (MTVAL, All(u64::MAX)),
    (MTVAL2, All(u64::MAX)),
    (MTINST, All(u64::MAX)),
    (MTVEC, One(&[M_HANDLER, M_HANDLER | 1])),
    (SSTATUS, All(STATUS | FS_ON | mstatus::UXL)),
    (SSTATUS, Bits(STATUS | mstatus::SD | mstatus::XS | mstatus::VS)),
    (SIE, All(S_PENDING)),
    (SIP, All(S_PENDING)),
    (STVEC, One(&[HS_HANDLER, HS_HANDLER | 1])),
    (SCOUNTEREN, All(u64::MAX)),
    (SENVCFG, Bits(ENVCFG)),
    (SSTATEEN0, All(STATEEN0)),
    (SSCRATCH, All(u64::MAX)),
    (SEPC, All(u64::MAX)),
    (SCAUSE, One(CAUSES)),
    (STVAL, All(u64::MAX)),
    (STIMECMP, One(MOMENTS)),
    (
        HSTATUS,
        All(hstatus::GVA | hstatus::SPV | hstatus::SPVP | hstatus::HU | hstatus::VGEIN | 2 << 32),
    ),
    (
        HSTATUS,
        Bits(
            hstatus::GVA
                | hstatus::SPV
                | hstatus::SPVP
                | hstatus::HU
                | hstatus::VTVM
                | hstatus::VTW
                | hstatus::VTSR,
        ),
    ),
    (HSTATUS, Bits(hstatus::SPVP | hstatus::HU)),
    (HEDELEG, All(DELEGATED_TO_GUESTS)),
    (HIDELEG, All(VS_PENDING)),
    (HIE, All(VS_PENDING)),
    (HIP, All(VS_PENDING)),
    (HVIP, All(VS_PENDING)),
    (HTIMEDELTA, One(&[0, 1 << 40])),
    (HCOUNTEREN, All(u64::MAX)),
    (HGEIE, All(u64::MAX)),
    (HENVCFG, Bits(ENVCFG)),
    (HSTATEEN0, All(STATEEN0)),
    (HSTATEEN1, All(u64::MAX)),
    (HTVAL, All(u64::MAX)),
    (HTINST, All(u64::MAX)),
    (VSSTATUS, All(STATUS | FS_ON | 2 << 32)),
    (VSSTATUS, Bits(STATUS | mstatus::XS | mstatus::VS)),
    (VSIE, All(S_PENDING)),
    (VSIP, All(S_PENDING)),
    (VSTVEC, One(&[VS_HANDLER, VS_HANDLER | 1])),
    (VSSCRATCH, All(u64::MAX)),
    (VSEPC, All(u64::MAX)),
    (VSCAUSE, One(CAUSES)),
    (VSTVAL, All(u64::MAX)),
    (VSTIMECMP, One(MOMENTS)),
    (FFLAGS, All(u64::MAX)),
    (FRM, All(u64::MAX)),
    (FCSR, All(u64::MAX)),
    (HGEIP, All(u64::MAX)),
    (CYCLE, All(u64::MAX)),
    (INSTRET, Bits(u64::MAX)),
    (MHARTID, All(u64::MAX)),
];

/// Sets a CSR, through the register t0.
pub(super) fn set(number: u16, value: u64) -> Vec<u32> {
    let mut words = li(reg::T0, value);
    words.push(csrw(number, reg::T0));
    words
}

/// A write of a CSR, mostly one that the mode has.
pub(super) fn write(rng: &mut Rng, mode: Mode) -> Vec<u32> {
    let (number, allowed) = loop {
        let row = rng.pick(WRITTEN);
        // VS reaches its own registers under HS's names; HS's stvec must not get VS's handler.
        if reaches(mode, row.0) || rng.chance(6) {
            break row;
        }
    };
    let rd = rng.pick(&reg::FREE);
    let (op, value) = match allowed {
        // A reserved value stays out of the fields that have one.
        One(values) => {
            let value = rng.pick(values);
            let own = mode == Mode::VS && number == STVEC;
            (Op::Csrrw, if own { VS_HANDLER | value & 1 } else { value })
        }
        All(bits) => (rng.pick(&[Op::Csrrw, Op::Csrrw, Op::Csrrs, Op::Csrrc]), rng.value() & bits),
        Bits(bits) => (rng.pick(&[Op::Csrrs, Op::Csrrc]), rng.next() & rng.next() & bits),
    };
    if value < 32 && rng.chance(50) && !matches!(allowed, One(_)) {
        let op = match op {
            Op::Csrrw => Op::Csrrwi,
            Op::Csrrs => Op::Csrrsi,
            _ => Op::Csrrci,
        };
        return vec![csr(op, rd, number, value as u8)];
    }
    let mut words = li(reg::T0, value);
    words.push(csr(op, rd, number, reg::T0));
    words
}

/// Whether a write in `mode` can work.
fn reaches(mode: Mode, number: u16) -> bool {
    match mode {
        Mode::M => true,
        Mode::S => level_of(number) < Level::M,
        Mode::VS => level_of(number) < Level::Hs,
        Mode::U | Mode::VU => level_of(number) == Level::U,
    }
}

/// A read of a CSR, of any number there may be.
pub(super) fn read(rng: &mut Rng, mode: Mode) -> Vec<u32> {
    let rd = rng.pick(&reg::FREE);
    loop {
        let number = match rng.below(20) {
            0 => rng.below(0x1000) as u16,
            1..=9 => rng.pick(WRITTEN).0,
            _ => rng.pick(CSRS).number,
        };
        if is_readable(rng, number) && (reaches(mode, number) || rng.chance(6)) {
            let op = rng.pick(&[Op::Csrrs, Op::Csrrs, Op::Csrrc, Op::Csrrsi, Op::Csrrci]);
            return vec![csr(op, rd, number, 0)];
        }
    }
}

/// Leaves out what ends a comparison, and mostly what is not compared.
fn is_readable(rng: &mut Rng, number: u16) -> bool {
    match number {
        // Triggers and contexts of the debugger, which Spike always has.
        0x7a0..=0x7bf | 0x5a8 | 0x6a8 => false,
        SEED | MCYCLE | CYCLE | TIME | MVENDORID | MARCHID | MIMPID => rng.chance(3),
        _ => true,
    }
}

/// Makes an interrupt pending, and enables it, as `mode` can.
pub(super) fn inject(rng: &mut Rng, mode: Mode) -> Vec<u32> {
    let (pending, enable, bits): (u16, u16, &[u64]) = match mode {
        Mode::M => (MIP, MIE, &[2, 0x20, 0x200]),
        Mode::S if rng.chance(40) => (SIP, SIE, &[2]),
        Mode::S => (HVIP, HIE, &[4, 0x40, 0x400]),
        _ => (SIP, SIE, &[2]),
    };
    let (pending, enable, bits) = match mode {
        Mode::M if rng.chance(50) => (HVIP, HIE, &[4, 0x40, 0x400][..]),
        _ => (pending, enable, bits),
    };
    let bit = rng.pick(bits);
    let set = rng.pick(&[Op::Csrrs, Op::Csrrs, Op::Csrrc]);
    let mut words = li(reg::T0, bit);
    words.push(csr(set, rng.pick(&reg::FREE), pending, reg::T0));
    if rng.chance(70) {
        words.extend(li(reg::T0, bit));
        words.push(csr(Op::Csrrs, 0, enable, reg::T0));
    }
    if rng.chance(50) {
        let status = if mode == Mode::M { MSTATUS } else { SSTATUS };
        words.push(csr(Op::Csrrsi, 0, status, 2));
    }
    words
}

/// WFI where an enabled interrupt is pending, so that it ends.
pub(super) fn wait(mode: Mode) -> Vec<u32> {
    use super::code::{encode, r, s};
    let (pending, enable) = if mode == Mode::M { (MIP, MIE) } else { (SIP, SIE) };
    let wfi = encode(Op::Wfi, Default::default());
    if mode.privilege() == isa::Privilege::U {
        // It traps.
        return vec![wfi];
    }
    vec![
        i_zero(reg::T0),
        i_zero(reg::T1),
        csrr(reg::T0, pending),
        csrr(reg::T1, enable),
        r(Op::And, reg::T0, reg::T0, reg::T1),
        s(Op::Beq, 0, reg::T0, 8),
        wfi,
    ]
}

fn i_zero(rd: u8) -> u32 {
    super::code::i(Op::Addi, rd, 0, 0)
}
