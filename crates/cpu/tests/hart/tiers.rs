//! The forms of the engine: threads of operations and the portable loop do the same, and neither grows with what runs.

use cpu::Hart;
use isa::{Pa, csr};

use crate::rig::{BASE, DATA, Empty, hart, hart_with};

/// xorshift64*.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Bytes of code that random programs have: three pages and what a jump from them needs.
const CODE: u64 = 0x3000;

/// One or two instructions: mostly arithmetic, branches, jumps, and accesses to data and to the code itself.
fn item(rng: &mut Rng, at: u64) -> Vec<u32> {
    // s0 points to data, s1 to code: both stay.
    let register = |rng: &mut Rng| 10 + rng.below(8) as u32;
    let (rd, rs1, rs2) = (register(rng), register(rng), register(rng));
    let jump = |rng: &mut Rng, most: u64| {
        let from = at.saturating_sub(most).max(BASE);
        let to = (at + most).min(BASE + CODE - 8);
        (from + rng.below((to - from) / 2 + 1) * 2).wrapping_sub(at) as u32
    };
    let one = |word: u32| vec![word];
    match rng.below(34) {
        0..6 => {
            // ADD … REMU, and their W forms, which have holes.
            let funct7 = [0, 0x20 << 25, 1 << 25][rng.below(3) as usize];
            let opcode = [0x33, 0x3b][rng.below(2) as usize];
            one(funct7 | rs2 << 20 | rs1 << 15 | (rng.below(8) as u32) << 12 | rd << 7 | opcode)
        }
        6..8 => one((rng.below(0x800) as u32) << 20 | rs1 << 15 | rd << 7 | 0x13),
        // LUI or AUIPC, and ADDI on top of it.
        8 => vec![
            (rng.next() as u32) & 0xffff_f000 | rd << 7 | [0x37, 0x17][rng.below(2) as usize],
            (rng.below(0x1000) as u32) << 20 | rd << 15 | rd << 7 | 0x13,
        ],
        9..12 => {
            let offset = jump(rng, 0x7fe);
            let imm = (offset >> 12 & 1) << 31
                | (offset >> 5 & 0x3f) << 25
                | (offset >> 1 & 0xf) << 8
                | (offset >> 11 & 1) << 7;
            let funct3 = [0, 1, 4, 5, 6, 7][rng.below(6) as usize];
            one(imm | rs2 << 20 | rs1 << 15 | funct3 << 12 | 0x63)
        }
        12 => {
            let offset = jump(rng, 0x2ffe);
            let imm = (offset >> 20 & 1) << 31
                | (offset >> 1 & 0x3ff) << 21
                | (offset >> 11 & 1) << 20
                | (offset >> 12 & 0xff) << 12;
            one(imm | [0, rd][rng.below(2) as usize] << 7 | 0x6f)
        }
        // AUIPC and JALR, two jumps in the code.
        13 => {
            let to = BASE + rng.below(CODE / 4) * 4;
            let offset = to.wrapping_sub(at) as u32;
            vec![
                offset.wrapping_add(0x800) & 0xffff_f000 | rd << 7 | 0x17,
                (offset & 0xfff) << 20 | rd << 15 | 1 << 7 | 0x67,
            ]
        }
        // Loads from data and code, aligned or not.
        14..16 => {
            let base = [8, 9][rng.below(2) as usize];
            one((rng.below(0x800) as u32) << 20
                | base << 15
                | (rng.below(7) as u32) << 12
                | rd << 7
                | 3)
        }
        // LD or SD twice, within a page, across two, or misaligned; and LD over its own base.
        16 if rng.below(2) == 0 => {
            let offsets = [rng.below(0x100) * 8, rng.below(0x200) * 4].map(|offset| offset as u32);
            let (base, loads) = ([8, 9, rd][rng.below(3) as usize], rng.below(2) == 0);
            let load = |offset: u32| offset << 20 | base << 15 | 3 << 12 | rd << 7 | 3;
            let store = |offset: u32| {
                (offset >> 5) << 25 | rs2 << 20 | 8 << 15 | 3 << 12 | (offset & 31) << 7 | 0x23
            };
            offsets.map(|offset| if loads { load(offset) } else { store(offset) }).to_vec()
        }
        // A store, now and then to code.
        16..18 => {
            let base = if rng.below(8) == 0 { 9 } else { 8 };
            let offset = rng.below(0x800) as u32;
            let imm = (offset >> 5) << 25 | (offset & 31) << 7;
            one(imm | rs2 << 20 | base << 15 | (rng.below(4) as u32) << 12 | 0x23)
        }
        // A compressed pair: C.ADD and C.MV.
        18 => one(0x9002 | rd << 7 | rs1 << 2 | (0x8002 | rd << 7 | rs2 << 2) << 16),
        // AMOs, LR and SC, on data or code.
        19..21 => {
            let funct5 = [0, 1, 2, 3, 3, 3, 4, 5, 8, 12, 16, 20, 24, 28][rng.below(14) as usize];
            let rs2 = if funct5 == 2 { 0 } else { rs2 };
            let base = if rng.below(8) == 0 { 9 } else { 8 };
            one(funct5 << 27
                | rs2 << 20
                | base << 15
                | (2 + rng.below(2) as u32) << 12
                | rd << 7
                | 0x2f)
        }
        // Counters, and registers that count for nothing.
        21 => {
            let number = [0xb00, 0xb02, 0x340, 0x341, 0x343, 0x300, 1, 3][rng.below(8) as usize];
            // The status is only read.
            let rs1 = if number == 0x300 { 0 } else { rs1 };
            let funct3 = if number == 0x300 { 2 } else { 1 + rng.below(3) as u32 };
            one(number << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x73)
        }
        // Loads or stores of one kind with one base, within a page, across two, or misaligned; or over their own base.
        22 => {
            let (funct3, size) = [(3, 8), (2, 4), (4, 1)][rng.below(3) as usize];
            let (base, loads) = ([8, 9, rd][rng.below(3) as usize], rng.below(2) == 0);
            let length = 2 + rng.below(3) as usize;
            let mut row = || {
                let step = if rng.below(16) == 0 { 1 } else { size };
                let offset = (rng.below(0x800 / step) * step) as u32;
                let value = 10 + rng.below(8) as u32;
                if loads {
                    return offset << 20 | base << 15 | funct3 << 12 | value << 7 | 3;
                }
                let imm = (offset >> 5) << 25 | (offset & 31) << 7;
                imm | value << 20 | 8 << 15 | (funct3 & 3) << 12 | 0x23
            };
            let mut words = vec![row(), row(), row(), row()];
            words.truncate(length);
            words
        }
        // An element of an array, or a jump through a table.
        23 => {
            let shift = 1 + rng.below(3) as u32;
            let (left, right) = if rng.below(2) == 0 { (rd, 8) } else { (8, rd) };
            let accesses = [0x3, 0x7, 0x23, 0x27];
            let opcode = accesses[rng.below(4) as usize];
            let float = opcode & 4 != 0;
            let funct3 = if rng.below(4) == 0 {
                rng.below(7) as u32
            } else {
                [1, 2, 3][shift as usize - 1].max(if float { 2 } else { 0 })
            };
            let access = match opcode {
                0x3 | 0x7 => funct3 << 12 | [rd, rs2][rng.below(2) as usize] << 7,
                _ => rs2 << 20 | (funct3 & 3) << 12,
            };
            let masked = (rng.below(0x100) as u32) << 20 | rs1 << 15 | 7 << 12 | rd << 7 | 0x13;
            let mut words = vec![
                masked,
                shift << 20 | rd << 15 | 1 << 12 | rd << 7 | 0x13,
                right << 20 | left << 15 | rd << 7 | 0x33,
                access | rd << 15 | opcode,
            ];
            if rng.below(4) == 0 {
                words.push(rd << 15 | 0x67);
            }
            words
        }
        // SLLI and SRLI, of one register or of others.
        24 => {
            let left = [32, 48, 31, 5][rng.below(4) as usize];
            let right = left.min(63) - rng.below(4) as u32;
            let to = if rng.below(4) == 0 { rs2 } else { rd };
            vec![
                left << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x13,
                right << 20 | rd << 15 | 5 << 12 | to << 7 | 0x13,
            ]
        }
        25..31 => idiom(rng),
        // Floating point between registers.
        _ => {
            let double = rng.below(4).min(1) as u32;
            let rounds = [0, 7, 7, rng.below(8) as u32][rng.below(4) as usize];
            if rng.below(4) == 0 {
                let opcode = [0x43, 0x47, 0x4b, 0x4f][rng.below(4) as usize];
                let rs3 = register(rng);
                return one(rs3 << 27
                    | double << 25
                    | rs2 << 20
                    | rs1 << 15
                    | rounds << 12
                    | rd << 7
                    | opcode);
            }
            let (funct7, rs2, rounds) = match rng.below(18) {
                0..2 => (0, rs2, rounds),
                2 => (0x4, rs2, rounds),
                3..5 => (0x8, rs2, rounds),
                5 => (0xc, rs2, rounds),
                6 => (0x2c, 0, rounds),
                7 => (0x10, rs2, rng.below(3) as u32),
                8 => (0x50, rs2, rng.below(3) as u32),
                9 => (0x70, 0, rng.below(2) as u32),
                10 => (0x78, 0, 0),
                11 => (0x14, rs2, rng.below(2) as u32),
                12 => (0x20, 1 - double, rounds),
                13..15 => (0x60, rng.below(4) as u32, [1, rounds][rng.below(2) as usize]),
                _ => (0x68, rng.below(4) as u32, rounds),
            };
            one((funct7 | double) << 25 | rs2 << 20 | rs1 << 15 | rounds << 12 | rd << 7 | 0x53)
        }
    }
}

/// Operations that compilers often put behind each other: any few of them, a function's beginning or end, bytes as an integer or as
/// indices. Accesses are misaligned now and then, so that any of them can miss while those before it are done.
fn idiom(rng: &mut Rng) -> Vec<u32> {
    let register = |rng: &mut Rng| 10 + rng.below(3) as u32;
    let offset = |rng: &mut Rng| {
        let step = if rng.below(24) == 0 { 1 } else { 8 };
        (rng.below(0x7f0 / step) * step) as u32
    };
    let addi = |rng: &mut Rng| {
        let (rd, rs1) = (register(rng), register(rng));
        (rng.below(3) as u32 * 0x11) << 20 | rs1 << 15 | rd << 7 | 0x13
    };
    let load = |rng: &mut Rng, funct3: u32, rd: u32| {
        offset(rng) << 20 | 8 << 15 | funct3 << 12 | rd << 7 | 3
    };
    let store = |rng: &mut Rng| {
        let (value, offset) = (register(rng), offset(rng));
        (offset >> 5) << 25 | value << 20 | 8 << 15 | 3 << 12 | (offset & 31) << 7 | 0x23
    };
    let shift = |rng: &mut Rng, rd: u32| {
        let rs1 = register(rng);
        (rng.below(40) as u32) << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x13
    };
    let two = |rng: &mut Rng, code: u32| {
        let (rd, rs1, rs2) = (register(rng), register(rng), register(rng));
        code | rs2 << 20 | rs1 << 15 | rd << 7 | 0x33
    };
    let frequent = |rng: &mut Rng| {
        let rd = register(rng);
        let immediate = |rng: &mut Rng, code: u32| {
            code | (rng.below(32) as u32) << 20 | register(rng) << 15 | rd << 7 | 0x13
        };
        match rng.below(22) {
            // ANDI, SRLI, ADDIW; XOR, AND, MUL, and W forms.
            12 => immediate(rng, 7 << 12),
            13 => immediate(rng, 5 << 12),
            14 => immediate(rng, 8),
            15 => two(rng, 4 << 12),
            16 => two(rng, 7 << 12),
            17 => two(rng, 1 << 25),
            18 => two(rng, 1 << 25 | 8),
            19 => two(rng, 8),
            0..3 | 20.. => addi(rng),
            3 => two(rng, 0),
            4 => two(rng, 6 << 12),
            5 => two(rng, 2 << 12),
            6 => shift(rng, rd),
            7 => load(rng, 3, rd),
            8 => load(rng, 4, rd),
            9 => load(rng, 2, rd),
            10 => two(rng, 0x20 << 25),
            _ => store(rng),
        }
    };
    let jump = |rng: &mut Rng| (rng.below(0x200) as u32 * 4) << 20 | 9 << 15 | 0x67;
    let mut words = Vec::new();
    match rng.below(10) {
        // What is loaded, changed and stored to where it was; or nearly so.
        8 | 9 => {
            let any = |rng: &mut Rng| 10 + rng.below(6) as u32;
            let rarely = |rng: &mut Rng| rng.below(10) == 0;
            let (at, word) = (offset(rng), rng.below(3) == 0);
            let (funct3, w) = if word { (2, 8) } else { (3, 0) };
            let base = match rng.below(20) {
                0..7 => any(rng),
                7 => 9,
                _ => 8,
            };
            if (10..).contains(&base) {
                words.push(8 << 15 | base << 7 | 0x13);
            }
            let mut last = any(rng);
            words.push(at << 20 | base << 15 | funct3 << 12 | last << 7 | 3);
            for _ in 0..1 + rng.below(2) {
                let (other, rd) = (any(rng), if rng.below(2) == 0 { last } else { any(rng) });
                let code = [0, 0, 0x20 << 25, 7 << 12, 6 << 12, 4 << 12][rng.below(6) as usize];
                // The logical ones have no W forms.
                let code = if code & 0x7000 == 0 { code | w } else { code };
                words.push(match rng.below(4) {
                    0 => (rng.below(0x1000) as u32) << 20 | last << 15 | rd << 7 | 0x13 | w,
                    1 => code | last << 20 | other << 15 | rd << 7 | 0x33,
                    _ => code | other << 20 | last << 15 | rd << 7 | 0x33,
                });
                last = rd;
            }
            let at = if rarely(rng) { offset(rng) } else { at };
            let value = if rarely(rng) { any(rng) } else { last };
            let funct3 = if rarely(rng) { 3 } else { funct3 };
            words.push(
                (at >> 5) << 25 | value << 20 | base << 15 | funct3 << 12 | (at & 31) << 7 | 0x23,
            );
        }
        // An address that is made of a register, aligned or not, and an access there, perhaps over the address.
        6 | 7 => {
            let (index, at) = (register(rng), register(rng));
            let mask = if rng.below(12) == 0 { 0x7f } else { 0x78 };
            words.push(mask << 20 | register(rng) << 15 | 7 << 12 | index << 7 | 0x13);
            let (left, right) = if rng.below(2) == 0 { (index, 8) } else { (8, index) };
            words.push(right << 20 | left << 15 | at << 7 | 0x33);
            let (funct3, value) = ([2, 3, 4, 5][rng.below(4) as usize], register(rng));
            words.push(match rng.below(3) {
                0 => value << 20 | at << 15 | (funct3 & 3) << 12 | 8 << 7 | 0x23,
                _ => 16 << 20 | at << 15 | funct3 << 12 | value << 7 | 3,
            });
            words.push(frequent(rng));
        }
        // A function's beginning.
        0 => {
            words.push(addi(rng));
            (0..2 + rng.below(3)).for_each(|_| words.push(store(rng)));
        }
        // Its end.
        1 => {
            (0..2 + rng.below(3)).for_each(|number| words.push(load(rng, 3, 10 + number as u32)));
            words.extend([addi(rng), jump(rng)]);
        }
        // Bytes, which make an integer, or are indices.
        2 | 3 => {
            let index = |rd: u32| 3 << 20 | rd << 15 | 1 << 12 | rd << 7 | 0x13;
            let element = |rd: u32| [index(rd), 8 << 20 | rd << 15 | rd << 7 | 0x33];
            if rng.below(4) == 0 {
                words.push(addi(rng));
            }
            (0..1 + rng.below(3)).for_each(|number| words.push(load(rng, 4, 10 + number as u32)));
            if rng.below(2) == 0 {
                words.extend([shift(rng, 13), two(rng, 6 << 12)]);
            } else {
                for rd in [10, 11, 12].into_iter().take(1 + rng.below(3) as usize) {
                    // What is not aligned has an element that is not, either.
                    let offset = if rng.below(16) == 0 { 4 } else { 0 };
                    words.extend(element(rd));
                    words.push(offset << 20 | rd << 15 | 3 << 12 | rd << 7 | 3);
                }
            }
            words.push(frequent(rng));
        }
        _ => {
            (0..2 + rng.below(4)).for_each(|_| words.push(frequent(rng)));
            if rng.below(3) == 0 {
                words.push(jump(rng));
            }
        }
    }
    if rng.below(4) == 0 {
        // A branch over what stands behind it.
        let (rs1, rs2) = (register(rng), register(rng));
        let funct3 = [0, 1, 4, 5, 6, 7][rng.below(6) as usize];
        words.push(4 << 8 | rs2 << 20 | rs1 << 15 | funct3 << 12 | 0x63);
    }
    words
}

