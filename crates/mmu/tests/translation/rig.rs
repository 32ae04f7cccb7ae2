//! An MMU on a small RAM, and words to write page tables with.

use std::sync::Arc;

use isa::{Ext, ExtSet, Pa, Privilege, Va};
use mmu::{
    Access, Fault, Kind, Mmu, MmuConfig, PmaMap, Ram, Reason, Shape, Target, TranslationCsrs,
};

use crate::naive::RAM_BASE;

pub(crate) const V: u64 = 1;
pub(crate) const R: u64 = 2;
pub(crate) const W: u64 = 4;
pub(crate) const X: u64 = 8;
pub(crate) const U: u64 = 16;
pub(crate) const G: u64 = 32;
pub(crate) const A: u64 = 64;
pub(crate) const D: u64 = 128;
/// A leaf for loads and stores with nothing left to set.
pub(crate) const RW: u64 = V | R | W | A | D;
pub(crate) const RWX: u64 = RW | X;

pub(crate) const BARE: u64 = 0;
pub(crate) const SV39: u64 = 8;

pub(crate) fn all_exts() -> ExtSet {
    ExtSet::of(&[
        Ext::S,
        Ext::U,
        Ext::H,
        Ext::Sv39,
        Ext::Sv48,
        Ext::Sv57,
        Ext::Svade,
        Ext::Svadu,
        Ext::Svnapot,
        Ext::Svpbmt,
    ])
}

/// A PTE for the page of `to`.
pub(crate) fn pte(to: u64, flags: u64) -> u64 {
    to >> 12 << 10 | flags
}

pub(crate) fn atp(mode: u64, id: u64, root: u64) -> u64 {
    mode << 60 | id << 44 | root >> 12
}

pub(crate) fn ram(pages: u64) -> Arc<Ram> {
    Arc::new(Ram::new(Pa(RAM_BASE), pages << 12).unwrap())
}

/// An MMU that PMP lets do everything.
pub(crate) fn mmu(ram: &Arc<Ram>, shape: Shape) -> Mmu {
    let config = MmuConfig::new(&all_exts(), 16, 14, 0, shape);
    Mmu::new(config, Arc::clone(ram), Arc::new(PmaMap::default()))
}

pub(crate) fn access(kind: Kind, privilege: Privilege, v: bool) -> Access {
    Access { kind, size: 1, privilege, v, hlvx: false }
}

/// An S-mode load.
pub(crate) const LOAD: Access =
    Access { kind: Kind::Load, size: 1, privilege: Privilege::S, v: false, hlvx: false };
/// An S-mode store.
pub(crate) const STORE: Access = Access { kind: Kind::Store, ..LOAD };
/// A VS-mode load.
pub(crate) const GUEST_LOAD: Access = Access { v: true, ..LOAD };
/// A VS-mode store.
pub(crate) const GUEST_STORE: Access = Access { v: true, ..STORE };

/// Where an access ends up.
pub(crate) fn goes_to(mmu: &mut Mmu, va: u64, access: Access) -> Result<u64, Fault> {
    mmu.translate(Va(va), access).map(|translated| match translated.target {
        Target::Ram { pa } | Target::Mmio { pa } => pa.0,
    })
}

/// Page tables that are built page by page.
pub(crate) struct Tables {
    pub(crate) ram: Arc<Ram>,
    next: u64,
    end: u64,
}

impl Tables {
    /// Takes table pages from `from` on, as far as `end`.
    pub(crate) fn new(ram: &Arc<Ram>, from: u64, end: u64) -> Self {
        Self { ram: Arc::clone(ram), next: from, end }
    }

    /// A zeroed table of `pages` pages, aligned to its size.
    pub(crate) fn table(&mut self, pages: u64) -> u64 {
        let at = self.next.next_multiple_of(pages << 12);
        self.next = at + (pages << 12);
        assert!(self.next <= self.end, "out of table pages");
        self.ram.write_bytes(Pa(at), &vec![0; (pages << 12) as usize]).unwrap();
        at
    }

    pub(crate) fn store(&self, at: u64, pte: u64) {
        self.ram.write(Pa(at), pte).unwrap();
    }

    /// Where the PTE of `level` for `address` is in the tree of `levels` under `root`, with tables made on the
    /// way. `root_bits` is 9, or 11 for a G-stage; table addresses are what the PTEs hold, less `shift`.
    pub(crate) fn slot(
        &mut self,
        root: u64,
        levels: u32,
        root_bits: u32,
        address: u64,
        level: u32,
    ) -> u64 {
        let mut table = root;
        for i in (0..levels).rev() {
            let bits = if i == levels - 1 { root_bits } else { 9 };
            let index = address >> (12 + 9 * i) & ((1 << bits) - 1);
            let at = table + 8 * index;
            if i == level {
                return at;
            }
            let entry = self.ram.read::<u64>(Pa(at)).unwrap();
            table = if entry & V == 0 {
                let below = self.table(1);
                self.store(at, pte(below, V));
                below
            } else {
                assert!(entry & (R | W | X) == 0, "a leaf is in the way");
                entry >> 10 << 12
            };
        }
        unreachable!("the level exists")
    }

    /// Maps one page of an Sv39 tree.
    pub(crate) fn map(&mut self, root: u64, va: u64, level: u32, entry: u64) -> u64 {
        let at = self.slot(root, 3, 9, va, level);
        self.store(at, entry);
        at
    }

    /// Maps one page of an Sv39x4 tree.
    pub(crate) fn map_guest(&mut self, root: u64, gpa: u64, level: u32, entry: u64) -> u64 {
        let at = self.slot(root, 3, 11, gpa, level);
        self.store(at, entry);
        at
    }
}

/// Sets the registers.
pub(crate) fn set(mmu: &mut Mmu, change: impl FnOnce(&mut TranslationCsrs)) {
    let mut csrs = *mmu.csrs();
    change(&mut csrs);
    mmu.set_csrs(&csrs);
}

pub(crate) const PAGE: u64 = 0x1000;
pub(crate) const DATA: u64 = RAM_BASE;
pub(crate) const OTHER: u64 = RAM_BASE + 0x8000;
pub(crate) const TABLES: u64 = RAM_BASE + 0x40_0000;
pub(crate) const PAGES: u64 = 0x600;
pub(crate) const VA: u64 = 0x10_0000;
pub(crate) const GPA: u64 = 0x1000_0000;

/// An Sv39 S-stage and, at V=1, Sv39 over Sv39x4, with RAM mapped one to one at the G-stage.
pub(crate) struct Bench {
    pub(crate) mmu: Mmu,
    pub(crate) ram: Arc<Ram>,
    pub(crate) t: Tables,
    pub(crate) root: u64,
    pub(crate) vs_root: u64,
    pub(crate) g_root: u64,
}

pub(crate) fn bench(shape: Shape) -> Bench {
    let ram = ram(PAGES);
    bench_of(mmu(&ram, shape), &ram)
}

/// The same around an MMU of this RAM.
pub(crate) fn bench_of(mut mmu: Mmu, ram: &Arc<Ram>) -> Bench {
    let ram = Arc::clone(ram);
    let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let (root, vs_root, g_root) = (t.table(1), t.table(1), t.table(4));
    // The tables one page at a time, so that a test can change the rights of one.
    for page in 0..0x40 {
        let at = TABLES + page * PAGE;
        t.map_guest(g_root, at, 0, pte(at, RWX | U));
    }
    set(&mut mmu, |csrs| {
        csrs.satp = atp(SV39, 1, root);
        csrs.vsatp = atp(SV39, 1, vs_root);
        csrs.hgatp = atp(SV39, 1, g_root);
    });
    Bench { mmu, ram, t, root, vs_root, g_root }
}

impl Bench {
    pub(crate) fn map(&mut self, va: u64, to: u64, flags: u64) -> u64 {
        self.t.map(self.root, va, 0, pte(to, flags))
    }

    pub(crate) fn map_vs(&mut self, va: u64, to: u64, flags: u64) -> u64 {
        self.t.map(self.vs_root, va, 0, pte(to, flags))
    }

    pub(crate) fn map_g(&mut self, gpa: u64, to: u64, flags: u64) -> u64 {
        self.t.map_guest(self.g_root, gpa, 0, pte(to, flags))
    }

    pub(crate) fn reason(&mut self, va: u64, access: Access) -> Reason {
        goes_to(&mut self.mmu, va, access).unwrap_err().why().reason
    }
}
