// Law: every load, store and atomic, of every width and length, is transformed by its kind: what mtinst holds is zero or that, whatever the registers and offsets were.
// norm: H_trap_xtinst, H_trap_xtinst_exception_list, H_trap_xtinst_val, nw:tinst_load, nw:tinst_store, nw:tinst_atomic, nw:tinst_hypervisor
// norm: nw:tinst_compressed, nw:tinst_table, nw:tinst_undefined, H_tinst_addr_offset
#include "hyper.h"

.macro transforms value, mode, insn:vararg
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    ld t5, trap + TRAP_TINST
    beqz t5, 8884f
    li t6, \value
    beq t5, t6, 8884f
    j fail
8884:
.endm
#define TRANSFORMS(...) li gp, __LINE__; transforms __VA_ARGS__
// a1, or fa1, is what is loaded or stored; a 16-bit instruction has bit 1 clear.
#define LOAD(opcode, funct3) ((opcode) | ((funct3) << 12) | (11 << 7))
#define STORE(opcode, funct3) ((opcode) | ((funct3) << 12) | (11 << 20))
#define SHORT(value) ((value) & ~2)
#define ATOMIC(funct5, funct3, rd, rs2, order) (0x2f | ((rd) << 7) | ((funct3) << 12) | ((rs2) << 20) | ((order) << 25) | ((funct5) << 27))