/// A hart at a random program. Traps lead into it, too.
pub(crate) fn random(seed: u64) -> Hart {
    let mut hart = hart("nop");
    let mut rng = Rng(seed);
    let mut at = BASE;
    while at < BASE + CODE {
        for word in item(&mut rng, at) {
            hart.ram().write(Pa(at), word).expect("RAM");
            at += 4;
        }
    }
    hart.set_csr(csr::MTVEC, BASE + 0x40);
    hart.set_csr(csr::MSTATUS, 3 << 13);
    hart.set_x(9, BASE);
    for index in 10..18 {
        hart.set_x(index, rng.next() << rng.below(40) >> rng.below(48));
    }
    hart
}

/// What can be seen of a hart that ran.
pub(crate) fn state(hart: &Hart) -> impl PartialEq + std::fmt::Debug {
    let mut memory = vec![0; 0x9000];
    hart.ram().read_bytes(Pa(BASE), &mut memory).expect("RAM");
    let registers: Vec<u64> = (0..32).map(|index| hart.x(index)).collect();
    let sum =
        memory.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte));
    let floats: Vec<u64> = (0..32).map(|index| hart.f(index)).collect();
    let csrs = [csr::MCAUSE, csr::MEPC, csr::MTVAL, csr::MSCRATCH, csr::FCSR]
        .map(|number| hart.csr(number));
    (hart.pc(), hart.retired(), hart.cycle(), registers, floats, csrs, sum)
}

