//! Events as JSON lines, the form that `docs/EVENTS.md` describes field by field.
//!
//! Addresses and register values are text, `"0x…"`: as numbers, most readers would round them. What does not apply
//! is left out.

use std::fmt;

use cpu::{RootRegister, Spent, TrapNotice, Writer};
use isa::field::{get, hgatp, satp};
use isa::{Cause, PAGE_BITS};
use mmu::{Fault, Fence, ImplicitAccess, PteAt, StageName, Why};
use serde::{Serialize, Serializer};

use super::entry::shift;
use super::tables::{Lost, TableStore, TablesNews};
use super::{Event, EventKinds, Scheme, What};

/// The number of the form. A change that a reader must know of increases it.
const SCHEMA: u32 = 1;

/// A number that is written as `"0x…"`.
#[derive(Clone, Copy)]
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// What displays itself, as text.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// The manual's name, the code and whether it is an interrupt.
pub(super) fn cause(cause: Cause) -> (&'static str, u64, bool) {
    match cause {
        Cause::Exception(exception) => (exception.text(), exception.code(), false),
        Cause::Interrupt(interrupt) => (interrupt.text(), interrupt.code(), true),
    }
}

/// The first line of a file of events.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Who writes it.
    pub generator: &'a str,
    /// The kinds that follow.
    pub kinds: EventKinds,
    /// Harts of the machine.
    pub harts: usize,
    /// Cycles in a second of virtual time.
    pub cpu_hz: u64,
}

impl Header<'_> {
    /// The line, with its line break.
    pub fn line(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            schema: u32,
            generator: &'a str,
            kinds: Vec<&'a str>,
            harts: usize,
            cpu_hz: u64,
        }
        let &Self { generator, kinds, harts, cpu_hz } = self;
        let kinds = kinds.names().collect();
        let line = Line { schema: SCHEMA, generator, kinds, harts, cpu_hz };
        let mut out = Vec::new();
        append(&mut out, &line);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Appends a line of JSON.
fn append(out: &mut Vec<u8>, line: &impl Serialize) {
    let before = out.len();
    // Writing into memory cannot fail, and nothing here is a map with odd keys.
    if serde_json::to_writer(&mut *out, line).is_err() {
        out.truncate(before);
    }
    out.push(b'\n');
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    hart: u64,
    insns: u64,
    cycle: u64,
    mode: Text<isa::Mode>,
    vmid: u16,
    pc: Hex,
    #[serde(flatten)]
    detail: Detail,
    #[serde(skip_serializing_if = "Option::is_none")]
    spent: Option<SpentLine>,
}

#[derive(Serialize)]
struct SpentLine {
    walks: u64,
    failed_walks: u64,
    fences: u64,
    raising: u64,
    traps: u64,
    returns: u64,
}

