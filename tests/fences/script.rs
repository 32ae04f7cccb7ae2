//! Scripts for four harts: steps in one order, each done by one hart, assembled into a guest that checks itself.
//!
//! Every hart runs the whole list and does its own steps when their turn comes; the number of the next step is a word in memory.
//! Page tables lie at fixed addresses, so that a step can store a PTE by number. Guest memory is read with HLV from HS-mode or
//! M-mode, which goes through the hart's TLB like a guest's own load.

use std::fmt::Write as _;

pub(crate) const HARTS: usize = 4;
/// Where programs begin; firmware lies below.
pub(crate) const BASE: u64 = 0x8020_0000;
const AREA: u64 = BASE + 0x10_0000;

/// A virtual machine's roots: [`vm`] of 1 or 2, which is its VMID.
const G_ROOTS: u64 = AREA;
const TABLES: u64 = AREA + 0x1_0000;
const VARIABLES: u64 = AREA + 0x8_0000;
const STEP: u64 = VARIABLES;
/// How many IPIs were answered, and which fence their handler runs.
const ANSWERED: u64 = VARIABLES + 8;

/// Data pages, each of which begins with its own number: [`DATA`] for page 0 and so on.
const DATA: u64 = AREA + 0x9_0000;
const DATA_PAGES: u64 = 4;

/// The guest's virtual pages, and its physical ones: page n of the VS-stage maps to page n of the G-stage to data page 0.
pub(crate) const VA: u64 = 0x4000_0000;
pub(crate) const GPA: u64 = 0x5000_0000;
/// HS's own page that is remapped.
pub(crate) const HS_VA: u64 = 0x4000_0000;
pub(crate) const PAGE: u64 = 0x1000;

const LEAF: u64 = 0xcf;
const USER: u64 = 0x10;

fn pte(to: u64, flags: u64) -> u64 {
    to >> 12 << 10 | flags
}

/// The table of so many used, counted from TABLES.
fn table(n: u64) -> u64 {
    TABLES + n * PAGE
}

fn g_root(vm: u64) -> u64 {
    G_ROOTS + (vm - 1) * 0x4000
}

/// Where the G-stage's leaf for guest page `page` of a machine is.
pub(crate) fn g_leaf(vm: u64, page: u64) -> u64 {
    table(4 * vm + 1) + 8 * page
}

/// Where the VS-stage's leaf for virtual page `page` is.
pub(crate) fn vs_leaf(vm: u64, page: u64) -> u64 {
    table(4 * vm + 3) + 8 * page
}

/// Where HS's leaf for its page is.
pub(crate) fn hs_leaf(page: u64) -> u64 {
    table(1) + 8 * page
}

/// A G-stage leaf for a data page.
pub(crate) fn g_data(data: u64) -> u64 {
    pte(DATA + data * PAGE, LEAF | USER)
}

/// A VS-stage leaf for a guest page.
pub(crate) fn vs_page(page: u64) -> u64 {
    pte(GPA + page * PAGE, LEAF)
}

/// HS's leaf for a data page.
pub(crate) fn hs_data(data: u64) -> u64 {
    pte(DATA + data * PAGE, LEAF)
}

