//! The architectural state of a hart that is not memory: registers and CSR storage.
//!
//! Storage only: who may see a field, and what a write may change, stands in `csr`.

/// Index of the sink that takes writes to `x0`.
pub(crate) const X_SINK: u8 = 32;
/// Slots of the register array: as many as a `u8` can name, so that an index needs no check.
pub(crate) const X_SLOTS: usize = 256;

/// CSR storage. Fields that other registers alias (`sstatus`, `sie`, `hip`, …) are kept once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Csrs {
    pub(crate) mstatus: u64,
    pub(crate) medeleg: u64,
    pub(crate) mideleg: u64,
    pub(crate) mie: u64,
    /// The software-writable pending bits of `mip`, without the lines and comparators.
    pub(crate) mip: u64,
    pub(crate) mtvec: u64,
    pub(crate) mcounteren: u64,
    pub(crate) menvcfg: u64,
    pub(crate) mseccfg: u64,
    pub(crate) mstateen: [u64; 4],
    pub(crate) mscratch: u64,
    pub(crate) mepc: u64,
    pub(crate) mcause: u64,
    pub(crate) mtval: u64,
    pub(crate) mtval2: u64,
    pub(crate) mtinst: u64,
    pub(crate) mcountinhibit: u64,
    /// What each counter counts; 0 and 2 hold `mcyclecfg` and `minstretcfg`.
    pub(crate) mhpmevent: [u64; 32],

    pub(crate) stvec: u64,
    pub(crate) scounteren: u64,
    pub(crate) senvcfg: u64,
    pub(crate) sstateen: [u64; 4],
    pub(crate) sscratch: u64,
    pub(crate) sepc: u64,
    pub(crate) scause: u64,
    pub(crate) stval: u64,
    pub(crate) satp: u64,
    pub(crate) stimecmp: u64,

    pub(crate) hstatus: u64,
    pub(crate) hedeleg: u64,
    pub(crate) hideleg: u64,
    pub(crate) hvip: u64,
    pub(crate) hcounteren: u64,
    pub(crate) henvcfg: u64,
    pub(crate) hstateen: [u64; 4],
    pub(crate) htimedelta: u64,
    pub(crate) htval: u64,
    pub(crate) htinst: u64,
    pub(crate) hgatp: u64,
    pub(crate) hgeie: u64,

    pub(crate) vsstatus: u64,
    pub(crate) vstvec: u64,
    pub(crate) vsscratch: u64,
    pub(crate) vsepc: u64,
    pub(crate) vscause: u64,
    pub(crate) vstval: u64,
    pub(crate) vsatp: u64,
    pub(crate) vstimecmp: u64,

    pub(crate) fflags: u8,
    pub(crate) frm: u8,
}
