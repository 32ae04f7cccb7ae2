# Bare guests, run in VS-mode by KVM. Copied to where they run, so nothing here depends on its address.

#include "payload.h"

    .section .rodata

# Ends the guest for the reason in a1.
    .macro power_off
    li a0, 0                # shutdown
    li a7, 0x53525354       # SRST
    li a6, 0
    ecall
9:  j 9b
    .endm

# Prints a line with a call of SBI's debug console per byte and powers off.
    .balign 4
    .globl payload_hello, payload_hello_end
payload_hello:
    lla s0, line
1:  lbu a0, (s0)
    beqz a0, 2f
    li a7, 0x4442434e       # DBCN
    li a6, 2                # write byte
    ecall
    bnez a0, fail
    addi s0, s0, 1
    j 1b
2:  li a1, 0                # no reason
    j off
fail:
    li a1, 1                # system failure
off:
    power_off
line:
    .asciz "hello from VS-mode\n"
    .balign 4
payload_hello_end:

# The worker of payload.h. a0 is the mailbox.
    .globl payload_worker, payload_worker_end
payload_worker:
    ld t0, 0(a0)            # work
    ld t1, 8(a0)            # address
    ld t2, 16(a0)           # how many are left
    ld t3, 24(a0)           # stride
    ld t4, 32(a0)           # value
    li t5, 0                # sum
    li t6, 1
    beq t0, t6, store
    li t6, 2
    beq t0, t6, load
    li t6, 3
    beq t0, t6, amoadd
done:
    sd t5, 40(a0)
    mv s0, a0
    li a7, SBI_DONE
    li a6, 0
    ecall
    mv a0, s0
    j payload_worker
store:
    beqz t2, done
    sd t4, (t1)
    add t1, t1, t3
    addi t2, t2, -1
    j store
load:
    beqz t2, done
    ld t6, (t1)
    add t5, t5, t6
    add t1, t1, t3
    addi t2, t2, -1
    j load
amoadd:
    beqz t2, done
    amoadd.d t6, t4, (t1)
    add t1, t1, t3
    addi t2, t2, -1
    j amoadd
    .balign 4
payload_worker_end:

# The guest of fault.c. a0: a page to touch first; a1: where to load from; a2: its vsatp. The load is 12 bytes from
# the start.
    .balign 4
    .globl payload_fault, payload_fault_end
    .option push
    .option norvc
payload_fault:
    ld t0, (a0)             # from here on the G-stage has a last table for the slot
    csrw satp, a2
    sfence.vma
    .org payload_fault + 12
    ld a0, FAULT_OFFSET(a1)
    li t0, FAULT_VALUE
    sub a1, a0, t0
    snez a1, a1             # no reason, or system failure
    power_off
    .option pop
    .balign 4
payload_fault_end:
