//! CSR access: who may, what is read, what a write changes. One row per register; names, numbers
//! and the extension a register belongs to stand in `isa::csr`.
//!
//! Order of checks [priv: "CSR Address Mapping Conventions", hypervisor "Virtual-instruction
//! exceptions"]: existence, read-only, privilege, then the row's own gate.

mod counters;
pub(crate) mod environment;
mod float;
mod hypervisor;
mod machine;
mod pmp;
mod status;
mod supervisor;
mod vs;

use isa::csr as number;
use isa::{ExtSet, Mode, Privilege};

use crate::core::Core;

pub(crate) use machine::always_delegated;
pub(crate) use status::{set_fs_dirty, switch_status};

/// Why an access is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    /// Illegal-instruction exception.
    Illegal,
    /// Virtual-instruction exception: HS-mode would have been allowed.
    Virtual,
}

/// What an access is going to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// Read only (`csrrs` and `csrrc` with `x0`).
    Read,
    /// Write, with or without a read.
    Write,
}

/// Judges an access from a mode, be it the current one or another that is asked about.
type Gate = fn(&Core, Mode, u16, Use) -> Result<(), Denied>;
type Read = fn(&Core, u16) -> u64;
type Write = fn(&mut Core, u16, u64);

/// The behaviour of one CSR, or of a run of alike ones.
pub(crate) struct Row {
    first: u16,
    last: u16,
    gate: Gate,
    read: Read,
    write: Write,
}

impl Row {
    const fn new(number: u16, read: Read, write: Write) -> Self {
        Self { first: number, last: number, gate: open, read, write }
    }

    const fn run(first: u16, last: u16, read: Read, write: Write) -> Self {
        Self { first, last, gate: open, read, write }
    }

    /// A register that always reads `0` or another constant and ignores writes.
    const fn constant(number: u16, read: Read) -> Self {
        Self::new(number, read, |_, _, _| {})
    }

    const fn gated(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }
}

fn open(_: &Core, _: Mode, _: u16, _: Use) -> Result<(), Denied> {
    Ok(())
}

const GROUPS: &[&[Row]] = &[
    machine::ROWS,
    status::ROWS,
    pmp::ROWS,
    environment::ROWS,
    counters::ROWS,
    float::ROWS,
    supervisor::ROWS,
    hypervisor::ROWS,
    vs::ROWS,
];

/// The CSRs of one hart, by number.
pub(crate) struct CsrMap {
    rows: Box<[Option<&'static Row>; 4096]>,
}

impl CsrMap {
    /// Those whose extension is built in.
    pub(crate) fn new(exts: &ExtSet) -> Self {
        let mut rows = Box::new([None; 4096]);
        for row in GROUPS.iter().copied().flatten() {
            for number in row.first..=row.last {
                if number::by_number(number).is_some_and(|csr| csr.exists(exts)) {
                    rows[usize::from(number)] = Some(row);
                }
            }
        }
        Self { rows }
    }

    fn row(&self, number: u16) -> Option<&'static Row> {
        self.rows[usize::from(number & 0xfff)]
    }
}

/// At V=1 a supervisor CSR's number means its VS counterpart [hypervisor, "Virtual Supervisor
/// CSRs"]. `senvcfg`, `scounteren` and `sstateen` have none and stay.
pub(crate) fn substitute(core: &Core, number: u16) -> u16 {
    let has_counterpart = matches!(
        number,
        number::SSTATUS
            | number::SIE
            | number::STVEC
            | number::SSCRATCH
            | number::SEPC
            | number::SCAUSE
            | number::STVAL
            | number::SIP
            | number::SATP
            | number::STIMECMP
    );
    if core.mode.v() && has_counterpart { number + 0x100 } else { number }
}

