//! Page tables, made at random: translations that work, and every way in which one can fail.

use isa::pte;

use super::layout::{
    HOLE, PAGE, S_CODE, S_DATA, SPINE, TABLES, TOHOST, U_CODE, U_DATA, leaf_bytes,
};
use super::rng::Rng;

/// Which stage a tree of tables is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    S,
    Vs,
    G,
}

/// A leaf PTE beside the spine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    /// Its own physical address; of a NAPOT leaf, the first of 16.
    pub(super) at: u64,
    /// What it maps.
    pub(super) va: u64,
    pub(super) level: u32,
    /// It maps this, in the next space.
    pub(super) target: u64,
    pub(super) napot: bool,
    /// Users may use it.
    pub(super) user: bool,
    /// It maps code, not data.
    pub(super) code: bool,
    /// There is nothing wrong with it.
    pub(super) good: bool,
    /// From `va` to what accesses are meant for.
    pub(super) inside: u64,
    /// The pointers on the way to it that are its space's own, and zeros.
    pub(super) way: [u64; 4],
}

/// A tree of page tables with the tag that is its own.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub(super) stage: Stage,
    /// 3, 4 or 5.
    pub(super) levels: u32,
    /// Where its root is.
    pub(super) root: u64,
    /// ASID or VMID.
    pub(super) tag: u64,
    pub(super) leaves: Vec<Leaf>,
    /// Pointers to tables beside the spine: where they are.
    pub(super) pointers: Vec<u64>,
}

impl Space {
    /// The value of `satp`, `vsatp` or `hgatp` that selects it.
    pub(super) fn atp(&self) -> u64 {
        u64::from(self.levels + 5) << 60 | self.tag << 44 | self.root >> 12
    }

    /// Whether `gpa` is mapped well here.
    pub(super) fn maps(&self, gpa: u64) -> bool {
        (SPINE..U_DATA + leaf_bytes(1)).contains(&gpa)
            || self.leaves.iter().any(|leaf| leaf.good && leaf.maps(gpa))
    }

    fn top(&self) -> u32 {
        self.levels - 1
    }

    /// Bits of an address that choose an entry of the root.
    fn root_entries(&self) -> u64 {
        if self.stage == Stage::G { 2048 } else { 512 }
    }
}

impl Leaf {
    /// One that maps nothing yet.
    fn at(va: u64, level: u32) -> Self {
        Self {
            at: 0,
            va,
            level,
            target: 0,
            napot: false,
            user: false,
            code: false,
            good: true,
            inside: 0,
            way: [0; 4],
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        if self.napot { 16 * PAGE } else { leaf_bytes(self.level) }
    }

    fn maps(&self, address: u64) -> bool {
        address.wrapping_sub(self.va) < self.bytes()
    }
}

/// What every space has in common, and the memory that the tables are in.
pub(super) struct Tables {
    words: Vec<u64>,
    next: u64,
    /// Hardware may at some time update A and D: 16 PTEs of a NAPOT leaf then must not differ in them.
    updates: bool,
    /// The table behind the root entry that maps the spine, for S and VS, and for G.
    spine: [u64; 2],
}

/// Where guest physical addresses beside the spine are, with the level of their leaves: the same in
/// every G-stage space, where each has another leaf there or none.
pub(super) type Places = Vec<(u64, u32)>;

impl Tables {
    pub(super) fn new(updates: bool) -> Self {
        let words = vec![0; ((TOHOST - TABLES) / 8) as usize];
        let mut tables = Self { words, next: TABLES, updates, spine: [0; 2] };
        tables.spine = [tables.spine(Stage::Vs), tables.spine(Stage::G)];
        tables
    }

    /// The tables as bytes from [`TABLES`] on.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let used = ((self.next - TABLES) / 8) as usize;
        self.words[..used].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn read(&self, at: u64) -> u64 {
        self.words[((at - TABLES) / 8) as usize]
    }

    pub(super) fn write(&mut self, at: u64, value: u64) {
        self.words[((at - TABLES) / 8) as usize] = value;
    }

    fn table(&mut self, bytes: u64) -> Option<u64> {
        let at = self.next.next_multiple_of(bytes);
        (at + bytes < TOHOST).then(|| {
            self.next = at + bytes;
            at
        })
    }

    /// The table of 2 MiB entries that maps the spine to itself.
    fn spine(&mut self, stage: Stage) -> u64 {
        use pte::{A, D, G, R, U, V, W, X};
        let (all, user) = match stage {
            Stage::G => (V | U | A | D, 0),
            _ => (V | A | D | G, U),
        };
        let table = self.table(PAGE).expect("room for the spine");
        let pages = self.table(PAGE).expect("room for the spine");
        let entry = |pa: u64, bits: u64| pa >> 12 << 10 | bits;
        self.write(table, entry(pages, V));
        for page in 0..512 {
            let pa = SPINE + page * PAGE;
            let bits = if pa >= U_CODE { R | X | user } else { R | X };
            self.write(pages + page * 8, entry(pa, all | bits));
        }
        self.write(table + 8, entry(TABLES, all | R | W));
        self.write(table + 16, entry(S_DATA, all | R | W));
        self.write(table + 24, entry(U_DATA, all | R | W | user));
        table
    }

    /// A space of `levels` levels without anything beside the spine; `None` if there is no room.
    pub(super) fn space(&mut self, stage: Stage, levels: u32, tag: u64) -> Option<Space> {
        let bytes = if stage == Stage::G { 4 * PAGE } else { PAGE };
        let root = self.table(bytes)?;
        let mut space =
            Space { stage, levels, root, tag, leaves: Vec::new(), pointers: Vec::new() };
        let spine = self.spine[usize::from(stage == Stage::G)];
        let (slot, _) = self.slot(&mut space, SPINE, 2)?;
        self.write(slot, spine >> 12 << 10 | pte::V);
        // The way to the spine stays as it is.
        space.pointers.clear();
        Some(space)
    }

    /// Where the entry for `va` at `level` is, and the pointers on the way to it; with the tables for
    /// that.
    fn slot(&mut self, space: &mut Space, va: u64, level: u32) -> Option<(u64, [u64; 4])> {
        let mut way = [0; 4];
        let mut table = space.root;
        let mut at = space.top();
        loop {
            let entries = if at == space.top() { space.root_entries() } else { 512 };
            let slot = table + (va >> (12 + 9 * at)) % entries * 8;
            if at == level {
                return Some((slot, way));
            }
            way[at as usize - 1] = slot;
            let entry = self.read(slot);
            // A leaf that is invalid now is one later, and then not a pointer.
            table = if entry == 0 {
                let table = self.table(PAGE)?;
                self.write(slot, table >> 12 << 10 | pte::V);
                space.pointers.push(slot);
                table
            } else if entry & (pte::V | pte::R | pte::W | pte::X) == pte::V {
                entry >> 10 << 12
            } else {
                return None;
            };
            at -= 1;
        }
    }

    /// Puts a leaf, or all 16 PTEs of one, where nothing is yet.
    fn put(&mut self, space: &mut Space, mut leaf: Leaf, entry: u64) -> Option<()> {
        (leaf.at, leaf.way) = self.slot(space, leaf.va, leaf.level)?;
        let count = if leaf.napot { 16 } else { 1 };
        if (0..count).any(|i| self.read(leaf.at + 8 * i) != 0) {
            return None;
        }
        for i in 0..count {
            self.write(leaf.at + 8 * i, entry);
        }
        space.leaves.push(leaf);
        Some(())
    }

    /// Fills a space for S or VS. A guest's pages are at `places`, besides the spine.
    pub(super) fn fill(&mut self, rng: &mut Rng, space: &mut Space, places: &Places) {
        for _ in 0..14 {
            let level = rng.weighted(&[(12, 0), (6, 1), (4, 2), (3, 3), (2, 4)]);
            if level >= space.levels {
                continue;
            }
            let user = rng.chance(50);
            let napot = level == 0 && rng.chance(30);
            let count = if level > 0 { 1 } else { rng.pick(&[1, 2, 4, 8]) };
            let step = if napot { 16 * PAGE } else { leaf_bytes(level) };
            let code = rng.chance(25);
            let va = virtual_place(rng, space, level, code);
            let first = rng.below(8);
            for i in 0..count {
                let va = va.wrapping_add(i * step);
                let mut leaf = Leaf { napot, user, code, ..Leaf::at(va, level) };
                leaf.good = rng.chance(75);
                (leaf.target, leaf.inside) = target(rng, &leaf, (first + i) % 16, places);
                let entry = self.entry(rng, space.stage, &leaf);
                if self.put(space, leaf, entry).is_none() {
                    break;
                }
            }
        }
    }

