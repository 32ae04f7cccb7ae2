//! An operation does the same whichever form of the engine runs it: block by block, where operations go on by themselves, or
//! one instruction at a time, where each is chosen by one match.

use isa::{Op, csr};
use proptest::prelude::*;

use crate::rig::{Empty, hart};

/// Registers that programs use; s0 points to data and stays.
const REGISTERS: [&str; 12] =
    ["zero", "ra", "t0", "t1", "t2", "a0", "a1", "a2", "a3", "a4", "a5", "t6"];

/// Floating-point registers that programs use.
const FLOATING: [&str; 6] = ["ft0", "ft1", "fa0", "fa1", "fs0", "ft11"];

/// One instruction at label `at`, made from random numbers; `None` where its operands are of another kind.
fn line(op: Op, at: usize, random: u64) -> Option<String> {
    let pick = |shift: u32| REGISTERS[(random >> shift) as usize % REGISTERS.len()];
    let (rd, rs1, rs2) = (pick(0), pick(8), pick(16));
    let float = |shift: u32| FLOATING[(random >> shift) as usize % FLOATING.len()];
    let (frd, frs1, frs2, frs3) = (float(0), float(8), float(16), float(24));
    let imm = (random >> 24) as i64 % 2048;
    let near = (random >> 24) % 256;
    let target = at + 1 + (random >> 40) as usize % 4;
    let name = op.row().name;
    if name.contains('{') {
        // A pattern of many instructions that all do nothing.
        return None;
    }
    let operands = match op.row().operands {
        "rd, rs1, rs2" => format!("{rd}, {rs1}, {rs2}"),
        "rd, rs1, imm" => format!("{rd}, {rs1}, {imm}"),
        "rd, rs1, shamt" => format!("{rd}, {rs1}, {}", imm % 32),
        "rd, rs1" => format!("{rd}, {rs1}"),
        "rd, imm(rs1)" if op != Op::Jalr => format!("{rd}, {near}(s0)"),
        "rs2, imm(rs1)" => format!("{rs2}, {near}(s0)"),
        "rs1, rs2, target" => format!("{rs1}, {rs2}, l{target}"),
        "rd, target" => format!("{rd}, l{target}"),
        "frd, frs1, frs2" | "frd, frs1, frs2, rm" => format!("{frd}, {frs1}, {frs2}"),
        "frd, frs1, frs2, frs3, rm" => format!("{frd}, {frs1}, {frs2}, {frs3}"),
        "frd, frs1, rm" => format!("{frd}, {frs1}"),
        "rd, frs1, frs2" => format!("{rd}, {frs1}, {frs2}"),
        "rd, frs1" | "rd, frs1, rm" => format!("{rd}, {frs1}"),
        "frd, rs1" | "frd, rs1, rm" => format!("{frd}, {rs1}"),
        "frd, imm(rs1)" => format!("{frd}, {near}(s0)"),
        "frs2, imm(rs1)" => format!("{frs2}, {near}(s0)"),
        _ => match op {
            Op::Lui | Op::Auipc => format!("{rd}, {:#x}", random >> 24 & 0xfffff),
            _ => return None,
        },
    };
    Some(format!("l{at}: {name} {operands}\n"))
}

/// A program of random instructions, run a few times over.
fn program(choices: &[(usize, u64)]) -> String {
    let ops: Vec<Op> = Op::all().filter(|&op| line(op, 0, 0).is_some()).collect();
    // Where an instruction says so, frm has its rounding mode.
    let frm = choices.len() % 5;
    let mut text = format!("csrrwi zero, frm, {frm}\nli s1, 3\nagain: nop\n");
    for (at, &(op, random)) in choices.iter().enumerate() {
        let op = ops[op % ops.len()];
        text += &line(op, at, random).unwrap_or_default();
        if matches!(op, Op::Lui | Op::Auipc) {
            // What compilers put behind it.
            let rd = REGISTERS[random as usize % REGISTERS.len()];
            text += &format!("addi {rd}, {rd}, {}\n", (random >> 50) as i64 % 2048);
        }
    }
    for at in choices.len()..choices.len() + 5 {
        text += &format!("l{at}: nop\n");
    }
    text + "addi s1, s1, -1\nbnez s1, again\nend: j end\n"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_operation_does_the_same_in_both_forms(
        choices in prop::collection::vec((any::<usize>(), any::<u64>()), 1..80),
        values in prop::array::uniform32(any::<u64>()),
        budget in 1u64..400,
    ) {
        let source = program(&choices);
        let (mut by_block, mut by_one) = (hart(&source), hart(&source));
        for hart in [&mut by_block, &mut by_one] {
            for register in [1, 5, 6, 7, 10, 11, 12, 13, 14, 15, 31] {
                hart.set_x(register, values[register]);
            }
        }
        by_block.run(&mut Empty, budget);
        for _ in 0..budget {
            by_one.run(&mut Empty, 1);
        }
        prop_assert_eq!(by_block.pc(), by_one.pc());
        prop_assert_eq!((by_block.retired(), by_block.cycle()), (by_one.retired(), by_one.cycle()));
        for register in 0..32 {
            prop_assert_eq!(by_block.x(register), by_one.x(register), "x{} of\n{}", register, &source);
            prop_assert_eq!(by_block.f(register), by_one.f(register), "f{} of\n{}", register, &source);
        }
        for number in [csr::MINSTRET, csr::MSTATUS, csr::FCSR] {
            prop_assert_eq!(by_block.csr(number), by_one.csr(number));
        }
    }
}

#[test]
fn the_random_programs_have_most_of_the_instructions() {
    let ours = Op::all().filter(|&op| line(op, 0, 0).is_some()).count();
    assert!(ours > 200, "{ours}");
}

#[test]
fn a_long_run_needs_little_stack() {
    let adds = "addi a0, a0, 1\n".repeat(60);
    let mut hart = hart(&format!("again: {adds} j again"));
    let run = move || {
        hart.run(&mut Empty, 100_000_000);
        (hart.retired(), hart.x(10))
    };
    let small = std::thread::Builder::new().stack_size(64 << 10).spawn(run).expect("a thread");
    // 60 of 61 instructions add, and the last turn of 61 is cut off behind 16.
    assert_eq!(small.join().expect("no overflow"), (100_000_000, 98_360_656));
}
