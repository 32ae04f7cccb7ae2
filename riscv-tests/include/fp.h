// Checks of floating-point instructions on bit patterns: the result's bits and exactly the flags raised.
// FORMAT(s), FORMAT(d) or FORMAT(h) comes first and chooses how patterns move to and from the registers.
#ifndef FP_H
#define FP_H

.macro format letter
    .purgem fp_in
    .purgem fp_out
    .ifc \letter, s
    .macro fp_in fd, rs
        fmv.w.x \fd, \rs
    .endm
    .macro fp_out rd, fs
        fmv.x.w \rd, \fs
    .endm
    .equ FP_UNUSED_BITS, 32
    .endif
    .ifc \letter, d
    .macro fp_in fd, rs
        fmv.d.x \fd, \rs
    .endm
    .macro fp_out rd, fs
        fmv.x.d \rd, \fs
    .endm
    .equ FP_UNUSED_BITS, 0
    .endif
    .ifc \letter, h
    .macro fp_in fd, rs
        fmv.h.x \fd, \rs
    .endm
    .macro fp_out rd, fs
        fmv.x.h \rd, \fs
    .endm
    .equ FP_UNUSED_BITS, 48
    .endif
.endm
.macro fp_in fd, rs
.endm
.macro fp_out rd, fs
.endm

// fa2 holds this pattern, and these flags are up.
.macro fp_result bits, flags
    csrr a3, fflags
    fp_out a2, fa2
    slli a2, a2, FP_UNUSED_BITS
    li a4, \bits
    slli a4, a4, FP_UNUSED_BITS
    check_same a2, a4
    check_reg a3, \flags
.endm
.macro fp1 op, a, bits, flags, rm=dyn
    csrw fflags, zero
    li a0, \a
    fp_in fa0, a0
    .ifc \rm, dyn
    \op fa2, fa0
    .else
    \op fa2, fa0, \rm
    .endif
    fp_result \bits, \flags
.endm
.macro fp2 op, a, b, bits, flags
    csrw fflags, zero
    li a0, \a
    li a1, \b
    fp_in fa0, a0
    fp_in fa1, a1
    \op fa2, fa0, fa1
    fp_result \bits, \flags
.endm
.macro fp3 op, a, b, c, bits, flags
    csrw fflags, zero
    li a0, \a
    li a1, \b
    li a2, \c
    fp_in fa0, a0
    fp_in fa1, a1
    fp_in fa3, a2
    \op fa2, fa0, fa1, fa3
    fp_result \bits, \flags
.endm
.macro fp_compare op, a, b, result, flags
    csrw fflags, zero
    li a0, \a
    li a1, \b
    fp_in fa0, a0
    fp_in fa1, a1
    \op a2, fa0, fa1
    csrr a3, fflags
    check_reg a2, \result
    check_reg a3, \flags
.endm
.macro fp_to_int op, a, result, flags, rm=rtz
    csrw fflags, zero
    li a0, \a
    fp_in fa0, a0
    \op a2, fa0, \rm
    csrr a3, fflags
    check_reg a2, \result
    check_reg a3, \flags
.endm
.macro fp_from_int op, a, bits, flags, rm=rne
    csrw fflags, zero
    li a0, \a
    \op fa2, a0, \rm
    fp_result \bits, \flags
.endm
.macro fp_class op, a, bit
    li a0, \a
    fp_in fa0, a0
    \op a2, fa0
    check_reg a2, 1 << \bit
.endm

#define FORMAT(letter) format letter
#define FP1(...) li gp, __LINE__; fp1 __VA_ARGS__
#define FP2(...) li gp, __LINE__; fp2 __VA_ARGS__
#define FP3(...) li gp, __LINE__; fp3 __VA_ARGS__
#define CMP(...) li gp, __LINE__; fp_compare __VA_ARGS__
#define TO_INT(...) li gp, __LINE__; fp_to_int __VA_ARGS__
#define FROM_INT(...) li gp, __LINE__; fp_from_int __VA_ARGS__
#define CLASS(...) li gp, __LINE__; fp_class __VA_ARGS__

#endif
