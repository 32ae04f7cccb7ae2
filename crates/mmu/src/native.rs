//! The native TLB: from a virtual address to a native one in a handful of instructions.
//!
//! It only makes things faster. Each line comes from an entry that the architectural TLB keeps, or from an access
//! that is not translated, and goes with it. A hit implies that the access is permitted, that it lies in RAM, in
//! one page, naturally aligned and under uniform PMP rights; a line that lets write also implies that D is set and
//! that nobody watches the page.
//!
//! A first level that loads and stores look at themselves is filled from a second one, or by the architectural path. Between
//! them, chunks of 2 MiB serve loads and stores by themselves.
//!
//! The tag does several comparisons in one: `va` keeps its page number and the bits that must be zero in an aligned
//! address, and bits 10–3 hold the context number. A misaligned address, and with it every access that crosses a
//! page, differs in the low bits.
#![allow(unsafe_code)]

use std::num::NonZeroU16;
use std::ptr;
use std::sync::Arc;

use isa::{PAGE_BITS, PAGE_BYTES, Pa};

use crate::chunks::{CHUNK, CHUNK_BITS, Chunks};
use crate::lines::{Context, Line, Lines};
use crate::ram::{Ram, Scalar};
use crate::second::Second;

/// How many accesses that chunks serve there are for one that brings its page to the first level.
const FILLING: u32 = 32;
/// Lines for executing.
const FETCH_LINES: usize = 1024;
pub(crate) const PAGE: u64 = !(PAGE_BYTES - 1);

/// A page to execute from.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
struct FetchLine {
    /// Page number and context number; 0, which no context has, marks an empty line.
    tag: u64,
    /// What to add to a virtual address for a physical one.
    addend: u64,
}

fn fetch_index(context: Context, va: u64) -> usize {
    (context.hash(va) >> PAGE_BITS) as usize % FETCH_LINES
}

/// Which line lets write to each page of RAM, so that a page that is watched from now on is quickly found.
///
/// Where there is none it is 0, where there is just one at most its index plus 1, and [`SEVERAL`] otherwise.
#[derive(Debug)]
struct Writers(Vec<u32>);

const SEVERAL: u32 = u32::MAX;

impl Writers {
    fn of(&mut self, ram: &Ram, pa: Pa) -> Option<&mut u32> {
        let page = pa.0.wrapping_sub(ram.base().0) >> PAGE_BITS;
        self.0.get_mut(page as usize)
    }
}

/// Whether all of the addresses lie in the page of the first, and are aligned to `T` as it is.
#[inline(always)]
fn lie_together<T: Scalar, const N: usize>(vas: [u64; N]) -> bool {
    let differences = vas.iter().fold(0, |all, va| all | (va ^ vas[0]));
    differences & (PAGE | (T::BYTES - 1)) == 0
}

/// What of an address is compared with a tag, for a naturally aligned `T`.
#[inline(always)]
fn compared<T: Scalar>(va: u64) -> u64 {
    va & (PAGE | (T::BYTES - 1))
}

/// The same with the tag of a chunk.
#[inline(always)]
fn compared_in_chunk<T: Scalar>(va: u64) -> u64 {
    va & (CHUNK | (T::BYTES - 1))
}

/// What an address may be used for natively.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

impl Uses {
    /// As three bits.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.read) | u64::from(self.write) << 1 | u64::from(self.execute) << 2
    }

    /// From the low three bits.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { read: bits & 1 != 0, write: bits & 2 != 0, execute: bits & 4 != 0 }
    }

    /// What either permits.
    pub(crate) fn or(self, other: Self) -> Self {
        Self::from_bits(self.bits() | other.bits())
    }

    #[inline]
    fn grant(self, needed: Self) -> bool {
        needed.bits() & !self.bits() == 0
    }
}

/// The native TLB of a hart.
#[derive(Debug)]
pub(crate) struct Native {
    lines: Lines,
    writers: Writers,
    execute: Box<[FetchLine; FETCH_LINES]>,
    data: Context,
    fetch: Context,
    second: Second,
    chunks: Chunks,
    /// After how many accesses that chunks serve one brings its page to the first level.
    until_filling: u32,
    ram: Arc<Ram>,
}

impl Native {
    pub(crate) fn new(ram: Arc<Ram>) -> Self {
        let none = Context::new(NonZeroU16::MIN);
        // A page has an index in a vector, so the number of pages fits.
        let pages = (ram.bytes() >> PAGE_BITS) as usize;
        Self {
            lines: Lines::new(),
            writers: Writers(vec![0; pages]),
            execute: Box::new([FetchLine::default(); FETCH_LINES]),
            data: none,
            fetch: none,
            second: Second::new(),
            chunks: Chunks::new(&ram),
            until_filling: FILLING,
            ram,
        }
    }

    /// Sets the context numbers of ordinary loads and stores, and of fetches.
    #[inline]
    pub(crate) fn set_contexts(&mut self, data: NonZeroU16, fetch: NonZeroU16) {
        self.data = Context::new(data);
        self.fetch = Context::new(fetch);
    }

    #[inline]
    pub(crate) fn fetch_context(&self) -> u16 {
        self.fetch.number()
    }

    /// The number of the context of fetches, or of ordinary loads and stores.
    #[inline]
    pub(crate) fn context(&self, of_fetches: bool) -> NonZeroU16 {
        let context = if of_fetches { self.fetch } else { self.data };
        // It was made of one.
        NonZeroU16::new(context.number()).unwrap_or(NonZeroU16::MIN)
    }

    /// The line that would have the page of `va`.
    #[inline(always)]
    fn line(&self, va: u64) -> &Line {
        let distance = self.lines.distance(self.data.hash(va));
        // SAFETY: `Lines` says that a line is there. Measured: with a bounds check a load takes two instructions more.
        unsafe { &*self.lines.first().byte_add(distance) }
    }

    /// The native address of a naturally aligned `T` at `va`, if it may be read.
    #[inline(always)]
    fn find_read<T: Scalar>(&self, va: u64) -> Option<u64> {
        let line = self.line(va);
        line.reads(compared::<T>(va) | self.data.tag).then(|| va.wrapping_add(line.addend))
    }

    /// The same if it may be written.
    #[inline(always)]
    fn find_write<T: Scalar>(&self, va: u64) -> Option<u64> {
        let line = self.line(va);
        line.writes(compared::<T>(va) | self.data.write_tag).then(|| va.wrapping_add(line.addend))
    }

    #[inline(always)]
    pub(crate) fn load<T: Scalar>(&self, va: u64) -> Option<T> {
        let at = self.find_read::<T>(va)?;
        // SAFETY: a line with this tag was installed for this page, all of which is in `self.ram`, and lines do not
        // outlive `self.ram`; the tag also says that `va` is aligned. RAM is accessed by atomics only.
        // Measured: 1.4 ns a load; `Ram::read` with its bounds check takes as long again on top of the look-up.
        Some(unsafe { T::load(ptr::with_exposed_provenance(at as usize)) })
    }

    #[inline(always)]
    pub(crate) fn store<T: Scalar>(&self, va: u64, value: T) -> bool {
        let Some(at) = self.find_write::<T>(va) else { return false };
        // SAFETY: as in `load`.
        unsafe { T::store(ptr::with_exposed_provenance_mut(at as usize), value) };
        true
    }

    /// Loads, and stores what `f` makes of it; returns what else that makes. `None`, with nothing done, if either would miss.
    #[inline(always)]
    pub(crate) fn update<T: Scalar, R>(&self, va: u64, f: impl FnOnce(T) -> (T, R)) -> Option<R> {
        let at = self.find_write::<T>(va)?;
        // SAFETY: as in `load`: what may be written may be read.
        let loaded = unsafe { T::load(ptr::with_exposed_provenance(at as usize)) };
        let (value, result) = f(loaded);
        // SAFETY: as in `load`.
        unsafe { T::store(ptr::with_exposed_provenance_mut(at as usize), value) };
        Some(result)
    }

    /// Loads, all from one page; `None` if one would miss, or lies elsewhere.
    #[inline(always)]
    pub(crate) fn load_all<T: Scalar, const N: usize>(&self, vas: [u64; N]) -> Option<[T; N]> {
        let &va = vas.first()?;
        let at = self.find_read::<T>(va)?;
        lie_together::<T, N>(vas).then(|| {
            vas.map(|other| {
                let beside = at.wrapping_add(other.wrapping_sub(va));
                // SAFETY: as in `load`; all of them are in the page of the first, and aligned as it is.
                unsafe { T::load(ptr::with_exposed_provenance(beside as usize)) }
            })
        })
    }

    /// Stores, all to one page, in their order; false if one would miss, or lies elsewhere, with nothing done.
    #[inline(always)]
    pub(crate) fn store_all<T: Scalar, const N: usize>(&self, stores: [(u64, T); N]) -> bool {
        let Some(&(va, _)) = stores.first() else { return true };
        let Some(at) = self.find_write::<T>(va) else { return false };
        if !lie_together::<T, N>(stores.map(|(va, _)| va)) {
            return false;
        }
        for (other, value) in stores {
            let beside = at.wrapping_add(other.wrapping_sub(va));
            // SAFETY: as in `load_all`.
            unsafe { T::store(ptr::with_exposed_provenance_mut(beside as usize), value) };
        }
        true
    }

    /// Whether an access that a chunk serves needs no line. Now and then one does, so that pages in frequent use come to the
    /// first level; the others need no room there.
    #[inline(always)]
    fn needs_no_line(&mut self) -> bool {
        self.until_filling = self.until_filling.wrapping_sub(1);
        if self.until_filling == 0 {
            self.until_filling = FILLING;
            return false;
        }
        true
    }

    /// Loads a `T` that [`Self::load`] missed, where a chunk serves it.
    #[inline(always)]
    pub(crate) fn load_in_chunk<T: Scalar>(&mut self, va: u64) -> Option<T> {
        let chunk = self.chunks.at(self.data, va);
        let at = va.wrapping_add(chunk.addend);
        if !chunk.reads(compared_in_chunk::<T>(va) | self.data.tag) || !self.needs_no_line() {
            return None;
        }
        // SAFETY: a chunk with this tag was kept for the 2 MiB around `va`, all of which are in `self.ram`, and none outlives
        // `self.ram`; the tag also says that `va` is aligned. RAM is accessed by atomics only.
        Some(unsafe { T::load(ptr::with_exposed_provenance(at as usize)) })
    }

    /// The same for a store, where nobody watches a page of the chunk; says whether it was done.
    #[inline(always)]
    pub(crate) fn store_in_chunk<T: Scalar>(&mut self, va: u64, value: T) -> bool {
        let chunk = self.chunks.at(self.data, va);
        let at = va.wrapping_add(chunk.addend);
        if !chunk.writes(compared_in_chunk::<T>(va) | self.data.write_tag) || !self.needs_no_line()
        {
            return false;
        }
        // SAFETY: as in `load_in_chunk`.
        unsafe { T::store(ptr::with_exposed_provenance_mut(at as usize), value) };
        true
    }

    /// Loads and stores as [`Self::update`] does, where a chunk serves both and nobody watches a page of it.
    #[inline(always)]
    pub(crate) fn update_in_chunk<T: Scalar, R>(
        &mut self,
        va: u64,
        f: impl FnOnce(T) -> (T, R),
    ) -> Option<R> {
        let chunk = self.chunks.at(self.data, va);
        let at = va.wrapping_add(chunk.addend);
        if !chunk.writes(compared_in_chunk::<T>(va) | self.data.write_tag) || !self.needs_no_line()
        {
            return None;
        }
        // SAFETY: as in `load_in_chunk`: what may be written without looking may be read.
        let loaded = unsafe { T::load(ptr::with_exposed_provenance(at as usize)) };
        let (value, result) = f(loaded);
        // SAFETY: as in `load_in_chunk`.
        unsafe { T::store(ptr::with_exposed_provenance_mut(at as usize), value) };
        Some(result)
    }

    /// The same for a store where somebody watches a page of the chunk, but not this one.
    #[inline(always)]
    pub(crate) fn store_in_watched_chunk<T: Scalar>(&mut self, va: u64, value: T) -> bool {
        let chunk = self.chunks.at(self.data, va);
        let at = va.wrapping_add(chunk.addend);
        if !chunk.writes_unwatched(compared_in_chunk::<T>(va) | self.data.tag)
            || self.ram.is_watched(self.ram.physical(at))
            || !self.needs_no_line()
        {
            return false;
        }
        // SAFETY: as in `load_in_chunk`.
        unsafe { T::store(ptr::with_exposed_provenance_mut(at as usize), value) };
        true
    }

    /// Keeps the page of `va` in the second level.
    pub(crate) fn keep_page(&mut self, number: NonZeroU16, va: u64, pa: Pa, uses: Uses) {
        self.second.keep_page(number, va, pa, uses);
    }

    /// Keeps the chunk of `va`, which is contiguous in physical memory, if it is all RAM.
    pub(crate) fn keep_chunk(&mut self, number: NonZeroU16, va: u64, pa: Pa, uses: Uses) {
        self.chunks.keep(Context::new(number), va, pa, &self.ram, uses);
    }

    /// The physical address behind `va`, if a load of `T` would hit.
    #[inline(always)]
    pub(crate) fn readable<T: Scalar>(&self, va: u64) -> Option<Pa> {
        self.find_read::<T>(va).map(|at| self.ram.physical(at))
    }

    /// The physical address behind `va`, if a store of `T` would hit.
    #[inline(always)]
    pub(crate) fn writable<T: Scalar>(&self, va: u64) -> Option<Pa> {
        self.find_write::<T>(va).map(|at| self.ram.physical(at))
    }

    #[inline(always)]
    pub(crate) fn fetch_page(&self, va: u64) -> Option<Pa> {
        let line = &self.execute[fetch_index(self.fetch, va)];
        (line.tag == va & PAGE | self.fetch.tag).then(|| Pa(va.wrapping_add(line.addend)))
    }

    /// Lets the page of `va` be used as `uses` says, under a context number. Nothing happens where the
    /// page is not RAM, and a watched page is not written.
    pub(crate) fn install(&mut self, number: NonZeroU16, va: u64, pa: Pa, uses: Uses) {
        self.lines.make_room(Context::new(number), va);
        self.install_of_chunk(number, va, pa, uses);
    }

    /// The same for a page of a chunk that is kept: it is soon found again, and needs no line that stays.
    pub(crate) fn install_of_chunk(&mut self, number: NonZeroU16, va: u64, pa: Pa, uses: Uses) {
        let Some(native) = self.ram.native_page(pa.page()) else { return };
        let context = Context::new(number);
        let page = va & PAGE;
        let write = uses.write && !self.ram.is_watched(pa);
        if uses.read || write {
            let addend = native.wrapping_sub(page);
            let index = self.lines.fill(context, va, addend, Uses { write, ..uses });
            if write && let Some(index) = index {
                self.note_writer(pa, native, index);
            }
        }
        if uses.execute {
            let addend = pa.page().0.wrapping_sub(page);
            let line = FetchLine { tag: page | context.tag, addend };
            self.execute[fetch_index(context, va)] = line;
        }
    }

    /// Notes that the line with this index lets write to a page.
    fn note_writer(&mut self, pa: Pa, native: u64, index: usize) {
        let Some(writer) = self.writers.of(&self.ram, pa) else { return };
        let (known, own) = (*writer, index as u32 + 1);
        let other = |known: u32| self.lines.writes(known as usize - 1, native);
        *writer = match known {
            SEVERAL => SEVERAL,
            0 => own,
            _ if known == own || !other(known) => own,
            _ => SEVERAL,
        };
    }

    /// What an access of a page that the first level lacks goes to, if the second, or a chunk, has it under the number `kept`: then
    /// the first level has it from now on, under the number `own`, and so has the chunk.
    #[inline]
    pub(crate) fn recall(
        &mut self,
        own: NonZeroU16,
        kept: NonZeroU16,
        va: u64,
        needed: Uses,
    ) -> Option<Pa> {
        if let Some((at, uses)) = self.chunks.find(Context::new(kept), va) {
            let pa = self.ram.physical(at);
            if !uses.grant(needed) {
                return None;
            }
            if own != kept {
                self.keep_chunk(own, va, pa, uses);
            }
            self.install_of_chunk(own, va, pa, uses);
            return Some(pa);
        }
        let (pa, uses) = self.second.find(kept, va)?;
        if !uses.grant(needed) {
            return None;
        }
        self.install(own, va, pa, uses);
        Some(pa)
    }

    /// Drops the 2^`bits` bytes from `start` on, which one leaf translated, under a context number.
    pub(crate) fn drop_leaf(&mut self, number: NonZeroU16, start: u64, bits: u32) {
        let pages = 1u64 << (bits - PAGE_BITS);
        if bits < CHUNK_BITS {
            for page in 0..pages {
                self.drop_page(number, start.wrapping_add(page << PAGE_BITS));
            }
            return;
        }
        let context = Context::new(number);
        self.chunks.drop_range(context, start, bits);
        if pages < self.lines.count() as u64 {
            for page in 0..pages {
                self.lines.drop_page(context, start.wrapping_add(page << PAGE_BITS));
            }
        } else {
            self.lines.drop_range(context, start, bits);
        }
        for line in &mut *self.execute {
            if line.tag & !PAGE == context.tag && line.tag >> bits == start >> bits {
                *line = FetchLine::default();
            }
        }
    }

    /// Drops the page of `va` under a context number.
    pub(crate) fn drop_page(&mut self, number: NonZeroU16, va: u64) {
        let context = Context::new(number);
        self.lines.drop_page(context, va);
        let line = &mut self.execute[fetch_index(context, va)];
        if line.tag == va & PAGE | context.tag {
            *line = FetchLine::default();
        }
        self.second.drop_page(number, va);
    }

    /// Drops what lets write to the physical page `pa`.
    pub(crate) fn drop_writes_to(&mut self, pa: Pa) {
        let Some(native) = self.ram.native_page(pa.page()) else { return };
        self.chunks.look_at_writes_to(pa, &self.ram);
        match self.writers.of(&self.ram, pa).map(std::mem::take) {
            None | Some(0) => {}
            Some(SEVERAL) => self.lines.drop_writes_to(native),
            Some(one) => self.lines.drop_write(one as usize - 1, native),
        }
    }

    /// Drops everything that lets write.
    pub(crate) fn drop_writes(&mut self) {
        self.lines.drop_writes();
        self.chunks.look_at_writes();
    }

