//! The SBI that a guest finds [RISC-V SBI specification 3.0]: BASE, TIME, IPI, RFENCE, HSM, SRST and DBCN.
//!
//! A call acts on vCPUs, which may be on harts or not: what is for one on a hart is done there at once.

use isa::field::mip;
use isa::{Gpa, PAGE_BYTES, Va, csr};

use crate::exit::{Then, skip};
use crate::hypervisor::{Hypervisor, VcpuId};
use crate::port::{HartFence, Parts};
use crate::vcpu::{Resume, Run};
use crate::vm::End;

/// The extensions by number and name.
pub const EXTENSIONS: [(u64, &str); 7] = [
    (0x10, "BASE"),
    (0x5449_4d45, "TIME"),
    (0x0073_5049, "IPI"),
    (0x5246_4e43, "RFENCE"),
    (0x0048_534d, "HSM"),
    (0x5352_5354, "SRST"),
    (0x4442_434e, "DBCN"),
];

/// The version of the specification: major in bits 30:24, minor in 23:0.
const SPEC_VERSION: u64 = 3 << 24;
/// Our number as an implementation. It is not registered; those of the registry are small.
const IMPLEMENTATION_ID: u64 = 0x4e_5748;
const IMPLEMENTATION_VERSION: u64 = 1;
/// ECALL has no compressed form.
const ECALL_BYTES: u64 = 4;
const A0: u8 = 10;
const A1: u8 = 11;
const A6: u8 = 16;
const A7: u8 = 17;
/// How much one call of DBCN moves at most, in bytes.
const CONSOLE_BYTES_MAX: u64 = 0x1000;
/// Ranges of more pages become one fence for all addresses.
const FENCE_PAGES_MAX: u64 = 64;
/// ASIDs that a register can hold.
const ASID_MAX: u64 = 0xffff;

/// Errors by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i64)]
enum SbiError {
    Failed = -1,
    NotSupported = -2,
    InvalidParam = -3,
    InvalidAddress = -5,
    AlreadyAvailable = -6,
}

/// What a call returns, and what its vCPU does then.
type Answer = Result<(u64, Then), SbiError>;

const OK: Answer = Ok((0, Then::Resume));

fn value(value: u64) -> Answer {
    Ok((value, Then::Resume))
}

/// A call in progress.
struct Call<'a, 'b> {
    hyp: &'a mut Hypervisor,
    parts: &'a mut Parts<'b>,
    hart: usize,
    id: VcpuId,
    function: u64,
    args: [u64; 6],
}

impl Hypervisor {
    /// The guest on this hart has executed ECALL in VS-mode.
    pub(crate) fn call(&mut self, parts: &mut Parts<'_>, hart: usize, id: VcpuId) -> Then {
        skip(parts, hart, ECALL_BYTES);
        let args = std::array::from_fn(|index| parts.harts.x(hart, A0 + index as u8));
        let (extension, function) = (parts.harts.x(hart, A7), parts.harts.x(hart, A6));
        let known = EXTENSIONS.iter().position(|&(number, _)| number == extension);
        self.counts.calls[known.unwrap_or(EXTENSIONS.len())] += 1;
        let mut call = Call { hyp: self, parts, hart, id, function, args };
        let answer = match known.map(|index| EXTENSIONS[index].1) {
            Some("BASE") => call.base(),
            Some("TIME") => call.time(),
            Some("IPI") => call.ipi(),
            Some("RFENCE") => call.fence(),
            Some("HSM") => call.hart_state(),
            Some("SRST") => call.reset(),
            Some("DBCN") => call.console(),
            _ => Err(SbiError::NotSupported),
        };
        let (error, value, then) = match answer {
            Ok((value, then)) => (0, value, then),
            Err(error) => (error as i64 as u64, 0, Then::Resume),
        };
        parts.harts.set_x(hart, A0, error);
        parts.harts.set_x(hart, A1, value);
        then
    }
}

impl Call<'_, '_> {
    fn base(&mut self) -> Answer {
        value(match self.function {
            0 => SPEC_VERSION,
            1 => IMPLEMENTATION_ID,
            2 => IMPLEMENTATION_VERSION,
            3 => u64::from(EXTENSIONS.iter().any(|&(number, _)| number == self.args[0])),
            // The numbers of the machine; 0 says nothing.
            4..=6 => 0,
            _ => return Err(SbiError::NotSupported),
        })
    }

