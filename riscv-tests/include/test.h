// What every program shares: start-up in M-mode, trap handlers that record, running a piece in another mode, checks.
//
// A program is BEGIN, code, PASS, and data. A check that fails ends the program with the number of its source line.
// Registers: gp holds the line under test; t5 and t6 belong to these macros and to the trap handlers.
#ifndef TEST_H
#define TEST_H

#include "csr.h"
#include "insn.h"

// How modes are named in IN(): bits of mstatus that MRET takes the program there with.
.equ IN_M, 3 << 11
.equ IN_S, 1 << 11
.equ IN_U, 0
.equ IN_VS, MSTATUS_MPV | IN_S
.equ IN_VU, MSTATUS_MPV | IN_U

// Which handler took the trap.
.equ TO_M, 3
.equ TO_S, 1
.equ TO_VS, 2
// The cause of no trap.
#define NONE -1

// Offsets into `trap`, the record of the last trap.
#define TRAP_TO 0
#define TRAP_CAUSE 8
#define TRAP_EPC 16
#define TRAP_TVAL 24
#define TRAP_STATUS 32
#define TRAP_TVAL2 40
#define TRAP_TINST 48
#define TRAP_HSTATUS 56
#define TRAP_RESUME 64
#define TRAP_OUT 72
// Added to the pc where U and VU run, because no page serves both U and S: see paging.h.
#define TRAP_USER_BIAS 80

// ---- Start and end ----

// No 16-bit instructions but where a program asks for them.
.option norvc
.option norelax

.macro begin
    .section .text.start, "ax"
    .globl _start
_start:
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    li x\n, 0
    .endr
    // One hart runs the program; the others wait for ever.
    csrr t0, mhartid
    beqz t0, .Lfirst_hart
.Lother_hart:
    wfi
    j .Lother_hart
.Lfirst_hart:
    // A hart without PMP traps here and goes on.
    la t0, .Lno_pmp
    csrw mtvec, t0
    li t0, -1
    csrw pmpaddr0, t0
    li t0, PMP_NAPOT | PMP_R | PMP_W | PMP_X
    csrw pmpcfg0, t0
    .balign 4
.Lno_pmp:
    la t0, handle_m
    csrw mtvec, t0
    la t0, handle_s
    csrw stvec, t0
    csrw mie, zero
    csrw mideleg, zero
    csrw medeleg, zero
    csrw satp, zero
    li t0, MSTATUS_FS | MSTATUS_MPRV | MSTATUS_MIE
    csrc mstatus, t0
    li t0, MSTATUS_FS_INITIAL
    csrs mstatus, t0
    csrw fcsr, zero
    csrr t0, misa
    srli t0, t0, 7
    andi t0, t0, 1
    la t1, has_h
    sb t0, (t1)
    li t0, 0
    li t1, 0
    .text
program:
    .section .text.start
    j program

// The handlers record and return to M-mode after the OUT of the piece that was running. Where no piece is running, a trap
// fails the program.
    .balign 4
handle_m:
    // Off first: the handler's own accesses are M-mode's.
    li t6, MSTATUS_MPRV
    csrrc t5, mstatus, t6
    la t6, trap
    sd t5, TRAP_STATUS(t6)
    csrr t5, mepc
    // The ECALL of OUT is no trap, nor that with which a handler below hands its record up.
    ld t6, trap + TRAP_OUT
    beq t5, t6, .Lresume
    la t6, handle_s_up
    beq t5, t6, .Lresume
    la t6, handle_vs_up
    beq t5, t6, .Lresume
    la t6, trap
    sd t5, TRAP_EPC(t6)
    csrr t5, mcause
    sd t5, TRAP_CAUSE(t6)
    csrr t5, mtval
    sd t5, TRAP_TVAL(t6)
    li t5, TO_M
    sd t5, TRAP_TO(t6)
    la t6, has_h
    lbu t5, (t6)
    beqz t5, .Lresume
    la t6, trap
    csrr t5, mtval2
    sd t5, TRAP_TVAL2(t6)
    csrr t5, mtinst
    sd t5, TRAP_TINST(t6)
    csrr t5, hstatus
    sd t5, TRAP_HSTATUS(t6)
.Lresume:
    la t6, trap
    ld t5, TRAP_RESUME(t6)
    beqz t5, fail
    csrw mepc, t5
    sd zero, TRAP_RESUME(t6)
    li t5, MSTATUS_MPIE | MSTATUS_MPV
    csrc mstatus, t5
    li t5, MSTATUS_MPP
    csrs mstatus, t5
    mret

    .balign 4
handle_s:
    la t6, trap
    csrr t5, sepc
    ld t6, TRAP_OUT(t6)
    beq t5, t6, handle_s_up
    la t6, handle_vs_up
    beq t5, t6, handle_s_up
    la t6, trap
    sd t5, TRAP_EPC(t6)
    csrr t5, scause
    sd t5, TRAP_CAUSE(t6)
    csrr t5, stval
    sd t5, TRAP_TVAL(t6)
    li t5, TO_S
    sd t5, TRAP_TO(t6)
    la t6, has_h
    lbu t5, (t6)
    beqz t5, handle_s_up
    la t6, trap
    csrr t5, htval
    sd t5, TRAP_TVAL2(t6)
    csrr t5, htinst
    sd t5, TRAP_TINST(t6)
    csrr t5, hstatus
    sd t5, TRAP_HSTATUS(t6)
handle_s_up:
    ecall

    .balign 4
handle_vs:
    la t6, trap
    csrr t5, sepc
    ld t6, TRAP_OUT(t6)
    beq t5, t6, handle_vs_up
    la t6, trap
    sd t5, TRAP_EPC(t6)
    csrr t5, scause
    sd t5, TRAP_CAUSE(t6)
    csrr t5, stval
    sd t5, TRAP_TVAL(t6)
    li t5, TO_VS
    sd t5, TRAP_TO(t6)
handle_vs_up:
    ecall

pass:
    li t5, 1
    j .Ltohost
fail:
    // A multiple of 256 would be exit code 0: say the line after it.
    andi t5, gp, 0xff
    bnez t5, 1f
    addi gp, gp, 1
1:  slli t5, gp, 1
    ori t5, t5, 1
.Ltohost:
    la t6, tohost
    sd t5, (t6)
1:  j 1b

    .section .tohost, "aw", @progbits
    .balign 64
    .globl tohost
tohost:
    .dword 0
    .balign 64
    .globl fromhost
fromhost:
    .dword 0

    .data
    .balign 64
trap:
    .fill 11, 8, 0
has_h:
    .byte 0

    .text
.endm

.macro pass
    j pass
    // A trap may have to read beyond the last instruction.
    .balign 16
.endm

#define BEGIN begin
#define PASS pass

// ---- Pieces that run in a mode and may trap ----

.macro in_mode mode, ie
    la t6, trap
    li t5, NONE
    sd t5, TRAP_CAUSE(t6)
    la t5, 8882f
    sd t5, TRAP_RESUME(t6)
    la t5, 8881f
    .if ((\mode) & IN_M) == IN_U
    ld t6, TRAP_USER_BIAS(t6)
    add t5, t5, t6
    la t6, trap
    .endif
    sd t5, TRAP_OUT(t6)
    li t5, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE
    csrc mstatus, t5
    li t5, (\mode) | (\ie)
    csrs mstatus, t5
    la t5, 8880f
    .if ((\mode) & IN_M) == IN_U
    ld t6, TRAP_USER_BIAS(t6)
    add t5, t5, t6
    .endif
    csrw mepc, t5
    mret
8880:
.endm

.macro out_of_mode
8881:
    ecall
8882:
.endm

// From IN to OUT the program runs in that mode. After OUT, or after the first trap, it is in M-mode with MIE = 0.
#define IN(mode) li gp, __LINE__; in_mode IN_##mode, 0
// The same with mstatus.MIE = 1, for M-mode.
#define IN_INTERRUPTIBLE(mode) li gp, __LINE__; in_mode IN_##mode, MSTATUS_MPIE
#define OUT out_of_mode

// ---- Checks of the last piece's trap ----

.macro got cause, to=M
    ld t5, trap + TRAP_CAUSE
    li t6, \cause
    beq t5, t6, 8883f
    j fail
8883:
    .if (\cause) != NONE
    ld t5, trap + TRAP_TO
    li t6, TO_\to
    beq t5, t6, 8883f
    j fail
8883:
    .endif
.endm