#[test]
fn threads_and_the_portable_form_do_the_same() {
    for seed in 1..400 {
        let (mut threads, mut portable, mut steps) = (random(seed), random(seed), random(seed));
        portable.set_portable(true);
        let mut rng = Rng(seed << 32 | 1);
        for _ in 0..30 {
            let most = 1 << rng.below(12);
            let budget = 1 + rng.below(most);
            let exits = (threads.run(&mut Empty, budget), portable.run(&mut Empty, budget));
            assert_eq!(exits.0, exits.1, "seed {seed}");
            assert_eq!(state(&threads), state(&portable), "seed {seed}");
            steps.run_logged(&mut Empty, budget, &mut |_| {});
            assert_eq!(state(&threads), state(&steps), "seed {seed}");
        }
    }
}

/// Every kind of link: what stops a thread starts it anew, so there is nothing of that in the loop.
const LOOP: &str = "
    la s1, near
    la s2, far
    fld fa0, 0(s0)
    csrsi fflags, 1
loop:
    andi t0, a0, 7
    slli t0, t0, 3
    add t0, t0, s0
    ld t1, 0(t0)
    lbu t1, 0(s0)
    lbu t2, 1(s0)
    lbu t3, 2(s0)
    sd t1, 32(s0)
    sd t2, 40(s0)
    slli t4, a0, 32
    srli t4, t4, 30
    fclass.d t5, fa0
    addi a0, a0, 1
    mul a1, a0, a0
    lui a2, 0x12345
    addi a2, a2, 0x678
    auipc a3, 1
    addi a3, a3, 4
    sd a1, 8(s0)
    lw a4, 8(s0)
    lbu a5, 9(s0)
    fcvt.d.l fa1, a0
    fadd.d fa0, fa0, fa1
    fmadd.d fa2, fa0, fa1, fa0
    fsd fa2, 16(s0)
    flw fa3, 24(s0)
    flt.d a6, fa0, fa1
    clz a7, a1
    beq a0, a1, loop
    blt a0, a1, taken
    nop
taken:
    jalr ra, 0(s1)
    jal ra, near
    jalr ra, 0(s2)
    bnez a0, loop
    j loop
near:
    ret
    .align 12
far:
    ret
";

/// Instructions enough that a stack which grew with them would be far too small, at any size of frames.
#[test]
fn a_hundred_million_operations_need_no_more_than_64_kib_of_stack() {
    let run = || {
        let mut hart = hart(LOOP);
        hart.run(&mut Empty, 100_000_000);
        (hart.retired(), hart.x(10) > 1_000_000)
    };
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(run);
    let done = thread.expect("a thread starts").join().expect("the stack is enough");
    assert_eq!(done, (100_000_000, true));
}

/// Where FS is dirty and NX raised, numbers are converted natively.
#[test]
fn numbers_are_converted_to_registers_as_wide_as_the_instruction_says() {
    let cases: [(&str, f64, u64); 12] = [
        // FCVT.WU sign-extends what it makes [unpriv: F, "Single-Precision Floating-Point Conversion and Move Instructions"].
        ("fcvt.wu.d a0, fa0, rtz", 4_294_967_295.5, u64::MAX),
        ("fcvt.w.d a0, fa0, rtz", -2_147_483_648.0, 0xffff_ffff_8000_0000),
        ("fcvt.w.d a0, fa0, rtz", 2_147_483_648.0, 0x7fff_ffff),
        ("fcvt.wu.d a0, fa0, rtz", -1.0, 0),
        ("fcvt.l.d a0, fa0, rtz", -2.5, -2i64 as u64),
        ("fcvt.l.d a0, fa0, rne", -2.5, -2i64 as u64),
        ("fcvt.l.d a0, fa0, rup", 2.5, 3),
        ("fcvt.lu.d a0, fa0, rtz", 1.8e19, 18_000_000_000_000_000_000),
        ("fcvt.lu.d a0, fa0, rtz", f64::NAN, u64::MAX),
        ("fcvt.s.d fa0, fa0, rne\nfmv.x.w a0, fa0", -0.1, -0x4233_3333i64 as u64),
        ("fsgnjn.d fa0, fa0, fa0\nfmv.x.d a0, fa0", 1.0, 0xbff0_0000_0000_0000),
        ("fcvt.s.d fa0, fa0, rne\nfcvt.d.s fa0, fa0, rne\nfclass.d a0, fa0", 1e-50, 1 << 4),
    ];
    for (insn, operand, expected) in cases {
        let mut hart = hart(&format!("csrsi fflags, 1\nfmv.d.x fa0, a1\n{insn}\nend: j end"));
        hart.set_csr(csr::MSTATUS, 3 << 13);
        hart.set_x(11, operand.to_bits());
        hart.run(&mut Empty, 20);
        assert_eq!(hart.x(10), expected, "{insn} of {operand}");
    }
}

