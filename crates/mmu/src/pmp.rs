//! Physical memory protection [priv: machine, "Physical Memory Protection"] with the enhancements of Smepmp.
//!
//! Sixteen entries unless told otherwise, granularity 4 bytes. A check is a pure function of the registers;
//! nothing is cached here, and translations do not cache it either beyond [`crate::Mmu::pmp_changed`].

use isa::{PAGE_BYTES, Pa, Privilege};

/// `pmpcfg.R`.
const R: u8 = 1 << 0;
/// `pmpcfg.W`.
const W: u8 = 1 << 1;
/// `pmpcfg.X`.
const X: u8 = 1 << 2;
/// `pmpcfg.A`, the address-matching mode.
const A: u8 = 3 << 3;
const A_TOR: u8 = 1 << 3;
const A_NA4: u8 = 2 << 3;
const A_NAPOT: u8 = 3 << 3;
/// `pmpcfg.L`.
const L: u8 = 1 << 7;

/// `mseccfg.MML`: machine-mode lockdown.
const MML: u64 = 1 << 0;
/// `mseccfg.MMWP`: machine-mode allowlist policy.
const MMWP: u64 = 1 << 1;
/// `mseccfg.RLB`: rule locking bypass.
const RLB: u64 = 1 << 2;

/// `pmpaddr` holds bits 55–2 of an address.
const ADDR: u64 = (1 << 54) - 1;

/// The rights an access needs, or those that are granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PmpAccess {
    /// Loading.
    pub read: bool,
    /// Storing.
    pub write: bool,
    /// Fetching instructions.
    pub execute: bool,
}

impl PmpAccess {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, execute: true };
    /// Nothing.
    pub const NONE: Self = Self { read: false, write: false, execute: false };
    /// Loading only.
    pub const READ: Self = Self { read: true, ..Self::NONE };
    /// Storing only.
    pub const WRITE: Self = Self { write: true, ..Self::NONE };
    /// Fetching only.
    pub const EXECUTE: Self = Self { execute: true, ..Self::NONE };

    /// Whether every right in `needed` is granted by `self`.
    #[inline]
    pub const fn grants(self, needed: Self) -> bool {
        (self.read || !needed.read)
            && (self.write || !needed.write)
            && (self.execute || !needed.execute)
    }
}

/// What holds for all the bytes of one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageVerdict {
    /// The same rights at each byte, for accesses of any size within the page.
    Uniform(PmpAccess),
    /// It depends on the bytes.
    Mixed,
}

/// An entry that matches some addresses.
#[derive(Clone, Copy, Debug)]
struct Rule {
    first: u64,
    /// Inclusive.
    last: u64,
    cfg: u8,
}

/// The PMP registers of one hart.
#[derive(Clone, Debug)]
pub struct Pmp {
    cfg: Vec<u8>,
    addr: Vec<u64>,
    mseccfg: u64,
    /// The entries that match anything, by priority.
    rules: Vec<Rule>,
}

impl Pmp {
    /// `entries` entries, all off: 0, 16 or 64. Other numbers are rounded up to one of these; more than 64
    /// are 64.
    pub fn new(entries: usize) -> Self {
        let entries = match entries {
            0 => 0,
            1..=16 => 16,
            _ => 64,
        };
        Self { cfg: vec![0; entries], addr: vec![0; entries], mseccfg: 0, rules: Vec::new() }
    }

    /// The number of entries.
    pub fn entries(&self) -> usize {
        self.cfg.len()
    }

    /// `pmp<n>cfg`; 0 where there is no such entry.
    pub fn read_cfg(&self, n: usize) -> u8 {
        self.cfg.get(n).copied().unwrap_or(0)
    }

    /// `pmpaddr<n>`; 0 where there is no such entry.
    pub fn read_addr(&self, n: usize) -> u64 {
        self.addr.get(n).copied().unwrap_or(0)
    }

    /// The bits of `mseccfg` that Smepmp defines: MML, MMWP and RLB.
    pub fn read_mseccfg(&self) -> u64 {
        self.mseccfg
    }

    fn mml(&self) -> bool {
        self.mseccfg & MML != 0
    }

    fn bypass(&self) -> bool {
        self.mseccfg & RLB != 0
    }

    fn is_locked(&self, n: usize) -> bool {
        self.read_cfg(n) & L != 0 && !self.bypass()
    }

