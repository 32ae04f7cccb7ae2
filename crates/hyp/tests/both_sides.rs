//! Both sides together: guests access memory through the translation of harts, the hypervisor changes the tables
//! under them, and whoever copies the pages that the dirty log names holds what the guest wrote.
//!
//! The harts are `mmu`'s, with TLBs that keep everything until exactly the fence that must remove it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyp::dirty::Bitmap;
use hyp::gstage::{self, Gstage, Mode, Size};
use hyp::memory::{Answer, Clearing, Env, GuestMemory, MemoryConfig};
use hyp::memslot::{Slot, SlotError};
use hyp::policy::{Detect, Policy, Split};
use hyp::port::{Fences, Frames, Memory, NotMemory};
use isa::{ExtSet, Gpa, PAGE_BYTES, Pa, Privilege, Va};
use mmu::{
    Access, Fault, Fence, Kind, Mmu, MmuConfig, PmaMap, Ram, Shape, Target, TranslationCsrs,
};
use proptest::prelude::*;

const BASE: Pa = Pa(0x8000_0000);
const RAM_BYTES: u64 = 32 << 20;
/// The slot's memory: 4 MiB, aligned to leaves of 2 MiB on both sides.
const MEMORY: Pa = Pa(BASE.0 + (16 << 20));
const GPA: Gpa = Gpa(0x4000_0000);
const PAGES: u64 = 1024;
const HARTS: usize = 3;
const VMID: u16 = 5;
const SLOT: u32 = 1;

struct Physical(Arc<Ram>);

impl Memory for Physical {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        self.0.read(pte).ok_or(NotMemory(pte))
    }

    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
        self.0.write(pte, value).ok_or(NotMemory(pte))
    }

    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
        let outcome = self.0.compare_exchange(pte, old, new).ok_or(NotMemory(pte))?;
        Ok(outcome.err().unwrap_or(old))
    }
}

/// Frames above the root, `left` of them. A freed frame is filled with rubbish, so that a walker that still
/// reaches it is found out.
struct Heap {
    ram: Arc<Ram>,
    free: Vec<Pa>,
    left: usize,
}

impl Heap {
    fn new(ram: Arc<Ram>) -> Self {
        let free = (0..2000).map(|n| Pa(BASE.0 + 0x10_0000 + n * PAGE_BYTES)).collect();
        Self { ram, free, left: 2000 }
    }
}

impl Frames for Heap {
    fn allocate(&mut self) -> Option<Pa> {
        self.left = self.left.checked_sub(1)?;
        let frame = self.free.pop()?;
        self.ram.write_bytes(frame, &[0; PAGE_BYTES as usize]).unwrap();
        Some(frame)
    }

    fn free(&mut self, frame: Pa) {
        self.left += 1;
        // A leaf that would let a guest write the root table.
        for at in (0..PAGE_BYTES).step_by(8) {
            self.ram.write(Pa(frame.0 + at), BASE.0 >> 12 << 10 | 0xdf).unwrap();
        }
        self.free.push(frame);
    }
}

struct Harts(Vec<Mmu>);

