//! What a run looks like from outside: each retired instruction and each trap as a value, for commit
//! logs and for comparison with another implementation.
//!
//! Everything is worked out from the decoded instruction and the state before and behind it, so the
//! code that executes instructions knows nothing of this and pays nothing for it. Which CSRs count
//! as written follows Spike, whose log others read too: a register that aliases another is reported
//! under the name of the one that holds the state, an FP instruction that raises flags writes
//! `fflags` even if they stood before, and what a trap writes belongs to the trap.

use isa::csr as number;
use isa::field::mstatus;
use isa::{Cause, Exception, Gpa, Insn, Interrupt, Mode, Op, Va};
use mmu::{Access, Kind, Target as Place};

use crate::core::Core;
use crate::csr;
use crate::memory::Manner;
use crate::state::X_SINK;
use crate::trap::{Target, code_in_vs};

/// A register that an instruction wrote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Register {
    /// An integer register, never `x0`.
    X(u8),
    /// A floating-point register.
    F(u8),
    /// A CSR, by number.
    Csr(u16),
}

/// A memory access of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touched {
    /// The address the instruction computed.
    pub va: Va,
    /// The guest physical address of its first byte, where the access was made with V=1.
    pub gpa: Option<Gpa>,
    /// Bytes.
    pub bytes: u8,
    /// What was stored, zero-extended; `None` for a load. An AMO is a load and then a store.
    pub stored: Option<u64>,
}

/// A retired instruction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Commit {
    /// `mhartid`.
    pub hart: u64,
    /// Where it was fetched.
    pub pc: Va,
    /// Where that is in guest physical memory, at V=1.
    pub pc_gpa: Option<Gpa>,
    /// The instruction as fetched; a 16-bit one in the low half.
    pub bits: u32,
    /// Its length in bytes, 2 or 4.
    pub len: u8,
    /// The mode it executed in.
    pub mode: Mode,
    /// Width of an `f` register in bits.
    pub flen: u8,
    /// Registers written and what they hold now, each at most once.
    pub written: Vec<(Register, u64)>,
    /// Memory accessed, in order.
    pub touched: Vec<Touched>,
}

/// A trap taken, with what its handler finds in the CSRs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trapped {
    /// `mhartid`.
    pub hart: u64,
    /// Where: the instruction that trapped, or that the interrupt came before.
    pub pc: Va,
    /// The mode it came from.
    pub mode: Mode,
    /// Why. An interrupt has its number from `mip`, whoever takes it.
    pub cause: Cause,
    /// Who takes it.
    pub target: Target,
    /// `mtval`, `stval` or `vstval`.
    pub tval: u64,
    /// `mtval2` or `htval`; 0 in VS.
    pub tval2: u64,
    /// `mtinst` or `htinst`; 0 in VS.
    pub tinst: u64,
}

/// What a logged run reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// An instruction retired.
    Commit(&'a Commit),
    /// A trap was taken.
    Trap(Trapped),
}

/// An access that the instruction about to execute will make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) va: u64,
    bytes: u8,
    pub(crate) kind: Kind,
    pub(crate) manner: Manner,
    store: Store,
}

/// What a planned access stores.
#[derive(Clone, Copy, Debug)]
enum Store {
    /// Nothing: a load.
    None,
    /// This.
    Value(u64),
    /// This, if the SC succeeds.
    IfReserved(u64),
    /// What memory holds afterwards.
    Whatever,
    /// What memory holds afterwards, if the old value was this one (low half, high half).
    IfEqual(u64, u64),
}

/// Watches one instruction at a time: [`Recorder::before`] it, [`Recorder::after`] it.
#[derive(Default)]
pub(crate) struct Recorder {
    commit: Commit,
    insn: Option<Insn>,
    planned: Option<Planned>,
    retired: u64,
    traps: u64,
    /// `fflags`, which are cleared while an FP instruction executes, so that those it raises show.
    held_fflags: Option<u8>,
    fs_was_dirty: bool,
    mip: u64,
    hvip: u64,
}

