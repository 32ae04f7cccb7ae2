//! Instructions that act on the hart itself: CSRs, xRET, WFI, fences, cache-block operations.

use isa::field::{hstatus, mstatus};
use isa::{Exception, Gpa, Mode, Op as Insn, Va};
use mmu::{Erratum, Fence, Kind};

use super::denied;
use crate::core::Core;
use crate::csr::environment::{CacheOp, cache_op_gate};
use crate::csr::{self, Denied, Use};
use crate::memory::DataFault;
use crate::op::Op;
use crate::platform::Platform;
use crate::state::X_SINK;
use crate::witness::Notice;

/// Bytes in a cache block.
pub(crate) const BLOCK_BYTES: u64 = 64;

/// The six CSR instructions. CSRRW with rd=x0 does not read; CSRRS and CSRRC with rs1=x0 (or a
/// zero immediate) do not write [unpriv: Zicsr].
pub(crate) fn csr(core: &mut Core, op: &Op) -> Result<(), Denied> {
    let number = op.imm as u16;
    let immediate = u64::from(op.rs1);
    let operand = match op.code {
        Insn::Csrrw | Insn::Csrrs | Insn::Csrrc => core.x(op.rs1),
        _ => immediate,
    };
    let swaps = matches!(op.code, Insn::Csrrw | Insn::Csrrwi);
    let usage = if swaps || op.rs1 != 0 { Use::Write } else { Use::Read };
    let old = csr::read(core, number, usage)?;
    if usage == Use::Write {
        let base = csr::modify_base(core, number, old);
        let new = match op.code {
            Insn::Csrrw | Insn::Csrrwi => operand,
            Insn::Csrrs | Insn::Csrrsi => base | operand,
            _ => base & !operand,
        };
        csr::write(core, number, new);
    }
    core.set_x(op.rd, old);
    Ok(())
}

pub(super) fn ecall(core: &Core) -> DataFault {
    let exception = match core.mode {
        Mode::U | Mode::VU => Exception::EcallU,
        Mode::S => Exception::EcallS,
        Mode::VS => Exception::EcallVs,
        Mode::M => Exception::EcallM,
    };
    DataFault::plain(exception, 0)
}

/// `tval` is the address of the instruction, at V=1 a guest virtual address.
pub(super) fn ebreak(core: &Core, at: u64) -> DataFault {
    let mut fault = DataFault::plain(Exception::Breakpoint, at);
    fault.trap.gva = core.mode.v();
    fault
}

pub(super) fn mret(core: &mut Core) -> Result<(), DataFault> {
    if core.mode != Mode::M {
        return Err(denied(Denied::Illegal));
    }
    core.mret(Some(Insn::Mret));
    Ok(())
}

pub(super) fn sret(core: &mut Core) -> Result<(), DataFault> {
    let why = match core.mode {
        Mode::M => None,
        Mode::S => (core.csrs.mstatus & mstatus::TSR != 0).then_some(Denied::Illegal),
        Mode::VS => (core.csrs.hstatus & hstatus::VTSR != 0).then_some(Denied::Virtual),
        Mode::U => Some(Denied::Illegal),
        Mode::VU => Some(Denied::Virtual),
    };
    if let Some(why) = why {
        return Err(denied(why));
    }
    core.sret(Some(isa::Op::Sret));
    Ok(())
}

/// WFI [priv: machine 3.3.3; hypervisor, `hstatus.VTW`]. Under TW and VTW, in VU, and in U below an
/// S, it always traps, as it may.
pub(super) fn wfi(core: &mut Core) -> Result<(), DataFault> {
    let tw = core.csrs.mstatus & mstatus::TW != 0;
    let vtw = core.csrs.hstatus & hstatus::VTW != 0;
    let why = match core.mode {
        Mode::M => None,
        _ if tw => Some(Denied::Illegal),
        Mode::S => None,
        Mode::U => core.has.s.then_some(Denied::Illegal),
        Mode::VS => vtw.then_some(Denied::Virtual),
        Mode::VU => Some(Denied::Virtual),
    };
    if let Some(why) = why {
        return Err(denied(why));
    }
    if !core.wakes() {
        core.waiting = true;
        core.interrupts_changed();
    }
    Ok(())
}

/// WRS.NTO and WRS.STO may end at any time; here they end at once, in bounded time, so that TW and
/// VTW need not trap [unpriv: Zawrs].
pub(super) fn wrs(_: &mut Core) -> Result<(), Denied> {
    Ok(())
}

/// TVM keeps S from its fences, VTVM keeps VS from its own.
pub(super) fn sfence_vma(core: &mut Core, op: &Op) -> Result<(), DataFault> {
    let why = match core.mode {
        Mode::M => None,
        Mode::S => (core.csrs.mstatus & mstatus::TVM != 0).then_some(Denied::Illegal),
        Mode::VS => (core.csrs.hstatus & hstatus::VTVM != 0).then_some(Denied::Virtual),
        Mode::U => Some(Denied::Illegal),
        Mode::VU => Some(Denied::Virtual),
    };
    if let Some(why) = why {
        return Err(denied(why));
    }
    let va = operand(core, op.rs1).map(Va);
    let asid = operand(core, op.rs2).map(|value| value as u16);
    let fence = if core.mode.v() {
        Fence::Vvma { va, asid, vmid: core.vmid() }
    } else {
        Fence::Sfence { va, asid }
    };
    core.fence(fence, Some(op.code));
    Ok(())
}

/// SFENCE.W.INVAL and SFENCE.INVAL.IR. Stores are always visible to SINVAL; what SINVAL left undone is done by the latter.
/// They never trap in S and VS [Svinval].
pub(super) fn sfence_order(core: &mut Core, op: &Op) -> Result<(), DataFault> {
    match core.mode {
        Mode::M | Mode::S | Mode::VS => {}
        Mode::U => return Err(denied(Denied::Illegal)),
        Mode::VU => return Err(denied(Denied::Virtual)),
    }
    if op.code == Insn::SfenceInvalIr {
        core.mmu.end_invalidations();
    }
    if let Some(scene) = core.seen_at(core.at()) {
        core.tell(&scene, Notice::FenceBracket { op: op.code });
    }
    Ok(())
}

/// TVM does not cover it.
pub(super) fn hfence_vvma(core: &mut Core, op: &Op) -> Result<(), DataFault> {
    match core.mode {
        Mode::M | Mode::S => {}
        Mode::U => return Err(denied(Denied::Illegal)),
        Mode::VS | Mode::VU => return Err(denied(Denied::Virtual)),
    }
    let va = operand(core, op.rs1).map(Va);
    let asid = operand(core, op.rs2).map(|value| value as u16);
    core.fence(Fence::Vvma { va, asid, vmid: core.vmid() }, Some(op.code));
    Ok(())
}

/// rs1 holds a guest physical address shifted right by two.
pub(super) fn hfence_gvma(core: &mut Core, op: &Op) -> Result<(), DataFault> {
    match core.mode {
        Mode::M => {}
        Mode::S if core.csrs.mstatus & mstatus::TVM == 0 => {}
        Mode::S | Mode::U => return Err(denied(Denied::Illegal)),
        Mode::VS | Mode::VU => return Err(denied(Denied::Virtual)),
    }
    let shift = if core.errata.has(Erratum::GpaNotShifted) { 0 } else { 2 };
    let gpa = operand(core, op.rs1).map(|value| Gpa(value << shift));
    let vmid = operand(core, op.rs2).map(|value| value as u16);
    core.fence(Fence::Gvma { gpa, vmid }, Some(op.code));
    Ok(())
}

/// A fence operand: `None` for `x0` itself, whatever a register holds otherwise.
fn operand(core: &Core, register: u8) -> Option<u64> {
    (register != 0 && register != X_SINK).then(|| core.x(register))
}

/// CBO.*: management needs the right to load or to store, which is the right to load, since nothing
/// is writable that is not readable; zeroing needs the right to store. Both report as stores
/// [CMO, "Traps"].
pub(super) fn cache_op(core: &mut Core, port: &mut dyn Platform, op: &Op) -> Result<(), DataFault> {
    let kind = match op.code {
        Insn::CboInval => CacheOp::Inval,
        Insn::CboZero => CacheOp::Zero,
        _ => CacheOp::Clean,
    };
    cache_op_gate(core, kind).map_err(denied)?;
    let va = core.x(op.rs1);
    let block = va & !(BLOCK_BYTES - 1);
    if kind != CacheOp::Zero {
        return core.probe(va, Kind::Load, core.ordinary());
    }
    let manner = core.ordinary();
    // The last block of the address space has no address behind it.
    for offset in (0..BLOCK_BYTES).step_by(8) {
        if core.store::<u64>(block | offset, 0) {
            continue;
        }
        if let Err(mut fault) = core.store_slow(port, block | offset, 8, 0, manner) {
            // The trap names the address of the instruction, not of the block.
            fault.trap.tval = core.masked(va, manner);
            fault.offset = None;
            return Err(fault);
        }
    }
    Ok(())
}

/// AMOCAS.Q on register pairs; a pair that names x0 reads as zero and is not written
/// [unpriv: Zacas].
pub(super) fn amocas_q(core: &mut Core, op: &Op) -> Result<(), DataFault> {
    let pair = |core: &Core, first: u8| match first {
        0 | X_SINK => (0, 0),
        first => (core.x(first), core.x(first + 1)),
    };
    let (expected, new) = (pair(core, op.rd), pair(core, op.rs2));
    let old = core.compare_and_swap_16(core.x(op.rs1), expected, new)?;
    // For x0 both go to the sink and the unused slot behind it.
    core.set_x(op.rd, old.0);
    core.set_x(op.rd + 1, old.1);
    Ok(())
}
