// Starts OpenSBI's fw_dynamic on Spike, which passes no description of the next stage and keeps the device tree where it cannot
// be written: the tree is copied behind this code, and a2 points at the description. FIRMWARE is the path of fw_dynamic.bin.

#define KERNEL 0x80200000

    .section .firmware, "ax"
    .incbin FIRMWARE

    .section .start, "ax"
    .globl _start
_start:
    // The tree's size is its second word, the most significant byte first.
    li t0, 0
    addi t1, a1, 4
    addi t2, a1, 8
1:  lbu t3, 0(t1)
    slli t0, t0, 8
    or t0, t0, t3
    addi t1, t1, 1
    bne t1, t2, 1b
    la t1, tree
    mv t2, a1
    mv a1, t1
    add t0, t0, t2
2:  lbu t3, 0(t2)
    sb t3, 0(t1)
    addi t1, t1, 1
    addi t2, t2, 1
    bltu t2, t0, 2b
    la a2, next
    la t0, firmware
    jr t0

    // OpenSBI's struct fw_dynamic_info: magic, version, the next stage's address and mode (S), options, the boot hart.
    .balign 8
next:
    .dword 0x4942534f, 2, KERNEL, 1, 0, 0
    .balign 4096
tree:
