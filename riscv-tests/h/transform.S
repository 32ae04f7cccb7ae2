// Law: for an explicit access, mtinst and htinst are zero or the instruction transformed: no immediate, rs1 the offset within a misaligned access, a 16-bit one expanded with bit 1 clear.
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)

// The value is zero or the one given.
.macro tinst_is value
    ld t5, trap + TRAP_TINST
    beqz t5, 8884f
    li t6, \value
    beq t5, t6, 8884f
    j fail
8884:
.endm
.macro transforms value, mode, insn:vararg
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    tinst_is \value
.endm
#define TRANSFORMS(...) li gp, __LINE__; transforms __VA_ARGS__

BEGIN
    HYPERVISOR
    GSTAGE(SV39)
    GMAP(GPA, SPARE, 0, RWXU)
    GSTAGE_ON(SV39)
    li s0, GPA + PAGE
    // norm: H_trap_xtinst, H_trap_xtinst_exception_lead-in, H_trap_xtinst_exception_list, nw:tinst_load
    // norm: nw:tinst_store
    // Loads keep opcode, funct3 and rd; stores rs2; the immediate and rs1 are cleared.
    TRANSFORMS(0x00000583, VS, lb a1, 1(s0))
    TRANSFORMS(0x00003583, VS, ld a1, 8(s0))
    TRANSFORMS(0x00006583, VS, lwu a1, 4(s0))
    TRANSFORMS(0x00002587, VS, flw fa1, 4(s0))
    TRANSFORMS(0x00b03023, VS, sd a1, 16(s0))
    TRANSFORMS(0x00b00023, VS, sb a1, 17(s0))
    TRANSFORMS(0x00b03027, VS, fsd fa1, 16(s0))
    // norm: nw:tinst_atomic, nw:tinst_hypervisor
    // Atomics keep all but rs1; HLV and HSV too.
    TRANSFORMS(0x1400252f, VS, lr.w.aq a0, (s0))
    TRANSFORMS(0x1ab0352f, VS, sc.d.rl a0, a1, (s0))
    TRANSFORMS(0x06b0252f, VS, amoadd.w.aqrl a0, a1, (s0))
    TRANSFORMS(0x28b0352f, VS, amocas.d a0, a1, s0)
    TRANSFORMS(0x6c004573, S, hlv.d a0, (s0))
    TRANSFORMS(0x68304573, S, hlvx.wu a0, (s0))
    TRANSFORMS(0x6ea04073, S, hsv.d a0, (s0))
    // norm: nw:tinst_compressed
    // 16-bit: the expansion of c.ld a1, 8(s0) is ld a1, 8(s0); bit 1 tells its length.
    .option rvc
    TRANSFORMS(0x00003581, VS, c.ld a1, 8(s0))
    TRANSFORMS(0x00b02021, VS, c.sw a1, 8(s0))
    .option norvc
    // norm: H_tinst_addr_offset
    // Misaligned into the hole: the second part fails, at its offset from the address given.
    li s0, GPA + PAGE - 3
    TRANSFORMS(0x0001b583, VS, ld a1, (s0))
    TVAL(GPA + PAGE)
    TRANSFORMS(0x00b1a023, VS, sw a1, (s0))
    // norm: H_trap_xtinst_val, nw:tinst_table, mtval2_trapval
    // A fetch has none; nor have other traps.
    li a0, GPA + PAGE
    IN(VS)
    jr a0
    OUT
    GOT(INSN_GUEST_PAGE)
    TINST(0)
    TRAPS(ECALL_VS, VS, ecall)
    TINST(0)
    TRAPS(ILLEGAL, VS, .insn 0x0000000b)
    TINST(0)
    TVAL2(0)
    PASS
