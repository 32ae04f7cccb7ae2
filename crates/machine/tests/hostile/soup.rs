//! Code that means no good: any instruction with any operands, and short sequences that get far
//! enough into a device, the firmware or a privileged register to do harm.

use isa::insn::INSTRUCTIONS;
use isa::insn::pattern::Operands;
use isa::{Op, csr};
use machine::Board;
use machine::board::Part;

use crate::place;
use crate::rng::Rng;

/// Registers for addresses and values of a sequence.
const T0: u8 = 5;
const T1: u8 = 6;

/// Machine code, item after item.
pub(crate) struct Soup<'a> {
    rng: &'a mut Rng,
    board: &'a Board,
    bytes: Vec<u8>,
}

/// `bytes` of code.
pub(crate) fn code(rng: &mut Rng, board: &Board, bytes: usize) -> Vec<u8> {
    let mut soup = Soup { rng, board, bytes: Vec::new() };
    while soup.bytes.len() < bytes {
        soup.item();
    }
    soup.bytes.truncate(bytes);
    soup.bytes
}

/// What privileged code and the hypervisor extension are made of.
const PRIVILEGED: &[Op] = &[
    Op::Mret,
    Op::Sret,
    Op::Wfi,
    Op::Ecall,
    Op::Ebreak,
    Op::SfenceVma,
    Op::HfenceVvma,
    Op::HfenceGvma,
    Op::SinvalVma,
    Op::HinvalVvma,
    Op::HinvalGvma,
    Op::SfenceWInval,
    Op::SfenceInvalIr,
    Op::HlvB,
    Op::HlvHu,
    Op::HlvW,
    Op::HlvD,
    Op::HlvxHu,
    Op::HlvxWu,
    Op::HsvB,
    Op::HsvD,
    Op::FenceI,
    Op::WrsNto,
    Op::WrsSto,
    Op::LrD,
    Op::ScD,
    Op::AmocasQ,
    Op::AmoaddD,
    Op::CboZero,
    Op::CboInval,
    Op::CboClean,
    Op::CboFlush,
];

/// The extensions of SBI, version 0.1 included.
const SBI: &[u64] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x54494d45, // TIME
    0x735049,   // sPI
    0x52464e43, // RFNC
    0x48534d,   // HSM
    0x53525354, // SRST
    0x504d55,   // PMU
    0x4442434e, // DBCN
    0x53555350, // SUSP
    0x43505043, // CPPC
    0x4e41434c, // NACL
    0x535441,   // STA
    0x535345,   // SSE
    0x46574654, // FWFT
    0x44425452, // DBTR
    0x4d505859, // MPXY
];

