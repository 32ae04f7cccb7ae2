//! Exits: what a guest did that needs the hypervisor, and what comes of it.

use isa::field::{get, mstatus, set, sstatus};
use isa::{Cause, Exception, Gpa, Op, Va, csr};

use crate::hypervisor::{Hypervisor, VcpuId};
use crate::memory::Answer;
use crate::mmio::{self, DeviceAccess, NotDecoded, Way};
use crate::port::Parts;
use crate::vcpu::{Resume, Vcpu};
use crate::vm::{Broken, End};

/// What a vCPU does after its exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// It goes on.
    Resume,
    /// It gives its hart up and stays ready.
    Yield,
    /// It waits for an interrupt.
    Wait {
        /// By SBI, not by WFI.
        suspended: bool,
        /// Where it goes on then.
        resume: Option<Resume>,
    },
    /// It stops until another starts it.
    Stop,
    /// It waits until its dirty ring is reset.
    RingFull,
    /// Its VM ends.
    End(End),
}

impl Then {
    const WAIT: Self = Self::Wait { suspended: false, resume: None };
}

/// `htinst` of a guest-page fault of a walk that was to write a VS-stage PTE [priv: hypervisor, "Transformed
/// Instruction or Pseudoinstruction for mtinst or htinst"].
const WALK_WRITES: [u64; 2] = [0x2020, 0x3020];

impl Hypervisor {
    /// An exception of the guest on this hart.
    pub(crate) fn exception(
        &mut self,
        parts: &mut Parts<'_>,
        hart: usize,
        id: VcpuId,
        cause: u64,
    ) -> Then {
        let exception = |exception| Cause::Exception(exception).bits() == cause;
        if exception(Exception::EcallVs) {
            self.call(parts, hart, id)
        } else if exception(Exception::VirtualInstruction) {
            self.virtual_instruction(parts, hart)
        } else if exception(Exception::InstructionGuestPage) {
            self.page_fault(parts, hart, id, Exception::InstructionAccess)
        } else if exception(Exception::LoadGuestPage) {
            self.page_fault(parts, hart, id, Exception::LoadAccess)
        } else if exception(Exception::StoreGuestPage) {
            self.page_fault(parts, hart, id, Exception::StoreAccess)
        } else {
            let pc = parts.harts.csr(hart, csr::SEPC);
            Then::End(End::Broken(Broken::Trap { cause, pc }))
        }
    }

    fn page_fault(
        &mut self,
        parts: &mut Parts<'_>,
        hart: usize,
        id: VcpuId,
        otherwise: Exception,
    ) -> Then {
        let harts = &*parts.harts;
        let (htval, stval) = (harts.csr(hart, csr::HTVAL), harts.csr(hart, csr::STVAL));
        let htinst = harts.csr(hart, csr::HTINST);
        let gpa = Gpa(htval << 2 | stval & 3);
        let write = otherwise == Exception::StoreAccess || WALK_WRITES.contains(&htinst);
        let answer = self.with_memory(parts, id.vm, Some(hart), |memory, env| {
            memory.fault(env, id.vcpu, gpa, write)
        });
        match answer {
            Ok(Answer::Retry) => Then::Resume,
            Ok(Answer::RingFull) => Then::RingFull,
            Ok(Answer::Device) => self.device(parts, hart, id, gpa, otherwise),
            Err(error) => Then::End(End::Broken(Broken::Memory(error))),
        }
    }

    /// An access where no memory is: a device's, or an access fault.
    fn device(
        &mut self,
        parts: &mut Parts<'_>,
        hart: usize,
        id: VcpuId,
        gpa: Gpa,
        otherwise: Exception,
    ) -> Then {
        let decoded = if otherwise == Exception::InstructionAccess {
            Err(NotDecoded::PageTable)
        } else {
            self.decode_access(parts, hart)
        };
        let done = decoded.ok().and_then(|access| {
            match access.way {
                Way::Load { rd, .. } => {
                    let value = parts.io.device_read(id.vm, gpa, access.size)?;
                    if rd != 0 {
                        parts.harts.set_x(hart, rd, access.extend(value));
                    }
                }
                Way::Store { rs2 } => {
                    let value = if rs2 == 0 { 0 } else { parts.harts.x(hart, rs2) };
                    let unused = 64 - 8 * u32::from(access.size);
                    let value = value << unused >> unused;
                    parts.io.device_write(id.vm, gpa, access.size, value)?;
                }
            }
            Some(access.insn_bytes)
        });
        match done {
            Some(bytes) => {
                self.counts.device_accesses += 1;
                skip(parts, hart, u64::from(bytes));
            }
            None => {
                let stval = parts.harts.csr(hart, csr::STVAL);
                self.inject(parts, hart, otherwise, stval);
            }
        }
        Then::Resume
    }

