//! A machine for the firmware's tests: registers without rules, and notes of what was asked.

use super::Port;
use devices::{Dma, OutOfRam};
use isa::{ExtSet, Interrupt, Pa, csr};
use mmu::Fence;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// Where its memory begins.
pub(super) const RAM_BASE: u64 = 0x8000_0000;
/// How much memory it has.
pub(super) const RAM_BYTES: u64 = 0x1_0000;

/// See the module.
pub(super) struct Fake {
    exts: ExtSet,
    x: Vec<[u64; 32]>,
    csrs: Vec<BTreeMap<u16, u64>>,
    memory: Flat,
    pub(super) fences: Vec<(usize, Fence)>,
    pub(super) fences_i: Vec<usize>,
    pub(super) timers: Vec<u64>,
    pub(super) started: Vec<usize>,
    pub(super) printed: Vec<u8>,
    pub(super) typed: VecDeque<u8>,
    pub(super) modelled: bool,
}

struct Flat(Mutex<Vec<u8>>);

impl Fake {
    pub(super) fn new(harts: usize) -> Self {
        Self::with_exts(harts, ExtSet::default_set())
    }

    pub(super) fn with_exts(harts: usize, exts: ExtSet) -> Self {
        Self {
            exts,
            x: vec![[0; 32]; harts],
            csrs: vec![BTreeMap::new(); harts],
            memory: Flat(Mutex::new(vec![0; RAM_BYTES as usize])),
            fences: Vec::new(),
            fences_i: Vec::new(),
            timers: vec![0; harts],
            started: Vec::new(),
            printed: Vec::new(),
            typed: VecDeque::new(),
            modelled: false,
        }
    }
}

impl Port for Fake {
    fn harts(&self) -> usize {
        self.x.len()
    }

    fn exts(&self) -> &ExtSet {
        &self.exts
    }

    fn has_model(&self) -> bool {
        self.modelled
    }

    fn x(&self, hart: usize, index: u8) -> u64 {
        self.x[hart][usize::from(index)]
    }

    fn set_x(&mut self, hart: usize, index: u8, value: u64) {
        self.x[hart][usize::from(index)] = value;
    }

    fn csr(&self, hart: usize, number: u16) -> u64 {
        self.csrs[hart].get(&number).copied().unwrap_or(0)
    }

    fn set_csr(&mut self, hart: usize, number: u16, value: u64) {
        self.csrs[hart].insert(number, value);
    }

    fn set_pending(&mut self, hart: usize, interrupt: Interrupt, pending: bool) {
        let others = self.csr(hart, csr::MIP) & !interrupt.bit();
        self.set_csr(hart, csr::MIP, others | if pending { interrupt.bit() } else { 0 });
    }

    fn fence(&mut self, hart: usize, fence: Fence) {
        self.fences.push((hart, fence));
    }

    fn fence_i(&mut self, hart: usize) {
        self.fences_i.push(hart);
    }

    fn set_timer(&mut self, hart: usize, ticks: u64) {
        self.timers[hart] = ticks;
    }

    fn start(&mut self, hart: usize) {
        self.started.push(hart);
    }

    fn memory(&self) -> &dyn Dma {
        &self.memory
    }

    fn console_write(&mut self, bytes: &[u8]) {
        self.printed.extend_from_slice(bytes);
    }

    fn console_read(&mut self, bytes: &mut [u8]) -> usize {
        let n = bytes.len().min(self.typed.len());
        for (slot, byte) in bytes.iter_mut().zip(self.typed.drain(..n)) {
            *slot = byte;
        }
        n
    }
}

impl Flat {
    fn index(pa: Pa, bytes: u64) -> Result<usize, OutOfRam> {
        match pa.0.checked_sub(RAM_BASE) {
            Some(at) if at.checked_add(bytes).is_some_and(|end| end <= RAM_BYTES) => {
                Ok(at as usize)
            }
            _ => Err(OutOfRam { pa, len: bytes }),
        }
    }
}

impl Dma for Flat {
    fn contains(&self, pa: Pa, bytes: u64) -> bool {
        Self::index(pa, bytes).is_ok()
    }

    fn read_bytes(&self, pa: Pa, out: &mut [u8]) -> Result<(), OutOfRam> {
        let at = Self::index(pa, out.len() as u64)?;
        out.copy_from_slice(&self.0.lock().unwrap()[at..at + out.len()]);
        Ok(())
    }

    fn write_bytes(&self, pa: Pa, data: &[u8]) -> Result<(), OutOfRam> {
        let at = Self::index(pa, data.len() as u64)?;
        self.0.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}
