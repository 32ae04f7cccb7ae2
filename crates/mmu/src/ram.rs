//! Guest RAM: one contiguous range of main memory, backed by anonymous memory that the machine we run on
//! commits page by page, so that a guest may have more RAM than that machine.
//!
//! Every access is atomic and relaxed where it is naturally aligned and byte by byte elsewhere, so that harts
//! and devices may share it. Nothing here hands out a reference into guest memory.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use isa::{PAGE_BYTES, Pa};
use memmap2::{MmapOptions, MmapRaw};

use crate::page_watch::{PageClass, PageEvent, PageWatch, PagesSeen, TableWrite};

/// Why RAM could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// Nothing to allocate.
    #[error("RAM of 0 bytes")]
    Empty,
    /// Not whole pages.
    #[error("RAM at {base} of {bytes:#x} bytes does not consist of whole 4 KiB pages")]
    Unaligned {
        /// The first address asked for.
        base: Pa,
        /// The size asked for.
        bytes: u64,
    },
    /// Its end is beyond 56 bits of physical address.
    #[error("RAM at {base} of {bytes:#x} bytes does not fit into 56-bit physical addresses")]
    TooHigh {
        /// The first address asked for.
        base: Pa,
        /// The size asked for.
        bytes: u64,
    },
    /// The operating system gave no address space.
    #[error("cannot reserve {bytes:#x} bytes of RAM: {error}")]
    Unavailable {
        /// The size asked for.
        bytes: u64,
        /// What the operating system said.
        error: io::Error,
    },
}

/// Some byte of an access lies outside RAM; nothing was read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{len:#x} bytes at {pa} are not all in RAM")]
pub struct OutOfRam {
    /// The first byte of the access.
    pub pa: Pa,
    /// Its length in bytes.
    pub len: u64,
}

mod sealed {
    pub trait Sealed {}
}

/// What a load or store moves: `u8`, `u16`, `u32` or `u64`, little-endian in guest memory.
pub trait Scalar: sealed::Sealed + Copy + Eq + Default + Into<u64> + 'static {
    /// Its size in bytes.
    const BYTES: u64;

    /// The low bytes of `bits`.
    fn truncate(bits: u64) -> Self;

    /// Loads by one relaxed atomic access.
    ///
    /// # Safety
    /// `at` is aligned to `BYTES`, and valid for reads for as long as the call takes; others access it by
    /// atomics only.
    unsafe fn load(at: *const u8) -> Self;

    /// Stores by one relaxed atomic access.
    ///
    /// # Safety
    /// As for [`Scalar::load`], and valid for writes.
    unsafe fn store(at: *mut u8, value: Self);

    /// Stores `new` if `at` holds `old`, atomically and sequentially consistent; else returns what it holds.
    ///
    /// # Errors
    /// What the cell holds, if not `old`.
    ///
    /// # Safety
    /// As for [`Scalar::store`].
    unsafe fn compare_exchange(at: *mut u8, old: Self, new: Self) -> Result<(), Self>;
}

macro_rules! scalar {
    ($($int:ident $atomic:ident)*) => {$(
        impl sealed::Sealed for $int {}
        impl Scalar for $int {
            const BYTES: u64 = size_of::<$int>() as u64;

            #[inline(always)]
            fn truncate(bits: u64) -> Self {
                bits as Self
            }

            #[inline(always)]
            unsafe fn load(at: *const u8) -> Self {
                // SAFETY: the caller vouches for alignment, validity and atomic-only sharing.
                let cell = unsafe { $atomic::from_ptr(at.cast_mut().cast()) };
                Self::from_le(cell.load(Ordering::Relaxed))
            }

            #[inline(always)]
            unsafe fn store(at: *mut u8, value: Self) {
                // SAFETY: the caller vouches for alignment, validity and atomic-only sharing.
                let cell = unsafe { $atomic::from_ptr(at.cast()) };
                cell.store(value.to_le(), Ordering::Relaxed);
            }

            #[inline]
            unsafe fn compare_exchange(at: *mut u8, old: Self, new: Self) -> Result<(), Self> {
                // SAFETY: the caller vouches for alignment, validity and atomic-only sharing.
                let cell = unsafe { $atomic::from_ptr(at.cast()) };
                cell.compare_exchange(
                    old.to_le(),
                    new.to_le(),
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                )
                .map(drop)
                .map_err(Self::from_le)
            }
        }
    )*};
}

scalar! { u8 AtomicU8 u16 AtomicU16 u32 AtomicU32 u64 AtomicU64 }

/// Guest RAM, shared by harts and devices.
#[derive(Debug)]
pub struct Ram {
    map: MmapRaw,
    base: Pa,
    bytes: u64,
    watch: PageWatch,
}

impl Ram {
    /// `bytes` of zeroes from `base` on, both multiples of 4096. Only pages that are touched cost anything.
    ///
    /// # Errors
    /// The size or place is unsuitable, or the operating system refuses the address space.
    pub fn new(base: Pa, bytes: u64) -> Result<Self, RamError> {
        if bytes == 0 {
            return Err(RamError::Empty);
        }
        if !base.is_aligned(PAGE_BYTES) || !bytes.is_multiple_of(PAGE_BYTES) {
            return Err(RamError::Unaligned { base, bytes });
        }
        if base.checked_add(bytes).is_none_or(|end| end.0 > 1 << 56) {
            return Err(RamError::TooHigh { base, bytes });
        }
        let unavailable = |error| RamError::Unavailable { bytes, error };
        let len = usize::try_from(bytes)
            .map_err(|_| unavailable(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        let map = MmapOptions::new().len(len).no_reserve_swap().map_anon().map_err(unavailable)?;
        // Random accesses to hundreds of MiB are bound by what the machine's own TLBs reach. Where it has no large pages to
        // give, that is no error.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map: map.into(), base, bytes, watch: PageWatch::new(base, bytes) })
    }

    /// The first address.
    #[inline]
    pub fn base(&self) -> Pa {
        self.base
    }

    /// The size in bytes.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the `len` bytes from `pa` on are all RAM.
    #[inline]
    pub fn contains(&self, pa: Pa, len: u64) -> bool {
        self.offset(pa, len).is_some()
    }

    #[inline]
    fn offset(&self, pa: Pa, len: u64) -> Option<usize> {
        let offset = pa.0.wrapping_sub(self.base.0);
        // `bytes` fitted into a usize when the map was made.
        (offset < self.bytes && len <= self.bytes - offset).then_some(offset as usize)
    }

    /// The native address of a page of RAM, for the native TLB alone; `None` if part of it is not RAM.
    #[inline]
    pub(crate) fn native_page(&self, page: Pa) -> Option<u64> {
        let offset = self.offset(page, PAGE_BYTES)?;
        Some((self.map.as_mut_ptr().expose_provenance() + offset) as u64)
    }

    /// The physical address of a native address inside a page that [`Ram::native_page`] gave.
    #[inline]
    pub(crate) fn physical(&self, native: u64) -> Pa {
        let start = self.map.as_mut_ptr().addr() as u64;
        Pa(native.wrapping_sub(start).wrapping_add(self.base.0))
    }

    /// Reads a value at any alignment; `None` outside RAM. Atomic where naturally aligned.
    #[inline]
    pub fn read<T: Scalar>(&self, pa: Pa) -> Option<T> {
        let offset = self.offset(pa, T::BYTES)?;
        // SAFETY: `offset` and the bytes after it are inside the map, which lives as long as `self`; the map
        // begins on a page, so an aligned offset is an aligned address; all access is by atomics.
        unsafe {
            let at = self.map.as_mut_ptr().add(offset);
            if (offset as u64).is_multiple_of(T::BYTES) {
                return Some(T::load(at));
            }
            let mut bits = 0;
            for i in (0..T::BYTES as usize).rev() {
                bits = bits << 8 | u64::from(u8::load(at.add(i)));
            }
            Some(T::truncate(bits))
        }
    }

    /// Writes a value at any alignment; `None` outside RAM, with nothing written. Atomic where naturally
    /// aligned. Watchers of the page it hits hear of it.
    #[inline]
    pub fn write<T: Scalar>(&self, pa: Pa, value: T) -> Option<()> {
        let offset = self.offset(pa, T::BYTES)?;
        // SAFETY: as in `read`.
        unsafe {
            let at = self.map.as_mut_ptr().add(offset);
            if (offset as u64).is_multiple_of(T::BYTES) {
                T::store(at, value);
            } else {
                let bits: u64 = value.into();
                for i in 0..T::BYTES as usize {
                    u8::store(at.add(i), (bits >> (8 * i)) as u8);
                }
            }
        }
        self.watch.note_write(pa, T::BYTES);
        Some(())
    }

    /// Replaces `old` by `new` at a naturally aligned address in one atomic step. `None` where it is not
    /// aligned or not RAM; `Some(Err(found))` where memory holds something else.
    #[inline]
    pub fn compare_exchange<T: Scalar>(&self, pa: Pa, old: T, new: T) -> Option<Result<(), T>> {
        let offset = self.offset(pa, T::BYTES)?;
        if !(offset as u64).is_multiple_of(T::BYTES) {
            return None;
        }
        // SAFETY: as in `read`; the alignment was checked.
        let result = unsafe { T::compare_exchange(self.map.as_mut_ptr().add(offset), old, new) };
        if result.is_ok() {
            self.watch.note_write(pa, T::BYTES);
        }
        Some(result)
    }

    /// Fills `bytes` from memory.
    ///
    /// # Errors
    /// Part of the range is not RAM; `bytes` is left alone.
    pub fn read_bytes(&self, pa: Pa, bytes: &mut [u8]) -> Result<(), OutOfRam> {
        let len = bytes.len() as u64;
        let offset = self.offset(pa, len).ok_or(OutOfRam { pa, len })?;
        let (head, words) = split(offset, bytes.len());
        let (head, rest) = bytes.split_at_mut(head);
        let (middle, tail) = rest.split_at_mut(words * 8);
        // SAFETY: the three parts lie one after the other inside the map, the middle from an aligned address
        // on; else as in `read`.
        unsafe {
            let mut at = self.map.as_mut_ptr().add(offset);
            for byte in head {
                *byte = u8::load(at);
                at = at.add(1);
            }
            for word in middle.chunks_exact_mut(8) {
                word.copy_from_slice(&u64::load(at).to_le_bytes());
                at = at.add(8);
            }
            for byte in tail {
                *byte = u8::load(at);
                at = at.add(1);
            }
        }
        Ok(())
    }

    /// Copies `bytes` into memory: device DMA, loader, firmware. Watchers of the
    /// pages it hits hear of it.
    ///
    /// # Errors
    /// Part of the range is not RAM; nothing is written.
    pub fn write_bytes(&self, pa: Pa, bytes: &[u8]) -> Result<(), OutOfRam> {
        let len = bytes.len() as u64;
        let offset = self.offset(pa, len).ok_or(OutOfRam { pa, len })?;
        let (head, words) = split(offset, bytes.len());
        let (head, rest) = bytes.split_at(head);
        let (middle, tail) = rest.split_at(words * 8);
        // SAFETY: as in `read_bytes`.
        unsafe {
            let mut at = self.map.as_mut_ptr().add(offset);
            for &byte in head {
                u8::store(at, byte);
                at = at.add(1);
            }
            for word in middle.chunks_exact(8) {
                let mut value = [0; 8];
                value.copy_from_slice(word);
                u64::store(at, u64::from_le_bytes(value));
                at = at.add(8);
            }
            for &byte in tail {
                u8::store(at, byte);
                at = at.add(1);
            }
        }
        if len != 0 {
            self.watch.note_write(pa, len);
        }
        Ok(())
    }

    /// Watches the page that holds `pa`. The first time, that is an event.
    pub fn watch(&self, pa: Pa, class: PageClass) {
        self.watch.watch(pa, class);
    }

    /// Takes the watch of a page back.
    pub fn unwatch(&self, pa: Pa, class: PageClass) {
        self.watch.unwatch(pa, class);
    }

    /// Whether the page that holds `pa` is watched for anything.
    #[inline]
    pub fn is_watched(&self, pa: Pa) -> bool {
        self.watch.is_watched(pa)
    }

    /// Whether a page of the `bytes` from `pa` on, of which there is one at least, is watched for anything.
    pub(crate) fn any_is_watched(&self, pa: Pa, bytes: u64) -> bool {
        self.watch.any_is_watched(pa, bytes)
    }

    /// Whether the page that holds `pa` is watched in this class.
    pub fn is_watched_as(&self, pa: Pa, class: PageClass) -> bool {
        self.watch.is_watched_as(pa, class)
    }

    /// Follows the stores to the double-word at `pa` from now on, in place of any other, as long as its page is
    /// watched.
    pub fn follow_word(&self, pa: Pa) {
        self.watch.follow_word(pa);
    }

    /// Which bytes of the followed double-word were stored to since the last call, the lowest in bit 0.
    #[inline]
    pub fn take_word_bytes(&self) -> u8 {
        self.watch.take_word_bytes()
    }

    /// How many events of watched pages there were so far.
    #[inline]
    pub fn page_events(&self) -> u64 {
        self.watch.events()
    }

    /// How far a reader of these events is who has read them all.
    pub fn pages_seen(&self) -> PagesSeen {
        self.watch.seen()
    }

    /// Calls `f` with each event since `seen`, or with a [`PageEvent::Missed`] if some are no longer known.
    /// Returns what to pass next time.
    pub fn page_events_since(&self, seen: PagesSeen, f: impl FnMut(PageEvent)) -> PagesSeen {
        self.watch.events_since(seen, f)
    }

    /// Whether a page that is watched as a table was written since the last [`Ram::fetch_table_writes`].
    #[inline]
    pub fn has_table_writes(&self) -> bool {
        self.watch.has_writes()
    }

    /// Appends the writes to pages that are watched as tables since the last call to `out`, in their order. Says
    /// whether that is all of them; if not, any such page may have been written.
    pub fn fetch_table_writes(&self, out: &mut Vec<TableWrite>) -> bool {
        self.watch.fetch_writes(out)
    }
}

/// How many single bytes come before the first aligned word, and how many words follow.
fn split(offset: usize, len: usize) -> (usize, usize) {
    let head = (offset.wrapping_neg() % 8).min(len);
    (head, (len - head) / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Pa = Pa(0x8000_0000);

    fn ram() -> Ram {
        Ram::new(BASE, 0x4000).unwrap()
    }

    #[test]
    fn sixty_four_gibibytes_are_declarable() {
        let ram = Ram::new(BASE, 64 << 30).unwrap();
        let last = Pa(BASE.0 + (64 << 30) - 8);
        ram.write(last, 7u64).unwrap();
        assert_eq!(ram.read::<u64>(last), Some(7));
    }

    #[test]
    fn unsuitable_places_are_refused() {
        assert!(matches!(Ram::new(BASE, 0), Err(RamError::Empty)));
        assert!(matches!(Ram::new(Pa(0x800), 0x1000), Err(RamError::Unaligned { .. })));
        assert!(matches!(Ram::new(BASE, 0x1001), Err(RamError::Unaligned { .. })));
        let top = Pa((1 << 56) - 0x1000);
        assert!(Ram::new(top, 0x1000).is_ok());
        assert!(matches!(Ram::new(top, 0x2000), Err(RamError::TooHigh { .. })));
        assert!(matches!(
            Ram::new(Pa(0u64.wrapping_sub(0x1000)), 0x2000),
            Err(RamError::TooHigh { .. })
        ));
    }

    #[test]
    fn an_access_is_inside_or_has_no_effect() {
        let ram = ram();
        let last = Pa(BASE.0 + 0x3ffc);
        assert_eq!(ram.write(last, u64::MAX), None);
        assert_eq!(ram.read::<u32>(last), Some(0));
        assert_eq!(ram.write(last, 5u32), Some(()));
        assert_eq!(ram.read::<u64>(Pa(BASE.0 - 4)), None);
        assert_eq!(ram.read::<u8>(Pa(u64::MAX)), None);
        assert_eq!(ram.read::<u8>(Pa(BASE.0 + 0x4000)), None);
        let mut bytes = [9; 8];
        assert_eq!(ram.read_bytes(last, &mut bytes), Err(OutOfRam { pa: last, len: 8 }));
        assert_eq!(bytes, [9; 8]);
        assert!(ram.write_bytes(last, &bytes).is_err());
        assert_eq!(ram.read::<u32>(last), Some(5));
        assert!(!ram.contains(Pa(BASE.0 + 0x4000), 0));
        assert!(ram.contains(BASE, 0x4000));
        assert!(!ram.contains(BASE, 0x4001));
    }

    #[test]
    fn memory_is_little_endian_at_any_alignment() {
        let ram = ram();
        for offset in 0..16 {
            let pa = Pa(BASE.0 + 0xff8 + offset);
            ram.write(pa, 0x0807_0605_0403_0201u64).unwrap();
            assert_eq!(ram.read::<u64>(pa), Some(0x0807_0605_0403_0201));
            assert_eq!(ram.read::<u8>(pa), Some(1));
            assert_eq!(ram.read::<u32>(Pa(pa.0 + 1)), Some(0x0504_0302));
            let mut bytes = [0; 8];
            ram.read_bytes(pa, &mut bytes).unwrap();
            assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }

    #[test]
    fn bytes_go_in_and_out_unchanged() {
        let ram = ram();
        let source: Vec<u8> = (0..100).collect();
        for offset in 0..9 {
            for len in [0, 1, 7, 8, 9, 15, 16, 17, 100] {
                let pa = Pa(BASE.0 + 0x100 + offset);
                ram.write_bytes(pa, &source[..len]).unwrap();
                let mut back = vec![0xee; len];
                ram.read_bytes(pa, &mut back).unwrap();
                assert_eq!(back, source[..len]);
            }
        }
    }

    #[test]
    fn compare_exchange_needs_the_old_value_and_alignment() {
        let ram = ram();
        assert_eq!(ram.compare_exchange(BASE, 0u64, 1), Some(Ok(())));
        assert_eq!(ram.compare_exchange(BASE, 0u64, 2), Some(Err(1)));
        assert_eq!(ram.compare_exchange(Pa(BASE.0 + 4), 0u64, 2), None);
        assert_eq!(ram.compare_exchange(Pa(BASE.0 + 1), 0u8, 3), Some(Ok(())));
        assert_eq!(ram.read::<u32>(BASE), Some(0x301));
    }

    #[test]
    fn the_bytes_stored_to_a_followed_word_are_known() {
        let ram = Ram::new(Pa(0x8000_0000), 0x2000).unwrap();
        let word = Pa(0x8000_0ff8);
        ram.follow_word(word);
        let after = |write: &dyn Fn()| {
            ram.watch(word, PageClass::Code);
            write();
            ram.take_word_bytes()
        };
        assert_eq!(after(&|| ram.write(Pa(word.0 + 4), 1u32).unwrap()), 0xf0);
        assert_eq!(after(&|| ram.write(word, 1u32).unwrap()), 0x0f);
        assert_eq!(after(&|| ram.write(Pa(word.0 + 2), 0u16).unwrap()), 0x0c);
        assert_eq!(after(&|| ram.write(word, 0u64).unwrap()), 0xff);
        assert_eq!(after(&|| ram.write(Pa(word.0 - 8), 1u64).unwrap()), 0);
        assert_eq!(after(&|| ram.write(Pa(word.0 + 8), 1u64).unwrap()), 0);
        assert_eq!(after(&|| ram.write_bytes(Pa(word.0 - 3), &[1; 5]).unwrap()), 0x03);
        assert_eq!(after(&|| ram.write_bytes(Pa(word.0 + 7), &[1; 9]).unwrap()), 0x80);
        assert_eq!(ram.take_word_bytes(), 0);
    }

    #[test]
    fn every_way_of_writing_ends_the_watch() {
        let ram = ram();
        let page = Pa(BASE.0 + 0x1000);
        let writes: [&dyn Fn(); 4] = [
            &|| ram.write(page, 1u8).unwrap(),
            &|| ram.write(Pa(page.0 - 1), 1u16).unwrap(),
            &|| ram.write_bytes(BASE, &[0; 0x1001]).unwrap(),
            &|| ram.compare_exchange(Pa(page.0 + 8), 0u64, 1).unwrap().unwrap(),
        ];
        for write in writes {
            ram.watch(page, PageClass::Code);
            let seen = ram.pages_seen();
            write();
            assert!(!ram.is_watched_as(page, PageClass::Code));
            let mut heard = Vec::new();
            ram.page_events_since(seen, |event| heard.push(event));
            assert_eq!(heard, [PageEvent::Written(page)]);
        }
        ram.watch(page, PageClass::Code);
        ram.write_bytes(page, &[]).unwrap();
        assert!(ram.is_watched_as(page, PageClass::Code));
    }
}
