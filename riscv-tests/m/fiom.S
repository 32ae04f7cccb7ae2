// Law: where satp can be other than Bare, FIOM of menvcfg and senvcfg holds both values, and FENCE works with either [norm:menvcfg_fiom].
#include "test.h"
BEGIN
    // norm: menvcfg_fiom_rdonly0_ok, senvcfg_fiom_acc
    .irp csr, menvcfg, senvcfg
    li gp, __LINE__
    csrwi \csr, ENVCFG_FIOM
    check_csr \csr, ENVCFG_FIOM, ENVCFG_FIOM
    traps NONE, M, S, fence i, o
    traps NONE, M, U, fence o, i
    csrw \csr, zero
    check_csr \csr, ENVCFG_FIOM, 0
    .endr
    PASS
