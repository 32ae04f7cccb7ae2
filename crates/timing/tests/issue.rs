//! Several instructions a cycle: laws of issue, and latencies against what compilers' scheduling models publish of the cores.

use isa::asm::Program;
use isa::{Decoder, ExtSet, Insn};
use timing::{Block, Context, Core, Model, Operands, Run, Target, Walk, Walker};

const BASE: u64 = 0x8000_0000;

/// Nothing is translated.
struct Flat;

impl Walker for Flat {
    fn walk(&mut self, _: Target) -> Walk {
        Walk::default()
    }
    fn locate(&mut self, va: u64) -> u64 {
        va
    }
    fn code(&mut self, _: u64) -> Option<u16> {
        None
    }
}

fn insns(source: &str) -> Vec<Insn> {
    let decoder = Decoder::new(&ExtSet::parse("rv64gch").unwrap());
    let bytes = Program::assemble(BASE, source).unwrap().bytes;
    let mut insns = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let half = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let wide = half(at) & 3 == 3;
        let bits = if wide { half(at) | half(at + 2) << 16 } else { half(at) };
        insns.push(decoder.decode(bits).expect("an instruction"));
        at += if wide { 4 } else { 2 };
    }
    insns
}

/// Runs a block of these instructions: `numbers` are the address of each load and store, and the operands that decide times.
fn run(model: &mut Model, block: &Block, run: &Run, source: &str, numbers: &[u64]) {
    let asks = |insn: &Insn| model.item(insn, run.pc).operands() != Operands::None;
    let asks: Vec<bool> = insns(source).iter().map(asks).collect();
    let filter = model.enter(run.pc);
    let mut numbers = numbers.iter().copied();
    let mut touch = 0;
    for (number, (insn, asks)) in source.lines().zip(asks).enumerate() {
        let name = insn.split_whitespace().next().unwrap_or_default();
        let (count, size) = match name {
            _ if asks => (2, 0),
            "ld" | "fld" | "sd" | "fsd" => (1, 8),
            "lb" | "sb" => (1, 1),
            _ => continue,
        };
        let told: Vec<u64> = match name {
            "mul" => [1 << 40, 7].into(),
            _ => numbers.by_ref().take(count).collect(),
        };
        let place = (number as u8, touch);
        match (told.as_slice(), name.contains('l')) {
            (&[va], true) if filter.passes_load(va) => {}
            (&[va], true) => filter.load(va, place, size),
            (&[va], false) if filter.passes_store(va, size) => {}
            (&[va], false) => filter.store(va, place, size),
            _ => told.into_iter().for_each(|number| filter.note(touch, number)),
        }
        touch += 1;
    }
    model.run(block, *run, || Flat);
}

/// Cycles that a core takes for code without jumps, again and again, in a hundred times; `noted` as for [`run`].
fn cycles(core: &Core, source: &str, noted: &[u64]) -> u64 {
    let insns = insns(source);
    let mut model = Model::new(core, None);
    let block = model.block(BASE, &insns);
    model.select(Context::default(), Context::default());
    let bytes: u64 = insns.iter().map(|insn| u64::from(insn.len)).sum();
    let ran = Run { pc: BASE, done: insns.len(), next: BASE + bytes };
    for _ in 0..20 {
        run(&mut model, &block, &ran, source, noted);
    }
    let begin = model.now();
    for _ in 0..100 {
        run(&mut model, &block, &ran, source, noted);
    }
    model.now() - begin
}

fn preset(name: &str) -> Core {
    Core::preset(name).unwrap()
}

const SEVERAL: [&str; 4] = ["u74", "u74-h", "x60", "generic-h"];

#[test]
fn independent_arithmetic_issues_as_often_as_there_are_pipes_and_never_slower_than_alone() {
    let source = "addi a0, a0, 1\naddi a1, a1, 1\naddi a2, a2, 1\naddi a3, a3, 1\n".repeat(8);
    for name in SEVERAL {
        let several = preset(name);
        let alone = Core { issue: None, ..several.clone() };
        let (two, one) = (cycles(&several, &source, &[]), cycles(&alone, &source, &[]));
        assert_eq!((two, one), (1600, 3200), "{name}");
    }
}

/// Numbers without a pattern.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    /// So many instructions, and what they note.
    fn code(&mut self, count: usize) -> (String, Vec<u64>) {
        self.code_of(count, &KINDS)
    }

    fn code_of(&mut self, count: usize, kinds: &[&str]) -> (String, Vec<u64>) {
        let (mut source, mut noted) = (String::new(), Vec::new());
        for _ in 0..count {
            let kind = kinds[self.below(kinds.len())];
            source += kind;
            source.push('\n');
            if kind.starts_with("fdiv") {
                let quotients: [f64; 4] = [0.0, 1.0, 3.0, 1e300];
                noted.extend([0, 1].map(|_| quotients[self.below(4)].to_bits()));
            } else if kind.contains('(') {
                noted.push(if kind.contains('l') { BASE + 0x10000 } else { BASE + 0x20008 });
            }
        }
        (source, noted)
    }
}

