//! What a comparison has met: instructions by mode, traps by cause, mode and target, changes of mode,
//! stages of translation. It decides nothing; it says whether a campaign was about what it is meant
//! to be about.

use std::collections::BTreeMap;
use std::fmt;

use cpu::{Commit, Target, Trapped};
use isa::{Cause, Exception, Mode, Op, Privilege, Va, csr};
use mmu::{Access, Fault, Kind, Translated};

use super::board::Rig;

const MODES: [Mode; 5] = [Mode::M, Mode::S, Mode::U, Mode::VS, Mode::VU];

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Coverage {
    /// Retired instructions of a kind, by mode.
    insns: BTreeMap<&'static str, [u64; 5]>,
    /// Traps by cause and by who takes them, by the mode they come from.
    traps: BTreeMap<(String, &'static str), [u64; 5]>,
    /// Why translations failed, by stage, apart from those of M: below MPRV, the trap hides for whom.
    reasons: BTreeMap<(String, String), u64>,
    /// Changes of mode by trap or return.
    changes: BTreeMap<(&'static str, &'static str), u64>,
    /// Guest instructions by the MODE of `vsatp` and of `hgatp`.
    stages: BTreeMap<(&'static str, &'static str), u64>,
    last: Option<Mode>,
}

impl Coverage {
    /// An instruction has retired.
    pub(crate) fn commit(&mut self, rig: &mut Rig, op: Option<Op>, commit: &Commit) {
        let hart = rig.hart();
        let mode = commit.mode;
        self.enter(mode);
        self.enter(hart.mode());
        let row = self.insns.entry("all").or_default();
        row[index(mode)] += 1;
        if let Some(kind) = op.and_then(|op| kind(op, commit)) {
            self.insns.entry(kind).or_default()[index(mode)] += 1;
        }
        if mode.v() {
            let name = |number, bare, names: [&'static str; 3]| match hart.csr(number) {
                Some(value) if value >> 60 >= 8 => names[(value >> 60) as usize % 8 % 3],
                _ => bare,
            };
            let vs = name(csr::VSATP, "Bare", ["Sv39", "Sv48", "Sv57"]);
            let g = name(csr::HGATP, "Bare", ["Sv39x4", "Sv48x4", "Sv57x4"]);
            *self.stages.entry((vs, g)).or_default() += 1;
        }
    }

    /// A trap of the instruction `bits` was taken.
    pub(crate) fn trap(&mut self, rig: &mut Rig, trap: &Trapped, bits: u32) {
        if let Some(Err(fault)) = translated_again(rig, trap, bits) {
            let why = fault.why();
            let stage = match (fault, why.pte) {
                (_, Some(pte)) => pte.stage.to_string(),
                (Fault::Page { .. }, None) => "S-stage, VS-stage".to_owned(),
                (Fault::GuestPage { .. }, None) => "G-stage".to_owned(),
                (Fault::Access { .. }, None) => "none".to_owned(),
            };
            let of = match fault {
                Fault::Access { .. } => "access fault",
                Fault::Page { .. } => "page fault",
                Fault::GuestPage { .. } => "guest-page fault",
            };
            *self.reasons.entry((format!("{stage}: {of}"), why.reason.to_string())).or_default() +=
                1;
        }
        let (target, into) = match trap.target {
            Target::M => ("M", Mode::M),
            Target::Hs => ("HS", Mode::S),
            Target::Vs => ("VS", Mode::VS),
        };
        let cause = match (trap.tinst, trap.tval2) {
            (0x3000, 1..) => format!("{}, at a VS-stage PTE", trap.cause),
            (0x3020, 1..) => format!("{}, at its update", trap.cause),
            _ => trap.cause.to_string(),
        };
        self.traps.entry((cause, target)).or_default()[index(trap.mode)] += 1;
        self.enter(trap.mode);
        self.enter(into);
    }

    fn enter(&mut self, mode: Mode) {
        if let Some(last) = self.last.replace(mode)
            && last != mode
        {
            *self.changes.entry((name(last), name(mode))).or_default() += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let sum = |into: &mut [u64; 5], from: &[u64; 5]| {
            into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
        };
        for (key, row) in &other.insns {
            sum(self.insns.entry(key).or_default(), row);
        }
        for (key, row) in &other.traps {
            sum(self.traps.entry(key.clone()).or_default(), row);
        }
        for (key, count) in &other.reasons {
            *self.reasons.entry(key.clone()).or_default() += count;
        }
        for (&key, count) in &other.changes {
            *self.changes.entry(key).or_default() += count;
        }
        for (&key, count) in &other.stages {
            *self.stages.entry(key).or_default() += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = |f: &mut fmt::Formatter<'_>, what: &str| {
            writeln!(
                f,
                "\n| {what} | M | HS | U | VS | VU |\n| --- | --- | --- | --- | --- | --- |"
            )
        };
        let row = |f: &mut fmt::Formatter<'_>, row: &[u64; 5]| {
            row.iter().try_for_each(|count| write!(f, " {count} |"))?;
            writeln!(f)
        };
        header(f, "instructions")?;
        for (kind, counts) in &self.insns {
            write!(f, "| {kind} |")?;
            row(f, counts)?;
        }
        header(f, "traps, and who takes them")?;
        for ((cause, target), counts) in &self.traps {
            write!(f, "| {cause}: {target} |")?;
            row(f, counts)?;
        }
        writeln!(f, "\n| where | why | times |\n| --- | --- | --- |")?;
        for ((place, why), count) in &self.reasons {
            writeln!(f, "| {place} | {why} | {count} |")?;
        }
        writeln!(f, "\n| from | to | times |\n| --- | --- | --- |")?;
        for ((from, to), count) in &self.changes {
            writeln!(f, "| {from} | {to} | {count} |")?;
        }
        writeln!(f, "\n| VS-stage | G-stage | guest instructions |\n| --- | --- | --- |")?;
        for ((vs, g), count) in &self.stages {
            writeln!(f, "| {vs} | {g} | {count} |")?;
        }
        Ok(())
    }
}

/// What the translation that has trapped says now.
fn translated_again(rig: &mut Rig, trap: &Trapped, bits: u32) -> Option<Result<Translated, Fault>> {
    use Exception::*;
    let Cause::Exception(exception) = trap.cause else { return None };
    let kind = match exception {
        InstructionAccess | InstructionPage | InstructionGuestPage => Kind::Fetch,
        LoadAccess | LoadPage | LoadGuestPage => Kind::Load,
        StoreAccess | StorePage | StoreGuestPage => Kind::Store,
        _ => return None,
    };
    if trap.mode == Mode::M {
        return None;
    }
    let hart = rig.hart();
    let for_guest = kind != Kind::Fetch && bits & 0xf000_707f == 0x6000_4073;
    let hlvx = bits >> 20 & 0x1f == 3 && kind == Kind::Load;
    let mut access = Access {
        kind,
        size: 1,
        privilege: trap.mode.privilege(),
        v: trap.mode.v(),
        hlvx: for_guest && hlvx,
    };
    if for_guest {
        let supervisor = hart.csr(csr::HSTATUS)? & isa::field::hstatus::SPVP != 0;
        access.privilege = if supervisor { Privilege::S } else { Privilege::U };
        access.v = true;
    }
    Some(hart.mmu().explain(Va(trap.tval), access).outcome)
}

fn index(mode: Mode) -> usize {
    MODES.iter().position(|&other| other == mode).unwrap_or(0)
}

fn name(mode: Mode) -> &'static str {
    ["M", "HS", "U", "VS", "VU"][index(mode)]
}