.macro got_one_of a, b
    ld t5, trap + TRAP_CAUSE
    li t6, \a
    beq t5, t6, 8883f
    li t6, \b
    beq t5, t6, 8883f
    j fail
8883:
.endm

.macro trap_field_is offset, reg
    ld t5, trap + \offset
    beq t5, \reg, 8883f
    j fail
8883:
.endm

.macro trap_field_equals offset, value:vararg
    ld t5, trap + \offset
    li t6, \value
    beq t5, t6, 8883f
    j fail
8883:
.endm

.macro trap_field_masked offset, mask, value
    ld t5, trap + \offset
    li t6, \mask
    and t5, t5, t6
    li t6, \value
    beq t5, t6, 8883f
    j fail
8883:
.endm

// The last piece trapped with this cause, into M or the mode named second; NONE: it did not trap.
#define GOT(...) li gp, __LINE__; got __VA_ARGS__
// Where the manual leaves the choice.
#define GOT_ONE_OF(a, b) li gp, __LINE__; got_one_of a, b
#define EPC_IS(reg) li gp, __LINE__; trap_field_is TRAP_EPC, reg
#define TVAL_IS(reg) li gp, __LINE__; trap_field_is TRAP_TVAL, reg
#define TVAL2_IS(reg) li gp, __LINE__; trap_field_is TRAP_TVAL2, reg
#define TINST_IS(reg) li gp, __LINE__; trap_field_is TRAP_TINST, reg
#define TVAL(...) li gp, __LINE__; trap_field_equals TRAP_TVAL, __VA_ARGS__
#define TVAL2(...) li gp, __LINE__; trap_field_equals TRAP_TVAL2, __VA_ARGS__
#define TINST(...) li gp, __LINE__; trap_field_equals TRAP_TINST, __VA_ARGS__
// mstatus as M's handler found it; hstatus as the handler of M or S found it.
#define MSTATUS_AT_TRAP(mask, value) li gp, __LINE__; trap_field_masked TRAP_STATUS, mask, value
#define HSTATUS_AT_TRAP(mask, value) li gp, __LINE__; trap_field_masked TRAP_HSTATUS, mask, value

// ---- Checks of registers and CSRs ----

.macro check_reg reg, value:vararg
    li t6, \value
    beq \reg, t6, 8883f
    j fail
8883:
.endm

.macro check_same a, b
    beq \a, \b, 8883f
    j fail
8883:
.endm

.macro check_csr csr, mask, value
    csrr t5, \csr
    li t6, \mask
    and t5, t5, t6
    li t6, \value
    beq t5, t6, 8883f
    j fail
8883:
.endm

#define CHECK(reg, ...) li gp, __LINE__; check_reg reg, __VA_ARGS__
#define CHECK_SAME(a, b) li gp, __LINE__; check_same a, b
#define CHECK_CSR(csr, mask, value) li gp, __LINE__; check_csr csr, mask, value
#define FAIL li gp, __LINE__; j fail
// One instruction on chosen operands: RR(op, result, rs1, rs2), RI(op, result, rs1, immediate), R(op, result, rs1).
#define RR(op, result, a, b) li gp, __LINE__; li a0, a; li a1, b; op a2, a0, a1; check_reg a2, result
#define RI(op, result, a, imm) li gp, __LINE__; li a0, a; op a2, a0, imm; check_reg a2, result
#define R1(op, result, a) li gp, __LINE__; li a0, a; op a2, a0; check_reg a2, result

// An instruction that is illegal in M-mode, given as its bits; tval is the bits.
.macro illegal_bits bits
    in_mode IN_M, 0
    .4byte \bits
    out_of_mode
    got ILLEGAL
    trap_field_equals TRAP_TVAL, \bits
.endm
#define ILLEGAL_BITS(bits) li gp, __LINE__; illegal_bits bits

// One instruction in a mode, whose trap, if any, has the cause given first (and goes where `to` says).
.macro traps cause, to, mode, insn:vararg
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \cause, \to
.endm
#define TRAPS(cause, mode, ...) li gp, __LINE__; traps cause, M, mode, __VA_ARGS__
#define TRAPS_TO(cause, to, mode, ...) li gp, __LINE__; traps cause, to, mode, __VA_ARGS__
#define RUNS(mode, ...) li gp, __LINE__; traps NONE, M, mode, __VA_ARGS__

#endif