/// What [`Random`] chooses from.
const KINDS: [&str; 8] = [
    "add a0, a1, a2",
    "mul a3, a4, a5",
    "ld a6, 0(s0)",
    "sd a7, 8(s0)",
    "fadd.d fa0, fa1, fa2",
    "xor t0, t1, t2",
    "fmv.x.d t3, fa3",
    "sub a0, a0, a6",
];

#[test]
fn what_is_looked_up_is_what_is_worked_out() {
    let mut random = Random(2);
    for name in SEVERAL {
        same_both_ways(name, &mut random, &KINDS);
    }
    // Where stores wait to commit and to be written, and a divider has a register before it.
    let kinds = [
        "sb a7, 8(s0)",
        "fld fa4, 0(s0)",
        "fdiv.d fa5, fa1, fa2",
        "fdiv.d fa1, fa5, fa2",
        "fmv.x.d a6, fa5",
        "add s0, s0, zero",
    ];
    let kinds = [&KINDS[..], &kinds].concat();
    for name in ["cva6", "cva6-stlb", "rocket"] {
        same_both_ways(name, &mut random, &kinds);
    }
}

fn same_both_ways(name: &str, random: &mut Random, kinds: &[&str]) {
    let core = preset(name);
    let outer = || core.outer(None);
    let mut models = [0, 1].map(|_| Model::sharing(&core, None, outer().as_ref()));
    models[1].forget();
    let codes: Vec<_> = (0..8).map(|n| (n, random.code_of(1 + 3 * n, kinds))).collect();
    let mut ready = Vec::new();
    for (n, (source, noted)) in &codes {
        let (insns, pa) = (insns(source), BASE + 256 * *n as u64);
        let blocks = models.each_mut().map(|model| model.block(pa, &insns));
        let bytes: u64 = insns.iter().map(|insn| u64::from(insn.len)).sum();
        ready.push((blocks, pa, insns.len(), pa + bytes, source, noted));
    }
    for model in &mut models {
        model.select(Context::default(), Context::default());
    }
    for round in 0..2000 {
        let (blocks, pc, done, next, source, noted) = &ready[random.below(ready.len())];
        // Now and then a line that is in no cache, and a byte that is another one.
        let far = if random.below(16) == 0 { round << 16 } else { 0 };
        let near = random.below(24) as u64;
        let is_address = |va: u64| va >> 28 == BASE >> 28;
        let moved = |&va: &u64| if is_address(va) { va + far + near } else { va };
        let noted: Vec<u64> = noted.iter().map(moved).collect();
        let ran = Run { pc: *pc, done: *done, next: *next };
        for (model, block) in models.iter_mut().zip(blocks) {
            run(model, block, &ran, source, &noted);
        }
        assert_eq!(models[0].now(), models[1].now(), "{name}, round {round}");
    }
}

/// Cycles of one pass on `cva6`.
fn on_cva6(source: &str, noted: &[u64]) -> u64 {
    cycles(&preset("cva6"), source, noted) / 100
}

#[test]
fn cva6_takes_as_long_as_its_rtl_does() {
    let number = f64::to_bits;
    let (one, two, three, nan) = (number(1.0), number(2.0), number(3.0), number(f64::NAN));
    // A quotient of 1 by 3 and what needs it: 24.06 for fdivd_v0, one of them the loop; of a NaN, fdivd_v9, 11.06.
    let divide = "fdiv.d fa0, fa1, fa2\nfadd.d fa3, fa0, fa0\n";
    assert_eq!(on_cva6(divide, &[one, three]), 23);
    assert_eq!(on_cva6(divide, &[nan, two]), 10);
    // Alone they follow each other as soon as the unit is free: fdiv_d of the reference, 19.03.
    assert_eq!(on_cva6("fdiv.d fa0, fa1, fa2\n", &[one, three]), 19);
    // A word that was just stored, into an `f` register: fx_fsd_fld, 7.25.
    assert_eq!(on_cva6("fsd fa1, 0(s0)\nfld fa0, 0(s0)\n", &[BASE + 0x20000; 2]), 7);
    // push_pop, 9.25: the store waits to be the first of two that commit.
    let frame = "addi sp, sp, -32\nsd ra, 24(sp)\nsd s0, 16(sp)\nadd t0, t0, t0\nld ra, 24(sp)\nld s0, 16(sp)\naddi sp, sp, 32\n";
    let [ra, s0] = [BASE + 0x20018, BASE + 0x20010];
    assert_eq!(on_cva6(frame, &[ra, s0, ra, s0]), 9);
}

