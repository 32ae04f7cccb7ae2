// Start in M-mode, running a function in a lower mode, traps to M and to (H)S, and the end, for every program here.

#define CAUSE_ECALL_U 8
#define CAUSE_ECALL_M 11
// In a7: an ECALL that goes back to who called run_in.
#define BACK 0x6b636162

    .section .text.start, "ax"
    .globl _start
_start:
    csrr t0, mhartid
1:  bnez t0, 1b
    la sp, stack_top
    la t0, m_entry
    csrw mtvec, t0
    la t0, s_entry
    csrw stvec, t0
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    li t0, 0x6000
    csrs mstatus, t0
    csrw fcsr, zero
    csrw mie, zero
    csrw satp, zero
    li t0, -1
    csrw mcounteren, t0
    call start
1:  j 1b

// unsigned long run_in(unsigned long mode_bits, unsigned long (*f)(unsigned long), unsigned long a): f(a), in the mode that
// these bits of mstatus (MPP, MPV) name; returns what it returns.
    .text
    .globl run_in
run_in:
    addi sp, sp, -128
    sd ra, 0(sp)
    sd s0, 8(sp)
    sd s1, 16(sp)
    sd s2, 24(sp)
    sd s3, 32(sp)
    sd s4, 40(sp)
    sd s5, 48(sp)
    sd s6, 56(sp)
    sd s7, 64(sp)
    sd s8, 72(sp)
    sd s9, 80(sp)
    sd s10, 88(sp)
    sd s11, 96(sp)
    csrw mscratch, sp
    la t0, s_stack_top
    csrw sscratch, t0
    li t0, 3 << 11 | 1 << 39
    csrc mstatus, t0
    csrs mstatus, a0
    csrw mepc, a1
    mv a0, a2
    la ra, back
    mret
back:
    li a7, BACK
    ecall

    .balign 4
m_entry:
    csrr t0, mcause
    addi t0, t0, -CAUSE_ECALL_U
    li t1, CAUSE_ECALL_M - CAUSE_ECALL_U
    bgeu t0, t1, 1f
    csrr sp, mscratch
    ld ra, 0(sp)
    ld s0, 8(sp)
    ld s1, 16(sp)
    ld s2, 24(sp)
    ld s3, 32(sp)
    ld s4, 40(sp)
    ld s5, 48(sp)
    ld s6, 56(sp)
    ld s7, 64(sp)
    ld s8, 72(sp)
    ld s9, 80(sp)
    ld s10, 88(sp)
    ld s11, 96(sp)
    addi sp, sp, 128
    ret
1:  csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    call broken

// A trap to S or HS: what C may change is saved, and s_trap(cause, a0 of the interrupted code) called; what that returns is in a0
// afterwards. An ECALL goes on behind itself.
    .balign 4
    .globl s_entry
s_entry:
    csrrw sp, sscratch, sp
    addi sp, sp, -144
    sd ra, 0(sp)
    sd t0, 8(sp)
    sd t1, 16(sp)
    sd t2, 24(sp)
    sd a0, 32(sp)
    sd a1, 40(sp)
    sd a2, 48(sp)
    sd a3, 56(sp)
    sd a4, 64(sp)
    sd a5, 72(sp)
    sd a6, 80(sp)
    sd a7, 88(sp)
    sd t3, 96(sp)
    sd t4, 104(sp)
    sd t5, 112(sp)
    sd t6, 120(sp)
    li t0, BACK
    mv a1, a0
    csrr a0, scause
    addi t1, a0, -CAUSE_ECALL_U
    li t2, CAUSE_ECALL_M - CAUSE_ECALL_U
    bgeu t1, t2, 1f
    bne a7, t0, 2f
    mv a0, a1
    ecall
2:  csrr t1, sepc
    addi t1, t1, 4
    csrw sepc, t1
    call s_trap
    sd a0, 32(sp)
    j 3f
1:  call s_trap
3:  ld ra, 0(sp)
    ld t0, 8(sp)
    ld t1, 16(sp)
    ld t2, 24(sp)
    ld a0, 32(sp)
    ld a1, 40(sp)
    ld a2, 48(sp)
    ld a3, 56(sp)
    ld a4, 64(sp)
    ld a5, 72(sp)
    ld a6, 80(sp)
    ld a7, 88(sp)
    ld t3, 96(sp)
    ld t4, 104(sp)
    ld t5, 112(sp)
    ld t6, 120(sp)
    addi sp, sp, 144
    csrrw sp, sscratch, sp
    sret

// The end, said in every way: HTIF, which Spike and Nestwalk look at within some thousand instructions, then the finisher of
// QEMU's virt board.
    .globl finish
finish:
    slli t0, a0, 1
    ori t0, t0, 1
    la t1, tohost
    sd t0, (t1)
    li t0, 1000000
1:  addi t0, t0, -1
    bnez t0, 1b
    li t1, 0x100000
    li t0, 0x5555
    beqz a0, 2f
    slli a0, a0, 16
    li t0, 0x3333
    or t0, t0, a0
2:  sw t0, (t1)
3:  j 3b

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
    .balign 8
// How often the program does what it does: whoever runs it writes the number here, or gives it to build.sh.
    .globl rounds
rounds:
    .dword ROUNDS

    .bss
    .balign 16
    .skip 0x4000
stack_top:
    .skip 0x4000
s_stack_top:
