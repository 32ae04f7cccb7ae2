//! Walks in words: both stages as a tree, PTE by PTE, with what each stage went by. All of it is read
//! off the walk's own record.

use std::fmt::{self, Write};

use cpu::{Explained, Hart, Target as Handler, Trap};
use isa::field::satp;
use isa::{Exception, Gpa, Privilege, Va, csr, pte};
use mmu::{
    ImplicitAccess, Judgement, Kind, MemoryType, PteFetch, Reason, Right, StageName, Target, Terms,
    Translated, Verdict, WalkStep,
};

/// The explanation of an access to `what`.
pub(super) fn text(hart: &Hart, explained: &Explained, what: &str) -> String {
    let mut writer = Writer { out: String::new(), hart, nested: None, below: false, levels: 0 };
    // Writing to a string cannot fail.
    let _ = writer.write(explained, what);
    writer.out
}

struct Writer<'h> {
    out: String,
    hart: &'h Hart,
    /// The VS-stage PTE that the G-stage translates at the moment, and what for.
    nested: Option<(u64, ImplicitAccess)>,
    /// The line about the place of the VS-stage PTE has been written.
    below: bool,
    /// The level of the next PTE of the outer stage.
    levels: u8,
}

impl Writer<'_> {
    fn write(&mut self, explained: &Explained, what: &str) -> fmt::Result {
        let record = &explained.record;
        let v = record.access.v;
        let by_g_alone = what.starts_with("gpa");
        writeln!(self.out, "{} at {what}", kind_text(record.access.kind))?;
        if record.access.privilege == Privilege::M {
            writeln!(self.out, "M-mode: addresses are physical")?;
        } else if v {
            if !by_g_alone {
                self.root(csr::VSATP, "vsatp", "ASID", "gpa")?;
            }
            self.root(csr::HGATP, "hgatp", "VMID", "pa")?;
        } else {
            self.root(csr::SATP, "satp", "ASID", "pa")?;
        }
        let mut stage = None;
        for step in &record.steps {
            self.step(step, &mut stage)?;
        }
        match record.outcome {
            Ok(translated) => self.success(record.va, v, by_g_alone, translated),
            Err(fault) => {
                writeln!(self.out, "refused: {fault}")?;
                match explained.raises {
                    Some((trap, handler)) => {
                        writeln!(
                            self.out,
                            "raises {}",
                            raised(&trap, handler, Instruction::Imagined)
                        )
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// The line about a root register.
    fn root(&mut self, number: u16, name: &str, id: &str, space: &str) -> fmt::Result {
        let value = self.hart.csr(number).unwrap_or(0);
        let x4 = if name == "hgatp" { "x4" } else { "" };
        let (mode, levels) = match isa::field::get(value, satp::MODE) {
            satp::SV39 => ("Sv39", 3),
            satp::SV48 => ("Sv48", 4),
            satp::SV57 => ("Sv57", 5),
            _ => return writeln!(self.out, "{name} {value:#x}: Bare"),
        };
        if name != "hgatp" {
            self.levels = levels;
        }
        let number = value >> 44 & if name == "hgatp" { 0x3fff } else { 0xffff };
        let root = (value & satp::PPN) << isa::PAGE_BITS;
        writeln!(
            self.out,
            "{name} {value:#x}: {mode}{x4}, {id} {number}, tables from {space}:{root:#x}"
        )
    }

    fn step(&mut self, step: &WalkStep, stage: &mut Option<StageName>) -> fmt::Result {
        match step {
            WalkStep::Fetch(fetch) => self.fetch(fetch, stage),
            WalkStep::Update(update) => {
                let set = update.new & !update.old;
                writeln!(self.out, "{}the walk sets {}", self.indent(update.stage, 4), bits(set))
            }
            WalkStep::Judged(judgement) => self.judged(judgement),
        }
    }

    /// The indentation of what belongs to a PTE of `stage`, `by` further in.
    fn indent(&self, stage: StageName, by: usize) -> String {
        let nested = stage == StageName::G && self.nested.is_some();
        " ".repeat(by + if nested { 2 } else { 0 })
    }

    fn fetch(&mut self, fetch: &PteFetch, stage: &mut Option<StageName>) -> fmt::Result {
        let outer = if fetch.implicit.is_some() { StageName::Vs } else { fetch.stage };
        if *stage != Some(outer) {
            writeln!(self.out, "{outer}")?;
            *stage = Some(outer);
        }
        let nested = fetch.implicit.map(|implicit| (fetch.input, implicit));
        if fetch.stage == StageName::G && self.nested != nested {
            self.nested = nested;
            if let Some((gpa, implicit)) = nested {
                self.place(Gpa(gpa), implicit)?;
            }
        }
        if fetch.stage == StageName::Vs {
            self.nested = None;
            let level = fetch.level;
            if self.below {
                write!(self.out, "  read at {}", fetch.pa)?;
            } else {
                write!(self.out, "  level {level}: PTE at {}", Gpa(fetch.at))?;
            }
            self.below = false;
        } else {
            let indent = self.indent(fetch.stage, 2);
            write!(self.out, "{indent}level {}: PTE at {}", fetch.level, fetch.pa)?;
        }
        writeln!(self.out, " = {}", value(fetch.value))
    }

    /// Where the next PTE of the VS-stage is, before the G-stage's walk to it.
    fn place(&mut self, gpa: Gpa, implicit: ImplicitAccess) -> fmt::Result {
        match implicit {
            ImplicitAccess::Read => {
                self.below = true;
                let level = self.levels.saturating_sub(1);
                writeln!(self.out, "  level {level}: PTE at {gpa}, which the G-stage translates:")
            }
            ImplicitAccess::Write => {
                writeln!(self.out, "    A or D is due at {gpa}, which the G-stage translates:")
            }
        }
    }

    fn judged(&mut self, judgement: &Judgement) -> fmt::Result {
        let Judgement { stage, level, value, terms, verdict } = judgement;
        let indent = self.indent(*stage, 4);
        let (outer, space) = match stage {
            StageName::Vs => (true, "gpa"),
            StageName::S => (true, "pa"),
            StageName::G => (false, "pa"),
        };
        if outer {
            self.levels = *level;
        }
        match *verdict {
            Verdict::Pointer { table } => {
                writeln!(self.out, "{indent}pointer to the table at {space}:{table:#x}")
            }
            Verdict::Leaf { out, bits } => {
                let words = arithmetic(*stage, *value, terms, None);
                writeln!(self.out, "{indent}leaf of {}: {words}", size(bits.into()))?;
                writeln!(self.out, "{indent}-> {space}:{out:#x}")
            }
            Verdict::Refused(reason) => {
                let words = arithmetic(*stage, *value, terms, Some(reason));
                writeln!(self.out, "{indent}refused: {words}")
            }
        }
    }

    fn success(&mut self, va: Va, v: bool, by_g_alone: bool, to: Translated) -> fmt::Result {
        if !by_g_alone {
            write!(self.out, "{va} -> ")?;
        }
        if let Some(gpa) = to.gpa.filter(|_| v) {
            write!(self.out, "{gpa} -> ")?;
        }
        let kind = match to.target {
            Target::Ram { .. } => "RAM",
            Target::Mmio { .. } => "a device",
        };
        write!(self.out, "{}, {kind}", to.target.pa())?;
        match to.memory_type {
            MemoryType::Pma => writeln!(self.out),
            MemoryType::Nc => writeln!(self.out, ", non-cacheable"),
            MemoryType::Io => writeln!(self.out, ", as I/O"),
        }
    }
}

fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Fetch => "instruction fetch",
        Kind::Load => "load",
        Kind::Store => "store",
        Kind::Amo => "AMO",
    }
}

/// A PTE in hexadecimal and its fields.
fn value(value: u64) -> String {
    let mut text = format!("{value:#x}");
    if value != 0 {
        let _ = write!(text, ": {}, PPN {:#x}", bits(value), (value & pte::PPN) >> pte::PPN_SHIFT);
    }
    text
}

/// The flags of a PTE that are set, as the manual draws them: the highest first.
pub(super) fn bits(value: u64) -> String {
    const FLAGS: &[(u64, &str)] = &[
        (pte::D, "D"),
        (pte::A, "A"),
        (pte::G, "G"),
        (pte::U, "U"),
        (pte::X, "X"),
        (pte::W, "W"),
        (pte::R, "R"),
        (pte::V, "V"),
    ];
    let mut words = Vec::new();
    if value & pte::N != 0 {
        words.push("N".to_owned());
    }
    match value >> pte::PBMT_SHIFT & 3 {
        0 => {}
        1 => words.push("PBMT=NC".into()),
        2 => words.push("PBMT=IO".into()),
        _ => words.push("PBMT=3".into()),
    }
    if value & pte::RESERVED != 0 {
        words.push(format!(
            "reserved={:#x}",
            (value & pte::RESERVED) >> pte::RESERVED.trailing_zeros()
        ));
    }
    if value & pte::RSW != 0 {
        words.push(format!("RSW={}", (value & pte::RSW) >> pte::RSW.trailing_zeros()));
    }
    words.extend(FLAGS.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| (*name).into()));
    if words.is_empty() { "no flag".into() } else { words.join(" ") }
}

/// A size in bytes, given its log2.
pub(super) fn size(bits: u32) -> String {
    const UNITS: &[&str] = &["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = UNITS.get(bits as usize / 10).unwrap_or(&"");
    format!("{} {unit}", 1u64 << (bits % 10))
}

/// What the stage went by when it granted a right, or up to what it refused it for.
fn arithmetic(stage: StageName, value: u64, terms: &Terms, refused: Option<Reason>) -> String {
    use Reason::*;
    let user = user(stage, value, terms);
    let right = right(value, terms);
    let ad = accessed_dirty(value, terms);
    match refused {
        None => [user, right, ad].join(", "),
        Some(NotUser | UserPage) => user,
        Some(NotReadable | NotWritable | NotExecutable) => [user, right].join(", "),
        Some(AccessedClear | DirtyClear) => [user, right, ad].join(", "),
        Some(other) => other.to_string(),
    }
}

fn user(stage: StageName, value: u64, terms: &Terms) -> String {
    let set = value & pte::U != 0;
    match (stage, terms.privilege, set) {
        _ if terms.right == Right::Look => "U does not matter".into(),
        (StageName::G, _, true) => "U is set, as the G-stage needs".into(),
        (StageName::G, _, false) => "U is clear, and every access counts as U-mode's".into(),
        (_, Privilege::U, true) => "U is set for U-mode".into(),
        (_, Privilege::U, false) => "U is clear, and the access is U-mode's".into(),
        (_, _, false) => "U is clear for S-mode".into(),
        (_, _, true) if terms.right == Right::Execute => {
            "U is set, and S-mode never fetches there".into()
        }
        (_, _, true) if terms.sum => "U is set, and SUM lets S-mode access it".into(),
        (_, _, true) => "U is set, and SUM is 0 for S-mode".into(),
    }
}

fn right(value: u64, terms: &Terms) -> String {
    let is = |bit: u64| if value & bit != 0 { "set" } else { "clear" };
    match terms.right {
        Right::Load if value & pte::R != 0 => "R is set".into(),
        Right::Load if terms.mxr => {
            format!("R is clear, with MXR X counts too and is {}", is(pte::X))
        }
        Right::Load => "R is clear".into(),
        Right::LoadAsExecute => format!("HLVX needs X, which is {}", is(pte::X)),
        Right::Store => format!("W is {}", is(pte::W)),
        Right::Execute => format!("X is {}", is(pte::X)),
        Right::Look => "rights do not matter".into(),
    }
}

/// The PTE has A and D as the walk left them.
fn accessed_dirty(value: u64, terms: &Terms) -> String {
    let due = if terms.right == Right::Store { pte::A | pte::D } else { pte::A };
    let clear = due & !value;
    let name = |flags: u64| {
        if flags == due && due != pte::A {
            "A and D are".into()
        } else {
            format!("{} is", bits(flags))
        }
    };
    if clear != 0 && terms.right != Right::Look {
        let why = if terms.updates_ad { "" } else { ", and ADUE is 0" };
        return format!("{} clear{why}", name(clear));
    }
    format!("{} set", name(due))
}

/// What is known of the instruction that makes an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Instruction {
    /// It is there, and what is reported of it is known.
    Known,
    /// There is none.
    Imagined,
}

/// An exception and what its handler is told, by the names of the handler's registers.
pub(super) fn raised(trap: &Trap, handler: Handler, instruction: Instruction) -> String {
    use Exception::{InstructionGuestPage, LoadGuestPage, StoreGuestPage};
    let (mode, prefix) = match handler {
        Handler::M => ("M", "m"),
        Handler::Hs => ("HS", "s"),
        Handler::Vs => ("VS", "vs"),
    };
    let mut text = format!(
        "{} (cause {}) to {mode}-mode: {prefix}tval {:#x}",
        trap.exception,
        trap.exception.code(),
        trap.tval
    );
    let guest_page =
        matches!(trap.exception, InstructionGuestPage | LoadGuestPage | StoreGuestPage);
    let (tval2, tinst) = match handler {
        Handler::M => ("mtval2", "mtinst"),
        _ => ("htval", "htinst"),
    };
    if guest_page && handler != Handler::Vs {
        let gpa = Gpa(trap.tval2 << 2);
        let _ = write!(text, ", {tval2} {:#x} ({gpa} >> 2)", trap.tval2);
    }
    if (guest_page || trap.tinst != 0) && handler != Handler::Vs {
        let _ = match (trap.tinst, instruction) {
            (0, Instruction::Imagined) => {
                write!(text, ", {tinst} 0 or the instruction, transformed")
            }
            (value, _) => write!(text, ", {tinst} {value:#x}"),
        };
    }
    text
}