#[test]
fn no_more_issue_in_a_cycle_than_there_are_pipes() {
    let mut random = Random(1);
    for _ in 0..30 {
        let (source, noted) = random.code(24);
        for name in SEVERAL {
            let core = preset(name);
            let width = core.issue.as_ref().map_or(1, |issue| issue.pipes.len() as u64);
            let taken = cycles(&core, &source, &noted);
            assert!(taken * width >= 2400, "{name}: {taken}\n{source}");
            // Each pipe takes one a cycle: so does the only one of the U74 that goes to memory.
            let accesses = noted.len() as u64 * 100;
            assert!(name == "x60" || taken >= accesses, "{name}: {taken}\n{source}");
        }
    }
}

#[test]
fn what_depends_on_an_instruction_does_not_issue_with_it() {
    let source = "addi a0, a0, 1\n".repeat(32);
    for name in SEVERAL {
        assert_eq!(cycles(&preset(name), &source, &[]), 3200, "{name}");
    }
}

#[test]
fn the_only_pipe_to_memory_takes_one_access_a_cycle() {
    let source = "ld a0, 0(s0)\nld a1, 8(s0)\nld a2, 16(s0)\nld a3, 24(s0)\n";
    let noted = [0, 8, 16, 24].map(|offset| BASE + 0x10000 + offset);
    assert_eq!(cycles(&preset("u74"), source, &noted), 400);
    // The X60 has two.
    assert_eq!(cycles(&preset("x60"), source, &noted), 200);
}

/// Cycles from an instruction to one like it that needs its result.
fn latency(core: &str, insn: &str, noted: &[u64]) -> u64 {
    cycles(&preset(core), insn, noted) / 100
}

/// The figures are those of GCC's sifive-7.md and LLVM's RISCVSchedSiFive7.td; the core executes dependent arithmetic in a second row of ALUs, so that
/// a load's user issues a cycle behind it, and an address that comes from there four behind the load.
#[test]
fn latencies_of_the_u74_are_those_of_compilers() {
    let memory = [BASE + 0x10000];
    assert_eq!(latency("u74", "ld a0, 0(a0)", &memory), 3);
    assert_eq!(latency("u74", "ld a0, 0(a0)\nadd a0, a0, a1", &memory), 4);
    assert_eq!(latency("u74", "ld a0, 0(a1)\nadd a2, a2, a0", &memory), 1);
    for (insn, cycles) in [
        ("mul a0, a0, a0", 3),
        ("add a0, a0, a1", 1),
        ("fadd.s fa0, fa0, fa0", 5),
        ("fadd.d fa0, fa0, fa0", 7),
        ("fmadd.d fa0, fa0, fa0, fa0", 7),
        ("fdiv.s fa0, fa0, fa0", 27),
        ("fdiv.d fa0, fa0, fa0", 56),
        ("fsgnj.d fa0, fa0, fa0", 3),
    ] {
        assert_eq!(latency("u74", insn, &[]), cycles, "{insn}");
    }
    // A quotient of 64 bits, and one of 32: 66 and 34 at most.
    assert_eq!(latency("u74", "divu a0, a0, a1", &[u64::MAX, 1]), 66);
    assert_eq!(latency("u74", "divuw a0, a0, a1", &[u32::MAX.into(), 1]), 34);
}

/// The figures are those of LLVM's RISCVSchedSpacemitX60.td.
#[test]
fn latencies_of_the_x60_are_those_of_a_compiler() {
    assert_eq!(latency("x60", "ld a0, 0(a0)", &[BASE + 0x10000]), 4);
    for (insn, cycles) in [
        ("mul a0, a0, a0", 5),
        ("mulhu a0, a0, a0", 6),
        ("add a0, a0, a1", 1),
        ("fadd.s fa0, fa0, fa0", 4),
        ("fadd.d fa0, fa0, fa0", 5),
        ("fmadd.s fa0, fa0, fa0, fa0", 5),
        ("fmadd.d fa0, fa0, fa0, fa0", 6),
        ("fdiv.s fa0, fa0, fa0", 15),
        ("fdiv.d fa0, fa0, fa0", 22),
        ("fsqrt.d fa0, fa0", 22),
        ("fcvt.s.d fa0, fa0", 4),
    ] {
        assert_eq!(latency("x60", insn, &[]), cycles, "{insn}");
    }
    assert_eq!(latency("x60", "divu a0, a0, a1", &[u64::MAX, 1]), 20);
    assert_eq!(latency("x60", "divuw a0, a0, a1", &[u32::MAX.into(), 1]), 12);
}

#[test]
fn a_preset_is_read_back_as_it_was_written() {
    for (name, _) in timing::PRESETS {
        let core = preset(name);
        let text = toml::to_string(&core).unwrap();
        assert_eq!(Core::parse(&text).unwrap(), core, "{name}");
    }
}