/// What a hart does in its step.
pub(crate) enum Do {
    /// Loads from its machine's page: it must be one of these data pages.
    Sees(u64, &'static [u64]),
    /// Loads from HS's own page.
    HsSees(u64, &'static [u64]),
    /// Stores a PTE.
    Store(u64, u64),
    /// Runs instructions that use t0 to t6 and a0 to a7 alone.
    Run(String),
    /// Calls SBI: extension, function, arguments. The error must be 0.
    Call(u64, u64, Vec<u64>),
    /// Goes on as another machine, or as the same again: loads hgatp, and vsatp.
    Enter(u64),
    /// Lets interrupts in until one more IPI is answered than before, with this fence in the handler.
    AnswerIpi(&'static str),
}

/// A hart and what it does.
pub(crate) type Step = (usize, Do);

/// Which mode the harts run in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// M-mode, on the bare machine.
    Machine,
    /// HS-mode, on SBI firmware.
    Supervisor,
}

/// The program. It ends with exit code 0, or with 1 + the number of the step that saw something else.
pub(crate) fn program(level: Level, steps: &[Step]) -> String {
    let mut text = String::new();
    text += &start(level);
    text += &tables();
    text += &common_start(level);
    for (number, (hart, what)) in steps.iter().enumerate() {
        let _ = writeln!(text, "li t0, {hart}\nbne s0, t0, after{number}");
        let _ = writeln!(text, "li t1, {STEP}\nli t2, {number}");
        let _ = writeln!(text, "wait{number}: ld t0, 0(t1)\nbne t0, t2, wait{number}\nfence");
        text += &act(level, number, what);
        // The next one's turn.
        let _ = writeln!(text, "fence\nli t1, {STEP}\nli t2, {}\nsd t2, 0(t1)", number + 1);
        let _ = writeln!(text, "after{number}:");
    }
    let last = steps.len();
    let _ = writeln!(text, "bnez s0, rest\nli t1, {STEP}\nli t2, {last}");
    let _ = writeln!(text, "end: ld t0, 0(t1)\nbne t0, t2, end\nli a0, 0\nj exit");
    text += "rest: j rest\n";
    text += crate::guest::EXIT;
    text += &handler(level);
    text
}

/// Where harts begin: all of them on the bare machine, one on firmware. s0 is the hart's number.
fn start(level: Level) -> String {
    let mut text = String::from("mv s0, a0\n");
    if level == Level::Machine {
        // PMP lets HLV through.
        text += "li t0, -1\ncsrw pmpaddr0, t0\nli t0, 0x1f\ncsrw pmpcfg0, t0\n";
        text += "beqz s0, first\nj others\nfirst: nop\n";
    }
    text
}

/// The first hart fills in the tables, and sets the others going.
fn tables() -> String {
    let mut text = String::new();
    let mut store = |at: u64, value: u64| {
        let _ = writeln!(text, "li t0, {at}\nli t1, {value:#x}\nsd t1, 0(t0)");
    };
    for data in 0..DATA_PAGES {
        store(DATA + data * PAGE, data);
    }
    // HS: everything at its own address by gigabytes, but for the second one.
    let hs_root = table(0);
    for gigabyte in [0, 2] {
        store(hs_root + 8 * gigabyte, pte(gigabyte << 30, LEAF));
    }
    store(hs_root + 8 * (HS_VA >> 30), pte(table(2), 1));
    store(table(2), pte(table(1), 1));
    for page in 0..2 {
        store(hs_leaf(page), hs_data(0));
    }
    for vm in 1..=2 {
        // The G-stage: RAM at its own address, so that the VS-stage's tables are found; and the guest's pages.
        store(g_root(vm) + 8 * 2, pte(2 << 30, LEAF | USER));
        store(g_root(vm) + 8 * (GPA >> 30), pte(table(4 * vm), 1));
        store(table(4 * vm) + 8 * (GPA >> 21 & 511), pte(table(4 * vm + 1), 1));
        // The VS-stage's root is a page of its own, behind the others.
        store(vs_root(vm) + 8 * (VA >> 30), pte(table(4 * vm + 2), 1));
        store(table(4 * vm + 2), pte(table(4 * vm + 3), 1));
        for page in 0..4 {
            store(g_leaf(vm, page), g_data(0));
            store(vs_leaf(vm, page), vs_page(page));
        }
    }
    text
}

fn vs_root(vm: u64) -> u64 {
    table(16 + vm)
}

fn atp(id: u64, root: u64) -> u64 {
    8 << 60 | id << 44 | root >> 12
}

/// Sets the others going; then all harts load the first machine.
fn common_start(level: Level) -> String {
    let mut text = String::new();
    match level {
        // The others wait for the first hart's word.
        Level::Machine => {
            let _ =
                writeln!(text, "li t0, {}\nli t1, 1\nfence\nsd t1, 0(t0)\nj ready", VARIABLES + 64);
            let _ = writeln!(
                text,
                "others: li t0, {}\nheld: ld t1, 0(t0)\nbeqz t1, held",
                VARIABLES + 64
            );
        }
        Level::Supervisor => {
            // HSM's hart_start, of every hart but this one.
            text += "li s3, 0\nnext: li t0, 4\nbeq s3, t0, ready\nbeq s3, s0, skip\n";
            text += "mv a0, s3\nla a1, second\nli a2, 0\nli a7, 0x48534d\nli a6, 0\necall\n";
            text += "bnez a0, bad\n";
            text += "skip: addi s3, s3, 1\nj next\n";
            text += "bad: li a0, 200\nj exit\n";
            text += "second: mv s0, a0\n";
        }
    }
    text += "ready: nop\n";
    let (status, tvec, ie) = match level {
        Level::Machine => ("mstatus", "mtvec", "mie"),
        Level::Supervisor => ("sstatus", "stvec", "sie"),
    };
    let _ = writeln!(text, "la t0, handler\ncsrw {tvec}, t0\ncsrw {ie}, zero\ncsrci {status}, 10");
    // HLV as VS does.
    text += "li t0, 0x100\ncsrs hstatus, t0\n";
    if level == Level::Supervisor {
        let _ = writeln!(text, "li t0, {:#x}\ncsrw satp, t0\nsfence.vma", atp(1, table(0)));
    }
    text += "hfence.gvma\nhfence.vvma\n";
    text += &enter(1);
    text
}

fn enter(vm: u64) -> String {
    format!(
        "csrw vsatp, zero\nli t0, {:#x}\ncsrw hgatp, t0\nli t0, {:#x}\ncsrw vsatp, t0\n",
        atp(vm, g_root(vm)),
        atp(1, vs_root(vm))
    )
}

fn act(level: Level, number: usize, what: &Do) -> String {
    let mut text = String::new();
    let mut judge = |load: String, allowed: &[u64]| {
        let _ = writeln!(text, "{load}");
        for data in allowed {
            let _ = writeln!(text, "li t2, {data}\nbeq t1, t2, good{number}");
        }
        let _ = writeln!(text, "li a0, {}\nj exit\ngood{number}: nop", number + 1);
    };
    match what {
        Do::Sees(page, allowed) => {
            judge(format!("li t0, {}\nhlv.d t1, (t0)", VA + page * PAGE), allowed);
        }
        Do::HsSees(page, allowed) => {
            judge(format!("li t0, {}\nld t1, 0(t0)", HS_VA + page * PAGE), allowed);
        }
        Do::Store(at, value) => {
            let _ = writeln!(text, "li t0, {at}\nli t1, {value:#x}\nsd t1, 0(t0)");
        }
        Do::Run(instructions) => {
            let _ = writeln!(text, "{instructions}");
        }
        Do::Call(extension, function, args) => {
            for (n, arg) in args.iter().enumerate() {
                let _ = writeln!(text, "li a{n}, {arg}");
            }
            let _ = writeln!(text, "li a6, {function}\nli a7, {extension}\necall");
            let _ = writeln!(text, "beqz a0, good{number}\nli a0, {}\nj exit", number + 1);
            let _ = writeln!(text, "good{number}: nop");
        }
        Do::Enter(vm) => text += &enter(*vm),
        Do::AnswerIpi(fence) => {
            let kind = FENCES.iter().position(|known| known == fence).expect("a known fence");
            let (status, ie, bit, on) = match level {
                Level::Machine => ("mstatus", "mie", 8, 8),
                Level::Supervisor => ("sstatus", "sie", 2, 2),
            };
            let _ = writeln!(text, "li s6, {kind}\nli t4, {ANSWERED}\nld t5, 0(t4)");
            let _ = writeln!(text, "csrwi {ie}, {bit}\ncsrsi {status}, {on}");
            let _ = writeln!(text, "answer{number}: ld t6, 0(t4)\nbeq t5, t6, answer{number}");
            let _ = writeln!(text, "csrci {status}, {on}\ncsrwi {ie}, 0");
        }
    }
    text
}

/// What the handler of an IPI can do.
pub(crate) const FENCES: [&str; 4] = ["nothing", "gvma page 0", "gvma all", "vvma all"];

/// Answers an IPI: forgets it, runs the fence that s6 names, counts. Any other trap ends the program. t0 to t3 are free.
fn handler(level: Level) -> String {
    let mut text = String::from(".align 4\nhandler: nop\n");
    match level {
        Level::Machine => {
            text += "csrr t0, mcause\nbgez t0, trapped\n";
            // msip of this hart.
            text += "slli t0, s0, 2\nli t1, 0x2000000\nadd t0, t0, t1\nsw zero, 0(t0)\n";
        }
        Level::Supervisor => text += "csrr t0, scause\nbgez t0, trapped\ncsrci sip, 2\n",
    }
    let _ = writeln!(
        text,
        "li t0, 1\nbne s6, t0, not1\nli t1, {}\nhfence.gvma t1, t0\nnot1: nop",
        GPA >> 2
    );
    text += "li t0, 2\nbne s6, t0, not2\nhfence.gvma\nnot2: nop\n";
    text += "li t0, 3\nbne s6, t0, not3\nhfence.vvma\nnot3: nop\n";
    let _ = writeln!(text, "li t0, {ANSWERED}\nld t1, 0(t0)\naddi t1, t1, 1\nsd t1, 0(t0)");
    text += match level {
        Level::Machine => "mret\n",
        Level::Supervisor => "sret\n",
    };
    text += "trapped: li a0, 201\nj exit\n";
    text
}