BEGIN
    HYPERVISOR
    GSTAGE(SV39)
    GSTAGE_ON(SV39)
    // Nothing is mapped where s0 and sp point.
    li s0, GPA + 0x400
    mv sp, s0
    TRANSFORMS(LOAD(0x03, 0), VS, lb a1, -1(s0))
    TRANSFORMS(LOAD(0x03, 1), VS, lh a1, 2(s0))
    TRANSFORMS(LOAD(0x03, 2), VS, lw a1, -4(s0))
    TRANSFORMS(LOAD(0x03, 3), VS, ld a1, 0x3f8(s0))
    TRANSFORMS(LOAD(0x03, 4), VS, lbu a1, 0x7f(s0))
    TRANSFORMS(LOAD(0x03, 5), VS, lhu a1, (s0))
    TRANSFORMS(LOAD(0x03, 6), VS, lwu a1, 4(s0))
    TRANSFORMS(LOAD(0x07, 1), VS, flh fa1, 2(s0))
    TRANSFORMS(LOAD(0x07, 2), VS, flw fa1, 4(s0))
    TRANSFORMS(LOAD(0x07, 3), VS, fld fa1, 8(s0))
    TRANSFORMS(STORE(0x23, 0), VS, sb a1, 1(s0))
    TRANSFORMS(STORE(0x23, 1), VS, sh a1, -2(s0))
    TRANSFORMS(STORE(0x23, 2), VS, sw a1, 0x3fc(s0))
    TRANSFORMS(STORE(0x23, 3), VS, sd a1, -8(s0))
    TRANSFORMS(STORE(0x27, 1), VS, fsh fa1, 2(s0))
    TRANSFORMS(STORE(0x27, 2), VS, fsw fa1, -4(s0))
    TRANSFORMS(STORE(0x27, 3), VS, fsd fa1, 8(s0))
    // x0 as the register loaded or stored, and x0 as the base.
    TRANSFORMS(0x00003003, VS, ld x0, (s0))
    TRANSFORMS(0x00003023, VS, sd x0, (s0))
    TRANSFORMS(LOAD(0x03, 3), VS, ld a1, 0x100(x0))
    TRANSFORMS(STORE(0x23, 3), VS, sd a1, 0x100(x0))

    .option rvc
    TRANSFORMS(SHORT(LOAD(0x03, 2)), VS, c.lw a1, 4(s0))
    TRANSFORMS(SHORT(LOAD(0x03, 3)), VS, c.ld a1, 8(s0))
    TRANSFORMS(SHORT(LOAD(0x07, 3)), VS, c.fld fa1, 16(s0))
    TRANSFORMS(SHORT(LOAD(0x03, 2)), VS, c.lwsp a1, 4(sp))
    TRANSFORMS(SHORT(LOAD(0x03, 3)), VS, c.ldsp a1, 8(sp))
    TRANSFORMS(SHORT(LOAD(0x07, 3)), VS, c.fldsp fa1, 8(sp))
    TRANSFORMS(SHORT(STORE(0x23, 2)), VS, c.sw a1, 4(s0))
    TRANSFORMS(SHORT(STORE(0x23, 3)), VS, c.sd a1, 8(s0))
    TRANSFORMS(SHORT(STORE(0x27, 3)), VS, c.fsd fa1, 8(s0))
    TRANSFORMS(SHORT(STORE(0x23, 2)), VS, c.swsp a1, 4(sp))
    TRANSFORMS(SHORT(STORE(0x23, 3)), VS, c.sdsp a1, 8(sp))
    TRANSFORMS(SHORT(STORE(0x27, 3)), VS, c.fsdsp fa1, 8(sp))
    // Zcb, which the assembler does not know: c.lbu, c.lhu and c.lh a1, 0(s0); c.sb and c.sh.
    TRANSFORMS(SHORT(LOAD(0x03, 4)), VS, .2byte 0x800c)
    TRANSFORMS(SHORT(LOAD(0x03, 5)), VS, .2byte 0x840c)
    TRANSFORMS(SHORT(LOAD(0x03, 1)), VS, .2byte 0x844c)
    TRANSFORMS(SHORT(STORE(0x23, 0)), VS, .2byte 0x880c)
    TRANSFORMS(SHORT(STORE(0x23, 1)), VS, .2byte 0x8c0c)
    .balign 4
    .option norvc

    .macro atomics op, funct5
    transforms ATOMIC(\funct5, 2, 10, 11, 0), VS, \op\().w a0, a1, (s0)
    transforms ATOMIC(\funct5, 3, 10, 11, 1), VS, \op\().d.rl a0, a1, (s0)
    transforms ATOMIC(\funct5, 2, 10, 11, 2), VS, \op\().w.aq a0, a1, (s0)
    transforms ATOMIC(\funct5, 3, 10, 11, 3), VS, \op\().d.aqrl a0, a1, (s0)
    .endm
    li gp, __LINE__
    atomics amoswap, 1
    atomics amoadd, 0
    atomics amoxor, 4
    atomics amoand, 12
    atomics amoor, 8
    atomics amomin, 16
    atomics amomax, 20
    atomics amominu, 24
    atomics amomaxu, 28
    atomics sc, 3
    TRANSFORMS(ATOMIC(2, 2, 10, 0, 0), VS, lr.w a0, (s0))
    TRANSFORMS(ATOMIC(2, 3, 10, 0, 3), VS, lr.d.aqrl a0, (s0))
    // Compare-and-swap, and bytes and halves.
    .irp funct3, 0, 1, 2, 3, 4
    li gp, __LINE__
    transforms ATOMIC(5, \funct3, 10, 12, 0), VS, .insn r 0x2f, \funct3, 5 << 2, a0, s0, a2
    .endr
    .irp funct3, 0, 1
    li gp, __LINE__
    transforms ATOMIC(0, \funct3, 10, 11, 2), VS, .insn r 0x2f, \funct3, 2, a0, s0, a1
    transforms ATOMIC(20, \funct3, 10, 11, 0), VS, .insn r 0x2f, \funct3, 20 << 2, a0, s0, a1
    .endr

    // HS's own, from HS and from M.
    .irp mode, S, M
    li gp, __LINE__
    transforms 0x600045f3, \mode, hlv.b a1, (s0)
    transforms 0x601045f3, \mode, hlv.bu a1, (s0)
    transforms 0x640045f3, \mode, hlv.h a1, (s0)
    transforms 0x641045f3, \mode, hlv.hu a1, (s0)
    transforms 0x643045f3, \mode, hlvx.hu a1, (s0)
    transforms 0x680045f3, \mode, hlv.w a1, (s0)
    transforms 0x681045f3, \mode, hlv.wu a1, (s0)
    transforms 0x683045f3, \mode, hlvx.wu a1, (s0)
    transforms 0x6c0045f3, \mode, hlv.d a1, (s0)
    transforms 0x62b04073, \mode, hsv.b a1, (s0)
    transforms 0x66b04073, \mode, hsv.h a1, (s0)
    transforms 0x6ab04073, \mode, hsv.w a1, (s0)
    transforms 0x6eb04073, \mode, hsv.d a1, (s0)
    .endr

    // Cache-block operations have no transformation.
    li t0, ENVCFG_CBIE_FLUSH | ENVCFG_CBCFE | ENVCFG_CBZE
    csrw menvcfg, t0
    csrw henvcfg, t0
    .irp op, 0, 1, 2, 4
    li gp, __LINE__
    in_mode IN_VS, 0
    .insn i 0x0f, 2, x0, s0, \op
    out_of_mode
    got STORE_GUEST_PAGE
    trap_field_equals TRAP_TINST, 0
    .endr

    // The same for faults of other kinds: an access fault, and a page fault of S-mode without any guest.
    GMAP(GPA, 0x50000000, 0, PTE_RWX | PTE_U)
    hfence.gvma
    li s0, GPA
    TRANSFORMS(LOAD(0x03, 3), VS, ld a1, 8(s0))
    GOT(LOAD_ACCESS)
    TRANSFORMS(STORE(0x23, 3), VS, sd a1, 8(s0))
    GOT(STORE_ACCESS)
    PAGING(SV39)
    PAGING_ON(SV39)
    TRANSFORMS(LOAD(0x03, 3), S, ld a1, 8(s0))
    GOT(LOAD_PAGE)
    TRANSFORMS(ATOMIC(0, 3, 10, 11, 0), S, amoadd.d a0, a1, (s0))
    GOT(STORE_PAGE)
    li a0, GPA
    TRAPS(INSN_PAGE, S, jr a0)
    TINST(0)
    PASS