impl Fences for Harts {
    fn fence(&mut self, vmid: u16, fence: &gstage::Fence) {
        for hart in &mut self.0 {
            match *fence {
                gstage::Fence::Everything { .. } => {
                    hart.fence(Fence::Gvma { gpa: None, vmid: Some(vmid) });
                }
                gstage::Fence::Leaves { gpa, bytes, stride, .. } => {
                    for at in (gpa.0..gpa.0 + bytes).step_by(stride as usize) {
                        hart.fence(Fence::Gvma { gpa: Some(Gpa(at)), vmid: Some(vmid) });
                    }
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Store { hart: usize, page: u64 },
    Load { hart: usize, page: u64 },
    Toggle,
    Get,
    Clear { word: usize, mask: u64 },
    Starve { frames: usize },
    Feed,
}

fn step() -> impl Strategy<Value = Step> {
    // A few pages are hot, so that they are written again after they were read out.
    let page = prop_oneof![0..8u64, 505..520u64, 0..PAGES];
    prop_oneof![
        12 => (0..HARTS, page.clone()).prop_map(|(hart, page)| Step::Store { hart, page }),
        4 => (0..HARTS, page).prop_map(|(hart, page)| Step::Load { hart, page }),
        1 => Just(Step::Toggle),
        3 => Just(Step::Get),
        2 => (prop_oneof![Just(0), Just(7), Just(8), 0..16usize], any::<u64>())
            .prop_map(|(word, mask)| Step::Clear { word, mask }),
        1 => (0..3usize).prop_map(|frames| Step::Starve { frames }),
        1 => Just(Step::Feed),
    ]
}

struct World {
    ram: Arc<Ram>,
    physical: Physical,
    heap: Heap,
    harts: Harts,
    memory: GuestMemory,
    config: MemoryConfig,
    logging: bool,
    /// What a reader of the log has of each page, since it copied all of them when logging began.
    copy: Vec<u64>,
    /// The pages that may be in the log although nobody wrote them since it was last cleared.
    excused: BTreeSet<u64>,
    written: BTreeSet<u64>,
    /// Whether tables were ever short while logging.
    starved: bool,
    stores: u64,
}

impl World {
    fn new(config: MemoryConfig, mode: Mode, shape: Shape) -> Self {
        let ram = Arc::new(Ram::new(BASE, RAM_BYTES).unwrap());
        let gstage = Gstage::new(mode, BASE).unwrap();
        let hgatp = gstage.hgatp(VMID);
        let adue = config.policy.detect == Detect::DirtyBit;
        let hart = || {
            let mmu = MmuConfig::new(&ExtSet::default_set(), 16, 14, 0, shape.clone());
            let mut mmu = Mmu::new(mmu, ram.clone(), Arc::new(PmaMap::default()));
            mmu.set_csrs(&TranslationCsrs { hgatp, adue, ..TranslationCsrs::default() });
            mmu
        };
        let harts = Harts((0..HARTS).map(|_| hart()).collect());
        let mut memory = GuestMemory::new(config, gstage, VMID);
        memory.add_slot(Slot::new(SLOT, GPA, PAGES * PAGE_BYTES, MEMORY)).unwrap();
        Self {
            physical: Physical(ram.clone()),
            heap: Heap::new(ram.clone()),
            ram,
            harts,
            memory,
            config,
            logging: false,
            copy: vec![0; PAGES as usize],
            excused: BTreeSet::new(),
            written: BTreeSet::new(),
            starved: false,
            stores: 0,
        }
    }

    fn on<T>(&mut self, act: impl FnOnce(&mut GuestMemory, &mut Env<'_>) -> T) -> T {
        let mut env =
            Env { memory: &self.physical, frames: &mut self.heap, fences: &mut self.harts };
        act(&mut self.memory, &mut env)
    }

    /// An access as a guest makes it: again after each fault that the hypervisor answered. `None` where there was no
    /// frame for a table.
    fn access(&mut self, hart: usize, page: u64, kind: Kind) -> Option<Pa> {
        let gpa = Gpa(GPA.0 + page * PAGE_BYTES + 0x20);
        let access = Access { kind, size: 8, privilege: Privilege::S, v: true, hlvx: false };
        for _ in 0..8 {
            match self.harts.0[hart].translate(Va(gpa.0), access) {
                Ok(found) => match found.target {
                    Target::Ram { pa } => return Some(pa),
                    Target::Mmio { pa } => panic!("{gpa} reached a device at {pa}"),
                },
                Err(Fault::GuestPage { gpa: at, .. }) => {
                    assert_eq!(at, gpa);
                    let answer =
                        self.on(|memory, env| memory.fault(env, 0, at, kind == Kind::Store));
                    match answer {
                        Ok(answer) => assert_eq!(answer, Answer::Retry),
                        Err(_) => return None,
                    }
                }
                Err(other) => panic!("{gpa}: {other:?}"),
            }
        }
        panic!("{gpa} faults for ever");
    }

    fn truth(&self, page: u64) -> u64 {
        self.ram.read(Pa(MEMORY.0 + page * PAGE_BYTES + 0x20)).unwrap()
    }

    /// A reader copies the pages that a log names.
    fn copy(&mut self, log: &Bitmap) {
        for page in (0..PAGES).filter(|&page| log.contains(page)) {
            self.copy[page as usize] = self.truth(page);
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Load { hart, page } => {
                if let Some(pa) = self.access(hart, page, Kind::Load) {
                    assert_eq!(pa, Pa(MEMORY.0 + page * PAGE_BYTES + 0x20));
                }
            }
            Step::Store { hart, page } => {
                if let Some(pa) = self.access(hart, page, Kind::Store) {
                    assert_eq!(pa, Pa(MEMORY.0 + page * PAGE_BYTES + 0x20));
                    self.stores += 1;
                    self.ram.write(pa, self.stores).unwrap();
                    self.written.insert(page);
                    if self.config.policy.split == Split::Never || self.starved {
                        // The log is as coarse as the leaf.
                        let first = page & !511;
                        self.excused.extend(first..first + 512);
                    }
                }
            }
            Step::Toggle => self.toggle(),
            Step::Get if self.logging => self.get(),
            Step::Clear { word, mask } if self.logging => self.clear(word, mask),
            Step::Starve { frames } => {
                self.heap.left = frames;
                self.starved = true;
            }
            Step::Feed => self.heap.left = 1000,
            Step::Get | Step::Clear { .. } => {}
        }
    }

    fn toggle(&mut self) {
        self.logging = !self.logging;
        if self.logging {
            // Without a frame to split with, leaves stay large, and the log is as coarse.
            let _ = self.on(|memory, env| memory.enable_log(env, SLOT));
            self.copy = (0..PAGES).map(|page| self.truth(page)).collect();
            self.written.clear();
            self.excused.clear();
            if self.config.clearing == (Clearing::Manual { initially_set: true }) {
                self.excused.extend(0..PAGES);
            }
        } else {
            self.on(|memory, env| memory.disable_log(env, SLOT)).unwrap();
        }
    }

    fn get(&mut self) {
        let log = self.on(|memory, env| memory.get_log(env, SLOT)).unwrap();
        for page in &self.written {
            assert!(log.contains(*page), "page {page} was written and is not in the log");
        }
        for page in (0..PAGES).filter(|&page| log.contains(page)) {
            assert!(
                self.written.contains(&page) || self.excused.contains(&page),
                "page {page} is in the log and nobody wrote it"
            );
        }
        if self.config.clearing == Clearing::AtGet {
            self.written.clear();
            self.excused.clear();
            self.copy(&log);
            self.agree();
        }
    }

    fn clear(&mut self, word: usize, mask: u64) {
        if self.config.clearing == Clearing::AtGet {
            return;
        }
        // Read, clear, then copy: in this order a store is either copied or logged again.
        let log = self.on(|memory, env| memory.get_log(env, SLOT)).unwrap();
        self.on(|memory, env| memory.clear_log(env, SLOT, word, &[mask])).unwrap();
        let mut named = Bitmap::new(PAGES, false);
        for bit in (0..64).filter(|bit| mask >> bit & 1 != 0) {
            let page = word as u64 * 64 + bit;
            if log.contains(page) {
                named.set(page, 1);
                self.written.remove(&page);
                self.excused.remove(&page);
            }
        }
        self.copy(&named);
    }

    /// The law: who has copied every page that the logs named has what is there.
    fn agree(&self) {
        for page in 0..PAGES {
            assert_eq!(
                self.copy[page as usize],
                self.truth(page),
                "a write to page {page} was lost"
            );
        }
    }

    fn finish(&mut self) {
        if !self.logging {
            return;
        }
        let log = self.on(|memory, env| memory.get_log(env, SLOT)).unwrap();
        self.copy(&log);
        self.agree();
    }
}

fn config() -> impl Strategy<Value = MemoryConfig> {
    let policies: Vec<Policy> = Policy::all().collect();
    let clearing = prop_oneof![
        3 => Just(Clearing::AtGet),
        1 => Just(Clearing::Manual { initially_set: false }),
        1 => Just(Clearing::Manual { initially_set: true }),
    ];
    let largest = prop_oneof![1 => Just(Size::Page), 1 => Just(Size::Napot), 4 => Just(Size::Mega)];
    (prop::sample::select(policies), clearing, largest, any::<bool>()).prop_map(
        |(policy, clearing, largest, svvptc)| MemoryConfig { policy, largest, clearing, svvptc },
    )
}

/// A world without rings and with leaves up to 2 MiB.
fn plain(policy: &str) -> World {
    let config = MemoryConfig {
        policy: Policy::by_name(policy).unwrap(),
        largest: Size::Mega,
        clearing: Clearing::AtGet,
        svvptc: true,
    };
    World::new(config, Mode::Sv39x4, Shape::none())
}

#[test]
fn a_log_that_is_on_stays_as_it_is_when_it_is_asked_for_again() {
    let mut world = plain("split-on-fault");
    let off = world.on(|memory, env| memory.get_log(env, SLOT));
    assert_eq!(off, Err(SlotError::NotLogging(SLOT).into()));
    for _ in 0..2 {
        world.on(|memory, env| memory.enable_log(env, SLOT)).unwrap();
        world.memory.mark_written(GPA, 1);
        world.on(|memory, env| memory.enable_log(env, SLOT)).unwrap();
        assert_eq!(world.on(|memory, env| memory.get_log(env, SLOT)).unwrap().count(), 1);
    }
    world.on(|memory, env| memory.disable_log(env, SLOT)).unwrap();
    let off = world.on(|memory, env| memory.clear_log(env, SLOT, 0, &[1]));
    assert_eq!(off, Err(SlotError::NotLogging(SLOT).into()));
}

#[test]
fn a_slot_that_cannot_move_stays_with_its_log() {
    let mut world = plain("split-on-fault");
    world.memory.add_slot(Slot::new(2, Gpa(0), PAGE_BYTES, MEMORY)).unwrap();
    world.on(|memory, env| memory.enable_log(env, SLOT)).unwrap();
    world.memory.mark_written(GPA, 1);
    let moved = world.on(|memory, env| memory.move_slot(env, SLOT, Gpa(0)));
    assert_eq!(moved, Err(SlotError::Overlap(2).into()));
    assert_eq!(world.memory.slots().get(SLOT).map(|slot| slot.gpa), Some(GPA));
    assert_eq!(world.on(|memory, env| memory.get_log(env, SLOT)).unwrap().count(), 1);
    let unknown = world.on(|memory, env| memory.move_slot(env, 7, GPA));
    assert_eq!(unknown, Err(SlotError::Unknown(7).into()));
}

#[test]
fn with_dirty_bits_neither_a_store_after_a_load_faults_nor_does_a_fault_mark() {
    let mut world = plain("dbit");
    world.on(|memory, env| memory.enable_log(env, SLOT)).unwrap();
    world.access(0, 3, Kind::Load).unwrap();
    // A hart may fault although the page is there: it held on to what was there before.
    let again = world.on(|memory, env| memory.fault(env, 0, Gpa(GPA.0 + 3 * PAGE_BYTES), false));
    assert_eq!(again, Ok(Answer::Retry));
    assert_eq!(world.on(|memory, env| memory.get_log(env, SLOT)).unwrap().count(), 0);
    let faults = world.memory.counts().faults;
    world.access(0, 3, Kind::Store).unwrap();
    assert_eq!(world.memory.counts().faults, faults);
    assert!(world.on(|memory, env| memory.get_log(env, SLOT)).unwrap().contains(3));
}

#[test]
fn svvptc_saves_the_fence_of_a_fresh_mapping_and_not_that_of_a_right() {
    let mut world = plain("split-on-fault");
    world.on(|memory, env| memory.enable_log(env, SLOT)).unwrap();
    world.access(0, 3, Kind::Load).unwrap();
    assert_eq!(world.memory.counts().fences, 0);
    world.access(0, 3, Kind::Store).unwrap();
    assert_eq!(world.memory.counts().fences, 1);
}

#[test]
fn what_the_hypervisor_writes_marks_every_page_it_touches() {
    let mut world = plain("split-on-fault");
    world.on(|memory, env| memory.enable_log(env, SLOT)).unwrap();
    world.memory.mark_written(Gpa(GPA.0 + 0x2fff), 2);
    world.memory.mark_written(Gpa(GPA.0 + (PAGES - 1) * PAGE_BYTES), PAGE_BYTES);
    let log = world.on(|memory, env| memory.get_log(env, SLOT)).unwrap();
    let marked: Vec<u64> = (0..PAGES).filter(|&page| log.contains(page)).collect();
    assert_eq!(marked, [2, 3, PAGES - 1]);
}

#[test]
fn a_gigabyte_that_was_split_to_log_comes_back_whole() {
    const GIGA: u64 = 1 << 30;
    for (name, faults) in
        [("split-on-fault+recover-eager", 0), ("split-on-fault+recover-lazy", 512)]
    {
        let ram = Arc::new(Ram::new(BASE, RAM_BYTES).unwrap());
        let (physical, mut heap) = (Physical(ram.clone()), Heap::new(ram));
        let mut harts = Harts(Vec::new());
        let mut env = Env { memory: &physical, frames: &mut heap, fences: &mut harts };
        let config = MemoryConfig {
            policy: Policy::by_name(name).unwrap(),
            largest: Size::Giga,
            clearing: Clearing::AtGet,
            svvptc: true,
        };
        let gstage = Gstage::new(Mode::Sv39x4, BASE).unwrap();
        let mut memory = GuestMemory::new(config, gstage, VMID);
        memory.add_slot(Slot::new(SLOT, Gpa(GIGA), GIGA, Pa(4 * GIGA))).unwrap();
        assert_eq!(memory.fault(&mut env, 0, Gpa(GIGA), true), Ok(Answer::Retry));
        assert_eq!(memory.gstage().counts().tables, 0, "one leaf in the root");
        memory.enable_log(&mut env, SLOT).unwrap();
        for block in [3, 511] {
            memory.fault(&mut env, 0, Gpa(GIGA + (block << 21)), true).unwrap();
        }
        assert_eq!(memory.gstage().counts().tables, 3);
        memory.disable_log(&mut env, SLOT).unwrap();
        for block in 0..faults {
            memory.fault(&mut env, 0, Gpa(GIGA + (block << 21)), true).unwrap();
        }
        let counts = memory.gstage().counts();
        assert_eq!((counts.tables, counts.collapses), (0, 3), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_copies_what_the_log_names_misses_no_write(
        config in config(),
        mode in prop::sample::select(&Mode::ALL[..]),
        adversarial in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let shape = if adversarial { Shape::adversarial() } else { Shape::default() };
        let mut world = World::new(config, mode, shape);
        for step in &steps {
            world.run(step);
        }
        world.finish();
    }
}
