//! Control and status registers: which exist, under what number and name, with which extensions.
//!
//! What a register holds and does is the hart's; who may touch it follows from its number
//! [priv: CSRs, "CSR Address Mapping Conventions"]. RV32's high halves do not exist here.

mod table;

pub use table::*;

use crate::ext::ExtSet;

/// What the table says about one CSR.
#[derive(Clone, Copy, Debug)]
pub struct CsrRow {
    /// Its number.
    pub number: u16,
    /// Its lower-case name.
    pub name: &'static str,
    /// The sets of extensions each of which suffices for it to exist.
    pub needs: &'static [ExtSet],
    /// What it is, in a line.
    pub doc: &'static str,
}

impl CsrRow {
    /// Whether a hart with these extensions has it.
    pub fn exists(&self, exts: &ExtSet) -> bool {
        self.needs.iter().any(|&set| exts.contains_all(set))
    }
}

/// The lowest privilege that a CSR's number admits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Level {
    /// Everyone.
    U = 0,
    /// S, HS and M; VS too, where the number then means the VS register.
    S = 1,
    /// HS and M: hypervisor and VS registers.
    Hs = 2,
    /// M only.
    M = 3,
}

/// The lowest privilege that may access the CSR with this number: bits 9–8.
#[inline]
pub const fn level_of(number: u16) -> Level {
    match number >> 8 & 3 {
        0 => Level::U,
        1 => Level::S,
        2 => Level::Hs,
        _ => Level::M,
    }
}

/// Whether writing the CSR with this number is illegal: bits 11–10 are both set.
#[inline]
pub const fn is_read_only(number: u16) -> bool {
    number >> 10 & 3 == 3
}

/// Whether the number is reserved for Debug Mode.
#[inline]
pub const fn is_debug_mode_only(number: u16) -> bool {
    number >> 4 == 0x7b
}

/// For each number, 1 + the place of its row in [`CSRS`], or 0.
static PLACES: [u16; 4096] = places();

const fn places() -> [u16; 4096] {
    let mut places = [0; 4096];
    let mut i = 0;
    while i < CSRS.len() {
        let place = &mut places[CSRS[i].number as usize];
        assert!(*place == 0, "two CSRs have the same number");
        i += 1;
        *place = i as u16;
    }
    places
}

/// The CSR with this number, whatever extensions a hart has.
#[inline]
pub fn by_number(number: u16) -> Option<&'static CsrRow> {
    let place = *PLACES.get(usize::from(number))?;
    CSRS.get(usize::from(place).checked_sub(1)?)
}

/// The CSR with this lower-case name.
pub fn by_name(name: &str) -> Option<&'static CsrRow> {
    CSRS.iter().find(|row| row.name == name)
}

/// Every CSR, in table order.
pub fn all() -> impl Iterator<Item = &'static CsrRow> {
    CSRS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::Ext;

    #[test]
    fn numbers_and_names_lead_to_their_row() {
        for row in all() {
            assert_eq!(by_number(row.number).map(|found| found.name), Some(row.name));
            assert_eq!(by_name(row.name).map(|found| found.number), Some(row.number));
        }
        assert!(by_number(0x5c0).is_none());
        assert!(by_number(0x1000).is_none());
        assert!(by_number(u16::MAX).is_none());
    }

    #[test]
    fn numbers_are_those_of_the_manual() {
        // A few from each of the manual's tables, in particular the ends of the runs.
        for (name, number) in [
            ("fcsr", 0x003),
            ("seed", 0x015),
            ("hpmcounter31", 0xc1f),
            ("scounteren", 0x106),
            ("scountovf", 0xda0),
            ("stimecmp", 0x14d),
            ("satp", 0x180),
            ("sstateen3", 0x10f),
            ("hgatp", 0x680),
            ("hgeip", 0xe12),
            ("htinst", 0x64a),
            ("hstateen3", 0x60f),
            ("vsatp", 0x280),
            ("vstimecmp", 0x24d),
            ("mconfigptr", 0xf15),
            ("mseccfg", 0x747),
            ("mtval2", 0x34b),
            ("pmpcfg14", 0x3ae),
            ("pmpaddr63", 0x3ef),
            ("mhpmcounter31", 0xb1f),
            ("mhpmevent31", 0x33f),
            ("minstretcfg", 0x322),
            ("tinfo", 0x7a4),
        ] {
            assert_eq!(by_name(name).map(|row| row.number), Some(number), "{name}");
        }
    }

    #[test]
    fn the_number_tells_privilege_and_access() {
        assert_eq!(level_of(CYCLE), Level::U);
        assert_eq!(level_of(SATP), Level::S);
        assert_eq!(level_of(VSATP), Level::Hs);
        assert_eq!(level_of(HGATP), Level::Hs);
        assert_eq!(level_of(MSTATUS), Level::M);
        assert!(is_read_only(CYCLE) && is_read_only(HGEIP) && !is_read_only(MCYCLE));
        assert!(is_debug_mode_only(0x7b0) && !is_debug_mode_only(TSELECT));
    }

    #[test]
    fn no_extension_no_csr() {
        let mut exts = ExtSet::default_set();
        for row in all() {
            assert!(row.exists(&exts), "{}", row.name);
        }
        exts.remove(Ext::H);
        for name in ["hgatp", "vsstatus", "vstimecmp", "mtval2", "hstateen0"] {
            assert!(!by_name(name).unwrap().exists(&exts), "{name}");
        }
        assert!(by_name("mseccfg").unwrap().exists(&exts));
        exts.remove(Ext::Zkr);
        assert!(!by_name("mseccfg").unwrap().exists(&exts));
    }
}