impl Recorder {
    /// Before the hart looks for an interrupt or executes; `insn` is what it would execute.
    pub(crate) fn before(&mut self, core: &mut Core, insn: Option<Insn>) {
        self.insn = insn;
        self.retired = core.retired;
        self.traps = traps(core);
        let commit = &mut self.commit;
        (commit.hart, commit.pc, commit.mode) = (core.hartid, Va(core.pc), core.mode);
        commit.written.clear();
        commit.touched.clear();
        let Some(insn) = insn else { return };
        (commit.bits, commit.len, commit.flen) = (insn.bits, insn.len, flen(core));
        let manner = Manner { privilege: core.mode.privilege(), v: core.mode.v(), hlvx: false };
        commit.pc_gpa = gpa(core, core.pc, 2, Kind::Fetch, manner);
        self.planned = plan(core, &insn);
        self.fs_was_dirty = fs_is_dirty(core);
        (self.mip, self.hvip) = (core.csrs.mip, core.csrs.hvip);
        if is_arithmetic_fp(&insn) {
            self.held_fflags = Some(std::mem::take(&mut core.csrs.fflags));
        }
    }

    /// What happened since [`Recorder::before`], if anything did.
    pub(crate) fn after(&mut self, core: &mut Core) -> Option<Event<'_>> {
        let mut raised = 0;
        if let Some(held) = self.held_fflags.take() {
            raised = core.csrs.fflags;
            core.csrs.fflags |= held;
        }
        if traps(core) != self.traps {
            return trapped(core, &self.commit).map(Event::Trap);
        }
        let insn = self.insn.filter(|_| core.retired != self.retired)?;
        self.memory(core, &insn);
        self.registers(core, &insn, raised != 0);
        Some(Event::Commit(&self.commit))
    }

    fn registers(&mut self, core: &mut Core, insn: &Insn, raised: bool) {
        let written = &mut self.commit.written;
        let operands = insn.op.row().operands;
        let writes_f = operands.starts_with("frd");
        if writes_f {
            written.push((Register::F(insn.rd), core.f[usize::from(insn.rd & 31)]));
        } else if operands.starts_with("rd") && insn.rd != 0 {
            let last = insn.rd + u8::from(insn.op == Op::AmocasQ);
            written.extend((insn.rd..=last).map(|rd| (Register::X(rd), core.x(rd))));
        }
        let csrs = match insn.op {
            Op::Mret | Op::Sret => returned(core, insn.op, self.commit.mode),
            _ => csr_written(core, insn),
        };
        let (mip_before, hvip_before) = (self.mip, self.hvip);
        let writes_hvip = csrs.numbers().any(|csr| csr == number::HVIP);
        let mut push = |csr: u16| {
            let value = match csr {
                MVIP => mvip(core, mip_before),
                number::MIP if writes_hvip => mip_through_hvip(core, hvip_before),
                _ => csr::peek(core, csr).unwrap_or(0),
            };
            written.push((Register::Csr(csr), value));
        };
        csrs.numbers().for_each(&mut push);
        if raised {
            push(number::FFLAGS);
        }
        let writes_fcsr = csrs.numbers().any(|csr| matches!(csr, number::FFLAGS | number::FRM));
        if (writes_f || raised || writes_fcsr) && !self.fs_was_dirty {
            push(number::MSTATUS);
            if self.commit.mode.v() {
                push(number::VSSTATUS);
            }
        }
    }

    fn memory(&mut self, core: &mut Core, insn: &Insn) {
        if insn.op == Op::CboZero {
            self.zeroed(core, insn);
            return;
        }
        let Some(planned) = self.planned.take() else { return };
        let Planned { va, bytes, kind, manner, store } = planned;
        // The sink has what `x0` was given: the outcome of an SC, the old value of a CAS.
        let rd = if insn.rd == 0 { X_SINK } else { insn.rd };
        let result = (core.x(rd), core.x(rd + 1));
        let gpa = gpa(core, va, bytes, kind, manner);
        let touched = &mut self.commit.touched;
        let load = Touched { va: Va(va), gpa, bytes, stored: None };
        if matches!(store, Store::None | Store::Whatever | Store::IfEqual(..)) {
            touched.push(load);
        }
        let stored = match store {
            Store::None => None,
            Store::Value(value) => Some((value, 0)),
            Store::IfReserved(value) => (result.0 == 0).then_some((value, 0)),
            Store::Whatever => read_back(core, va, bytes, manner),
            Store::IfEqual(low, high) => {
                let equal = truncated(result.0, bytes) == truncated(low, bytes)
                    && (bytes < 16 || result.1 == high);
                if equal { read_back(core, va, bytes, manner) } else { None }
            }
        };
        if let Some((low, high)) = stored {
            let half = bytes.min(8);
            let store = Touched { bytes: half, stored: Some(truncated(low, half)), ..load };
            touched.push(store);
            if bytes == 16 {
                let gpa = gpa.map(|gpa| Gpa(gpa.0 | 8));
                touched.push(Touched { va: Va(va | 8), gpa, stored: Some(high), ..store });
            }
        }
    }

    /// CBO.ZERO stores a block of zero bytes.
    fn zeroed(&mut self, core: &mut Core, insn: &Insn) {
        let block = core.x(insn.rs1) & !(crate::exec::BLOCK_BYTES - 1);
        let manner = core.ordinary();
        let gpa = gpa(core, block, 1, Kind::Store, manner);
        self.commit.touched.extend((0..crate::exec::BLOCK_BYTES).map(|i| Touched {
            va: Va(block + i),
            gpa: gpa.map(|gpa| Gpa(gpa.0 + i)),
            bytes: 1,
            stored: Some(0),
        }));
    }
}