impl From<Spent> for SpentLine {
    fn from(spent: Spent) -> Self {
        let Spent { walks, failed_walks, fences, raising, traps, returns } = spent;
        Self { walks, failed_walks, fences, raising, traps, returns }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail {
    Trap(Trap),
    Return { to: Text<isa::Mode>, by: &'static str },
    Fence(FenceLine),
    Bracket { by: &'static str },
    Root(Root),
    Gstage(Gstage),
    Tables(Tables),
    Reset {},
}

#[derive(Serialize)]
struct Trap {
    to: Text<isa::Mode>,
    cause: &'static str,
    code: u64,
    interrupt: bool,
    tval: Hex,
    tval2: Hex,
    tinst: Hex,
    gva: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultLine>,
}

#[derive(Serialize)]
struct FaultLine {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpa: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    implicit: Option<&'static str>,
    reason: Text<mmu::Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pte_at: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pte: Option<Hex>,
}

fn stage(stage: StageName) -> &'static str {
    match stage {
        StageName::S => "S",
        StageName::Vs => "VS",
        StageName::G => "G",
    }
}

impl FaultLine {
    fn new(fault: &Fault) -> Self {
        let (kind, gpa, implicit) = match fault {
            Fault::Page { .. } => ("page", None, None),
            Fault::GuestPage { gpa, implicit, .. } => ("guest-page", Some(Hex(gpa.0)), *implicit),
            Fault::Access { .. } => ("access", None, None),
        };
        let &Why { reason, pte } = fault.why();
        let implicit = implicit.map(|access| match access {
            ImplicitAccess::Read => "read",
            ImplicitAccess::Write => "write",
        });
        Self {
            kind,
            gpa,
            implicit,
            reason: Text(reason),
            // A guest physical address that is too wide fails before any PTE is read.
            stage: pte
                .map(|pte| stage(pte.stage))
                .or(matches!(fault, Fault::GuestPage { .. }).then_some("G")),
            level: pte.map(|pte| pte.level),
            pte_at: pte.map(|PteAt { at, .. }| Hex(at)),
            pte: pte.and_then(|pte| pte.value).map(Hex),
        }
    }
}

#[derive(Serialize)]
struct FenceLine {
    by: &'static str,
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    va: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpa: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asid: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_vmid: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<usize>,
}

impl FenceLine {
    fn new(fence: Fence, by: Option<isa::Op>, caller: Option<usize>) -> Self {
        let by = by.map_or("firmware", isa::Op::name);
        let (mut va, mut gpa, mut asid, mut of_vmid) = (None, None, None, None);
        let stage = match fence {
            Fence::Sfence { va: of, asid: space } => {
                (va, asid) = (of, space);
                StageName::S
            }
            Fence::Vvma { va: of, asid: space, vmid } => {
                (va, asid, of_vmid) = (of, space, Some(vmid));
                StageName::Vs
            }
            Fence::Gvma { gpa: of, vmid } => {
                (gpa, of_vmid) = (of, vmid);
                StageName::G
            }
        };
        let stage = self::stage(stage);
        Self {
            by,
            stage,
            va: va.map(|va| Hex(va.0)),
            gpa: gpa.map(|gpa| Hex(gpa.0)),
            asid,
            of_vmid,
            caller,
        }
    }
}

#[derive(Serialize)]
struct Root {
    register: &'static str,
    old: Hex,
    new: Hex,
    scheme: &'static str,
    root: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_vmid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_asid: Option<u64>,
}

impl Root {
    fn new(register: RootRegister, old: u64, new: u64) -> Self {
        let g = register == RootRegister::Hgatp;
        let scheme = match (get(new, satp::MODE), g) {
            (satp::SV39, false) => "Sv39",
            (satp::SV48, false) => "Sv48",
            (satp::SV57, false) => "Sv57",
            (_, false) => "Bare",
            (_, true) => Scheme::of(new).map_or("Bare", Scheme::name),
        };
        Self {
            register: if g { "hgatp" } else { "vsatp" },
            old: Hex(old),
            new: Hex(new),
            scheme,
            root: Hex(get(new, satp::PPN) << PAGE_BITS),
            new_vmid: g.then(|| get(new, hgatp::VMID)),
            new_asid: (!g).then(|| get(new, satp::ASID)),
        }
    }
}

#[derive(Serialize)]
struct Gstage {
    op: &'static str,
    by: &'static str,
    gpa: Hex,
    level: u8,
    bytes: u64,
    table_vmid: u16,
    root: Hex,
    scheme: &'static str,
    pte_at: Hex,
    old: Hex,
    new: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_frames: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    malformed: Option<Text<mmu::Reason>>,
}

impl Gstage {
    fn new(store: &TableStore, by: Writer) -> Self {
        let by = match by {
            Writer::Store => "store",
            Writer::Walk => "walk",
            Writer::Device => "device",
            Writer::Firmware => "firmware",
        };
        let &TableStore { op, gpa, level, vmid, root, scheme, pte_at, old, new, .. } = store;
        let &TableStore { entries, same_frames, malformed, .. } = store;
        Self {
            op: op.name(),
            by,
            gpa: Hex(gpa.0),
            level,
            bytes: 1 << shift(level),
            table_vmid: vmid,
            root: Hex(root.0),
            scheme: scheme.name(),
            pte_at: Hex(pte_at.0),
            old: Hex(old),
            new: Hex(new),
            entries,
            same_frames,
            malformed: malformed.map(Text),
        }
    }
}

#[derive(Serialize)]
struct Tables {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaves: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

impl Tables {
    fn new(news: &TablesNews) -> Self {
        let nothing = Self {
            what: "full",
            root: None,
            scheme: None,
            tables: None,
            leaves: None,
            page: None,
            why: None,
        };
        match *news {
            TablesNews::Found { root, scheme, tables, leaves } => Self {
                what: "found",
                root: Some(Hex(root.0)),
                scheme: Some(scheme.name()),
                tables: Some(tables),
                leaves: Some(leaves),
                ..nothing
            },
            TablesNews::Lost { page, root, why } => Self {
                what: "lost",
                root: Some(Hex(root.0)),
                page: Some(Hex(page.0)),
                why: Some(match why {
                    Lost::Reused => "reused",
                    Lost::Reloaded => "reloaded",
                    Lost::Evicted => "evicted",
                }),
                ..nothing
            },
            TablesNews::Full { page } => Self { page: Some(Hex(page.0)), ..nothing },
        }
    }
}

impl Event {
    /// Appends the event as one line of JSON, with its line break.
    pub fn line(&self, out: &mut Vec<u8>) {
        let (event, detail) = match &self.what {
            What::Trap(trap) => ("trap", Detail::Trap(Trap::new(trap))),
            What::Return { to, by } => {
                let by = by.map_or("firmware", isa::Op::name);
                ("return", Detail::Return { to: Text(*to), by })
            }
            &What::Fence { fence, by, caller } => {
                ("fence", Detail::Fence(FenceLine::new(fence, by, caller)))
            }
            What::FenceBracket { op } => ("fence", Detail::Bracket { by: op.name() }),
            &What::Root { register, old, new } => {
                ("root", Detail::Root(Root::new(register, old, new)))
            }
            What::Gstage { store, by } => ("gstage", Detail::Gstage(Gstage::new(store, *by))),
            What::Tables(news) => ("gstage-tables", Detail::Tables(Tables::new(news))),
            What::Reset => ("reset", Detail::Reset {}),
        };
        let scene = &self.scene;
        let line = Line {
            event,
            hart: scene.hart,
            insns: scene.insns,
            cycle: scene.cycle,
            mode: Text(scene.mode),
            vmid: scene.vmid,
            pc: Hex(scene.pc),
            detail,
            spent: scene.spent.map(SpentLine::from),
        };
        append(out, &line);
    }
}

impl Trap {
    fn new(trap: &TrapNotice) -> Self {
        let (cause, code, interrupt) = cause(trap.cause);
        Self {
            to: Text(trap.to),
            cause,
            code,
            interrupt,
            tval: Hex(trap.tval),
            tval2: Hex(trap.tval2),
            tinst: Hex(trap.tinst),
            gva: trap.gva,
            fault: trap.fault.as_ref().map(FaultLine::new),
        }
    }
}
