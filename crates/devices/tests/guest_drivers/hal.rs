//! The memory that a driver and a device share, and nothing else: one piece for each test thread.
//!
//! The driver crate asks for an unsafe trait and hands out pointers, hence the unsafe code here.

#![allow(unsafe_code)]

use devices::{Dma, OutOfRam};
use isa::Pa;
use std::alloc::{Layout, alloc_zeroed};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

const BASE: u64 = 0x8000_0000;
const BYTES: usize = 32 << 20;

/// A piece of memory that lives as long as the process.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    start: NonNull<u8>,
}

// SAFETY: the memory is never freed; a test's driver and its device run on one thread.
unsafe impl Send for Memory {}
// SAFETY: as above: `Dma` asks for it, no second thread ever looks.
unsafe impl Sync for Memory {}

thread_local! {
    static MEMORY: Memory = {
        let layout = Layout::from_size_align(BYTES, PAGE_SIZE).unwrap();
        // SAFETY: the layout is not empty.
        Memory { start: NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap() }
    };
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

/// This thread's memory, for its devices.
pub(crate) fn memory() -> Memory {
    MEMORY.with(|memory| *memory)
}

/// Takes `pages` pages that nobody has had.
fn take(pages: usize) -> usize {
    let at = NEXT.get();
    let end = at + pages * PAGE_SIZE;
    assert!(end <= BYTES, "the test needs more memory");
    NEXT.set(end);
    at
}

impl Memory {
    fn at(&self, pa: Pa, bytes: usize) -> Result<*mut u8, OutOfRam> {
        let inside = |offset: &usize| offset.checked_add(bytes).is_some_and(|end| end <= BYTES);
        match pa.0.checked_sub(BASE).map(|offset| offset as usize).filter(inside) {
            // SAFETY: the range was checked to lie in the memory.
            Some(offset) => Ok(unsafe { self.start.as_ptr().add(offset) }),
            None => Err(OutOfRam { pa, len: bytes as u64 }),
        }
    }
}

impl Dma for Memory {
    fn contains(&self, pa: Pa, bytes: u64) -> bool {
        usize::try_from(bytes).is_ok_and(|bytes| self.at(pa, bytes).is_ok())
    }

    fn read_bytes(&self, pa: Pa, out: &mut [u8]) -> Result<(), OutOfRam> {
        let from = self.at(pa, out.len())?;
        // SAFETY: `at` checked the range; the driver does not run meanwhile.
        unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    fn write_bytes(&self, pa: Pa, data: &[u8]) -> Result<(), OutOfRam> {
        let to = self.at(pa, data.len())?;
        // SAFETY: `at` checked the range; the driver does not run meanwhile.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), to, data.len()) };
        Ok(())
    }
}

/// The driver's side: pages of the shared memory; buffers elsewhere are copied through it.
pub(crate) struct SharedPages;

// SAFETY: pages come zeroed, aligned, disjoint and are never freed.
unsafe impl Hal for SharedPages {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let offset = take(pages);
        // SAFETY: `take` keeps within the memory.
        (BASE + offset as u64, unsafe { memory().start.add(offset) })
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("the transport of these tests has no pointers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        let pa = BASE + take(buffer.len().div_ceil(PAGE_SIZE)) as u64;
        // SAFETY: the caller says that the buffer is valid and nobody else uses it.
        memory().write_bytes(Pa(pa), unsafe { buffer.as_ref() }).unwrap();
        pa
    }

    unsafe fn unshare(pa: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: as above.
            memory().read_bytes(Pa(pa), unsafe { buffer.as_mut() }).unwrap();
        }
    }
}