pub(crate) fn traps(core: &Core) -> u64 {
    core.counters.events.exceptions.wrapping_add(core.counters.events.interrupts)
}

/// 64 with D, else 32.
fn flen(core: &Core) -> u8 {
    const D: u64 = 1 << 3;
    if core.has.misa & D != 0 { 64 } else { 32 }
}

fn fs_is_dirty(core: &Core) -> bool {
    let dirty = |status: u64| status & mstatus::FS == mstatus::FS;
    dirty(core.csrs.mstatus) && (!core.mode.v() || dirty(core.csrs.vsstatus))
}

/// The major opcodes OP-FP, MADD, MSUB, NMSUB and NMADD.
fn is_arithmetic_fp(insn: &Insn) -> bool {
    matches!(insn.expanded() & 0x7f, 0x43 | 0x47 | 0x4b | 0x4f | 0x53)
}

fn truncated(value: u64, bytes: u8) -> u64 {
    if bytes < 8 { value & ((1 << (8 * bytes)) - 1) } else { value }
}

/// The access that `insn` makes, from its encoding [unpriv: "RISC-V Base Instruction Formats"; A;
/// priv: hypervisor, "Hypervisor Virtual-Machine Load and Store Instructions"].
pub(crate) fn plan(core: &Core, insn: &Insn) -> Option<Planned> {
    let word = insn.expanded();
    let (funct3, funct5) = (word >> 12 & 7, word >> 27);
    let base = core.x(insn.rs1);
    let ordinary = |offset: i32, bytes: u8, kind: Kind, store: Store| {
        let va = base.wrapping_add(i64::from(offset) as u64);
        Some(Planned { va, bytes, kind, manner: core.ordinary(), store })
    };
    let bytes = 1u8 << (funct3 & 3);
    match word & 0x7f {
        // LOAD, LOAD-FP
        0x03 | 0x07 => ordinary(insn.imm, bytes, Kind::Load, Store::None),
        // STORE, STORE-FP
        0x23 => ordinary(insn.imm, bytes, Kind::Store, Store::Value(core.x(insn.rs2))),
        0x27 => {
            let value = core.f[usize::from(insn.rs2 & 31)];
            ordinary(insn.imm, bytes, Kind::Store, Store::Value(value))
        }
        // AMO: LR, SC, AMOCAS, the others
        0x2f => {
            let (kind, store) = match funct5 {
                2 => (Kind::Load, Store::None),
                3 => (Kind::Store, Store::IfReserved(core.x(insn.rs2))),
                5 if insn.rd == 0 => (Kind::Amo, Store::IfEqual(0, 0)),
                5 => (Kind::Amo, Store::IfEqual(core.x(insn.rd), core.x(insn.rd + 1))),
                _ => (Kind::Amo, Store::Whatever),
            };
            ordinary(0, 1 << funct3, kind, store)
        }
        // SYSTEM: HLV, HLVX, HSV
        0x73 if funct3 == 4 && word >> 28 == 6 => {
            let bytes = 1 << (word >> 26 & 3);
            let hlvx = word >> 20 & 3 == 3;
            let (kind, store) = match word >> 25 & 1 {
                0 => (Kind::Load, Store::None),
                _ => (Kind::Store, Store::Value(core.x(insn.rs2))),
            };
            Some(Planned { va: base, bytes, kind, manner: core.guest_manner(hlvx), store })
        }
        _ => None,
    }
}

