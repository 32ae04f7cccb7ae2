// Law: every reserved or unimplemented encoding raises an illegal-instruction exception with the instruction in mtval, and has no effect.
#include "test.h"

.macro all_illegal bits:vararg
    .irp b, \bits
    illegal_bits \b
    .endr
.endm
#define ALL_ILLEGAL(...) li gp, __LINE__; all_illegal __VA_ARGS__

BEGIN
    // norm: mtval_instr_bits_lead-in, mtval_instr_bits_list
    // Major opcodes of nothing here: custom-0 to custom-3, the 48-bit prefix, reserved ones, OP-VE, and the vector group.
    ALL_ILLEGAL(0x0000000b, 0x0000002b, 0x0000005b, 0x0000007b)
    ALL_ILLEGAL(0x0000006b, 0x00000077, 0x00000057, 0x00001057)

    // LOAD 7, STORE 4 to 7, BRANCH 2 and 3, JALR 1 to 7, MISC-MEM 3 to 7.
    ALL_ILLEGAL(0x00007003)
    ALL_ILLEGAL(0x00004023, 0x00005023, 0x00006023, 0x00007023)
    ALL_ILLEGAL(0x00002063, 0x00003063)
    ALL_ILLEGAL(0x00001067, 0x00002067, 0x00003067, 0x00004067, 0x00005067, 0x00006067, 0x00007067)
    ALL_ILLEGAL(0x0000300f, 0x0000400f, 0x0000500f, 0x0000600f, 0x0000700f)

    // OP and OP-32: function codes between the instructions.
    ALL_ILLEGAL(0x40001033, 0x40002033, 0x40003033, 0x06000033, 0x80000033, 0x08000033, 0x0e000033, 0x0e001033)
    ALL_ILLEGAL(0x0000203b, 0x0000303b, 0x0000403b, 0x0000603b, 0x0000703b, 0x4000103b, 0x0200103b, 0x0200203b, 0x0200303b)
    ALL_ILLEGAL(0x2000003b, 0x2000103b, 0x0800203b)

    // Shifts: amounts above the width, and unused function codes.
    ALL_ILLEGAL(0x04001013, 0x80001013, 0x84005013, 0x44001013, 0x10005013)
    ALL_ILLEGAL(0x0200101b, 0x0200501b, 0x4200501b, 0x4000101b, 0x0000201b, 0x0000301b, 0x0000401b, 0x0000601b, 0x0000701b)

    // Loads and stores of FP: widths 0 and 5 to 7 without V, quad.
    ALL_ILLEGAL(0x00000007, 0x00004007, 0x00005007, 0x00000027, 0x00004027, 0x00007027)

    // SYSTEM: ECALL with a register, WFI with one, MRET's neighbours, URET, DRET, SFENCE.VMA with a destination.
    ALL_ILLEGAL(0x000000f3, 0x00008073, 0x00200073, 0x105000f3, 0x10508073, 0x30200173, 0x70200073, 0x7b200073)
    ALL_ILLEGAL(0x120000f3, 0x160000f3, 0x18200073, 0x18300073, 0x181000f3, 0x00300073, 0x30500073)

    // Too long for this hart, and all ones.
    ALL_ILLEGAL(0x0000001f, 0x0000003f, 0x0000007f, 0xffffffff)

    // norm: mtval_ill_instr_exc_in_low_bits, mtval_instr_bits_list
    // A 16-bit piece is two bytes long, and tval has no more.
    li gp, __LINE__
    la a0, 1f
    in_mode IN_M, 0
1:  .2byte 0
    .2byte 0xffff
    out_of_mode
    got ILLEGAL
    trap_field_is TRAP_EPC, a0
    trap_field_equals TRAP_TVAL, 0
    // So in S and U.
    IN(U)
    .insn 0x0000000b
    OUT
    GOT(ILLEGAL)
    TVAL(0x0b)
    IN(S)
    .insn 0x0000000b
    OUT
    GOT(ILLEGAL)
    TVAL(0x0b)
    PASS
