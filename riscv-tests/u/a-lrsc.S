// Law: SC succeeds only with a valid reservation that covers its bytes, writes 0 to rd then and nothing to memory otherwise, and always ends the reservation.
#include "test.h"
BEGIN
    li gp, __LINE__
    la a0, word
    li s0, 0x1111111122222222
    sd s0, (a0)

    // norm: ziccrse_pma_rsrv_req
    // The simplest loop.
1:  lr.w a1, (a0)
    addi a2, a1, 1
    sc.w a3, a2, (a0)
    bnez a3, 1b
    CHECK(a1, 0x22222222)
    ld a1, (a0)
    CHECK(a1, 0x1111111122222223)
1:  lr.d a1, (a0)
    addi a2, a1, -1
    sc.d a3, a2, (a0)
    bnez a3, 1b
    ld a1, (a0)
    CHECK(a1, 0x1111111122222222)

    // LR.W sign-extends.
    li a2, 0x80000000
    sw a2, (a0)
    lr.w a1, (a0)
    CHECK(a1, 0xffffffff80000000)
    sd s0, (a0)

    // A successful SC used the reservation up; a second one fails.
1:  lr.w a1, (a0)
    sc.w a3, a1, (a0)
    bnez a3, 1b
    sc.w a3, zero, (a0)
    snez a3, a3
    CHECK(a3, 1)
    ld a1, (a0)
    CHECK_SAME(a1, s0)

    // norm: nw:reservation_one_page
    // A failing SC, to another place, ended the reservation too.
    lr.w a1, (a0)
    la a4, elsewhere
    sc.w a3, zero, (a4)
    snez a3, a3
    CHECK(a3, 1)
    lw a1, (a4)
    CHECK(a1, 0x33)
    sc.w a3, zero, (a0)
    snez a3, a3
    CHECK(a3, 1)
    ld a1, (a0)
    CHECK_SAME(a1, s0)

    // The latest LR counts.
    lr.w a1, (a0)
    lr.w a1, (a4)
    sc.w a3, zero, (a0)
    snez a3, a3
    CHECK(a3, 1)
    ld a1, (a0)
    CHECK_SAME(a1, s0)

    // aq and rl are accepted in every combination, and rd = x0 discards the result.
1:  lr.d.aq a1, (a0)
    sc.d.rl a3, a1, (a0)
    bnez a3, 1b
1:  lr.d.aqrl a1, (a0)
    sc.d.aqrl a3, a1, (a0)
    bnez a3, 1b
    lr.w.rl a1, (a0)
    sc.w.aq x0, a1, (a0)
    CHECK(x0, 0)

    // norm: mcause_exccode_ld_ldrsv, mcause_exccode_st_sc_amo
    // A trap of LR or SC: the address, and a store fault for SC even without a reservation.
    li a0, 0x8
    TRAPS(LOAD_ACCESS, M, lr.w a1, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, sc.w a1, a2, (a0))
    TVAL_IS(a0)

    // LR with rs2 other than x0 is reserved.
    ILLEGAL_BITS(0x1015252f)
    ILLEGAL_BITS(0x1025352f)
    PASS

    .data
    .balign 64
word:
    .dword 0
    .balign 4096
elsewhere:
    .dword 0x33
