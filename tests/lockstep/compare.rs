//! The two sides side by side: every record of Spike's log against what our hart does next.
//!
//! A line either is the same to the byte, or every difference in it is one of those in [`Mask`],
//! where one side has to be believed. That is then Spike, and our register takes its value, so that
//! one difference does not become many.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cpu::{Commit, Hart, Register, Trapped};
use isa::csr;
use isa::{Cause, Exception, Interrupt, Op, Pa};
use mmu::Shape;

use super::board::{Rig, Step};
use super::coverage::Coverage;
use super::spike::{Line, Record, Records};
use super::transform::{self, Transformed};

/// A value that is taken from Spike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mask {
    /// `time`: Spike's moves in jumps of 50 ticks, and ours to where Spike's is read.
    Time,
    /// `cycle` and `mcycle`: what an instruction costs is the implementation's choice.
    Cycle,
    /// `mvendorid`, `marchid`, `mimpid`: who made it.
    Identity,
    /// `seed`: random.
    Entropy,
    /// Bits of `mip` and its aliases that devices and the clock set.
    Pending,
    /// A load from a device.
    Device,
    /// The moment at which a device or the clock interrupts.
    Interrupt,
    /// `mtinst` and `htinst`: Spike never transforms an instruction and says zero.
    Transformed,
    /// `minstret` where `mcountinhibit` was written: whether that instruction counts itself.
    Inhibit,
    /// A misaligned LR, SC or AMO: an access fault in Spike, a misaligned address here.
    MisalignedAtomic,
    /// An SC that fails because Spike gives up reservations at the end of a time slice.
    Reservation,
    /// `tval` of a CBO.ZERO: the block's address in Spike, the instruction's here.
    CboZero,
    /// Bits of a CSR where Spike chose otherwise or breaks the manual: see [`DEVIATIONS`].
    Deviation(&'static str),
}

impl Mask {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use Mask::*;
        let fixed = [
            Time,
            Cycle,
            Identity,
            Entropy,
            Pending,
            Device,
            Interrupt,
            Transformed,
            Inhibit,
            MisalignedAtomic,
            Reservation,
            CboZero,
        ];
        fixed.into_iter().chain(DEVIATIONS.iter().map(|&(_, _, what)| Deviation(what)))
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Time => "time",
            Self::Cycle => "cycle",
            Self::Identity => "identity",
            Self::Entropy => "entropy",
            Self::Pending => "pending interrupts",
            Self::Device => "device loads",
            Self::Interrupt => "moments of interrupts",
            Self::Transformed => "transformed instructions",
            Self::Inhibit => "mcountinhibit itself",
            Self::MisalignedAtomic => "misaligned atomics",
            Self::Reservation => "lost reservations",
            Self::CboZero => "tval of cbo.zero",
            Self::Deviation(what) => what,
        })
    }
}

/// CSRs, bits of them, and what they are about. `docs/LOCKSTEP.md` says how each is settled.
const DEVIATIONS: &[(&[u16], u64, &str)] = &[
    (&[csr::MIDELEG, csr::MIE, csr::HIE], 1 << 12, "SGEI with GEILEN=0"),
    (&[csr::MENVCFG, csr::HENVCFG, csr::SENVCFG], 3 << 4, "envcfg: reserved CBIE"),
    (&[csr::MENVCFG, csr::HENVCFG, csr::SENVCFG], 1, "envcfg: FIOM"),
    (&[csr::MENVCFG, csr::HENVCFG, csr::SENVCFG], 3 << 32, "envcfg: PMLEN=16"),
    (&[csr::MSTATEEN0, csr::HSTATEEN0, csr::SSTATEEN0], 1 << 60 | 1, "stateen0: C, CSRIND"),
];

/// How much was compared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) insns: u64,
    pub(crate) traps: u64,
    pub(crate) masked: BTreeMap<Mask, u64>,
    pub(crate) coverage: Coverage,
    /// Writes of `mcountinhibit`.
    inhibits: u64,
    /// Why the rest of the program was not compared.
    pub(crate) parted: Option<&'static str>,
}

impl Counts {
    fn mask(&mut self, mask: Mask) {
        *self.masked.entry(mask).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.insns += other.insns;
        self.traps += other.traps;
        self.coverage.add(&other.coverage);
        for (&mask, &count) in &other.masked {
            *self.masked.entry(mask).or_default() += count;
        }
    }
}

/// Spike's reset vector, which ends with the jump to the program.
const RESET_VECTOR: std::ops::Range<u64> = 0x1000..0x2000;

/// Where Spike's time slices end: after so many instructions, and early at a trap or WFI.
#[derive(Default)]
struct Slices {
    insns: u64,
    /// Whether one has ended since the last LR.
    ended: bool,
}

impl Slices {
    const INSNS: u64 = 5_000;

    fn end(&mut self) {
        *self = Self { insns: 0, ended: true };
    }

    fn retire(&mut self, op: Option<Op>) {
        self.insns += 1;
        match op {
            Some(Op::LrW | Op::LrD) => self.ended = false,
            Some(Op::Wfi) => self.end(),
            _ => {}
        }
        if self.insns == Self::INSNS {
            self.end();
        }
    }
}

/// A program that has to be given up: nothing differs, but it does not end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Endless(pub(crate) u64);

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program does not end within {} instructions and traps", self.0)
    }
}

impl std::error::Error for Endless {}

/// The records before a difference, for whoever looks for its reason.
#[derive(Default)]
struct Before(VecDeque<Record>);

impl Before {
    const RECORDS: usize = 16;