impl Soup<'_> {
    fn word(&mut self, word: u32) {
        self.bytes.extend(word.to_le_bytes());
    }

    fn op(&mut self, op: Op, operands: Operands) {
        let word = op.row().pattern.insert(&operands);
        self.word(word);
    }

    fn op_i(&mut self, op: Op, rd: u8, rs1: u8, imm: i32) {
        self.op(op, Operands { rd, rs1, imm, ..Operands::default() });
    }

    fn op_s(&mut self, op: Op, rs1: u8, rs2: u8, imm: i32) {
        self.op(op, Operands { rs1, rs2, imm, ..Operands::default() });
    }

    /// Loads a constant, twelve bits at a time.
    fn li(&mut self, rd: u8, value: u64) {
        let value = value as i64;
        if let Ok(small) = i32::try_from(value) {
            let low = small << 20 >> 20;
            let high = small.wrapping_sub(low);
            if high != 0 {
                self.op(Op::Lui, Operands { rd, imm: high, ..Operands::default() });
                self.op_i(Op::Addiw, rd, rd, low);
            } else {
                self.op_i(Op::Addi, rd, 0, low);
            }
            return;
        }
        let low = value << 52 >> 52;
        self.li(rd, (value.wrapping_sub(low) >> 12) as u64);
        self.op_i(Op::Slli, rd, rd, 12);
        self.op_i(Op::Addi, rd, rd, low as i32);
    }

    fn value(&mut self) -> u64 {
        place::value(self.rng, self.board)
    }

    fn register(&mut self) -> u8 {
        self.rng.below(32) as u8
    }

    fn item(&mut self) {
        match self.rng.below(100) {
            0..=19 => {
                let op = INSTRUCTIONS[self.rng.below(INSTRUCTIONS.len() as u64) as usize].op;
                self.any_operands(op);
            }
            20..=31 => {
                let op = self.rng.pick(PRIVILEGED);
                self.any_operands(op);
            }
            32..=37 => {
                let pair = self.rng.next() as u32;
                // Neither half begins a longer instruction, most of the time.
                let short = self.rng.chance(90);
                self.word(if short { pair & !0x0002_0002 } else { pair });
            }
            38..=39 => {
                let word = self.rng.next() as u32;
                self.word(word);
            }
            40..=51 => self.csr(),
            52..=57 => {
                let (rd, value) = (self.register(), self.value());
                self.li(rd, value);
            }
            58..=67 => self.device(),
            68..=77 => self.sbi(),
            78..=82 => self.leave(),
            83..=86 => self.virtio(),
            87..=89 => self.jump(),
            90..=92 => self.atomic(),
            93..=94 => self.htif(),
            _ => self.store(),
        }
    }

    fn any_operands(&mut self, op: Op) {
        let operands = Operands {
            rd: self.register(),
            rs1: self.register(),
            rs2: self.register(),
            rs3: self.register(),
            rm: self.rng.below(8) as u8,
            imm: self.rng.number() as i32,
            aq: self.rng.chance(50),
            rl: self.rng.chance(50),
        };
        self.op(op, operands);
    }

    fn csr(&mut self) {
        let number = match self.rng.below(8) {
            0 => self.rng.below(4096) as u16,
            1..=3 => self.rng.pick(&[
                csr::SATP,
                csr::VSATP,
                csr::HGATP,
                csr::MSTATUS,
                csr::SSTATUS,
                csr::HSTATUS,
                csr::VSSTATUS,
                csr::STIMECMP,
                csr::VSTIMECMP,
                csr::HTIMEDELTA,
                csr::MIP,
                csr::MIE,
                csr::HVIP,
            ]),
            _ => {
                let skipped = self.rng.below(csr::all().count() as u64) as usize;
                csr::all().nth(skipped).map_or(0, |row| row.number)
            }
        };
        if self.rng.chance(70) {
            let value = self.value();
            self.li(T1, value);
        }
        let op = self.rng.pick(&[
            Op::Csrrw,
            Op::Csrrw,
            Op::Csrrs,
            Op::Csrrc,
            Op::Csrrwi,
            Op::Csrrsi,
            Op::Csrrci,
        ]);
        let rs1 = if self.rng.chance(80) { T1 } else { self.register() };
        let rd = self.register();
        self.op_i(op, rd, rs1, number.into());
    }

    /// An access to a device.
    fn device(&mut self) {
        let address = place::register(self.rng, self.board);
        self.li(T0, address);
        let value = self.value();
        self.li(T1, value);
        let op = self.rng.pick(&[Op::Sb, Op::Sh, Op::Sw, Op::Sw, Op::Sd, Op::Ld, Op::Lw, Op::Lbu]);
        match op {
            Op::Ld | Op::Lw | Op::Lbu => self.op_i(op, T1, T0, 0),
            _ => self.op_s(op, T0, T1, 0),
        }
    }

    /// A call of the firmware, most often one that exists.
    fn sbi(&mut self) {
        let extension = if self.rng.chance(95) { self.rng.pick(SBI) } else { self.value() };
        self.li(17, extension);
        let function = if self.rng.chance(95) { self.rng.below(9) } else { self.value() };
        self.li(16, function);
        for register in 10..16 {
            if self.rng.chance(75) {
                let small = self.rng.chance(35);
                let value = if small { self.rng.below(16) } else { self.value() };
                self.li(register, value);
            }
        }
        self.op(Op::Ecall, Operands::default());
    }

    /// A return from a trap that never was.
    fn leave(&mut self) {
        let machine = self.rng.chance(50);
        let target = if self.rng.chance(85) { place::code(self.rng) } else { self.value() };
        self.li(T0, target);
        let (epc, ret) = if machine { (csr::MEPC, Op::Mret) } else { (csr::SEPC, Op::Sret) };
        self.op_i(Op::Csrrw, 0, T0, epc.into());
        self.op(ret, Operands::default());
    }

    fn jump(&mut self) {
        let target = if self.rng.chance(85) { place::code(self.rng) } else { self.value() };
        self.li(T0, target);
        let rd = self.register();
        self.op_i(Op::Jalr, rd, T0, 0);
    }

    fn atomic(&mut self) {
        let address =
            place::address(self.rng, self.board) & if self.rng.chance(90) { !7 } else { !0 };
        self.li(T0, address);
        let op = self.rng.pick(&[
            Op::AmoswapW,
            Op::AmoaddD,
            Op::AmocasW,
            Op::AmocasD,
            Op::AmocasQ,
            Op::LrW,
            Op::ScW,
            Op::LrD,
            Op::ScD,
            Op::AmomaxuB,
            Op::CboZero,
        ]);
        let (rd, rs2) = (self.register(), self.register());
        self.op(op, Operands { rd, rs1: T0, rs2, ..Operands::default() });
    }

    fn store(&mut self) {
        let address = place::address(self.rng, self.board);
        self.li(T0, address);
        if self.rng.chance(60) {
            let value = self.value();
            self.li(T1, value);
        }
        let op = self.rng.pick(&[Op::Sb, Op::Sh, Op::Sw, Op::Sd, Op::Fsd, Op::HsvD, Op::HsvW]);
        match op {
            Op::HsvD | Op::HsvW => {
                self.op(op, Operands { rs1: T0, rs2: T1, ..Operands::default() });
            }
            _ => self.op_s(op, T0, T1, 0),
        }
    }

    /// A request of HTIF: a call whose block is hostile, or none at all.
    fn htif(&mut self) {
        if self.rng.chance(60) {
            self.li(T0, place::CALL_BLOCK);
            for word in 0..4 {
                let value = match word {
                    0 => self.rng.pick(&[64, 93, 64, 57]),
                    1 if self.rng.chance(70) => 1,
                    _ => self.value(),
                };
                self.li(T1, value);
                self.op_s(Op::Sd, T0, T1, 8 * word);
            }
        }
        self.li(T0, place::TOHOST);
        let request = match self.rng.below(4) {
            0 | 1 => place::CALL_BLOCK,
            // An odd one would end the run.
            2 => self.value() & !1,
            _ => 1 << 56 | self.rng.below(2) << 48 | self.rng.below(256),
        };
        self.li(T1, request);
        self.op_s(Op::Sd, T0, T1, 0);
        if self.rng.chance(30) {
            self.li(T0, place::FROMHOST);
            self.op_s(Op::Sd, T0, 0, 0);
        }
    }

    /// A driver that gets a queue running, and what it does with it.
    fn virtio(&mut self) {
        let slot = self.rng.below(8) as u8;
        let Some(region) = self.board.region(Part::Virtio(slot)) else { return };
        self.li(T0, region.base.0);
        let set = |soup: &mut Self, offset: i32, value: u64| {
            soup.li(T1, value);
            soup.op_s(Op::Sw, T0, T1, offset);
        };
        set(self, 0x70, 0);
        set(self, 0x70, 3);
        let optional = self.rng.next() & 0x3000_0000;
        for (select, features) in [(1, 1), (0, if self.rng.chance(80) { optional } else { 0 })] {
            set(self, 0x24, select);
            set(self, 0x20, features);
        }
        set(self, 0x70, 0xb);
        for queue in 0..2 {
            set(self, 0x30, queue);
            let size = if self.rng.chance(80) { 1 << self.rng.below(9) } else { self.value() };
            set(self, 0x38, size);
            for (offset, part) in [(0x80, 0), (0x90, 0x2000), (0xa0, 0x4000)] {
                let here = place::RINGS + queue * 0x8000 + part;
                let address = if self.rng.chance(93) { here } else { self.value() };
                set(self, offset, address & 0xffff_ffff);
                set(self, offset + 4, address >> 32);
            }
            set(self, 0x44, 1);
        }
        set(self, 0x70, 0xf);
        for _ in 0..self.rng.below(4) {
            let queue = if self.rng.chance(90) { self.rng.below(2) } else { self.value() };
            set(self, 0x50, queue);
        }
        set(self, 0x64, 3);
    }
}