/// The guest physical address behind `va`; `None` at V=0 and where it does not translate.
fn gpa(core: &mut Core, va: u64, bytes: u8, kind: Kind, manner: Manner) -> Option<Gpa> {
    if !manner.v {
        return None;
    }
    let va = core.masked(va, manner);
    let size = bytes.min((0x1000 - (va & 0xfff)) as u8);
    core.mmu.translate(Va(va), access(kind, size, manner)).ok()?.gpa
}

fn access(kind: Kind, size: u8, manner: Manner) -> Access {
    Access { kind, size, privilege: manner.privilege, v: manner.v, hlvx: manner.hlvx }
}

/// What an AMO left in memory: low half, high half.
fn read_back(core: &mut Core, va: u64, bytes: u8, manner: Manner) -> Option<(u64, u64)> {
    let va = core.masked(va, manner);
    let translated = core.mmu.translate(Va(va), access(Kind::Amo, bytes, manner)).ok()?;
    let Place::Ram { pa } = translated.target else { return None };
    match bytes {
        1 => core.ram.read::<u8>(pa).map(|value| (value.into(), 0)),
        2 => core.ram.read::<u16>(pa).map(|value| (value.into(), 0)),
        4 => core.ram.read::<u32>(pa).map(|value| (value.into(), 0)),
        8 => core.ram.read::<u64>(pa).map(|value| (value, 0)),
        _ => core.ram.read::<u64>(pa).zip(core.ram.read::<u64>(isa::Pa(pa.0 | 8))),
    }
}

/// `mvip` of the interrupt architecture, which Spike keeps even without it, as it stands when a
/// write of `mip` passes through: SEIP is new, STIP and SSIP still old.
const MVIP: u16 = 0x309;

fn mvip(core: &Core, mip_before: u64) -> u64 {
    let mut old = Interrupt::SupervisorSoftware.bit();
    if !core.stimecmp_in_use() {
        old |= Interrupt::SupervisorTimer.bit();
    }
    core.csrs.mip & Interrupt::SupervisorExternal.bit() | mip_before & old
}

/// `mip` as it stands when a write of `hvip` passes through: VSSIP is new, VSEIP and VSTIP are old.
fn mip_through_hvip(core: &mut Core, before: u64) -> u64 {
    let vssip = Interrupt::VsSoftware.bit();
    let hvip = core.csrs.hvip;
    core.csrs.hvip = before & !vssip | hvip & vssip;
    let mip = core.mip();
    core.csrs.hvip = hvip;
    mip
}

/// Up to three CSRs.
#[derive(Clone, Copy, Default)]
struct Csrs([Option<u16>; 3]);

impl Csrs {
    fn of(numbers: &[u16]) -> Self {
        Self([0, 1, 2].map(|i| numbers.get(i).copied()))
    }

    fn numbers(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().flatten()
    }
}