    fn time(&mut self) -> Answer {
        if self.function != 0 {
            return Err(SbiError::NotSupported);
        }
        let (hart, at) = (self.hart, self.args[0]);
        let stce = isa::field::henvcfg::STCE;
        if self.parts.harts.csr(hart, csr::HENVCFG) & stce != 0 {
            self.parts.harts.set_csr(hart, csr::VSTIMECMP, at);
            return OK;
        }
        let pending = self.parts.harts.csr(hart, csr::HVIP);
        self.parts.harts.set_csr(hart, csr::HVIP, pending & !mip::VSTIP);
        self.hyp.vms[self.id.vm].vcpus[self.id.vcpu].timer = (at != u64::MAX).then_some(at);
        self.hyp.arm(self.parts, hart);
        OK
    }

    fn ipi(&mut self) -> Answer {
        if self.function != 0 {
            return Err(SbiError::NotSupported);
        }
        for vcpu in self.targets(self.args[0], self.args[1])? {
            let id = VcpuId { vcpu, ..self.id };
            let state = &mut self.hyp.vms[id.vm].vcpus[vcpu];
            match state.run {
                Run::Stopped => {}
                Run::On { hart } => {
                    // Another hart is interrupted, and its handler sets the bit.
                    self.hyp.counts.kicks += u64::from(hart != self.hart);
                    let pending = self.parts.harts.csr(hart, csr::HVIP);
                    self.parts.harts.set_csr(hart, csr::HVIP, pending | mip::VSSIP);
                }
                Run::Ready | Run::Waiting { .. } => {
                    let pending = state.context.csr(csr::HVIP);
                    state.context.set_csr(csr::HVIP, pending | mip::VSSIP);
                    let time = self.parts.harts.csr(self.hart, csr::TIME);
                    self.hyp.wake_if_due(self.parts, id, time);
                }
            }
        }
        OK
    }

    fn fence(&mut self) -> Answer {
        let [mask, base, start, size, asid, _] = self.args;
        if self.function > 2 {
            // The guest has no H.
            return Err(SbiError::NotSupported);
        }
        let targets = self.targets(mask, base)?;
        let asid = match self.function {
            2 if asid > ASID_MAX => return Err(SbiError::InvalidParam),
            2 => Some(asid as u16),
            _ => None,
        };
        let places = places(start, size).ok_or(SbiError::InvalidAddress)?;
        for vcpu in targets {
            let vm = &mut self.hyp.vms[self.id.vm];
            let vmid = vm.memory.vmid();
            let state = &mut vm.vcpus[vcpu];
            match (state.run, self.function) {
                (Run::Stopped, _) => {}
                (Run::On { hart }, 0) => self.parts.harts.fence(hart, HartFence::I),
                (Run::On { hart }, _) => {
                    vm.fences.ipis += u64::from(hart != self.hart);
                    for &va in &places {
                        vm.fences.vvma_asked += 1;
                        self.parts.harts.fence(hart, HartFence::Vvma { va, asid, vmid });
                    }
                }
                // Before it runs again.
                (Run::Ready | Run::Waiting { .. }, 0) => state.must_fence_i = true,
                (Run::Ready | Run::Waiting { .. }, _) => state.must_fence = true,
            }
        }
        OK
    }

    fn hart_state(&mut self) -> Answer {
        const RETENTIVE: u32 = 0;
        const NON_RETENTIVE: u32 = 0x8000_0000;
        let [first, pc, opaque, ..] = self.args;
        let vm = &self.hyp.vms[self.id.vm];
        let vcpu = usize::try_from(first).ok().filter(|&vcpu| vcpu < vm.vcpus.len());
        match self.function {
            0 => {
                let vcpu = vcpu.ok_or(SbiError::InvalidParam)?;
                if !vm.is_executable(pc) {
                    return Err(SbiError::InvalidAddress);
                }
                if vm.vcpus[vcpu].run != Run::Stopped {
                    return Err(SbiError::AlreadyAvailable);
                }
                self.hyp.start(self.parts, VcpuId { vcpu, ..self.id }, pc, opaque);
                OK
            }
            1 => Ok((0, Then::Stop)),
            2 => value(match vm.vcpus[vcpu.ok_or(SbiError::InvalidParam)?].run {
                Run::Stopped => 1,
                Run::Waiting { suspended: true, .. } => 4,
                _ => 0,
            }),
            3 => {
                let resume = match first as u32 {
                    RETENTIVE => None,
                    NON_RETENTIVE if !vm.is_executable(pc) => return Err(SbiError::InvalidAddress),
                    NON_RETENTIVE => Some(Resume { pc, opaque }),
                    _ => return Err(SbiError::InvalidParam),
                };
                Ok((0, Then::Wait { suspended: true, resume }))
            }
            _ => Err(SbiError::NotSupported),
        }
    }