/// What an instruction is counted as besides `all`.
fn kind(op: Op, commit: &Commit) -> Option<&'static str> {
    use Op::*;
    Some(match op {
        HlvB | HlvBu | HlvH | HlvHu | HlvW | HlvWu | HlvD => "HLV",
        HlvxHu | HlvxWu => "HLVX",
        HsvB | HsvH | HsvW | HsvD => "HSV",
        HfenceVvma => "HFENCE.VVMA",
        HfenceGvma => "HFENCE.GVMA",
        HinvalVvma | HinvalGvma => "HINVAL",
        SfenceVma => "SFENCE.VMA",
        SinvalVma | SfenceWInval | SfenceInvalIr => "SINVAL.VMA, SFENCE.*INVAL*",
        Csrrw | Csrrs | Csrrc | Csrrwi | Csrrsi | Csrrci => "CSR",
        Mret => "MRET",
        Sret => "SRET",
        Wfi => "WFI",
        LrW | LrD | ScW | ScD => "LR, SC",
        CboInval | CboClean | CboFlush | CboZero => "CBO",
        _ if op.row().operands == "rd, rs2, (rs1)" => "AMO",
        _ if commit.touched.iter().any(|touched| touched.stored.is_some()) => "other stores",
        _ if !commit.touched.is_empty() => "other loads",
        _ => return None,
    })
}
