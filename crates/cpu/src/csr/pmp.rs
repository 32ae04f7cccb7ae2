//! `pmpcfg`, `pmpaddr` and `mseccfg` [priv: machine, PMP; Smepmp; Smmpm; Zkr].

use isa::csr;
use isa::field::mseccfg::PMM;

use super::Row;
use crate::core::Core;
use crate::masking;

const MSECCFG_PMP: u64 = 7;
const MSECCFG_USEED: u64 = 1 << 8;
const MSECCFG_SSEED: u64 = 1 << 9;

pub(super) const ROWS: &[Row] = &[
    Row::run(csr::PMPCFG0, csr::PMPCFG14, read_cfg, write_cfg),
    Row::run(
        csr::PMPADDR0,
        csr::PMPADDR63,
        |c, n| c.mmu.pmp.read_addr(usize::from(n - csr::PMPADDR0)),
        |c, n, v| {
            c.mmu.pmp.write_addr(usize::from(n - csr::PMPADDR0), v);
            c.mmu.pmp_changed();
            c.translation_changed();
        },
    ),
    Row::new(
        csr::MSECCFG,
        |c, _| c.csrs.mseccfg | if c.has.smepmp { c.mmu.pmp.read_mseccfg() } else { 0 },
        |c, _, v| {
            let mut kept = 0;
            if c.has.zkr {
                kept |= if c.has.u { MSECCFG_USEED } else { 0 };
                kept |= if c.has.s { MSECCFG_SSEED } else { 0 };
            }
            if c.has.smmpm {
                kept |= PMM;
            }
            c.csrs.mseccfg = masking::legal(c.csrs.mseccfg, v, PMM) & kept;
            c.masking_changed();
            if c.has.smepmp {
                c.mmu.pmp.write_mseccfg(v & MSECCFG_PMP);
                c.mmu.pmp_changed();
                c.translation_changed();
            }
        },
    ),
];

/// On RV64 the even registers hold eight entries each; the odd ones do not exist.
fn read_cfg(core: &Core, number: u16) -> u64 {
    let first = usize::from(number - csr::PMPCFG0) * 4;
    (0..8).fold(0, |bits, i| bits | u64::from(core.mmu.pmp.read_cfg(first + i)) << (8 * i))
}

fn write_cfg(core: &mut Core, number: u16, value: u64) {
    let first = usize::from(number - csr::PMPCFG0) * 4;
    for i in 0..8 {
        core.mmu.pmp.write_cfg(first + i, (value >> (8 * i)) as u8);
    }
    core.mmu.pmp_changed();
    core.translation_changed();
}