    /// A context number was withdrawn: what is there under it is dead.
    pub(crate) fn retired(&mut self) {
        self.lines.forgive();
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        *self.execute = [FetchLine::default(); FETCH_LINES];
        self.second.clear();
        self.chunks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_watch::PageClass;

    const BASE: Pa = Pa(0x8000_0000);
    const VA: u64 = 0xffff_ffc0_0012_3000;
    const ALL: Uses = Uses { read: true, write: true, execute: true };

    fn number(n: u16) -> NonZeroU16 {
        NonZeroU16::new(n).unwrap()
    }

    fn native() -> (Native, Arc<Ram>) {
        let ram = Arc::new(Ram::new(BASE, 0x4000).unwrap());
        let mut native = Native::new(Arc::clone(&ram));
        native.set_contexts(number(7), number(9));
        native.install(number(7), VA, Pa(BASE.0 + 0x1000), Uses { execute: false, ..ALL });
        native.install(
            number(9),
            VA,
            Pa(BASE.0 + 0x1000),
            Uses { execute: true, ..Uses::default() },
        );
        (native, ram)
    }

    #[test]
    fn a_hit_reaches_the_byte_behind_the_address() {
        let (native, ram) = native();
        assert!(native.store(VA + 0x128, 0x1122_3344_5566_7788u64));
        assert_eq!(ram.read::<u64>(Pa(BASE.0 + 0x1128)), Some(0x1122_3344_5566_7788));
        assert_eq!(native.load::<u64>(VA + 0x128), Some(0x1122_3344_5566_7788));
        assert_eq!(native.load::<u8>(VA + 0x12f), Some(0x11));
        assert_eq!(native.load::<u16>(VA + 0xffe), Some(0));
        assert_eq!(native.fetch_page(VA + 0xffe), Some(Pa(BASE.0 + 0x1ffe)));
        assert_eq!(native.writable::<u32>(VA + 4), Some(Pa(BASE.0 + 0x1004)));
        assert_eq!(native.readable::<u8>(VA + 7), Some(Pa(BASE.0 + 0x1007)));
    }

    #[test]
    fn accesses_of_one_page_are_done_together_or_not_at_all() {
        let (native, _) = native();
        assert!(native.store_all([(VA + 0x10, 1u64), (VA + 0xff8, 2), (VA, 3)]));
        assert_eq!(native.load_all([VA + 0xff8, VA + 0x10, VA]), Some([2u64, 1, 3]));
        assert!(native.store_all([(VA + 0x20, 1u64), (VA + 0x20, 2)]));
        assert_eq!(native.load::<u64>(VA + 0x20), Some(2), "the last one");
        assert_eq!(native.load_all::<u64, 2>([VA + 0x10, VA + 0x1000]), None);
        assert_eq!(native.load_all::<u64, 2>([VA + 0x10, VA + 0x14]), None);
        assert_eq!(native.load_all::<u64, 3>([VA + 0x14, VA + 0x10, VA + 0x10]), None);
        assert_eq!(native.load_all::<u64, 3>([VA + 0x10, VA + 0x10, VA + 0x14]), None);
        for other in [VA + 0x1000, VA - 8, VA + 0x15] {
            assert!(!native.store_all([(VA + 0x10, 7u64), (other, 7)]));
            assert!(!native.store_all([(VA + 0x10, 7u64), (VA + 0x18, 7), (other, 7)]));
        }
        assert_eq!(native.load::<u64>(VA + 0x10), Some(1));
    }

    #[test]
    fn misaligned_and_page_crossing_accesses_miss() {
        let (native, _) = native();
        for offset in 1..8 {
            assert_eq!(native.load::<u64>(VA + offset), None);
            assert!(!native.store(VA + offset, 0u64));
            assert_eq!(native.load::<u64>(VA + 0x1000 - offset), None);
        }
        assert_eq!(native.load::<u32>(VA + 2), None);
        assert_eq!(native.load::<u16>(VA + 0xfff), None);
        assert_eq!(native.load::<u32>(VA + 0xffe), None);
    }

    #[test]
    fn another_page_context_or_use_misses() {
        let (mut native, _) = native();
        assert_eq!(native.load::<u8>(VA + 0x1000), None);
        assert_eq!(native.load::<u8>(VA - 1), None);
        native.set_contexts(number(9), number(7));
        assert_eq!(native.load::<u8>(VA), None);
        assert_eq!(native.fetch_page(VA), None);
        native.set_contexts(number(8), number(9));
        assert_eq!(native.load::<u8>(VA), None);
        assert!(!native.store(VA, 0u8));
    }

    #[test]
    fn an_empty_tlb_has_nothing_at_address_zero() {
        let native = Native::new(Arc::new(Ram::new(BASE, 0x1000).unwrap()));
        assert_eq!(native.load::<u8>(0), None);
        assert_eq!(native.fetch_page(0), None);
    }

    #[test]
    fn nothing_is_installed_outside_ram() {
        let (mut native, _) = native();
        native.install(number(7), 0x5000, Pa(BASE.0 + 0x4000), ALL);
        native.install(number(7), 0x6000, Pa(0x1000), ALL);
        assert_eq!(native.load::<u8>(0x5000), None);
        assert_eq!(native.load::<u8>(0x6000), None);
    }

    #[test]
    fn a_watched_page_is_not_written_natively() {
        for class in [PageClass::Code, PageClass::Table] {
            let (mut native, ram) = native();
            let page = Pa(BASE.0 + 0x1000);
            native.drop_writes_to(Pa(BASE.0 + 0x2000));
            assert!(native.store(VA, 1u8));
            ram.watch(page, class);
            native.drop_writes_to(page);
            assert!(!native.store(VA, 1u8));
            assert!(native.load::<u8>(VA).is_some());
            native.install(number(7), VA, page, ALL);
            assert!(!native.store(VA, 1u8));
        }
    }

    #[test]
    fn a_page_under_several_addresses_is_not_written_under_any_once_it_is_watched() {
        let page = Pa(BASE.0 + 0x1000);
        for others in 0..3u64 {
            let (mut native, ram) = native();
            let addresses: Vec<u64> = (0..=others).map(|n| VA + n * 0x1_2345_6000).collect();
            for &va in &addresses {
                native.install(number(7), va, page, ALL);
                assert!(native.store(va, 1u8));
            }
            // Meanwhile another page took the place of one.
            if others == 2 {
                native.install(number(7), VA, BASE, ALL);
                native.install(number(7), VA, page, ALL);
            }
            ram.watch(page, PageClass::Code);
            native.drop_writes_to(page);
            assert!(addresses.iter().all(|&va| !native.store(va, 1u8)));
            assert!(addresses.iter().all(|&va| native.load::<u8>(va).is_some()));
        }
    }

    #[test]
    fn a_chunk_serves_what_its_rights_and_watches_permit() {
        let ram = Arc::new(Ram::new(BASE, 0x30_0000).unwrap());
        let mut native = Native::new(Arc::clone(&ram));
        native.set_contexts(number(7), number(9));
        let (va, at) = (VA >> CHUNK_BITS << CHUNK_BITS | 0x12_3458, Pa(BASE.0 + 0x12_3458));
        native.keep_chunk(number(7), va, at, Uses { execute: false, ..ALL });
        // Now and then it says no, lest a page in frequent use never come to the first level, but not twice in a row.
        let store_once = |native: &mut Native, va| {
            native.store_in_chunk(va, 5u64) || native.store_in_watched_chunk(va, 5u64)
        };
        let store = |native: &mut Native, va| store_once(native, va) || store_once(native, va);
        let load = |native: &mut Native, va| {
            native.load_in_chunk::<u64>(va).or_else(|| native.load_in_chunk::<u64>(va))
        };
        assert!((0..100).all(|_| store(&mut native, va)));
        assert_eq!((ram.read::<u64>(at), load(&mut native, va)), (Some(5), Some(5)));
        assert!((0..100).any(|_| native.load_in_chunk::<u64>(va).is_none()));
        assert_eq!(load(&mut native, va + 4), None, "misaligned");
        assert_eq!(load(&mut native, va + 0x20_0000), None, "the next chunk");
        assert!((0..100).any(|_| !store_once(&mut native, va)));
        for class in [PageClass::Code, PageClass::Table] {
            ram.watch(at, class);
            native.drop_writes_to(at);
            assert!(!store(&mut native, va) && load(&mut native, va).is_some());
            assert!(store(&mut native, va + 0x1000));
            assert!((0..100).any(|_| !store_once(&mut native, va + 0x1000)));
            ram.unwatch(at, class);
            assert!(store(&mut native, va));
        }
        let beyond = va + 0x20_0000;
        native.keep_chunk(number(7), beyond, Pa(at.0 + 0x20_0000), ALL);
        assert_eq!(load(&mut native, beyond), None, "half of that chunk is not RAM");
        native.set_contexts(number(8), number(9));
        assert!(!store(&mut native, va) && load(&mut native, va).is_none());
        native.keep_chunk(number(8), va, at, Uses { read: true, ..Uses::default() });
        assert!(!store(&mut native, va) && load(&mut native, va).is_some());
        native.drop_leaf(number(8), va >> 30 << 30, 30);
        assert_eq!(load(&mut native, va), None);
        // What is global has a number of its own. From the first access on it is found under the other, too.
        let reading = Uses { read: true, ..Uses::default() };
        native.keep_chunk(number(5), va, at, ALL);
        assert_eq!(native.recall(number(8), number(8), va, reading), None);
        assert_eq!(native.recall(number(8), number(5), va, reading), Some(at));
        assert!(store(&mut native, va + 0x2000) && load(&mut native, va + 0x3000).is_some());
        native.drop_leaf(number(8), va >> 21 << 21, 21);
        assert!(!store(&mut native, va) && load(&mut native, va).is_none());
    }

    #[test]
    fn an_update_is_done_where_a_load_and_a_store_would_be() {
        let ram = Arc::new(Ram::new(BASE, 0x20_0000).unwrap());
        let va = VA >> CHUNK_BITS << CHUNK_BITS;
        let read = Uses { read: true, ..Uses::default() };
        let twice = |loaded: u64| (2 * loaded, loaded);
        for in_chunk in [false, true] {
            let made = |uses| {
                let mut native = Native::new(Arc::clone(&ram));
                native.set_contexts(number(7), number(9));
                native.install_of_chunk(number(7), va, BASE, if in_chunk { read } else { uses });
                if in_chunk {
                    native.keep_chunk(number(7), va, BASE, uses);
                }
                native
            };
            let update = |native: &mut Native, va| match in_chunk {
                false => native.update(va, twice),
                // It may say no now and then.
                true => {
                    native.update_in_chunk(va, twice).or_else(|| native.update_in_chunk(va, twice))
                }
            };
            ram.write(Pa(BASE.0 + 8), 21u64).unwrap();
            let mut native = made(ALL);
            assert_eq!(update(&mut native, va + 8), Some(21));
            assert_eq!(ram.read::<u64>(Pa(BASE.0 + 8)), Some(42));
            assert_eq!(update(&mut native, va + 12), None, "misaligned");
            assert_eq!(update(&mut native, va + 0x20_0008), None);
            assert_eq!(update(&mut made(read), va + 8), None);
            ram.watch(BASE, PageClass::Code);
            native.drop_writes_to(BASE);
            assert_eq!(update(&mut native, va + 8), None);
            ram.unwatch(BASE, PageClass::Code);
            native.set_contexts(number(8), number(9));
            assert_eq!(update(&mut native, va + 8), None);
            assert_eq!(ram.read::<u64>(Pa(BASE.0 + 8)), Some(42));
        }
    }

    #[test]
    fn a_large_leaf_goes_page_by_page_or_at_once() {
        for (bits, outside) in [(21, VA + 0x20_0000), (30, VA - 0x4000_0000)] {
            let (mut native, _) = native();
            for va in [VA, VA + 0x1000, outside] {
                native.install(number(7), va, BASE, ALL);
            }
            native.drop_leaf(number(7), VA >> bits << bits, bits);
            assert_eq!(native.load::<u8>(VA), None);
            assert_eq!(native.load::<u8>(VA + 0x1000), None);
            assert!(native.load::<u8>(outside).is_some());
        }
    }

    #[test]
    fn dropping_a_page_leaves_the_others() {
        let (mut native, _) = native();
        native.install(number(7), VA + 0x1000, BASE, ALL);
        native.drop_page(number(9), VA + 0x1000);
        native.drop_page(number(7), VA);
        assert_eq!(native.load::<u8>(VA), None);
        assert!(native.load::<u8>(VA + 0x1000).is_some());
        assert!(native.fetch_page(VA).is_some());
        native.clear();
        assert_eq!(native.load::<u8>(VA + 0x1000), None);
        assert_eq!(native.fetch_page(VA), None);
    }
}