fn check(core: &Core, number: u16, usage: Use) -> Result<&'static Row, Denied> {
    let row = core.csr_map.row(number).ok_or(Denied::Illegal)?;
    if usage == Use::Write && number >> 10 == 3 {
        return Err(Denied::Illegal);
    }
    // Privilege 2 in the number is HS: reachable from S with V=0 alone.
    let needed = number >> 8 & 3;
    let privilege = core.mode.privilege();
    let reached = match privilege {
        Privilege::M => 3,
        Privilege::S if core.mode.v() => 1,
        Privilege::S => 2,
        Privilege::U => 0,
    };
    if needed > reached {
        // HS-mode reaches everything but M-level registers and what M-mode withholds from it. TVM,
        // the only gate of these two, does not count [hypervisor: H_cause_virtual_instruction].
        let allowed_in_hs = needed < 3
            && (matches!(number, number::SATP | number::HGATP)
                || (row.gate)(core, Mode::S, number, usage).is_ok());
        let virtual_instruction = core.mode.v() && allowed_in_hs;
        return Err(if virtual_instruction { Denied::Virtual } else { Denied::Illegal });
    }
    (row.gate)(core, core.mode, number, usage)?;
    Ok(row)
}

/// What a CSR instruction reads, with every check of the current mode.
pub(crate) fn read(core: &Core, number: u16, usage: Use) -> Result<u64, Denied> {
    // The gate judges the number as written: `satp` and `stimecmp` at V=1 have rules of their own.
    let mut row = check(core, number, usage)?;
    let actual = substitute(core, number);
    if actual != number {
        row = core.csr_map.row(actual).ok_or(Denied::Illegal)?;
    }
    Ok((row.read)(core, actual))
}

/// Writes a CSR that `read` with [`Use::Write`] has just allowed.
pub(crate) fn write(core: &mut Core, number: u16, value: u64) {
    let actual = substitute(core, number);
    if let Some(row) = core.csr_map.row(actual) {
        (row.write)(core, actual, value);
    }
}

/// What CSRRS and CSRRC modify. For `mip` and `sip` that is the software-writable SEIP, not the one
/// that the interrupt controller's line has been mixed into [priv: machine, "mip and mie"].
pub(crate) fn modify_base(core: &Core, csr: u16, old: u64) -> u64 {
    let seip = isa::Interrupt::SupervisorExternal.bit();
    if csr == number::MIP { old & !seip | core.csrs.mip & seip } else { old }
}

/// The value without any check of mode or privilege, and without substitution; `None` where the
/// hart has no such CSR. For firmware, debuggers and traces.
pub(crate) fn peek(core: &Core, number: u16) -> Option<u64> {
    core.csr_map.row(number).map(|row| (row.read)(core, number))
}

/// Writes as M-mode would, without substitution; `None` where the hart has no such CSR.
pub(crate) fn poke(core: &mut Core, number: u16, value: u64) -> Option<()> {
    let row = core.csr_map.row(number)?;
    (row.write)(core, number, value);
    Some(())
}

/// `old` with the bits under `mask` taken from `new`.
const fn merge(old: u64, new: u64, mask: u64) -> u64 {
    old & !mask | new & mask
}

/// A trap vector: BASE holds any 4-byte aligned address; of MODE only bit 0 exists, so that what is reserved becomes
/// direct or vectored.
const fn tvec(new: u64) -> u64 {
    new & !2
}

/// An exception pc: IALIGN is 16 with C, else 32.
fn epc(core: &Core, value: u64) -> u64 {
    value & if core.has.c { !1 } else { !3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_csr_of_the_table_has_exactly_one_behaviour() {
        let mut seen = [0u8; 4096];
        for row in GROUPS.iter().copied().flatten() {
            for number in row.first..=row.last {
                seen[usize::from(number)] += 1;
            }
        }
        for csr in number::all() {
            assert_eq!(seen[usize::from(csr.number)], 1, "{}", csr.name);
            seen[usize::from(csr.number)] = 0;
        }
        let strangers: Vec<_> = (0..4096).filter(|&n| seen[n] != 0 && n & 0xff0 != 0x3a0).collect();
        assert!(strangers.is_empty(), "rows without a name: {strangers:x?}");
    }
}
