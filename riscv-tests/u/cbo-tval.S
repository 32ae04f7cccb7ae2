// Law: a fault of CBO.ZERO, CLEAN, FLUSH or INVAL reports rs1 itself in tval, not its block's address [norm:fault_excep_csr].
#include "test.h"
BEGIN
    li a0, 0x9
    TRAPS(STORE_ACCESS, M, cbo.clean 0(a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, cbo.flush 0(a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, cbo.inval 0(a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, cbo.zero 0(a0))
    TVAL_IS(a0)
    PASS
