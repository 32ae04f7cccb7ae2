//! What random code does, an item at a time: a few words that make sense together and can be left
//! out without harm to the others.

use isa::csr::{HGATP, SATP, VSATP};
use isa::field::{hstatus, mstatus};
use isa::insn::INSTRUCTIONS;
use isa::insn::pattern::Operands;
use isa::{ExtSet, Mode, Op};

use super::code::{C_NOP, compressed, csr, ecall, encode, i, li, pair, r, reg, s};
use super::csrs;
use super::handlers::Service;
use super::rng::Rng;
use super::tables::Stage;
use super::world::{Change, Current, Through, World};

/// A few words that belong together.
pub(super) type Item = Vec<u32>;

/// What generates items, and what it knows of the place they are for.
pub(super) struct Items<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) world: &'a mut World,
    pub(super) arithmetic: &'a [Op],
    pub(super) mode: Mode,
    pub(super) current: Current,
    /// HLV and HSV are meant to act as VU.
    pub(super) guest_user: bool,
    /// The code runs through an alias, and so through PTEs that it must not change: between the
    /// store and the fence, any fetch may go by either value.
    pub(super) aliased: bool,
    /// The mode is certainly this one.
    pub(super) sure: bool,
    /// Of each pointer register: whether also the next page is certainly mapped.
    pub(super) wide: [bool; 8],
    /// Per G-stage space and for none: VS-stage fences that are owed when it is entered.
    pub(super) owed: &'a mut Vec<bool>,
}

/// Instructions that only compute, of a hart with `exts`.
pub(super) fn arithmetic(exts: &ExtSet) -> Vec<Op> {
    let computes = |operands: &str| {
        let word = |word: &str| {
            matches!(
                word.trim(),
                "rd" | "rs1"
                    | "rs2"
                    | "imm"
                    | "shamt"
                    | "imm20"
                    | "frd"
                    | "frs1"
                    | "frs2"
                    | "frs3"
                    | "'rm"
                    | "'rtz"
                    | "constant"
            )
        };
        operands.starts_with("rd") || operands.starts_with("frd") && operands.split(',').all(word)
    };
    INSTRUCTIONS
        .iter()
        .filter(|row| row.is_in(exts) && computes(row.operands))
        .filter(|row| row.operands.split(',').all(|word| !word.contains(['(', '.'])))
        .filter(|row| !row.operands.contains("csr") && !row.operands.contains("target"))
        .map(|row| row.op)
        .collect()
}

impl Items<'_> {
    /// The next item of a segment.
    pub(super) fn item(&mut self) -> Item {
        use Kind::*;
        let guest = self.mode.v();
        let user = matches!(self.mode, Mode::U | Mode::VU);
        let kinds = &[
            (20, Compute),
            (30, Access),
            (10, CompressedAccess),
            (8, Atomic),
            (4, Reserved),
            (3, CacheBlock),
            (if guest { 1 } else { 34 }, GuestAccess),
            (if user { 1 } else { 6 }, Fence),
            (if user { 3 } else { 6 }, ReadCsr),
            (if user { 2 } else { 8 }, WriteCsr),
            (2, Call),
            (1, Illegal),
            (3, Branch),
            (3, Loop),
            (if user || self.aliased { 0 } else { 5 }, ChangePte),
            (if user { 0 } else { 4 }, Inject),
            (1, Wait),
            (if user { 0 } else { 2 }, Return),
            (if user || !self.sure { 0 } else { 2 }, SwitchSpace),
            (if self.mode == Mode::M { 3 } else { 0 }, Pretend),
            (8, Pointer),
            (1, Straddle),
        ];
        match self.rng.weighted(kinds) {
            Compute => vec![self.compute()],
            Access => self.access(),
            CompressedAccess => self.compressed_access(),
            Atomic => self.atomic(),
            Reserved => self.reserved(),
            CacheBlock => self.cache_block(),
            GuestAccess => self.guest_access(),
            Fence => vec![self.fence()],
            ReadCsr => csrs::read(self.rng, self.mode),
            WriteCsr => csrs::write(self.rng, self.mode),
            Call => self.call(),
            Illegal => vec![self.illegal()],
            Branch => self.branch(),
            Loop => self.repeat(),
            ChangePte => self.change(),
            Inject => csrs::inject(self.rng, self.mode),
            Wait => csrs::wait(self.mode),
            Return => self.xret(),
            SwitchSpace => self.switch_space(),
            Pretend => self.pretend(),
            Pointer => self.pointer(),
            Straddle => self.straddle(),
        }
    }

    /// Points a register somewhere.
    pub(super) fn pointer(&mut self) -> Item {
        let index = self.rng.below(reg::POINTERS.into()) as u8;
        self.point(index)
    }

    /// Points the register `index` somewhere: the first four to what the mode's own accesses reach,
    /// the others to what HLV and HSV reach.
    pub(super) fn point(&mut self, index: u8) -> Item {
        let for_guest = index >= reg::OWN_POINTERS;
        let user = matches!(self.mode, Mode::U | Mode::VU);
        let either = self.guest_user ^ self.rng.chance(5);
        let own = user ^ self.rng.chance(4);
        let (through, user) = match self.mode {
            Mode::VS | Mode::VU => (Through::Both, own),
            _ if for_guest => (Through::Both, either),
            Mode::S | Mode::U => (Through::S, own),
            // As MPRV may have it.
            Mode::M => match self.rng.below(3) {
                0 => (Through::Nothing, false),
                1 => (Through::S, either),
                _ => (Through::Both, either),
            },
        };
        let (address, wide) = self.world.pointer(self.rng, self.current, through, user);
        self.wide[usize::from(index)] = wide;
        li(reg::POINTER + index, address)
    }

    fn free(&mut self) -> u8 {
        self.rng.pick(&reg::FREE)
    }

    /// A pointer for the mode's own accesses.
    fn any_pointer(&mut self) -> u8 {
        let count = if self.rng.chance(4) { reg::POINTERS } else { reg::OWN_POINTERS };
        reg::POINTER + self.rng.below(count.into()) as u8
    }

    /// A pointer for HLV and HSV.
    fn guest_pointer(&mut self) -> u8 {
        let first = if self.rng.chance(6) { 0 } else { reg::OWN_POINTERS };
        reg::POINTER + first + self.rng.below((reg::POINTERS - first).into()) as u8
    }

    /// An instruction that only computes.
    fn compute(&mut self) -> u32 {
        let op = self.rng.pick(self.arithmetic);
        let row = op.row();
        loop {
            let rd = match row.operands.starts_with("rd") {
                true => self.free(),
                false => self.rng.below(32) as u8,
            };
            let imm = match row.pattern.fields().iter().any(|field| field.shift >= 12) {
                true => (self.rng.next() as i32) & !0xfff,
                false => (self.rng.below(4096) as i32) - 2048,
            };
            let imm = if row.operands.contains("shamt") { imm & 63 } else { imm };
            let operands = Operands {
                rd,
                rs1: self.rng.below(32) as u8,
                rs2: self.rng.below(32) as u8,
                rs3: self.rng.below(32) as u8,
                rm: self.rng.pick(&[0, 1, 2, 3, 4, 7, 7, 7]),
                imm,
                aq: false,
                rl: false,
            };
            let bits = row.pattern.insert(&operands);
            if row.pattern.extract(bits).is_some() {
                return bits;
            }
        }
    }

    /// A place in the page of a pointer: an offset and whether it is aligned.
    fn offset(&mut self, bytes: u64, pointer: u8, store: bool) -> i32 {
        let wide = self.wide[usize::from(pointer - reg::POINTER)];
        let within = match self.rng.below(20) {
            // Across the end of the page. Where the second page faults, Spike has stored to the
            // first one by then, and we have not.
            0 if bytes > 1 && (wide || !store) => 4096 - 1 - self.rng.below(bytes - 1),
            1 | 2 => self.rng.below(4096 - bytes),
            // Close together, so that loads meet what was stored.
            3..=12 => (2048 + self.rng.below(64)) & !(bytes - 1),
            _ => self.rng.below(4096) & !(bytes - 1),
        };
        within as i32 - 2048
    }

    fn access(&mut self) -> Item {
        use Op::*;
        let (op, bytes) = self.rng.pick(&[
            (Lb, 1),
            (Lbu, 1),
            (Lh, 2),
            (Lhu, 2),
            (Lw, 4),
            (Lwu, 4),
            (Ld, 8),
            (Ld, 8),
            (Flh, 2),
            (Flw, 4),
            (Fld, 8),
            (Fld, 8),
            (Sb, 1),
            (Sh, 2),
            (Sw, 4),
            (Sd, 8),
            (Sd, 8),
            (Fsh, 2),
            (Fsw, 4),
            (Fsd, 8),
        ]);
        let pointer = self.any_pointer();
        let store = matches!(op, Sb | Sh | Sw | Sd | Fsh | Fsw | Fsd);
        let offset = self.offset(bytes, pointer, store);
        vec![match op {
            Flh | Flw | Fld => i(op, self.rng.below(32) as u8, pointer, offset),
            _ if store => s(op, self.rng.below(32) as u8, pointer, offset),
            _ => i(op, self.free(), pointer, offset),
        }]
    }

    /// A compressed load or store, in either half of its word.
    fn compressed_access(&mut self) -> Item {
        let (name, unit, limit) = self.rng.pick(&[
            ("c.lw", 4, 128),
            ("c.ld", 8, 256),
            ("c.fld", 8, 256),
            ("c.lbu", 1, 4),
            ("c.lhu", 2, 4),
            ("c.lh", 2, 4),
            ("c.sw", 4, 128),
            ("c.sd", 8, 256),
            ("c.fsd", 8, 256),
            ("c.sb", 1, 4),
            ("c.sh", 2, 4),
            ("c.lwsp", 4, 256),
            ("c.ldsp", 8, 512),
            ("c.swsp", 4, 256),
            ("c.sdsp", 8, 512),
            ("c.fldsp", 8, 512),
            ("c.fsdsp", 8, 512),
        ]);
        let imm = (self.rng.below(limit) & !(unit - 1)) as i32;
        let stack = name.ends_with("sp");
        let rs1 = if stack { 2 } else { self.any_pointer() };
        let float = name.starts_with("c.f");
        // Integer results may only go where the pointers are.
        let rd = match (float, stack) {
            (true, true) => self.rng.below(32) as u8,
            (true, false) => 8 + self.rng.below(8) as u8,
            (false, true) => self.rng.pick(&[1, 5, 6, 7, 18, 19, 20]),
            (false, false) => rs1,
        };
        let rs2 = 8 + self.rng.below(8) as u8;
        let word = compressed(name, Operands { rd, rs1, rs2, imm, ..Operands::default() });
        let mut item = if stack {
            vec![encode(
                Op::Addi,
                Operands { rd: 2, rs1: self.any_pointer(), ..Operands::default() },
            )]
        } else {
            Item::new()
        };
        let lost = !float && !stack && name.starts_with("c.l");
        if lost {
            // The pointer is overwritten: keep it.
            item.push(i(Op::Addi, reg::T0, rs1, 0));
        }
        item.push(if self.rng.chance(50) { pair(word, C_NOP) } else { pair(C_NOP, word) });
        if lost {
            let rd = self.free();
            item.push(i(Op::Addi, if rd == reg::T0 { 0 } else { rd }, rs1, 0));
            item.push(i(Op::Addi, rs1, reg::T0, 0));
        }
        item
    }

    fn atomic(&mut self) -> Item {
        use Op::*;
        let op = self.rng.pick(&[
            AmoswapW, AmoaddW, AmoxorW, AmoandW, AmoorW, AmominW, AmomaxW, AmominuW, AmomaxuW,
            AmoswapD, AmoaddD, AmoxorD, AmoandD, AmoorD, AmominD, AmomaxD, AmominuD, AmomaxuD,
            AmoswapB, AmoaddB, AmoxorH, AmoandH, AmomaxuH, AmocasW, AmocasD, AmocasQ, AmocasB,
            AmocasH,
        ]);
        // Whether a misaligned one is an access fault or a misaligned address is a choice, which
        // delegation would turn into another handler.
        let wide = op == AmocasQ;
        let rd = if wide { self.rng.pick(&[18, 20, 22, 24]) } else { self.free() };
        let rs2 = if wide { 2 * self.rng.below(13) as u8 } else { self.rng.below(26) as u8 };
        let pointer = self.any_pointer();
        let (mut item, rs1) = self.moved(pointer, true);
        let (aq, rl) = (self.rng.chance(50), self.rng.chance(50));
        item.push(encode(op, Operands { rd, rs1, rs2, aq, rl, ..Operands::default() }));
        item
    }

    /// A pointer moved by a little, mostly to an aligned address.
    fn moved(&mut self, pointer: u8, aligned: bool) -> (Item, u8) {
        match self.rng.below(10) {
            0..=4 => (Item::new(), pointer),
            5..=8 => {
                let by = self.rng.below(64) as i32 * 16;
                (vec![i(Op::Addi, reg::T0, pointer, by)], reg::T0)
            }
            _ => {
                let by = self.rng.below(64) as i32 & if aligned { !15 } else { !0 };
                (vec![i(Op::Addi, reg::T0, pointer, by)], reg::T0)
            }
        }
    }

    fn reserved(&mut self) -> Item {
        let (load, store) = self.rng.pick(&[(Op::LrW, Op::ScW), (Op::LrD, Op::ScD)]);
        let pointer = self.any_pointer();
        let operands = Operands { rs1: pointer, ..Operands::default() };
        let mut item = vec![encode(load, Operands { rd: self.free(), ..operands })];
        if self.rng.chance(30) {
            item.push(self.compute());
        }
        let rs2 = self.rng.below(26) as u8;
        item.push(encode(store, Operands { rd: self.free(), rs2, ..operands }));
        if self.rng.chance(20) {
            // Without a reservation.
            item.push(encode(store, Operands { rd: self.free(), rs2, ..operands }));
        }
        item
    }

    fn cache_block(&mut self) -> Item {
        let op =
            self.rng.pick(&[Op::CboInval, Op::CboClean, Op::CboFlush, Op::CboZero, Op::CboZero]);
        let pointer = self.any_pointer();
        let mut item = Item::new();
        let mut rs1 = pointer;
        if self.rng.chance(40) {
            // Whole blocks: Spike reports a faulting CBO.ZERO's block, not its address.
            item.push(i(Op::Addi, reg::T0, pointer, 64 * self.rng.below(16) as i32));
            rs1 = reg::T0;
        }
        item.push(encode(op, Operands { rs1, ..Operands::default() }));
        item
    }

    /// HLV, HLVX, HSV.
    fn guest_access(&mut self) -> Item {
        use Op::*;
        let op = self.rng.pick(&[
            HlvB, HlvBu, HlvH, HlvHu, HlvW, HlvWu, HlvD, HlvD, HlvxHu, HlvxWu, HlvxWu, HsvB, HsvH,
            HsvW, HsvD, HsvD,
        ]);
        let pointer = self.guest_pointer();
        let (mut item, rs1) = self.moved(pointer, false);
        let store = matches!(op, HsvB | HsvH | HsvW | HsvD);
        let rd = if store { 0 } else { self.free() };
        let rs2 = if store { self.rng.below(32) as u8 } else { 0 };
        item.push(r(op, rd, rs1, rs2));
        item
    }

    /// A fence that orders more than it must.
    fn fence(&mut self) -> u32 {
        use Op::*;
        let supervisor =
            [SfenceVma, SfenceVma, SinvalVma, SfenceWInval, SfenceInvalIr, FenceI, Fence];
        let hypervisor = [
            SfenceVma,
            SfenceVma,
            SinvalVma,
            HfenceVvma,
            HfenceVvma,
            HfenceGvma,
            HfenceGvma,
            HinvalVvma,
            HinvalGvma,
            SfenceWInval,
            SfenceInvalIr,
            FenceI,
            Fence,
            WrsSto,
        ];
        let narrow = self.mode.v() && self.rng.chance(85);
        let op = if narrow { self.rng.pick(&supervisor) } else { self.rng.pick(&hypervisor) };
        let operand = |rng: &mut Rng| if rng.chance(50) { 0 } else { rng.below(26) as u8 };
        let (rs1, rs2) = (operand(self.rng), operand(self.rng));
        let imm = if op == Fence { self.rng.pick(&[0xff, 0x33, 0x83, 0x10]) } else { 0 };
        encode(op, Operands { rs1, rs2, imm, ..Operands::default() })
    }

    /// An ECALL that nobody serves, or an EBREAK.
    fn call(&mut self) -> Item {
        let operands = Operands::default();
        match self.rng.below(4) {
            0 => vec![encode(Op::Ebreak, operands)],
            1 => vec![pair(compressed("c.ebreak", operands), C_NOP)],
            _ => vec![i(Op::Addi, reg::A7, 0, self.rng.below(16) as i32), ecall()],
        }
    }

    /// A word that is no instruction here, or not in this mode.
    fn illegal(&mut self) -> u32 {
        let random = self.rng.next() as u32;
        match self.rng.below(6) {
            0 => 0,
            1 => u32::MAX,
            // custom-0 to custom-3.
            2 => random & !0x7f | self.rng.pick(&[0x0b, 0x2b, 0x5b, 0x7b]),
            // Vector arithmetic.
            3 => random & !0x7f | 0x57,
            // A reserved SYSTEM function.
            4 => 0x0000_4073 | random & 0x0fff_8000,
            // MRET and SRET where they trap; MNRET, DRET.
            _ => match self.mode {
                Mode::U | Mode::VU => 0x1020_0073,
                Mode::S | Mode::VS => 0x3020_0073,
                Mode::M => self.rng.pick(&[0x7020_0073, 0x7b20_0073]),
            },
        }
    }

    /// A branch over a few instructions.
    fn branch(&mut self) -> Item {
        use Op::*;
        let over: Item = (0..1 + self.rng.below(3)).map(|_| self.compute()).collect();
        let distance = 4 + 4 * over.len() as i32;
        let first = match self.rng.below(4) {
            0 => i(Jal, self.rng.pick(&[0, 1]), 0, distance),
            _ => {
                let op = self.rng.pick(&[Beq, Bne, Blt, Bge, Bltu, Bgeu]);
                s(op, self.rng.below(32) as u8, self.rng.below(32) as u8, distance)
            }
        };
        [vec![first], over].concat()
    }

    /// Something twice or thrice.
    fn repeat(&mut self) -> Item {
        let mut body = match self.rng.below(3) {
            0 => self.access(),
            1 => self.guest_access(),
            _ => vec![self.fence()],
        };
        body.extend((0..self.rng.below(3)).map(|_| self.compute()));
        // The counter must survive what is in it.
        let counter = 25;
        if body.iter().any(|word| word >> 7 & 31 == counter) {
            return body;
        }
        let counter = counter as u8;
        let mut item = vec![i(Op::Addi, counter, 0, 2 + self.rng.below(2) as i32)];
        let back = 4 * (body.len() as i32 + 1);
        item.append(&mut body);
        item.push(i(Op::Addi, counter, counter, -1));
        item.push(s(Op::Bne, 0, counter, -back));
        item
    }

    /// A PTE gets another value, and whatever fence that takes.
    fn change(&mut self) -> Item {
        let stage = match self.mode {
            Mode::VS => Stage::Vs,
            _ => self.rng.pick(&[Stage::S, Stage::Vs, Stage::G]),
        };
        let Some(change) = self.world.change(self.rng, stage) else { return Item::new() };
        if stage == Stage::Vs || change.of_tables {
            // For other virtual machines, when they are entered.
            let here = self.current.g.map_or(self.owed.len() - 1, |g| g);
            for (g, owed) in self.owed.iter_mut().enumerate() {
                *owed |= g != here || self.current.g_unknown;
            }
        }
        let mut item = li(reg::T0, change.at);
        item.extend(li(reg::T1, change.value));
        // Should anything of this trap, M fences.
        item.push(i(Op::Addi, reg::T2, reg::TP, 0));
        for slot in 0..change.count as i32 {
            item.push(s(Op::Sd, reg::T1, reg::T0, 8 * slot));
        }
        let serve = [i(Op::Addi, reg::A7, 0, Service::Fence as i32), ecall()];
        if self.sure && self.rng.chance(85) {
            item.extend(self.fence_for(&change));
            if change.of_tables {
                // What walks have found in those tables is no G-stage translation, and may outlive
                // HFENCE.GVMA.
                item.push(r(Op::HfenceVvma, 0, 0, 0));
            }
            let over = 4 + 4 * serve.len() as i32;
            item.push(s(Op::Beq, reg::TP, reg::T2, over));
        }
        item.extend(serve);
        item
    }

    /// The fence that a change of a PTE takes; as narrow as it may be, or wider.
    fn fence_for(&mut self, change: &Change) -> Item {
        use Op::*;
        let guest = self.mode.v();
        let (fence, invalidate) = match change.stage {
            Stage::S => (SfenceVma, SinvalVma),
            // VS fences its own tables with what HS has for its own.
            Stage::Vs if guest => (SfenceVma, SinvalVma),
            Stage::Vs => (HfenceVvma, HinvalVvma),
            Stage::G => (HfenceGvma, HinvalGvma),
        };
        let mut item = Item::new();
        let (mut rs1, mut rs2) = (0, 0);
        if let Some(va) = change.va.filter(|_| self.rng.chance(60)) {
            let shift = if change.stage == Stage::G { 2 } else { 0 };
            item.extend(li(reg::T0, va >> shift));
            rs1 = reg::T0;
        }
        if self.rng.chance(40) {
            // Bits above ASIDLEN and VMIDLEN are ignored.
            let tag = change.tag | if change.stage == Stage::G { 0 } else { 1 << 20 };
            item.extend(li(reg::T1, tag));
            rs2 = reg::T1;
        }
        if self.rng.chance(30) {
            item.push(encode(SfenceWInval, Operands::default()));
            item.push(r(invalidate, 0, rs1, rs2));
            item.push(encode(SfenceInvalIr, Operands::default()));
        } else {
            item.push(r(fence, 0, rs1, rs2));
        }
        item
    }

    /// MRET or SRET to the next instruction, in whatever mode.
    fn xret(&mut self) -> Item {
        use isa::csr::{HSTATUS, MEPC, MSTATUS, SEPC, SSTATUS};
        let machine = self.mode == Mode::M && self.rng.chance(60);
        let mut item = Item::new();
        let flip = |rng: &mut Rng, item: &mut Item, number: u16, bits: u64| {
            let op = rng.pick(&[Op::Csrrs, Op::Csrrs, Op::Csrrc]);
            item.extend(li(reg::T0, bits));
            item.push(csr(op, 0, number, reg::T0));
        };
        if machine {
            let op = self.rng.pick(&[Op::Csrrs, Op::Csrrc]);
            item.extend(li(reg::T0, mstatus::MPP));
            item.push(csr(Op::Csrrc, 0, MSTATUS, reg::T0));
            let mpp = self.rng.pick(&[0, 1, 1, 1, 3]);
            item.extend(li(reg::T0, mpp << mstatus::MPP_SHIFT));
            item.push(csr(Op::Csrrs, 0, MSTATUS, reg::T0));
            item.extend(li(reg::T0, mstatus::MPV));
            item.push(csr(op, 0, MSTATUS, reg::T0));
        } else {
            flip(self.rng, &mut item, SSTATUS, mstatus::SPP);
            if !self.mode.v() {
                flip(self.rng, &mut item, HSTATUS, hstatus::SPV);
            }
        }
        let (epc, ret) = if machine { (MEPC, Op::Mret) } else { (SEPC, Op::Sret) };
        item.push(i(Op::Auipc, reg::T0, 0, 0));
        item.push(i(Op::Addi, reg::T0, reg::T0, 16));
        item.push(csr(Op::Csrrw, 0, epc, reg::T0));
        item.push(encode(ret, Operands::default()));
        self.sure = false;
        item
    }

    /// Other page tables, from the next instruction on.
    fn switch_space(&mut self) -> Item {
        let mut item = Item::new();
        self.current.unknown = true;
        match self.rng.below(5) {
            _ if self.mode == Mode::VS => {
                self.current.vs = self.world.choose(self.rng, Stage::Vs);
                item.extend(csrs::set(SATP, self.world.atp(Stage::Vs, self.current.vs)));
            }
            0 | 1 => {
                self.current.s = self.world.choose(self.rng, Stage::S);
                item.extend(csrs::set(SATP, self.world.atp(Stage::S, self.current.s)));
            }
            2 | 3 => {
                self.current.vs = self.world.choose(self.rng, Stage::Vs);
                item.extend(csrs::set(VSATP, self.world.atp(Stage::Vs, self.current.vs)));
            }
            _ => {
                let g = self.world.choose(self.rng, Stage::G);
                item.push(i(Op::Addi, reg::T2, reg::TP, 0));
                item.extend(csrs::set(HGATP, self.world.atp(Stage::G, g)));
                item.push(r(Op::HfenceVvma, 0, 0, 0));
                item.push(r(Op::HfenceGvma, 0, 0, 0));
                item.push(s(Op::Beq, reg::TP, reg::T2, 12));
                item.push(i(Op::Addi, reg::A7, 0, Service::Fence as i32));
                item.push(ecall());
                self.current.g = g;
                self.current.g_unknown = true;
            }
        }
        item
    }

    /// Another MPP and MPV, which loads and stores of M go by while MPRV is set; and MPRV.
    fn pretend(&mut self) -> Item {
        use isa::csr::MSTATUS;
        let mut item = li(reg::T0, mstatus::MPP | mstatus::MPV | mstatus::MPRV);
        item.push(csr(Op::Csrrc, 0, MSTATUS, reg::T0));
        let mut bits = self.rng.pick(&[0, 1, 1, 3]) << mstatus::MPP_SHIFT;
        bits |= if self.rng.chance(70) { mstatus::MPRV } else { 0 };
        bits |= if self.rng.chance(50) { mstatus::MPV } else { 0 };
        item.extend(li(reg::T0, bits));
        item.push(csr(Op::Csrrs, 0, MSTATUS, reg::T0));
        item
    }

    /// Words half a word off, one of which may lie across the end of a page.
    fn straddle(&mut self) -> Item {
        let mut item = Item::new();
        let mut before = C_NOP;
        for _ in 0..6 + self.rng.below(10) {
            let word = self.compute();
            // They must not trap: a handler would go on in the middle of the next one.
            let word = match word & 0x7f {
                0x13 | 0x33 => word,
                _ => r(Op::Add, reg::T0, reg::T1, reg::T2),
            };
            item.push(pair(before, word as u16));
            before = (word >> 16) as u16;
        }
        item.push(pair(before, C_NOP));
        item
    }
}

/// The kinds of items.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Compute,
    Access,
    CompressedAccess,
    Atomic,
    Reserved,
    CacheBlock,
    GuestAccess,
    Fence,
    ReadCsr,
    WriteCsr,
    Call,
    Illegal,
    Branch,
    Loop,
    ChangePte,
    Inject,
    Wait,
    Return,
    SwitchSpace,
    Pretend,
    Pointer,
    Straddle,
}