    /// Fills a G-stage space: a leaf at most of `places`.
    pub(super) fn fill_guest(&mut self, rng: &mut Rng, space: &mut Space, places: &Places) {
        for &(gpa, level) in places {
            if level >= space.levels || gpa >> (41 + 9 * (space.levels - 3)) != 0 || rng.chance(10)
            {
                continue;
            }
            let napot = level == 0 && rng.chance(30);
            let page = rng.below(8);
            let data = rng.pick(&[S_DATA, U_DATA]);
            let target = match level {
                0 if napot => data,
                0 => data + page * PAGE,
                1 => data,
                2 => SPINE,
                _ => 0,
            };
            let va = if napot { gpa & !(16 * PAGE - 1) } else { gpa };
            let inside = match level {
                0 => gpa - va,
                1 => page * PAGE,
                2 => data - SPINE + page * PAGE,
                _ => data + page * PAGE,
            };
            let good = rng.chance(80);
            let leaf = Leaf { target, napot, inside, user: true, good, ..Leaf::at(va, level) };
            let entry = self.entry(rng, Stage::G, &leaf);
            // What is taken stays as it is.
            let _ = self.put(space, leaf, entry);
        }
    }

    /// Lets a guest's page table be reached at `gpa`, too, with rights of all kinds.
    pub(super) fn alias(&mut self, rng: &mut Rng, space: &mut Space, gpa: u64, table: u64) {
        let good = rng.chance(60);
        let leaf = Leaf { target: table, user: true, good, ..Leaf::at(gpa, 0) };
        let mut entry = self.entry(rng, Stage::G, &leaf);
        if good && rng.chance(if self.updates { 75 } else { 25 }) {
            // The table can be read, but its A and D not be updated.
            entry &= !pte::W;
        }
        let _ = self.put(space, leaf, entry);
    }

    /// A PTE for `leaf`, good or not as it says.
    pub(super) fn entry(&self, rng: &mut Rng, stage: Stage, leaf: &Leaf) -> u64 {
        use pte::{A, D, N, PBMT_SHIFT, PPN_SHIFT, R, U, V, W, X};
        let mut entry = leaf.target >> 12 << PPN_SHIFT | V | R | A | D;
        entry |= if leaf.code { X } else { W };
        if !leaf.code && rng.chance(40) {
            entry |= X;
        }
        if leaf.user || stage == Stage::G {
            entry |= U;
        }
        if leaf.napot {
            entry = entry & !(0xf << PPN_SHIFT) | 8 << PPN_SHIFT | N;
        }
        entry |= rng.below(4) << 8;
        // A and D of a NAPOT leaf stand in 16 places, of which an update reaches one.
        let alike = leaf.napot && self.updates;
        // Good enough where hardware updates them, as it then does in half of the episodes.
        if self.updates && !alike && rng.chance(35) {
            entry &= rng.pick(&[!D, !(A | D)]);
        }
        if leaf.good {
            return entry;
        }
        match rng.below(14) {
            0 => entry & !V,
            1 => entry & !R,
            2 | 3 => entry & !W,
            // Without X, too, it would be a pointer: to data, which nobody fences.
            4 => entry & !(R | W) | X,
            5 => entry ^ U,
            6 if !alike => entry & !A,
            7 | 8 if !alike => entry & !D,
            9 => entry | 1 << rng.pick(&[54, 55, 56, 57, 58, 59, 60]),
            10 | 6 => entry | rng.pick(&[1, 2, 3]) << PBMT_SHIFT,
            // Reserved: no NAPOT of this size, or at this level.
            11 if leaf.level > 0 => entry | N,
            11 if !leaf.napot && entry >> PPN_SHIFT & 0xf != 8 => entry | N,
            11 => entry & !(0xf << PPN_SHIFT) | 4 << PPN_SHIFT | N,
            12 if leaf.level > 0 => entry | 1 << (PPN_SHIFT + rng.below(9) as u32),
            12 | 7 | 8 => entry & !(pte::PPN | N) | HOLE >> 12 << PPN_SHIFT,
            _ => entry | 1 << (PPN_SHIFT + 43 - rng.below(4) as u32),
        }
    }

    /// What is wrong with a pointer to a table, when something is.
    pub(super) fn bad_pointer(&self, rng: &mut Rng, pointer: u64) -> u64 {
        use pte::{A, D, N, PBMT_SHIFT, PPN, PPN_SHIFT, U, V};
        match rng.below(8) {
            0 | 1 => pointer & !V,
            2 => pointer | A,
            3 => pointer | D,
            4 => pointer | U,
            5 => pointer & !PPN | HOLE >> 12 << PPN_SHIFT,
            6 => pointer | rng.pick(&[1, 2, 3]) << PBMT_SHIFT,
            _ => pointer | rng.pick(&[N, 1 << 54, 1 << 60]),
        }
    }

