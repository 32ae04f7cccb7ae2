//! Episodes: M sets the machine up at random and enters a chain of segments, each in a mode of its
//! own, until the last one calls for the next episode or something ends it early.

use isa::csr::*;
use isa::field::{hstatus, menvcfg, mstatus};
use isa::{Mode, Op, Privilege};

use super::code::{address, csr, csrw, ecall, encode, i, li, r, reg};
use super::csrs::{DELEGATED, DELEGATED_TO_GUESTS, STATEEN0, set};
use super::handlers::Service;
use super::items::{Item, Items};
use super::layout::{GUARDED, HS_HANDLER, M_HANDLER, PAGE, S_DATA, U_DATA, VS_HANDLER};
use super::rng::Rng;
use super::tables::Stage;
use super::world::{Current, World};

/// What runs in one mode.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) mode: Mode,
    pub(super) items: Vec<Item>,
    /// How it is entered from the segment, or the setting up, before.
    pub(super) gate: Gate,
}

/// A way from one mode to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    /// MRET to a mode; through an alias of the code that is so far away.
    Mret { to: Mode, alias: u64 },
    /// SRET of HS to a mode.
    Sret { to: Mode, alias: u64 },
    /// SRET of VS.
    GuestSret { to: Mode, alias: u64 },
    /// A call.
    Call(Service),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    pub(super) setup: Vec<Item>,
    pub(super) segments: Vec<Segment>,
}

impl Gate {
    /// How far from the code it leads; 0 for to the code itself.
    fn alias(self) -> u64 {
        match self {
            Self::Mret { alias, .. } | Self::Sret { alias, .. } | Self::GuestSret { alias, .. } => {
                alias
            }
            Self::Call(_) => 0,
        }
    }

    /// The way in for a segment at `target`.
    pub(super) fn words(self, target: u64) -> Item {
        let ret = |op| encode(op, Default::default());
        let bits = |item: &mut Item, number: u16, bits: u64, on: bool| {
            item.extend(li(reg::T0, bits));
            item.push(csr(if on { Op::Csrrs } else { Op::Csrrc }, 0, number, reg::T0));
        };
        let mut item = Item::new();
        match self {
            Self::Mret { to, alias } => {
                // Loads of what is behind MPRV and of the alias come first: t0 is needed below.
                bits(&mut item, MSTATUS, mstatus::MPP | mstatus::MPV, false);
                let mut into = (to.privilege() as u64) << mstatus::MPP_SHIFT;
                into |= if to.v() { mstatus::MPV } else { 0 };
                bits(&mut item, MSTATUS, into, true);
                item.extend(aliased(target, alias));
                item.push(csrw(MEPC, reg::T0));
                item.push(ret(Op::Mret));
            }
            Self::Sret { to, alias } | Self::GuestSret { to, alias } => {
                let supervisor = to.privilege() == Privilege::S;
                bits(&mut item, SSTATUS, mstatus::SPP, supervisor);
                if matches!(self, Self::Sret { .. }) {
                    bits(&mut item, HSTATUS, hstatus::SPV, to.v());
                }
                item.extend(aliased(target, alias));
                item.push(csrw(SEPC, reg::T0));
                item.push(ret(Op::Sret));
            }
            Self::Call(service) => {
                item.extend(address(reg::A6, target));
                item.push(i(Op::Addi, reg::A7, 0, service as i32));
                item.push(ecall());
            }
        }
        item
    }
}

/// The address of code as it is entered, in t0.
fn aliased(target: u64, alias: u64) -> Item {
    let mut item = address(reg::T0, target).to_vec();
    if alias != 0 {
        item.extend(li(reg::T1, alias));
        item.push(r(Op::Add, reg::T0, reg::T0, reg::T1));
    }
    item
}

/// The call that ends an episode.
pub(super) fn end() -> Item {
    vec![i(Op::Addi, reg::A7, 0, Service::Next as i32), ecall()]
}

/// What generates episodes, and remembers what the ones before have set.
pub(super) struct Episodes<'a> {
    pub(super) rng: Rng,
    pub(super) world: World,
    pub(super) arithmetic: &'a [Op],
    /// Hardware updates A and D in some episodes.
    pub(super) updates: bool,
    pub(super) current: Current,
    pub(super) owed: Vec<bool>,
}