    /// Writes `pmp<n>cfg`. A locked entry stays as it is; the reserved R=0, W=1 becomes R=W=0 unless MML gives
    /// it a meaning; with MML, and without RLB, a rule that would make memory executable in M-mode is ignored.
    pub fn write_cfg(&mut self, n: usize, value: u8) {
        if self.is_locked(n) {
            return;
        }
        let mut value = value & (R | W | X | A | L);
        if !self.mml() && value & R == 0 {
            value &= !W;
        }
        if self.mml() && !self.bypass() && runs_in_m_under_mml(value) {
            return;
        }
        if let Some(cfg) = self.cfg.get_mut(n) {
            *cfg = value;
            self.rebuild();
        }
    }

    /// Writes `pmpaddr<n>`. Ignored where the entry is locked, or the next one is locked and of type TOR.
    pub fn write_addr(&mut self, n: usize, value: u64) {
        let bounds_locked = self.is_locked(n + 1) && self.read_cfg(n + 1) & A == A_TOR;
        if self.is_locked(n) || bounds_locked {
            return;
        }
        if let Some(addr) = self.addr.get_mut(n) {
            *addr = value & ADDR;
            self.rebuild();
        }
    }

    /// Writes MML, MMWP and RLB. MML and MMWP stick once set; RLB cannot be set while it is clear and any
    /// entry has L [Smepmp].
    pub fn write_mseccfg(&mut self, value: u64) {
        let sticky = (self.mseccfg | value) & (MML | MMWP);
        let may_set_bypass = self.bypass() || !self.cfg.iter().any(|cfg| cfg & L != 0);
        let bypass = if may_set_bypass { value & RLB } else { 0 };
        self.mseccfg = sticky | bypass;
    }

    fn rebuild(&mut self) {
        self.rules.clear();
        for (n, &cfg) in self.cfg.iter().enumerate() {
            let addr = self.addr[n];
            let range = match cfg & A {
                A_TOR => {
                    let bottom = n.checked_sub(1).map_or(0, |below| self.addr[below]);
                    (bottom < addr).then(|| (bottom << 2, (addr << 2) - 1))
                }
                A_NA4 => Some((addr << 2, addr << 2 | 3)),
                A_NAPOT => {
                    // The lowest clear bit and the ones below it give the size.
                    let inside = addr ^ (addr + 1);
                    Some(((addr & !inside) << 2, (addr | inside) << 2 | 3))
                }
                _ => None,
            };
            if let Some((first, last)) = range {
                self.rules.push(Rule { first, last, cfg });
            }
        }
    }

    /// What `privilege` may do where an entry matches.
    fn granted_by(&self, cfg: u8, privilege: Privilege) -> PmpAccess {
        let machine = privilege == Privilege::M;
        let own = PmpAccess { read: cfg & R != 0, write: cfg & W != 0, execute: cfg & X != 0 };
        if self.mml() {
            granted_under_mml(cfg, machine, own)
        } else if machine && cfg & L == 0 {
            PmpAccess::ALL
        } else {
            own
        }
    }

    /// What `privilege` may do where no entry matches.
    fn granted_by_default(&self, privilege: Privilege) -> PmpAccess {
        if privilege != Privilege::M {
            return if self.cfg.is_empty() { PmpAccess::ALL } else { PmpAccess::NONE };
        }
        if self.mseccfg & MMWP != 0 {
            return PmpAccess::NONE;
        }
        PmpAccess { execute: !self.mml(), ..PmpAccess::ALL }
    }

    /// Whether `privilege` has all the rights of `needed` on `len` bytes from `pa` on. The first entry that
    /// matches any of the bytes decides, and must match all of them.
    pub fn check(&self, pa: Pa, len: u64, privilege: Privilege, needed: PmpAccess) -> bool {
        let last = pa.0.saturating_add(len.saturating_sub(1));
        let granted = match self.rules.iter().find(|rule| rule.first <= last && pa.0 <= rule.last) {
            Some(rule) if rule.first <= pa.0 && last <= rule.last => {
                self.granted_by(rule.cfg, privilege)
            }
            Some(_) => return false,
            None => self.granted_by_default(privilege),
        };
        granted.grants(needed)
    }

    /// What `privilege` may do in the 4 KiB page of `pa`, if that is the same all over it.
    pub fn page_verdict(&self, pa: Pa, privilege: Privilege) -> PageVerdict {
        self.verdict(pa.page(), PAGE_BYTES, privilege)
    }

    /// The same for the `bytes` from `start` on.
    pub(crate) fn verdict(&self, start: Pa, bytes: u64, privilege: Privilege) -> PageVerdict {
        let (first, last) = (start.0, start.0 + (bytes - 1));
        match self.rules.iter().find(|rule| rule.first <= last && first <= rule.last) {
            Some(rule) if rule.first <= first && last <= rule.last => {
                PageVerdict::Uniform(self.granted_by(rule.cfg, privilege))
            }
            Some(_) => PageVerdict::Mixed,
            None => PageVerdict::Uniform(self.granted_by_default(privilege)),
        }
    }
}

/// Whether a rule makes memory executable in M-mode: M-mode-only or a locked shared region, with execution.
fn runs_in_m_under_mml(cfg: u8) -> bool {
    let rwx = cfg & (R | W | X);
    // Without R, W makes a shared code region; with all three it is data again.
    cfg & L != 0 && rwx != R | W | X && (rwx & X != 0 || rwx == W)
}

/// The truth table of Smepmp for MML=1.
fn granted_under_mml(cfg: u8, machine: bool, own: PmpAccess) -> PmpAccess {
    let locked = cfg & L != 0;
    match (locked, cfg & (R | W | X)) {
        // Shared data: S and U write it only with X.
        (false, W) => PmpAccess { read: true, write: machine, execute: false },
        (false, rwx) if rwx == W | X => PmpAccess { read: true, write: true, execute: false },
        // Shared code: M reads it only with X.
        (true, W) => PmpAccess::EXECUTE,
        (true, rwx) if rwx == W | X => PmpAccess { read: machine, write: false, execute: true },
        (true, rwx) if rwx == R | W | X => PmpAccess::READ,
        // L says whose it is.
        _ if locked == machine => own,
        _ => PmpAccess::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RWX: u8 = R | W | X;

    fn pmp(entries: &[(u8, u64)]) -> Pmp {
        let mut pmp = Pmp::new(16);
        for (n, &(cfg, addr)) in entries.iter().enumerate() {
            pmp.write_addr(n, addr);
            pmp.write_cfg(n, cfg);
        }
        pmp
    }

    fn reads(pmp: &Pmp, pa: u64, len: u64) -> bool {
        pmp.check(Pa(pa), len, Privilege::S, PmpAccess::READ)
    }

    // norm: pmp_no_entry_match, pmp_entry_count
    #[test]
    fn without_entries_everything_is_allowed() {
        let pmp = Pmp::new(0);
        assert!(pmp.check(Pa(0), 8, Privilege::U, PmpAccess::ALL));
    }

    // norm: pmp_no_entry_match
    #[test]
    fn without_a_match_only_m_has_access() {
        let pmp = Pmp::new(16);
        assert!(pmp.check(Pa(0), 8, Privilege::M, PmpAccess::ALL));
        assert!(!reads(&pmp, 0, 8));
    }

    // norm: pmp_napot_encoding_low_bits, pmp_a_field_napot_na4
    #[test]
    fn napot_covers_its_size_and_nothing_else() {
        // 0b…0111 names 64 bytes: 2^(3+3).
        let pmp = pmp(&[(A_NAPOT | R, 0x1000 >> 2 | 7)]);
        assert!(reads(&pmp, 0x1000, 8) && reads(&pmp, 0x1038, 8));
        assert!(!reads(&pmp, 0xff8, 8) && !reads(&pmp, 0x1040, 8));
        // All ones: everything.
        let all = self::pmp(&[(A_NAPOT | R, u64::MAX)]);
        assert!(reads(&all, 0, 8) && reads(&all, (1 << 56) - 8, 8));
    }

    // norm: pmp_a_field_napot_na4
    #[test]
    fn na4_covers_four_bytes() {
        let pmp = pmp(&[(A_NA4 | R, 0x1000 >> 2)]);
        assert!(reads(&pmp, 0x1000, 4) && !reads(&pmp, 0x1004, 4) && !reads(&pmp, 0x1000, 8));
    }

    // norm: pmp_a_field_tor
    #[test]
    fn tor_takes_its_bottom_from_the_entry_below() {
        let pmp = pmp(&[(0, 0x1000 >> 2), (A_TOR | R, 0x2000 >> 2)]);
        assert!(!reads(&pmp, 0xffc, 4) && reads(&pmp, 0x1000, 4));
        assert!(reads(&pmp, 0x1ffc, 4) && !reads(&pmp, 0x2000, 4));
        let first = self::pmp(&[(A_TOR | R, 0x2000 >> 2)]);
        assert!(reads(&first, 0, 4));
        let empty = self::pmp(&[(0, 0x2000 >> 2), (A_TOR | R, 0x2000 >> 2)]);
        assert!(!reads(&empty, 0x1ffc, 4) && !reads(&empty, 0x2000, 4));
    }

    // norm: pmp_full_match_required
    #[test]
    fn a_partial_match_fails_whatever_lies_below_it() {
        // The manual's example: 0xC–0xF against an access of 0x8–0xF.
        let pmp = pmp(&[(A_NA4 | RWX, 0xc >> 2), (A_NAPOT | RWX, u64::MAX)]);
        assert!(!reads(&pmp, 8, 8) && reads(&pmp, 8, 4) && reads(&pmp, 0xc, 4));
        assert!(!pmp.check(Pa(8), 8, Privilege::M, PmpAccess::READ));
    }

    // norm: pmp_entry_priority
    #[test]
    fn the_lowest_number_decides() {
        let pmp = pmp(&[(A_NA4, 0x1000 >> 2), (A_NAPOT | RWX, u64::MAX)]);
        assert!(!reads(&pmp, 0x1000, 4) && reads(&pmp, 0x1004, 4));
    }

    // norm: pmp_l_bit_function, pmp_l_bit_write_protection, pmp_l_bit_m_mode_enforcement, pmp_mmode_locking
    #[test]
    fn locked_rules_bind_m_and_cannot_change() {
        let mut pmp = pmp(&[(A_NA4 | L | R, 0x1000 >> 2)]);
        assert!(!pmp.check(Pa(0x1000), 4, Privilege::M, PmpAccess::WRITE));
        assert!(pmp.check(Pa(0x1000), 4, Privilege::M, PmpAccess::READ));
        pmp.write_cfg(0, A_NAPOT | RWX);
        pmp.write_addr(0, 0);
        assert_eq!((pmp.read_cfg(0), pmp.read_addr(0)), (A_NA4 | L | R, 0x400));
    }

    // norm: pmp_l_bit_write_protection
    #[test]
    fn a_locked_tor_rule_locks_the_address_below_it() {
        let mut pmp = pmp(&[(0, 0x400), (A_TOR | L | R, 0x800)]);
        pmp.write_addr(0, 0);
        assert_eq!(pmp.read_addr(0), 0x400);
        pmp.write_cfg(0, A_NA4 | R);
        assert_eq!(pmp.read_cfg(0), A_NA4 | R);
    }

    // norm: pmp_csrs_warl_access, pmp_rwx_warl, pmp_addr_encoding, pmp_addr_warl, pmp_entry_count
    #[test]
    fn registers_are_warl() {
        let mut pmp = pmp(&[(0x7f, u64::MAX)]);
        assert_eq!(pmp.read_cfg(0), A_NAPOT | RWX);
        assert_eq!(pmp.read_addr(0), (1 << 54) - 1);
        pmp.write_cfg(1, A_NA4 | W | X);
        assert_eq!(pmp.read_cfg(1), A_NA4 | X);
        pmp.write_cfg(16, RWX);
        pmp.write_addr(99, 1);
        assert_eq!((pmp.read_cfg(16), pmp.read_addr(99)), (0, 0));
        assert_eq!(Pmp::new(1).entries(), 16);
        assert_eq!(Pmp::new(usize::MAX).entries(), 64);
    }

    #[test]
    fn a_page_is_uniform_when_one_rule_covers_it() {
        let pmp = pmp(&[(A_NA4 | R, 0x2000 >> 2), (A_NAPOT | R | W, 0x2000 >> 2 | 0x3ff)]);
        let page = |pa| pmp.page_verdict(Pa(pa), Privilege::S);
        let rw = PmpAccess { read: true, write: true, execute: false };
        assert_eq!(page(0x2ffc), PageVerdict::Mixed);
        assert_eq!(page(0x3123), PageVerdict::Uniform(rw));
        assert_eq!(page(0x6000), PageVerdict::Uniform(PmpAccess::NONE));
        assert_eq!(
            pmp.page_verdict(Pa(0x6000), Privilege::M),
            PageVerdict::Uniform(PmpAccess::ALL)
        );
    }

    // norm: mseccfg_mml_set, mseccfg_mml_pmpcfg_L_op, mseccfg_mml_M_rule_op, mseccfg_mml_SorU_rule_op
    // norm: mseccfg_mml_shared_rule_op, mseccfg_mml_shared_L0_op, mseccfg_mml_shared_L1_op
    // norm: mseccfg_mml_shared_LRWX_1111_op
    #[test]
    fn mml_follows_the_truth_table() {
        // Rows of the table: LRWX, then the rights in M and in S/U, as letters.
        const TABLE: [(u8, &str, &str); 16] = [
            (0b0000, "", ""),
            (0b0001, "", "x"),
            (0b0010, "rw", "r"),
            (0b0011, "rw", "rw"),
            (0b0100, "", "r"),
            (0b0101, "", "rx"),
            (0b0110, "", "rw"),
            (0b0111, "", "rwx"),
            (0b1000, "", ""),
            (0b1001, "x", ""),
            (0b1010, "x", "x"),
            (0b1011, "rx", "x"),
            (0b1100, "r", ""),
            (0b1101, "rx", ""),
            (0b1110, "rw", ""),
            (0b1111, "r", "r"),
        ];
        for (lrwx, in_m, below) in TABLE {
            let bit = |n: u32, to: u8| if lrwx >> n & 1 != 0 { to } else { 0 };
            let cfg = A_NAPOT | bit(3, L) | bit(2, R) | bit(1, W) | bit(0, X);
            let mut pmp = Pmp::new(16);
            pmp.write_mseccfg(RLB | MML);
            pmp.write_addr(0, u64::MAX);
            pmp.write_cfg(0, cfg);
            assert_eq!(pmp.read_cfg(0), cfg);
            for (privilege, rights) in
                [(Privilege::M, in_m), (Privilege::S, below), (Privilege::U, below)]
            {
                let access = PmpAccess {
                    read: rights.contains('r'),
                    write: rights.contains('w'),
                    execute: rights.contains('x'),
                };
                let verdict = pmp.page_verdict(Pa(0), privilege);
                assert_eq!(verdict, PageVerdict::Uniform(access), "{lrwx:04b} {privilege:?}");
            }
        }
    }

    // norm: mseccfg_mml_X_restrict
    #[test]
    fn mml_refuses_new_code_for_m_unless_bypassed() {
        for (rwx, allowed) in [
            (0, true),
            (X, false),
            (W, false),
            (W | X, false),
            (R, true),
            (R | X, false),
            (R | W, true),
            (RWX, true),
        ] {
            let mut pmp = Pmp::new(16);
            pmp.write_mseccfg(MML);
            pmp.write_cfg(0, L | A_NA4 | rwx);
            assert_eq!(pmp.read_cfg(0) != 0, allowed, "{rwx:03b}");
            pmp.write_cfg(1, A_NA4 | rwx);
            assert_eq!(pmp.read_cfg(1), A_NA4 | rwx);
        }
    }

    // norm: mseccfg_mml_sticky, mseccfg_mml_warl, mseccfg_mmwp_op_warl, mseccfg_rlb_op_warl
    #[test]
    fn mml_and_mmwp_stick_and_rlb_cannot_return_over_a_locked_rule() {
        let mut pmp = Pmp::new(16);
        pmp.write_mseccfg(MML | MMWP | RLB);
        pmp.write_mseccfg(RLB);
        assert_eq!(pmp.read_mseccfg(), MML | MMWP | RLB);
        pmp.write_cfg(0, L);
        pmp.write_cfg(0, L | R);
        assert_eq!(pmp.read_cfg(0), L | R);
        pmp.write_mseccfg(RLB);
        assert_eq!(pmp.read_mseccfg(), MML | MMWP | RLB);
        pmp.write_mseccfg(0);
        pmp.write_mseccfg(RLB);
        assert_eq!(pmp.read_mseccfg(), MML | MMWP);
    }

    // norm: mseccfg_mmwp_op_warl, mseccfg_mml_exec_code
    #[test]
    fn mmwp_denies_m_what_no_rule_matches_and_mml_denies_it_execution() {
        let mut pmp = Pmp::new(16);
        pmp.write_mseccfg(MML);
        assert!(pmp.check(Pa(0), 8, Privilege::M, PmpAccess::WRITE));
        assert!(!pmp.check(Pa(0), 8, Privilege::M, PmpAccess::EXECUTE));
        pmp.write_mseccfg(MMWP);
        assert!(!pmp.check(Pa(0), 8, Privilege::M, PmpAccess::READ));
    }
}