    fn push(&mut self, record: Record) {
        if self.0.len() == Self::RECORDS {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.0 {
            let (Record::Commit(Line { text, .. }) | Record::Trap { text, .. }) = record;
            write!(f, "\n    {}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Runs our side along Spike's log, up to where the program ends or, having done `limit` instructions
/// and traps, has to be given up.
///
/// # Errors
/// The first difference, or anything that keeps the two from being compared.
pub(crate) fn compare(
    isa: &str,
    shape: &Shape,
    elf: &Path,
    limit: u64,
    mut log: Records,
) -> Result<Counts> {
    let mut rig = Rig::new(isa, shape, elf)?;
    let mut counts = Counts::default();
    let mut slices = Slices::default();
    let mut next = follow_reset_vector(&mut rig, &mut log, &mut slices)?;
    let mut before = Before::default();
    while let Some(record) = next {
        let done = match &record {
            Record::Commit(line) => commit(&mut rig, line, &mut slices, &mut counts),
            Record::Trap { text, interrupt, bits } => {
                slices.end();
                trap(&mut rig, text, *interrupt, *bits, &mut counts)
            }
        };
        done.with_context(|| format!("after {} instructions{before}", counts.insns))?;
        before.push(record);
        if rig.tohost().is_some() || counts.parted.is_some() {
            let loads = rig.device_loads();
            if loads != 0 {
                counts.masked.insert(Mask::Device, loads);
            }
            return Ok(counts);
        }
        if counts.insns + counts.traps >= limit {
            return Err(anyhow!(Endless(limit)).context(before.to_string()));
        }
        next = log.next()?;
    }
    bail!("spike ends after {} instructions", counts.insns)
}

/// An `f` register of Spike that was never written acts as a NaN that is not boxed.
const NEVER_WRITTEN: u64 = 0x7ff8_0000_0000_0000;

/// Gives our hart what Spike's reset and its reset vector leave in the registers, where the manual
/// leaves it open. Returns the first record behind.
fn follow_reset_vector(
    rig: &mut Rig,
    log: &mut Records,
    slices: &mut Slices,
) -> Result<Option<Record>> {
    let mut insns = 0;
    loop {
        match log.next()? {
            Some(Record::Commit(line)) if RESET_VECTOR.contains(&line.pc) => {
                insns += 1;
                slices.retire(None);
                for (name, value) in &line.written {
                    if let Some(x) = name.strip_prefix('x') {
                        rig.hart().set_x(x.parse()?, *value);
                    }
                }
            }
            record => {
                let hart = rig.hart();
                for f in 0..32 {
                    hart.set_f(f, NEVER_WRITTEN);
                }
                for comparator in [csr::STIMECMP, csr::VSTIMECMP] {
                    hart.set_csr(comparator, 0);
                }
                hart.set_csr(csr::MINSTRET, insns);
                return Ok(record);
            }
        }
    }
}

fn trap(
    rig: &mut Rig,
    text: &str,
    interrupt: Option<u64>,
    bits: u32,
    counts: &mut Counts,
) -> Result<()> {
    let transformed = transform::transformed(bits, |x| rig.hart().x(x));
    let step = match interrupt {
        None => rig.step(None),
        Some(number) => {
            if comes_from_outside(rig.hart(), number) {
                counts.mask(Mask::Interrupt);
            }
            rig.interrupt(number)
        }
    };
    counts.traps += 1;
    if let Step::Trap(trap, _) = &step {
        counts.coverage.trap(rig, trap, bits);
        settle_tinst(rig.hart(), trap, transformed, counts)
            .with_context(|| text.trim_end().to_owned())?;
    }
    match step {
        Step::Trap(_, ours) if ours == text => Ok(()),
        Step::Trap(trap, ours) => {
            let (mask, register, value) = explain_trap(&trap, &ours, text, bits)
                .with_context(|| format!("the traps differ\n  spike: {text}  ours:  {ours}"))?;
            counts.mask(mask);
            rig.hart().set_csr(register, value);
            Ok(())
        }
        Step::Commit(_, ours) => bail!("a trap is missing\n  spike: {text}  ours:  {ours}"),
        Step::Nothing => bail!("a trap is missing\n  spike: {text}  ours:  nothing happens"),
    }
}

/// Spike never transforms an instruction: checks ours against the manual, and then says zero as well.
fn settle_tinst(
    hart: &mut Hart,
    trap: &Trapped,
    transformed: Option<Transformed>,
    counts: &mut Counts,
) -> Result<()> {
    let number = match trap.target {
        cpu::Target::M => csr::MTINST,
        cpu::Target::Hs => csr::HTINST,
        cpu::Target::Vs => return Ok(()),
    };
    if matches!(trap.tinst, 0x3000 | 0x3020) && trap.tval2 != 0 {
        // A guest-page fault of an implicit access: Spike says so, too.
        return Ok(());
    }
    let expected = match trap.cause {
        Cause::Exception(exception) => {
            transformed.filter(|_| transform::may_be_transformed(exception))
        }
        Cause::Interrupt(_) => None,
    };
    let expected = expected.map_or(0, |transformed| transformed.at(trap.tval));
    if trap.tinst != expected {
        bail!("the transformed instruction is {:#x} and should be {expected:#x}", trap.tinst);
    }
    if expected != 0 && hart.csr(number).is_some() {
        counts.mask(Mask::Transformed);
        hart.set_csr(number, 0);
    }
    Ok(())
}

/// Why two traps of the instruction `bits` may differ; and the CSR that then takes Spike's value.
fn explain_trap(trap: &Trapped, ours: &str, spike: &str, bits: u32) -> Option<(Mask, u16, u64)> {
    const AMO: u32 = 0x2f;
    const CBO_ZERO: u32 = 0x0040_200f;
    let (cause, tval) = match trap.target {
        cpu::Target::M => (csr::MCAUSE, csr::MTVAL),
        cpu::Target::Hs => (csr::SCAUSE, csr::STVAL),
        cpu::Target::Vs => (csr::VSCAUSE, csr::VSTVAL),
    };
    let misaligned = [Exception::LoadMisaligned, Exception::StoreMisaligned]
        .iter()
        .any(|&exception| trap.cause == Cause::Exception(exception));
    if bits & 0x7f == AMO && misaligned {
        // The access fault of either kind has the next code.
        return (ours.replace("address_misaligned", "access_fault") == spike).then_some((
            Mask::MisalignedAtomic,
            cause,
            trap.cause.bits() + 1,
        ));
    }
    let block = trap.tval & !63;
    let with_block = ours.replace(&format!("{:#018x}\n", trap.tval), &format!("{block:#018x}\n"));
    (bits & !(0x1f << 15) == CBO_ZERO && with_block == spike).then_some((
        Mask::CboZero,
        tval,
        block,
    ))
}

/// Whether an interrupt is not yet pending by what software has written.
fn comes_from_outside(hart: &Hart, number: u64) -> bool {
    hart.csr(csr::MIP).unwrap_or(0) >> (number & 63) & 1 == 0
}

/// Whether a load or store faulted because no device takes a misaligned one. Where addresses are translated, the programs
/// keep devices at their own.
fn is_misaligned_at_device(trap: &Trapped, op: Op, ram: Pa) -> bool {
    let bytes = match op {
        Op::Lh | Op::Lhu | Op::Sh => 2,
        Op::Lw | Op::Lwu | Op::Sw => 4,
        Op::Ld | Op::Sd => 8,
        _ => return false,
    };
    let faults = [Exception::LoadAccess, Exception::StoreAccess];
    faults.iter().any(|&fault| trap.cause == Cause::Exception(fault))
        && !trap.tval.is_multiple_of(bytes)
        && trap.tval < ram.0
}

fn commit(rig: &mut Rig, spike: &Line, slices: &mut Slices, counts: &mut Counts) -> Result<()> {
    let insn = rig.hart().decode(spike.bits);
    let op = insn.map(|insn| insn.op);
    let read = insn.filter(|insn| is_csr(insn.op)).map(|insn| insn.imm as u16);
    let spike_rd = insn.and_then(|insn| {
        let name = format!("x{}", insn.rd);
        spike.written.iter().find(|(register, _)| *register == name).map(|&(_, value)| value)
    });
    if let (Some(csr::TIME), Some(ticks)) = (read, spike_rd) {
        counts.mask(Mask::Time);
        rig.move_time_to(ticks);
    }
    // A successful one stores.
    if matches!(op, Some(Op::ScW | Op::ScD)) && spike.memory.is_empty() && slices.ended {
        counts.mask(Mask::Reservation);
        rig.hart().clear_reservation();
    }
    slices.retire(op);
    if rig.hart().waiting() {
        rig.wake();
    }
    if read == Some(csr::MISA) {
        let misa = spike.written.iter().find(|(name, _)| name == "c769_misa");
        if misa.is_some_and(|&(_, value)| Some(value) != rig.hart().csr(csr::MISA)) {
            counts.parted = Some("misa is written, which is fixed here");
            return Ok(());
        }
    }
    if matches!(read, Some(csr::TSELECT..=csr::TINFO)) {
        counts.parted = Some("tselect is reached, and no triggers are built here");
        return Ok(());
    }
    let device = spike.written.iter().find(|(name, _)| !name.starts_with('c'));
    let step = rig.step(Some(device.map_or(0, |&(_, value)| value)));
    counts.insns += 1;
    let (ours, text) = match step {
        Step::Commit(ours, text) => (ours, text),
        Step::Trap(trap, _)
            if op.is_some_and(|op| is_misaligned_at_device(&trap, op, rig.hart().ram().base())) =>
        {
            counts.parted =
                Some("a misaligned access to a device: byte by byte in Spike, a fault here");
            return Ok(());
        }
        Step::Trap(_, text) => bail!("an extra trap\n  spike: {}\n  ours:  {text}", spike.text),
        Step::Nothing => bail!("our hart waits\n  spike: {}", spike.text),
    };
    counts.coverage.commit(rig, op, &ours);
    counts.inhibits += u64::from(
        ours.written.iter().any(|&(register, _)| register == Register::Csr(csr::MCOUNTINHIBIT)),
    );
    let text = text.trim_end();
    if text == spike.text {
        return Ok(());
    }
    explain(rig, spike, &ours, text, read, counts)
        .with_context(|| format!("the lines differ\n  spike: {}\n  ours:  {text}", spike.text))
}

/// Accounts for each difference between two lines of the same instruction.
fn explain(
    rig: &mut Rig,
    spike: &Line,
    ours: &Commit,
    text: &str,
    read: Option<u16>,
    counts: &mut Counts,
) -> Result<()> {
    let memory = text.find(" mem ").map_or("", |at| &text[at..]);
    if (ours.pc.0, ours.bits, memory) != (spike.pc, spike.bits, &spike.memory) {
        bail!("pc, instruction or memory");
    }
    let mode = |text: &str| text.split_whitespace().nth(2).map(str::to_owned);
    if mode(text) != mode(&spike.text) {
        bail!("mode");
    }
    let mut written = ours.written.clone();
    written.sort_unstable();
    for (name, theirs) in &spike.written {
        let at = written.iter().position(|&(register, _)| named(register) == *name);
        let (register, value) = written.remove(at.with_context(|| format!("no {name}"))?);
        if value == *theirs {
            continue;
        }
        let number = match register {
            Register::Csr(number) => Some(number),
            Register::X(_) => read,
            Register::F(_) => None,
        };
        let masks = number.map(|number| masks_of(number, value, *theirs, counts, rig.hart()));
        let masks = masks.unwrap_or_default();
        ensure!(!masks.is_empty(), "the value of {name}");
        for mask in masks {
            counts.mask(mask);
            adopt(rig.hart(), register, *theirs, mask);
        }
    }
    if let Some(&(register, _)) = written.first() {
        bail!("{} is not written", named(register));
    }
    Ok(())
}

/// Takes Spike's value.
fn adopt(hart: &mut Hart, register: Register, value: u64, mask: Mask) {
    match register {
        Register::X(x) => hart.set_x(x.into(), value),
        Register::Csr(number) if matches!(mask, Mask::Deviation(_)) => {
            // What does not stick differs, and is masked, again.
            hart.set_csr(number, value);
        }
        Register::F(_) | Register::Csr(_) => {}
    }
    if mask == Mask::Inhibit {
        // The read has retired and counted, unless that is inhibited.
        let inhibited = hart.csr(csr::MCOUNTINHIBIT).unwrap_or(0) & 4 != 0;
        hart.set_csr(csr::MINSTRET, if inhibited { value } else { value.wrapping_add(1) });
    }
}

/// Why a CSR may have `ours` here and `theirs` in Spike; no reason where it may not.
fn masks_of(number: u16, ours: u64, theirs: u64, counts: &Counts, hart: &Hart) -> Vec<Mask> {
    let bits = ours ^ theirs;
    let only = match number {
        csr::CYCLE | csr::MCYCLE => Some(Mask::Cycle),
        csr::MVENDORID | csr::MARCHID | csr::MIMPID => Some(Mask::Identity),
        csr::SEED => Some(Mask::Entropy),
        csr::MIP | csr::SIP | csr::HIP | csr::VSIP => {
            let shift = u32::from(number == csr::VSIP || (number == csr::SIP && hart.mode().v()));
            let outside = outside(hart) >> shift;
            (bits & !outside == 0).then_some(Mask::Pending)
        }
        csr::INSTRET | csr::MINSTRET => {
            let close = ours.abs_diff(theirs) <= counts.inhibits;
            close.then_some(Mask::Inhibit)
        }
        _ => {
            let rows = DEVIATIONS.iter().filter(|row| row.0.contains(&number) && bits & row.1 != 0);
            let settled = rows.clone().fold(0, |settled, row| settled | row.1);
            let masks = rows.map(|row| Mask::Deviation(row.2));
            return if bits & !settled == 0 { masks.collect() } else { Vec::new() };
        }
    };
    only.into_iter().collect()
}

/// The bits of `mip` that lines and comparators set.
fn outside(hart: &Hart) -> u64 {
    use Interrupt::*;
    let mut bits = MachineSoftware.bit()
        | MachineTimer.bit()
        | MachineExternal.bit()
        | SupervisorExternal.bit();
    let enabled = |register| hart.csr(register).unwrap_or(0) & isa::field::menvcfg::STCE != 0;
    if enabled(csr::MENVCFG) {
        bits |= SupervisorTimer.bit();
    }
    if enabled(csr::HENVCFG) {
        bits |= VsTimer.bit();
    }
    bits
}

fn is_csr(op: Op) -> bool {
    use Op::*;
    matches!(op, Csrrw | Csrrs | Csrrc | Csrrwi | Csrrsi | Csrrci)
}

/// A register as the log names it.
fn named(register: Register) -> String {
    match register {
        Register::X(n) => format!("x{n}"),
        Register::F(n) => format!("f{n}"),
        Register::Csr(0x309) => "c777_mvip".to_owned(),
        Register::Csr(n) => {
            format!("c{n}_{}", csr::by_number(n).map_or("unknown-csr", |csr| csr.name))
        }
    }
}
