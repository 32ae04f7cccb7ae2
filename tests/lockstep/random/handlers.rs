//! The trap handlers of a generated program. Each reads what the trap has left in its CSRs, so that
//! the comparison sees it, and goes on: behind the instruction, or where a service asked for. They
//! keep everything in registers of their own (`reg`), so no memory and no scratch CSR has to survive.
//!
//! An episode ends at a fault of a fetch, which nothing can step over, after 256 traps, and when asked.

use isa::asm::Program;

use super::layout::{BOOT, HS_HANDLER, M_CODE, M_HANDLER, PAGE, VS_HANDLER};

/// What an ECALL asks for, in a7. Each handler that cannot do it calls the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(super) enum Service {
    /// M: the next episode.
    Next = 0x700,
    /// M: every fence, for the current VMID.
    Fence,
    /// Go on in M at a6.
    ToM,
    /// Go on in HS at a6.
    ToHs,
    /// Go on in VS at a6.
    ToVs,
}

/// The numbers below this are no services: the call is stepped over.
const FIRST: u16 = Service::Next as u16;

/// A handler's table of vectors, all of which lead to `to`.
fn vectors(to: &str) -> String {
    format!("j {to}\n").repeat(64)
}

/// The jump to boot, and M's handler.
pub(super) fn machine() -> Vec<u8> {
    let source = format!(
        "
        j {BOOT:#x}
        .zero {before}
        {vectors}
    m_trap:
        csrr x30, mcause
        bltz x30, m_interrupt
        csrr x31, mtval2
        csrr x31, mtinst
        csrr x31, mstatus
        addi x31, x30, -8
        sltiu x31, x31, 4
        bnez x31, m_call
        addi tp, tp, 1
        andi x31, tp, 255
        beqz x31, m_next
        li x31, 0x101003
        srl x31, x31, x30
        andi x31, x31, 1
        bnez x31, m_next
    m_step:
        csrr x30, mepc
        andi x30, x30, -4
        addi x30, x30, 4
        csrw mepc, x30
        mret
    m_interrupt:
        addi tp, tp, 1
        li x31, 1
        sll x31, x31, x30
        csrc mie, x31
        andi x31, tp, 255
        beqz x31, m_next
        mret
    m_call:
        addi x31, x17, -{FIRST:#x}
        li x30, 5
        bgeu x31, x30, m_step
        beqz x31, m_next
        addi x31, x31, -2
        bltz x31, m_fence
        beqz x31, m_here
        li x30, 0x8000001800
        csrc mstatus, x30
        li x30, 0x800
        csrs mstatus, x30
        addi x31, x31, -1
        slli x31, x31, 39
        csrs mstatus, x31
        csrw mepc, x16
        mret
    m_here:
        jr x16
    m_fence:
        sfence.vma
        hfence.vvma
        hfence.gvma
        j m_step
    m_next:
        li x30, 0x20000
        csrc mstatus, x30
        jr gp
        ",
        before = M_HANDLER - M_CODE - 4,
        vectors = vectors("m_trap"),
    );
    assemble(M_CODE, &source, BOOT)
}

/// HS's and VS's handlers.
pub(super) fn supervisors() -> Vec<u8> {
    let hs = format!(
        "
        {vectors}
    s_trap:
        csrr x28, scause
        bltz x28, s_interrupt
        csrr x29, htval
        csrr x29, htinst
        csrr x29, hstatus
        addi x29, x28, -8
        sltiu x29, x29, 3
        bnez x29, s_call
        addi tp, tp, 1
        andi x29, tp, 255
        beqz x29, s_end
        li x29, 0x101003
        srl x29, x29, x28
        andi x29, x29, 1
        bnez x29, s_end
    s_step:
        csrr x28, sepc
        andi x28, x28, -4
        addi x28, x28, 4
        csrw sepc, x28
        sret
    s_end:
        li x17, {FIRST:#x}
        ecall
        j s_end
    s_interrupt:
        addi tp, tp, 1
        li x29, 1
        sll x29, x29, x28
        csrc sie, x29
        csrc hie, x29
        andi x29, tp, 255
        beqz x29, s_end
        sret
        j s_end
    s_call:
        addi x29, x17, -{FIRST:#x}
        bltz x29, s_step
        addi x29, x29, -3
        bltz x29, s_pass_on
        beqz x29, s_here
        addi x29, x29, -1
        bnez x29, s_step
        li x29, 0x100
        csrs sstatus, x29
        li x29, 0x80
        csrs hstatus, x29
        csrw sepc, x16
        sret
        j s_end
    s_here:
        jr x16
    s_pass_on:
        ecall
        j s_step
        ",
        vectors = vectors("s_trap"),
    );
    let vs = format!(
        "
        {vectors}
    v_trap:
        csrr x26, scause
        bltz x26, v_interrupt
        csrr x27, sstatus
        addi x27, x26, -8
        beqz x27, v_call
        addi tp, tp, 1
        andi x27, tp, 255
        beqz x27, v_end
        li x27, 0x101003
        srl x27, x27, x26
        andi x27, x27, 1
        bnez x27, v_end
    v_step:
        csrr x26, sepc
        andi x26, x26, -4
        addi x26, x26, 4
        csrw sepc, x26
        sret
    v_end:
        li x17, {FIRST:#x}
        ecall
        j v_end
    v_interrupt:
        addi tp, tp, 1
        li x27, 1
        sll x27, x27, x26
        csrc sie, x27
        andi x27, tp, 255
        beqz x27, v_end
        sret
        j v_end
    v_call:
        addi x27, x17, -{to_vs:#x}
        beqz x27, v_here
        ecall
        j v_step
    v_here:
        jr x16
        ",
        vectors = vectors("v_trap"),
        to_vs = Service::ToVs as u16,
    );
    let mut bytes = assemble(HS_HANDLER, &hs, VS_HANDLER);
    bytes.extend(assemble(VS_HANDLER, &vs, VS_HANDLER + PAGE));
    bytes
}

/// `source` at `base`, filled up with zeros to `end`.
fn assemble(base: u64, source: &str, end: u64) -> Vec<u8> {
    let assembled = Program::assemble(base, source).unwrap_or_else(|error| panic!("{error}"));
    let mut bytes = assembled.bytes;
    let room = (end - base) as usize;
    assert!(bytes.len() <= room, "a handler of {} bytes in {room}", bytes.len());
    bytes.resize(room, 0);
    bytes
}