/// The registers that an MRET or SRET in mode `from` has written. A return to VU clears a field of
/// `vsstatus` that belongs to an extension, and counts as a write of it even where there is none.
fn returned(core: &Core, op: Op, from: Mode) -> Csrs {
    let vsstatus = core.mode == Mode::VU;
    match op {
        Op::Sret if from.v() => Csrs::of(&[number::VSSTATUS]),
        Op::Sret if vsstatus => Csrs::of(&[number::VSSTATUS, number::HSTATUS, number::MSTATUS]),
        Op::Sret if core.has.h => Csrs::of(&[number::HSTATUS, number::MSTATUS]),
        _ if vsstatus => Csrs::of(&[number::VSSTATUS, number::MSTATUS]),
        _ => Csrs::of(&[number::MSTATUS]),
    }
}

/// The registers that hold what a CSR instruction wrote.
fn csr_written(core: &Core, insn: &Insn) -> Csrs {
    let writes = match insn.op {
        Op::Csrrw | Op::Csrrwi => true,
        Op::Csrrs | Op::Csrrc | Op::Csrrsi | Op::Csrrci => insn.rs1 != 0,
        _ => false,
    };
    if !writes {
        return Csrs::default();
    }
    // The mode is still the one it executed in.
    let actual = csr::substitute(core, insn.imm as u16);
    match actual {
        number::SSTATUS => Csrs::of(&[number::MSTATUS]),
        number::SIE => Csrs::of(&[number::SIE, number::MIE]),
        number::HIE | number::VSIE => Csrs::of(&[number::MIE]),
        number::MIP | number::SIP => Csrs::of(&[MVIP, number::MIP]),
        number::HIP | number::VSIP => Csrs::of(&[number::MIP]),
        number::HVIP => Csrs::of(&[number::MIP, number::HVIP]),
        number::FCSR => Csrs::of(&[number::FFLAGS, number::FRM]),
        number::HGEIE if core.geilen == 0 => Csrs::default(),
        number::TDATA1..=number::TDATA3 | number::TINFO => Csrs::default(),
        number::PMPCFG0..=number::PMPADDR63 if !pmp_takes(core, actual) => Csrs::default(),
        _ => Csrs::of(&[actual]),
    }
}

/// Whether a PMP register has anything that a write can reach: it is implemented and, for an
/// address, not locked by its own entry or by a top-of-range entry above.
fn pmp_takes(core: &Core, number: u16) -> bool {
    const L: u8 = 0x80;
    const A: u8 = 0x18;
    const TOR: u8 = 0x08;
    const RLB: u64 = 4;
    let pmp = &core.mmu.pmp;
    if number < number::PMPADDR0 {
        return usize::from(number - number::PMPCFG0) * 4 < pmp.entries();
    }
    let entry = usize::from(number - number::PMPADDR0);
    let locked = pmp.read_cfg(entry) & L != 0 || pmp.read_cfg(entry + 1) & (L | A) == L | TOR;
    entry < pmp.entries() && (!locked || pmp.read_mseccfg() & RLB != 0)
}

/// The trap that has just been taken, from the CSRs of who took it.
fn trapped(core: &Core, before: &Commit) -> Option<Trapped> {
    let c = &core.csrs;
    let (target, cause, tval, tval2, tinst) = match core.mode {
        Mode::M => (Target::M, c.mcause, c.mtval, c.mtval2, c.mtinst),
        Mode::VS => (Target::Vs, c.vscause, c.vstval, 0, 0),
        _ => (Target::Hs, c.scause, c.stval, c.htval, c.htinst),
    };
    let code = cause & !(1 << 63);
    let cause = if cause >> 63 == 0 {
        Cause::Exception(Exception::from_code(code)?)
    } else if target == Target::Vs {
        use Interrupt::*;
        let mut delegated = [VsSoftware, VsTimer, VsExternal, CounterOverflow].into_iter();
        Cause::Interrupt(delegated.find(|&interrupt| code_in_vs(interrupt) == code)?)
    } else {
        Cause::Interrupt(Interrupt::from_code(code)?)
    };
    let Commit { hart, pc, mode, .. } = *before;
    Some(Trapped { hart, pc, mode, cause, target, tval, tval2, tinst })
}