/// Counters and the like in pages that no line of the native TLB has yet, in large pages of memory without code.
#[test]
fn what_is_changed_in_its_place_is_changed_once_in_large_pages_too() {
    let mut hart = hart_with(
        6 << 20,
        "
        li s2, 5
        li s3, 7
        li s4, 3
        li s5, 0x1000
    again:
        li s0, 0x80200000
        slli s0, s0, 32
        srli s0, s0, 32
        li s1, 1024
    loop:
        ld a0, 8(s0)
        addi a0, a0, 3
        sd a0, 8(s0)
        ld a1, 16(s0)
        xor a2, s2, a1
        add a1, a2, s3
        sd a1, 16(s0)
        lw a3, 24(s0)
        addiw a4, a3, 1
        sw a4, 24(s0)
        ld a5, 32(s0)
        sub a5, s2, a5
        sd a5, 32(s0)
        add s0, s0, s5
        addi s1, s1, -1
        bnez s1, loop
        addi s4, s4, -1
        bnez s4, again
    end:
        j end
        ",
    );
    let at = |page: u64, offset: u64| Pa(BASE + 0x20_0000 + page * 0x1000 + offset);
    for page in 0..1024 {
        hart.ram().write(at(page, 8), page).expect("RAM");
        hart.ram().write(at(page, 24), 0x7fff_fffd_u32).expect("RAM");
    }
    hart.run(&mut Empty, 60_000);
    for page in 0..1024 {
        let read = |offset| hart.ram().read::<u64>(at(page, offset));
        assert_eq!(read(8), Some(page + 9));
        // 0, 5 + 7, (12 ^ 5) + 7, (16 ^ 5) + 7.
        assert_eq!(read(16), Some(28));
        assert_eq!(read(24), Some(0x8000_0000), "nothing behind the word");
        assert_eq!(read(32), Some(5), "from 5 each time");
    }
    let registers = [10, 11, 12, 13, 14].map(|index| hart.x(index));
    assert_eq!(registers, [1032, 28, 21, 0x7fff_ffff, 0xffff_ffff_8000_0000]);
}