    pub(super) fn pointed_to(&self, pointer: u64) -> u64 {
        (pointer & pte::PPN) >> pte::PPN_SHIFT << 12
    }
}

/// What a leaf for S or VS maps, and how far into it accesses are meant to go.
fn target(rng: &mut Rng, leaf: &Leaf, page: u64, places: &Places) -> (u64, u64) {
    let &Leaf { level, napot, user, code, .. } = leaf;
    let size = leaf.bytes();
    let (data, program) = if user { (U_DATA, U_CODE) } else { (S_DATA, S_CODE & !0xffff) };
    if code && level < 2 {
        // Code is entered where it is, so that nothing lies inside.
        let run = if napot { 16 * page } else { page + 2 };
        return ((program + run % 64 * PAGE) & !(size - 1), 0);
    }
    let there: Vec<(u64, u32)> =
        places.iter().copied().filter(|&(_, at)| at > level || at == level && !napot).collect();
    if !code && !there.is_empty() && rng.chance(75) {
        let (gpa, at) = rng.pick(&there);
        let page = page % 8 * PAGE;
        // Where the guest's large page has the data.
        let meant = gpa
            + match at {
                0 => 0,
                1 => page,
                2 => data - SPINE + page,
                _ => data + page,
            };
        let target = meant & !(size - 1);
        return (target, meant - target);
    }
    match level {
        0 if napot => (data, page % 16 * PAGE),
        0 => (data + page * PAGE, 0),
        1 => (data, page * PAGE),
        2 => (SPINE, data - SPINE + page * PAGE),
        _ => (0, data + page * PAGE),
    }
}

/// The lower 30 bits of an address for a leaf. Where a page of 1 GiB maps the spine, no data of
/// another space are meant to be, and where there is code no data: so that an address used in the
/// wrong space harms neither code nor tables, and no data are executed.
fn within_gib(rng: &mut Rng, level: u32, code: bool) -> u64 {
    let base = if code { 0x3000_0000 } else { 0x2000_0000 };
    match level {
        0 => base + rng.below(4) * leaf_bytes(1) + rng.below(32) * 16 * PAGE,
        1 => base + (4 + rng.below(4)) * leaf_bytes(1),
        _ => 0,
    }
}

/// A virtual address beside the spine, aligned for a leaf at `level`.
fn virtual_place(rng: &mut Rng, space: &Space, level: u32, code: bool) -> u64 {
    let top = space.levels - 1;
    let mut va = 0;
    for at in (level.max(2)..=top).rev() {
        let index = match (at == top, at) {
            (true, _) if at == level && at > 2 => 1 + rng.below(511),
            (true, 2) => rng.pick(&[4, 5, 6, 255, 256, 511]),
            (true, _) => rng.pick(&[0, 1, 255, 256, 511]),
            // Nothing of the first 4 GiB: with translation off, devices and memory are there.
            (_, 2) if va == 0 => rng.pick(&[4, 5]),
            (_, 3) if va == 0 && at == level => 1 + rng.below(511),
            _ => rng.below(3),
        };
        va |= index << (12 + 9 * at);
    }
    va |= within_gib(rng, level, code);
    let unused = 43 - 9 * top;
    ((va << unused) as i64 >> unused) as u64
}

/// Places for a guest's physical memory beside the spine.
pub(super) fn places(rng: &mut Rng) -> Places {
    let mut places = Places::new();
    for _ in 0..12 {
        let level = rng.weighted(&[(10, 0), (5, 1), (4, 2), (1, 3)]);
        let gpa = match level {
            3 => leaf_bytes(3) * (1 + rng.below(3)),
            _ => {
                // Mostly within 41 bits, so that every mode reaches it.
                let gib = match rng.below(12) {
                    0 => 1 << 11 | rng.below(1 << 20),
                    1 => 1 << 20 | rng.below(1 << 29),
                    2 => 2047,
                    _ => 4 + rng.below(4),
                };
                gib << 30 | within_gib(rng, level, false)
            }
        };
        let count = if level == 0 { rng.pick(&[1, 4, 16]) } else { 1 };
        places.extend((0..count).map(|i| (gpa + i * leaf_bytes(level), level)));
    }
    places
}
