// Page tables for the programs: built in M-mode, walked by the lower modes.
//
// PAGING(mode) starts empty tables of that satp.MODE that map the program: its image at its own address for S, and once more
// at USER_BIAS above for U. MAP adds leaves, PAGING_ON loads satp. Tables are at most 64 pages.
#ifndef PAGING_H
#define PAGING_H

#include "test.h"

#define PAGE 0x1000
#define MEGA 0x200000
#define GIGA 0x40000000
// Where U and VU run: the alias of the image with U = 1.
#define USER_BIAS 0x40000000
// Pages of RAM beyond the image, for the programs to map.
#define SPARE 0x80400000
// A place in the lower half that no program's image uses.
#define VA 0x10000000

#define PT_ROOT 0
#define PT_TOP 8
#define PT_NEXT 16
#define PT_ROOT_MASK 24
#define PT_POOL 32
#define PT_POOL_END 40
#define TABLE_PAGES 64

.macro paging_code
    .text
// A set of tables is a descriptor, in a6: the root, the level of its entries, the next free page, and the pages to take from.
// In: a0 = MODE of satp, or of hgatp with a1 = 1 (a root of four pages). The set's earlier tables are forgotten.
pt_begin:
    ld t1, PT_POOL(a6)
    sd t1, PT_ROOT(a6)
    addi a0, a0, -6
    sd a0, PT_TOP(a6)
    li t2, 0x1ff
    li t3, PAGE
    beqz a1, 1f
    li t2, 0x7ff
    li t3, 4 * PAGE
1:  sd t2, PT_ROOT_MASK(a6)
    add t3, t3, t1
    ld t4, PT_NEXT(a6)
    sd t3, PT_NEXT(a6)
2:  bgeu t1, t4, 3f
    sd zero, 0(t1)
    addi t1, t1, 8
    j 2b
3:  ret

// In: a0 = virtual address, a1 = physical address, a2 = level of the leaf (0 = 4 KiB), a3 = bits of the leaf beside the PPN.
// Out: a0 = address of the leaf.
pt_map:
    ld t1, PT_ROOT(a6)
    ld t2, PT_TOP(a6)
    ld a4, PT_ROOT_MASK(a6)
1:  slli t3, t2, 3
    add t3, t3, t2
    addi t3, t3, 12
    srl t4, a0, t3
    and t4, t4, a4
    slli t4, t4, 3
    add t1, t1, t4
    beq t2, a2, 3f
    ld t4, 0(t1)
    bnez t4, 2f
    ld t4, PT_NEXT(a6)
    li a5, PAGE
    add a5, a5, t4
    sd a5, PT_NEXT(a6)
    ld t3, PT_POOL_END(a6)
    bgtu a5, t3, fail
    srli t4, t4, 2
    ori t4, t4, PTE_V
    sd t4, 0(t1)
2:  slli t4, t4, 10
    srli t4, t4, 20
    slli t1, t4, 12
    addi t2, t2, -1
    li a4, 0x1ff
    j 1b
3:  srli a1, a1, 2
    or a1, a1, a3
    sd a1, 0(t1)
    mv a0, t1
    ret

    .data
    .balign 8
pt: .dword 0, 0, tables, 0, tables, tables_end
    .bss
    .balign 0x4000
tables:
    .skip TABLE_PAGES * PAGE
tables_end:
    .text
.endm
paging_code

.macro map va, pa, level, bits
    li a0, \va
    li a1, \pa
    li a2, \level
    li a3, \bits
    la a6, pt
    call pt_map
.endm

.macro paging mode
    csrw satp, zero
    li a0, \mode
    li a1, 0
    la a6, pt
    call pt_begin
    map RAM, RAM, 1, PTE_RWX
    map RAM + MEGA, RAM + MEGA, 1, PTE_RWX
    map RAM + USER_BIAS, RAM, 1, PTE_RWX | PTE_U
    map RAM + USER_BIAS + MEGA, RAM + MEGA, 1, PTE_RWX | PTE_U
    li t5, USER_BIAS
    la t6, trap
    sd t5, TRAP_USER_BIAS(t6)
.endm

// satp's value for the tables just built, with an ASID, in `reg`.
.macro satp_value reg, mode, asid=0
    ld \reg, pt + PT_ROOT
    srli \reg, \reg, 12
    li t6, ((\mode) << ATP_MODE_SHIFT) | ((\asid) << ATP_TAG_SHIFT)
    or \reg, \reg, t6
.endm
.macro paging_on mode, asid=0
    satp_value t5, \mode, \asid
    csrw satp, t5
    sfence.vma
.endm

#define PAGING(mode) li gp, __LINE__; paging mode
#define PAGING_ON(...) li gp, __LINE__; paging_on __VA_ARGS__
// Clobbers a0 to a6, t1 to t4, ra; the leaf's address is then in a0.
#define MAP(...) li gp, __LINE__; map __VA_ARGS__

// One access in a mode. What is loaded must be the value given; a fault must have its cause and, as tval, the address.
.macro loads mode, va, value
    li a0, \va
    in_mode IN_\mode, 0
    ld a1, (a0)
    out_of_mode
    got NONE
    check_reg a1, \value
.endm
.macro load_faults mode, va, cause
    li a0, \va
    in_mode IN_\mode, 0
    ld a1, (a0)
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, a0
.endm
.macro stores mode, va, value
    li a0, \va
    li a1, \value
    in_mode IN_\mode, 0
    sd a1, (a0)
    out_of_mode
    got NONE
.endm
.macro store_faults mode, va, cause
    li a0, \va
    li a1, -1
    in_mode IN_\mode, 0
    sd a1, (a0)
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, a0
.endm
// The page at the address begins with RET, put there by code_at.
.macro fetches mode, va
    li a0, \va
    in_mode IN_\mode, 0
    jalr a0
    out_of_mode
    got NONE
.endm
.macro fetch_faults mode, va, cause
    li a0, \va
    in_mode IN_\mode, 0
    jalr a0
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, a0
    trap_field_is TRAP_EPC, a0
.endm
// In M-mode: RET and then a value at a physical address.
.macro page_at pa, value
    li t5, \pa
    li t6, 0x00008067
    sw t6, (t5)
    sw zero, 4(t5)
    li t6, \value
    sd t6, 8(t5)
    fence.i
.endm

#define LOADS(...) li gp, __LINE__; loads __VA_ARGS__
#define LOAD_FAULTS(...) li gp, __LINE__; load_faults __VA_ARGS__
#define STORES(...) li gp, __LINE__; stores __VA_ARGS__
#define STORE_FAULTS(...) li gp, __LINE__; store_faults __VA_ARGS__
#define FETCHES(...) li gp, __LINE__; fetches __VA_ARGS__
#define FETCH_FAULTS(...) li gp, __LINE__; fetch_faults __VA_ARGS__

#endif