    fn decode_access(
        &mut self,
        parts: &mut Parts<'_>,
        hart: usize,
    ) -> Result<DeviceAccess, NotDecoded> {
        match mmio::from_htinst(&self.decoder, parts.harts.csr(hart, csr::HTINST)) {
            Err(NotDecoded::NotGiven) => {}
            given => return given,
        }
        let bits = read_instruction(parts, hart).ok_or(NotDecoded::NotGiven)?;
        mmio::from_insn(&self.decoder, bits)
    }

    /// An instruction that would have worked in HS-mode.
    fn virtual_instruction(&mut self, parts: &mut Parts<'_>, hart: usize) -> Then {
        let given = parts.harts.csr(hart, csr::STVAL) as u32;
        let bits = if given != 0 { Some(given) } else { read_instruction(parts, hart) };
        let decoded = bits.and_then(|bits| self.decoder.decode(bits));
        match decoded.map(|insn| (insn.op, u64::from(insn.len))) {
            Some((Op::Wfi, bytes)) => {
                skip(parts, hart, bytes);
                Then::WAIT
            }
            _ => {
                self.inject(
                    parts,
                    hart,
                    Exception::IllegalInstruction,
                    u64::from(bits.unwrap_or(0)),
                );
                Then::Resume
            }
        }
    }

    /// Hands an exception at `sepc` to VS-mode [priv: hypervisor, "Trap Entry"].
    pub(crate) fn inject(
        &mut self,
        parts: &mut Parts<'_>,
        hart: usize,
        exception: Exception,
        value: u64,
    ) {
        self.counts.injected += 1;
        let harts = &mut *parts.harts;
        let own = harts.csr(hart, csr::SSTATUS);
        let status = harts.csr(hart, csr::VSSTATUS);
        let status = set(status, sstatus::SPP, get(own, sstatus::SPP));
        let status = set(status, sstatus::SPIE, get(status, sstatus::SIE));
        harts.set_csr(hart, csr::VSSTATUS, set(status, sstatus::SIE, 0));
        let pc = harts.csr(hart, csr::SEPC);
        harts.set_csr(hart, csr::VSEPC, pc);
        harts.set_csr(hart, csr::VSCAUSE, exception.code());
        harts.set_csr(hart, csr::VSTVAL, value);
        let vector = harts.csr(hart, csr::VSTVEC) & !isa::field::tvec::MODE;
        harts.set_csr(hart, csr::SEPC, vector);
        harts.set_csr(hart, csr::SSTATUS, set(own, mstatus::SPP, 1));
    }
}

/// Lets the guest go on behind the instruction that trapped.
pub(crate) fn skip(parts: &mut Parts<'_>, hart: usize, bytes: u64) {
    let pc = parts.harts.csr(hart, csr::SEPC);
    parts.harts.set_csr(hart, csr::SEPC, pc.wrapping_add(bytes));
}

/// The instruction at `sepc`, as the guest fetched it; `None` if it has gone since.
fn read_instruction(parts: &mut Parts<'_>, hart: usize) -> Option<u32> {
    let pc = parts.harts.csr(hart, csr::SEPC);
    let privilege = Vcpu::privilege(parts.harts, hart);
    let low = u32::from(parts.harts.read_guest_code(hart, Va(pc), privilege)?);
    if low & 3 != 3 {
        return Some(low);
    }
    let high = parts.harts.read_guest_code(hart, Va(pc.wrapping_add(2)), privilege)?;
    Some(low | u32::from(high) << 16)
}
