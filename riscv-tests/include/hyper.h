// Guests for the programs: the G-stage beside paging.h's tables, which here serve as the VS-stage, and the set-up of a hypervisor.
#ifndef HYPER_H
#define HYPER_H

#include "paging.h"

// Where guest-physical and supervisor physical addresses differ: a window of the G-stage onto SPARE.
#define GPA 0x20000000

.macro hyper_code
    .data
    .balign 8
gpt: .dword 0, 0, gtables, 0, gtables, gtables_end
    .bss
    .balign 0x4000
gtables:
    .skip TABLE_PAGES * PAGE
gtables_end:
    .text
.endm
hyper_code

// A hypervisor with nothing on: no delegation, both stages Bare. For M-mode, at the start.
.macro hypervisor
    csrw hedeleg, zero
    csrw hideleg, zero
    csrw hvip, zero
    csrw hie, zero
    csrw vsie, zero
    csrw hgatp, zero
    csrw vsatp, zero
    csrw henvcfg, zero
    csrw hcounteren, zero
    csrw vsstatus, zero
    li t0, MSTATUS_FS_INITIAL
    csrs vsstatus, t0
    li t0, HSTATUS_GVA | HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_HU | HSTATUS_VTVM | HSTATUS_VTW | HSTATUS_VTSR
    csrc hstatus, t0
    la t0, handle_vs
    csrw vstvec, t0
    sfence.vma
    hfence.gvma
    hfence.vvma
.endm
#define HYPERVISOR li gp, __LINE__; hypervisor

// Empty G-stage tables of that hgatp.MODE, but for the program at its own address.
.macro gstage mode
    csrw hgatp, zero
    li a0, \mode
    li a1, 1
    la a6, gpt
    call pt_begin
    gmap RAM, RAM, 1, PTE_RWX | PTE_U
    gmap RAM + MEGA, RAM + MEGA, 1, PTE_RWX | PTE_U
.endm
.macro gmap gpa, pa, level, bits
    li a0, \gpa
    li a1, \pa
    li a2, \level
    li a3, \bits
    la a6, gpt
    call pt_map
.endm
.macro gstage_on mode, vmid=0
    ld t5, gpt + PT_ROOT
    srli t5, t5, 12
    li t6, ((\mode) << ATP_MODE_SHIFT) | ((\vmid) << ATP_TAG_SHIFT)
    or t5, t5, t6
    csrw hgatp, t5
    hfence.gvma
.endm
// The VS-stage is what PAGING and MAP built.
.macro vsstage_on mode, asid=0
    satp_value t5, \mode, \asid
    csrw vsatp, t5
    hfence.vvma
.endm
.macro vsstage_off
    csrw vsatp, zero
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
.endm

#define GSTAGE(mode) li gp, __LINE__; gstage mode
#define GMAP(...) li gp, __LINE__; gmap __VA_ARGS__
#define GSTAGE_ON(...) li gp, __LINE__; gstage_on __VA_ARGS__
#define VSSTAGE_ON(...) li gp, __LINE__; vsstage_on __VA_ARGS__
#define VSSTAGE_OFF vsstage_off

// Guest-page faults: the access, its guest-virtual address, and the guest-physical address that was not translated. M takes them.
.macro guest_load_faults mode, va, gpa
    li a0, \va
    in_mode IN_\mode, 0
    ld a1, (a0)
    out_of_mode
    got LOAD_GUEST_PAGE
    trap_field_is TRAP_TVAL, a0
    trap_field_equals TRAP_TVAL2, (\gpa) >> 2
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
.endm
.macro guest_store_faults mode, va, gpa
    li a0, \va
    in_mode IN_\mode, 0
    sd a1, (a0)
    out_of_mode
    got STORE_GUEST_PAGE
    trap_field_is TRAP_TVAL, a0
    trap_field_equals TRAP_TVAL2, (\gpa) >> 2
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
.endm
.macro guest_fetch_faults mode, va, gpa
    li a0, \va
    in_mode IN_\mode, 0
    jalr a0
    out_of_mode
    got INSN_GUEST_PAGE
    trap_field_is TRAP_TVAL, a0
    trap_field_is TRAP_EPC, a0
    trap_field_equals TRAP_TVAL2, (\gpa) >> 2
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
.endm
#define GUEST_LOAD_FAULTS(...) li gp, __LINE__; guest_load_faults __VA_ARGS__
#define GUEST_STORE_FAULTS(...) li gp, __LINE__; guest_store_faults __VA_ARGS__
#define GUEST_FETCH_FAULTS(...) li gp, __LINE__; guest_fetch_faults __VA_ARGS__

#endif