impl Episodes<'_> {
    pub(super) fn episode(&mut self) -> Episode {
        let mut setup = self.setup();
        let first = self.rng.weighted(&[
            (1, Mode::M),
            (5, Mode::S),
            (2, Mode::U),
            (5, Mode::VS),
            (4, Mode::VU),
        ]);
        setup.push(self.status(first));
        let mut segments = Vec::new();
        let mut mode = first;
        let mut gate = Gate::Mret { to: first, alias: self.alias(first) };
        for _ in 0..2 + self.rng.below(5) {
            let items = self.items(mode, gate.alias() != 0);
            segments.push(Segment { mode, items, gate });
            (mode, gate) = self.next(mode);
        }
        Episode { setup, segments }
    }

    fn items(&mut self, mode: Mode, aliased: bool) -> Vec<Item> {
        let mut items = Items {
            rng: &mut self.rng,
            world: &mut self.world,
            arithmetic: self.arithmetic,
            mode,
            current: self.current,
            guest_user: false,
            aliased,
            sure: true,
            wide: [false; 8],
            owed: &mut self.owed,
        };
        items.guest_user = items.rng.chance(50);
        let mut all: Vec<Item> = (0..reg::OWN_POINTERS).map(|p| items.point(p)).collect();
        if !mode.v() {
            if matches!(mode, Mode::M | Mode::S) {
                let op = if items.guest_user { Op::Csrrc } else { Op::Csrrs };
                let mut item = li(reg::T0, hstatus::SPVP);
                item.push(csr(op, 0, HSTATUS, reg::T0));
                all.push(item);
            }
            all.extend((reg::OWN_POINTERS..reg::POINTERS).map(|p| items.point(p)));
        }
        all.extend((0..20 + items.rng.below(45)).map(|_| items.item()));
        self.current = items.current;
        all
    }

    /// The mode after `mode`, and the way to it.
    fn next(&mut self, mode: Mode) -> (Mode, Gate) {
        use Mode::{M, S, U, VS, VU};
        let call = |to| {
            (
                to,
                Gate::Call(match to {
                    M => Service::ToM,
                    S => Service::ToHs,
                    _ => Service::ToVs,
                }),
            )
        };
        match mode {
            M => {
                let to = self.rng.pick(&[S, S, U, VS, VS, VU, VU]);
                (to, Gate::Mret { to, alias: self.alias(to) })
            }
            S => match self.rng.below(8) {
                0 => call(M),
                1 => call(VS),
                _ => {
                    let to = self.rng.pick(&[U, VS, VS, VU, VU]);
                    (to, Gate::Sret { to, alias: self.alias(to) })
                }
            },
            VS => match self.rng.below(5) {
                0 => call(M),
                1 | 2 => call(S),
                _ => (VU, Gate::GuestSret { to: VU, alias: self.alias(VU) }),
            },
            U | VU => call(self.rng.pick(&[M, S, S, VS, VS])),
        }
    }

    /// How far away a mapping of the code is through which to run it; mostly none.
    fn alias(&mut self, mode: Mode) -> u64 {
        if !self.rng.chance(25) {
            return 0;
        }
        let user = mode.privilege() == Privilege::U;
        let space = match mode {
            Mode::S | Mode::U => self.current.s.map(|s| &self.world.s[s]),
            Mode::VS | Mode::VU => self.current.vs.map(|vs| &self.world.vs[vs]),
            Mode::M => None,
        };
        space.and_then(|space| self.world.alias(&mut self.rng, space, user)).unwrap_or(0)
    }

    /// What M sets up; each item stands for itself.
    fn setup(&mut self) -> Vec<Item> {
        let mut items = vec![li(reg::TP, 0)];
        self.spaces(&mut items);
        self.environment(&mut items);
        if self.rng.chance(8) {
            items.push(self.protect());
        }
        let rng = &mut self.rng;
        let some = |rng: &mut Rng, all: u64| match rng.below(10) {
            0..=3 => all,
            4 => 0,
            _ => rng.next() & all,
        };
        let mostly = |rng: &mut Rng, usual: &[u64]| {
            if rng.chance(75) { rng.pick(usual) } else { rng.next() }
        };
        let mut put = |rng: &mut Rng, percent: u64, number: u16, value: u64| {
            if rng.chance(percent) {
                items.push(set(number, value));
            }
        };
        let value = some(rng, DELEGATED);
        put(rng, 60, MEDELEG, value);
        let value = some(rng, DELEGATED_TO_GUESTS);
        put(rng, 60, HEDELEG, value);
        let value = some(rng, 0x222);
        put(rng, 40, MIDELEG, value);
        let value = some(rng, 0x444);
        put(rng, 40, HIDELEG, value);
        let value = rng.next() & 0x666;
        put(rng, 40, MIE, value);
        let value = rng.next() & rng.next() & 0x222;
        put(rng, 20, MIP, value);
        let value = rng.next() & rng.next() & 0x444;
        put(rng, 20, HVIP, value);
        let value = mostly(rng, &[u64::MAX, u64::MAX, 7]);
        put(rng, 20, MCOUNTEREN, value);
        let value = mostly(rng, &[u64::MAX, u64::MAX, 7]);
        put(rng, 20, HCOUNTEREN, value);
        let value = mostly(rng, &[STATEEN0, STATEEN0, 1 << 63]) & STATEEN0;
        put(rng, 20, MSTATEEN0, value);
        let value = mostly(rng, &[STATEEN0, STATEEN0, 1 << 63]) & STATEEN0;
        put(rng, 20, HSTATEEN0, value);
        let value = rng.value();
        put(rng, 10, SCOUNTEREN, value);
        let value = M_HANDLER | rng.below(2);
        put(rng, 10, MTVEC, value);
        let value = HS_HANDLER | rng.below(2);
        put(rng, 20, STVEC, value);
        let value = VS_HANDLER | rng.below(2);
        put(rng, 40, VSTVEC, value);
        let odd = |rng: &mut Rng, percent: u64, bit: u64| if rng.chance(percent) { bit } else { 0 };
        let mut value = 2 << 32 | rng.next() & (hstatus::SPVP | hstatus::SPV | hstatus::GVA);
        value |= odd(rng, 60, hstatus::HU) | odd(rng, 8, hstatus::VTVM);
        value |= odd(rng, 8, hstatus::VTW) | odd(rng, 6, hstatus::VTSR);
        put(rng, 70, HSTATUS, value);
        let mut value = 2 << 32 | rng.next() & (mstatus::SIE | mstatus::SPIE | mstatus::SPP);
        value |= odd(rng, 40, mstatus::SUM) | odd(rng, 30, mstatus::MXR);
        value |= rng.pick(&[0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3]) << mstatus::FS_SHIFT;
        put(rng, 70, VSSTATUS, value);
        items
    }

    /// `mstatus`, last: with MPRV, nothing else works.
    fn status(&mut self, first: Mode) -> Item {
        let rng = &mut self.rng;
        let mut odd = |percent: u64, bit: u64| if rng.chance(percent) { bit } else { 0 };
        let mut value = 2 << 32 | 2 << 34;
        value |= odd(40, mstatus::SUM) | odd(30, mstatus::MXR) | odd(50, mstatus::SIE);
        value |= odd(50, mstatus::SPIE) | odd(50, mstatus::SPP) | odd(30, mstatus::MPIE);
        value |= odd(7, mstatus::TVM) | odd(8, mstatus::TW) | odd(5, mstatus::TSR);
        value |= odd(50, mstatus::GVA);
        value |= if first == Mode::M { odd(50, mstatus::MPRV) } else { 0 };
        value |= rng.pick(&[0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3]) << mstatus::FS_SHIFT;
        let mut item = set(MSTATUS, value);
        if value & mstatus::TSR != 0 {
            // The way back of HS's handler is barred then, and M is to hear of it.
            item.push(csr(Op::Csrrci, 0, MEDELEG, 4));
        }
        item
    }

    /// Other page tables.
    fn spaces(&mut self, items: &mut Vec<Item>) {
        let again = std::mem::take(&mut self.current.unknown);
        if again || self.rng.chance(30) {
            self.current.s = self.world.choose(&mut self.rng, Stage::S);
            items.push(set(SATP, self.world.atp(Stage::S, self.current.s)));
        }
        if again || self.rng.chance(30) {
            self.current.vs = self.world.choose(&mut self.rng, Stage::Vs);
            items.push(set(VSATP, self.world.atp(Stage::Vs, self.current.vs)));
        }
        if self.current.g_unknown || self.rng.chance(25) {
            let g = self.world.choose(&mut self.rng, Stage::G);
            let mut item = set(HGATP, self.world.atp(Stage::G, g));
            let index = g.unwrap_or(self.owed.len() - 1);
            if self.owed[index] || self.rng.chance(20) {
                item.push(r(Op::HfenceVvma, 0, 0, 0));
            }
            if self.rng.chance(20) {
                item.push(r(Op::HfenceGvma, 0, 0, 0));
            }
            self.owed[index] = false;
            self.current.g = g;
            self.current.g_unknown = false;
            items.push(item);
        }
    }

    /// `menvcfg`, `henvcfg`, the comparators.
    fn environment(&mut self, items: &mut Vec<Item>) {
        let rng = &mut self.rng;
        let bits = |rng: &mut Rng, updates: bool| {
            let mut value = rng.next() & (menvcfg::CBCFE | menvcfg::CBZE);
            value |= rng.pick(&[0, 1, 3]) << menvcfg::CBIE_SHIFT;
            value |= if updates && rng.chance(80) { menvcfg::ADUE } else { 0 };
            value |= if rng.chance(60) { menvcfg::PBMTE } else { 0 };
            value | if rng.chance(25) { menvcfg::STCE } else { 0 }
        };
        if rng.chance(15) {
            let value = bits(rng, self.updates) | if rng.chance(50) { menvcfg::CBZE } else { 0 };
            // From here on software or the comparator decides about STIP: let neither have set it.
            let mut item = li(reg::T0, 1 << 5);
            item.push(csr(Op::Csrrc, 0, MIP, reg::T0));
            item.extend(set(MENVCFG, value));
            item.push(r(Op::SfenceVma, 0, 0, 0));
            item.push(r(Op::HfenceGvma, 0, 0, 0));
            // No HFENCE.VVMA is needed [hypervisor, "Memory-Management Fences"].
            items.push(item);
        }
        let rng = &mut self.rng;
        if rng.chance(20) {
            let mut item = set(HENVCFG, bits(rng, self.updates));
            item.push(r(Op::HfenceVvma, 0, 0, 0));
            items.push(item);
            self.owe();
        }
        let rng = &mut self.rng;
        if rng.chance(10) {
            items.push(set(SENVCFG, bits(rng, false) & 0xff));
        }
    }

    /// VS-stage fences are owed to the other virtual machines, when they are entered.
    fn owe(&mut self) {
        let here = self.current.g.unwrap_or(self.owed.len() - 1);
        self.owed.iter_mut().enumerate().for_each(|(g, owed)| *owed |= g != here);
    }

    /// Physical memory protection of some data and of some page tables.
    fn protect(&mut self) -> Item {
        let rng = &mut self.rng;
        let mut item = Item::new();
        let mut config = 0;
        for entry in 0..3u16 {
            if rng.chance(30) {
                continue;
            }
            let mut pages = 1 << rng.below(2);
            let base = rng.pick(&[S_DATA, U_DATA]) + GUARDED;
            let mut page = (base + rng.below(8) * PAGE) & !(pages * PAGE - 1);
            if rng.chance(25)
                && let Some(table) = self.world.some_table(rng)
            {
                (page, pages) = (table, 1);
            }
            // NAPOT: as many ones below as the region has doublewords, less one.
            let value = page >> 2 | (pages * PAGE / 8 - 1);
            item.extend(set(PMPADDR0 + entry, value));
            // Never writable without being readable, which is reserved.
            let rights = rng.pick(&[0, 1, 3, 4, 5, 7]);
            config |= (0x18 | rights) << (8 * entry);
        }
        item.extend(set(PMPCFG0, config));
        item.push(r(Op::SfenceVma, 0, 0, 0));
        item.push(r(Op::HfenceGvma, 0, 0, 0));
        // Where a guest's page table was forbidden or is so now: HFENCE.GVMA need not remove what a
        // VS-stage walk has found there before, since that has no PMP settings of its own.
        item.push(r(Op::HfenceVvma, 0, 0, 0));
        self.owe();
        item
    }
}