    fn reset(&mut self) -> Answer {
        if self.function != 0 {
            return Err(SbiError::NotSupported);
        }
        let end = match (self.args[0] as u32, self.args[1] as u32) {
            (0, 0) => End::Shutdown,
            (0, 1) => End::Failure,
            (1 | 2, 0 | 1) => End::Reboot,
            _ => return Err(SbiError::InvalidParam),
        };
        Ok((0, Then::End(end)))
    }

    fn console(&mut self) -> Answer {
        let [first, low, high, ..] = self.args;
        let vm = &mut self.hyp.vms[self.id.vm];
        let mut bytes = [0; CONSOLE_BYTES_MAX as usize];
        match self.function {
            0 | 1 if high != 0 => Err(SbiError::InvalidParam),
            0 => {
                let bytes = &mut bytes[..first.min(CONSOLE_BYTES_MAX) as usize];
                let read = vm.read(self.parts.memory, Gpa(low), bytes);
                read.map_err(|_| SbiError::InvalidParam)?;
                self.parts.io.console_write(self.id.vm, bytes);
                value(bytes.len() as u64)
            }
            1 => {
                // What is taken from the console must have a place.
                let room = first.min(CONSOLE_BYTES_MAX) as usize;
                let start = Gpa(low);
                vm.check_writable(start, room).map_err(|_| SbiError::InvalidParam)?;
                let taken = self.parts.io.console_read(self.id.vm, &mut bytes[..room]).min(room);
                let written = vm.write(self.parts.memory, start, &bytes[..taken]);
                written.map_err(|_| SbiError::Failed)?;
                value(taken as u64)
            }
            2 => {
                self.parts.io.console_write(self.id.vm, &[first as u8]);
                OK
            }
            _ => Err(SbiError::NotSupported),
        }
    }

    /// The vCPUs of a mask and its base; all for a base of -1.
    fn targets(&self, mask: u64, base: u64) -> Result<Vec<usize>, SbiError> {
        targets(self.hyp.vms[self.id.vm].vcpus.len(), mask, base).ok_or(SbiError::InvalidParam)
    }
}

/// Those of `count` vCPUs that a mask and its base name [SBI: "Hart list parameter"].
fn targets(count: usize, mask: u64, base: u64) -> Option<Vec<usize>> {
    if base == u64::MAX {
        return Some((0..count).collect());
    }
    let named = (0..64).filter(|bit| mask >> bit & 1 != 0);
    let number = |bit: u64| usize::try_from(base.checked_add(bit)?).ok().filter(|&n| n < count);
    named.map(number).collect()
}

/// The addresses that fences for a range name: one in each page, or `[None]` for all.
fn places(start: u64, size: u64) -> Option<Vec<Option<Va>>> {
    if start == 0 && size == 0 || size == u64::MAX {
        return Some(vec![None]);
    }
    if size == 0 {
        return Some(Vec::new());
    }
    let (first, last) = (start / PAGE_BYTES, start.checked_add(size - 1)? / PAGE_BYTES);
    if last - first >= FENCE_PAGES_MAX {
        return Some(vec![None]);
    }
    Some((first..=last).map(|page| Some(Va(page * PAGE_BYTES))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_counts_from_its_base() {
        assert_eq!(targets(3, 0b101, 0), Some(vec![0, 2]));
        assert_eq!(targets(3, 0b11, 1), Some(vec![1, 2]));
        assert_eq!(targets(3, 0, u64::MAX), Some(vec![0, 1, 2]));
        assert_eq!(targets(3, 0, 1000), Some(vec![]));
        for (mask, base) in [(0b1000, 0), (1, 3), (1, 64), (1 << 63, 1), (2, u64::MAX - 1)] {
            assert_eq!(targets(3, mask, base), None);
        }
    }

    #[test]
    fn a_range_is_fenced_page_by_page_or_as_a_whole() {
        assert_eq!(places(0, 0), Some(vec![None]));
        assert_eq!(places(0x1000, u64::MAX), Some(vec![None]));
        assert_eq!(places(0x1fff, 2), Some(vec![Some(Va(0x1000)), Some(Va(0x2000))]));
        assert_eq!(places(0, 64 << 12).map(|places| places.len()), Some(64));
        assert_eq!(places(0, 65 << 12), Some(vec![None]));
        assert_eq!(places(u64::MAX, 2), None);
        assert_eq!(places(5, 0), Some(vec![]));
    }
}