/// Stores to code and jumps into it, in sixteen pages by turns.
#[test]
fn code_that_was_overwritten_is_decoded_anew() {
    // A function of each page returns what was stored into its first instruction: li a0, number.
    let mut hart = hart(
        "
        li s2, 0
        li s3, 300
    loop:
        slli a1, s2, 20
        li a2, 0x513
        or a1, a1, a2
        li a2, 0x80010000
        slli a2, a2, 32
        srli a2, a2, 32
        andi a3, s2, 15
        slli a3, a3, 12
        add a2, a2, a3
        sw a1, 0(a2)
        fence.i
        jalr a2
        bne a0, s2, bad
        addi s2, s2, 1
        bne s2, s3, loop
        li s4, 1
        j end
    bad:
        li s4, 2
    end:
        j end
        ",
    );
    for page in 0..16 {
        hart.ram().write(Pa(BASE + 0x1_0000 + page * 0x1000 + 4), 0x8082u16).expect("RAM");
    }
    hart.run(&mut Empty, 20_000);
    assert_eq!((hart.x(20), hart.x(18)), (1, 300));
    assert_eq!(hart.x(8), DATA);
}

/// Jumps through a table that lies in the data, whose order no history of jumps tells: guesses are wrong as often as right.
#[test]
fn jumps_go_where_their_registers_say_whatever_was_guessed() {
    const TURNS: u64 = 10_000;
    let mut hart = hart(
        "
        la s2, near
        la s3, far
        la s4, farther
        li s5, 0x2545f4914f6cdd1d
        li a0, 0
    loop:
        slli t0, s1, 13
        xor s1, s1, t0
        srli t0, s1, 7
        xor s1, s1, t0
        slli t0, s1, 17
        xor s1, s1, t0
        mul t0, s1, s5
        srli t1, t0, 62
        slli t1, t1, 3
        mv t2, s2
        bltz s1, which
        mv t2, s3
        slli t3, s1, 1
        bltz t3, which
        mv t2, s4
    which:
        add t2, t2, t1
        addi a1, a1, 1
        jalr ra, 0(t2)
        bne a1, a2, loop
    end:
        j end
    near:
        addi a0, a0, 1
        ret
        xor a0, a0, a1
        ret
        slli a0, a0, 1
        ret
        add a0, a0, a1
        ret
        .align 12
    far:
        addi a0, a0, 3
        ret
        sub a0, a0, a1
        ret
        xori a0, a0, 5
        ret
        srli a0, a0, 1
        ret
        .align 12
    farther:
        addi a0, a0, 7
        ret
        not a0, a0
        ret
        slli a0, a0, 3
        ret
        addi a0, a0, -9
        ret
        ",
    );
    hart.set_x(9, 1);
    hart.set_x(12, TURNS);
    hart.run(&mut Empty, 400_000);
    let (mut expected, mut state) = (0u64, 1u64);
    for turn in 1..=TURNS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let drawn = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let page = if state >> 63 != 0 { 0 } else { 2 - (state >> 62) };
        expected = match (page, drawn >> 62) {
            (0, 0) => expected.wrapping_add(1),
            (0, 1) => expected ^ turn,
            (0, 2) => expected << 1,
            (0, _) => expected.wrapping_add(turn),
            (1, 0) => expected.wrapping_add(3),
            (1, 1) => expected.wrapping_sub(turn),
            (1, 2) => expected ^ 5,
            (1, _) => expected >> 1,
            (_, 0) => expected.wrapping_add(7),
            (_, 1) => !expected,
            (_, 2) => expected << 3,
            (_, _) => expected.wrapping_sub(9),
        };
    }
    assert_eq!((hart.x(11), hart.x(10)), (TURNS, expected));
}
