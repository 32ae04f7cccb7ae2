//! Extensions: one row each, with what it implies and whether a default hart has it.
//!
//! An extension that another one implies is also required by it, so switching one off takes its
//! dependents with it. An *umbrella* (A, B, C, M, Sha) stands for its parts: switching it off takes
//! the parts too. Nothing here says what an extension does; that is the hart's.

use std::fmt;

/// What a row of another table needs: `(Zbb | Zbkb)`, `(Zabha & Zacas)`. The sets of extensions
/// each of which suffices.
macro_rules! needs {
    (($($($ext:ident)&+)|+)) => {
        &[$($crate::ext::ExtSet::of(&[$($crate::ext::Ext::$ext),+])),+]
    };
}
pub(crate) use needs;

/// What a row of another table needs, in words: `zbb or zbkb`, `zabha and zacas`.
pub fn describe_needs(needs: &[ExtSet]) -> String {
    let all = |set: &ExtSet| set.iter().map(Ext::name).collect::<Vec<_>>().join(" and ");
    needs.iter().map(all).collect::<Vec<_>>().join(" or ")
}

/// Whether an umbrella and its parts are the same thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Umbrella {
    /// Not an umbrella: what it implies stands on its own.
    No,
    /// What it implies are its parts, but it has more than those (M has more than Zmmul).
    More,
    /// It is exactly its parts: having them all is having it.
    Exactly,
}

/// What the table says about one extension.
#[derive(Clone, Copy, Debug)]
pub struct ExtRow {
    /// The extension.
    pub ext: Ext,
    /// Its name in an ISA string, lower-case.
    pub name: &'static str,
    /// What it implies directly, and so requires.
    pub implies: ExtSet,
    /// Whether what it implies are its parts.
    pub umbrella: Umbrella,
    /// Whether a default hart has it.
    pub default: bool,
    /// Whether the device tree lists it. Privilege levels and the translation modes, which are told
    /// in other ways, are not listed.
    pub in_device_tree: bool,
    /// What it is, in a line.
    pub doc: &'static str,
}

macro_rules! flag {
    (on) => {
        true
    };
    (off) => {
        false
    };
    (tree) => {
        true
    };
    (untold) => {
        false
    };
}

macro_rules! extensions {
    ($($ext:ident $name:literal $default:ident $tree:ident $umbrella:ident
       [$($implies:ident)*] $doc:literal)*) => {
        /// An extension that can be built into a hart, in the canonical order of an ISA string.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Ext {
            $(#[doc = concat!($doc, ".")] $ext,)*
        }

        /// Every extension, in canonical order, indexed by `Ext as usize`.
        pub const EXTENSIONS: &[ExtRow] = &[$(ExtRow {
            ext: Ext::$ext,
            name: $name,
            implies: ExtSet::of(&[$(Ext::$implies),*]),
            umbrella: Umbrella::$umbrella,
            default: flag!($default),
            in_device_tree: flag!($tree),
            doc: $doc,
        }),*];
    };
}

extensions! {
    // ext      name          default  tree   umbrella  implies
    I           "i"           on  tree   No      []                 "Base integer instructions"
    M           "m"           on  tree   More    [Zmmul]            "Integer multiplication and division"
    A           "a"           on  tree   Exactly [Zaamo Zalrsc]     "Atomic instructions"
    F           "f"           on  tree   No      [Zicsr]            "Single-precision floating point"
    D           "d"           on  tree   No      [F]                "Double-precision floating point"
    C           "c"           on  tree   Exactly [Zca]              "Compressed instructions; with D also Zcd"
    B           "b"           on  tree   Exactly [Zba Zbb Zbs]      "Bit manipulation"
    S           "s"           on  untold No      [U Zicsr]          "Supervisor mode"
    U           "u"           on  untold No      [Zicsr]            "User mode"
    H           "h"           on  tree   No      [S Sv39]           "Hypervisor extension"
    Zic64b      "zic64b"      on  tree   No      []                 "Cache blocks have 64 bytes"
    Zicbom      "zicbom"      on  tree   No      []                 "Cache-block management instructions"
    Zicbop      "zicbop"      on  tree   No      []                 "Cache-block prefetch hints"
    Zicboz      "zicboz"      on  tree   No      []                 "Cache-block zeroing"
    Ziccamoa    "ziccamoa"    on  tree   No      []                 "Main memory supports all atomic operations of A"
    Ziccif      "ziccif"      on  tree   No      []                 "Aligned instruction fetches from main memory are atomic"
    Zicclsm     "zicclsm"     on  tree   No      []                 "Main memory supports misaligned loads and stores"
    Ziccrse     "ziccrse"     on  tree   No      []                 "LR/SC loops on main memory succeed eventually"
    Zicntr      "zicntr"      on  tree   No      [Zicsr]            "The counters cycle, time and instret"
    Zicond      "zicond"      on  tree   No      []                 "Integer conditional operations"
    Zicsr       "zicsr"       on  tree   No      []                 "CSR instructions"
    Zifencei    "zifencei"    on  tree   No      []                 "Instruction-fetch fence"
    Zihintntl   "zihintntl"   on  tree   No      []                 "Non-temporal locality hints"
    Zihintpause "zihintpause" on  tree   No      []                 "Pause hint"
    Zihpm       "zihpm"       on  tree   No      [Zicsr]            "Hardware performance counters"
    Zimop       "zimop"       on  tree   No      []                 "May-be-operations"
    Zmmul       "zmmul"       on  tree   No      []                 "Integer multiplication"
    Za64rs      "za64rs"      on  tree   No      []                 "Reservation sets have at most 64 bytes"
    Zaamo       "zaamo"       on  tree   No      []                 "Atomic memory operations"
    Zabha       "zabha"       on  tree   No      [Zaamo]            "Byte and halfword atomic memory operations"
    Zacas       "zacas"       on  tree   No      [Zaamo]            "Atomic compare-and-swap"
    Zalrsc      "zalrsc"      on  tree   No      []                 "Load-reserved and store-conditional"
    Zawrs       "zawrs"       on  tree   No      [Zalrsc]           "Wait on reservation set"
    Zfa         "zfa"         on  tree   No      [F]                "Additional floating-point instructions"
    Zfh         "zfh"         on  tree   No      [Zfhmin]           "Half-precision floating point"
    Zfhmin      "zfhmin"      on  tree   No      [F]                "Half-precision loads, stores and conversions"
    Zca         "zca"         on  tree   No      []                 "Compressed instructions without floating point"
    Zcb         "zcb"         on  tree   No      [Zca]              "More compressed instructions"
    Zcd         "zcd"         on  tree   No      [Zca D]            "Compressed double-precision loads and stores"
    Zcmop       "zcmop"       on  tree   No      [Zca]              "Compressed may-be-operations"
    Zba         "zba"         on  tree   No      []                 "Address generation"
    Zbb         "zbb"         on  tree   No      []                 "Basic bit manipulation"
    Zbc         "zbc"         on  tree   No      []                 "Carry-less multiplication"
    Zbkb        "zbkb"        on  tree   No      []                 "Bit manipulation for cryptography"
    Zbkc        "zbkc"        on  tree   No      []                 "Carry-less multiplication for cryptography"
    Zbkx        "zbkx"        on  tree   No      []                 "Crossbar permutations"
    Zbs         "zbs"         on  tree   No      []                 "Single-bit instructions"
    Zkr         "zkr"         on  tree   No      [Zicsr]            "Entropy source: the seed CSR"
    Ssccptr     "ssccptr"     on  tree   No      [S]                "Main memory supports page-table reads"
    Sscofpmf    "sscofpmf"    on  tree   No      [S Zihpm]          "Counter overflow and mode filtering"
    Sscounterenw "sscounterenw" on tree  No      [S Zihpm]          "scounteren bits of existing counters are writable"
    Ssdbltrp    "ssdbltrp"    off tree   No      [S]                "Double traps of S-mode go to M-mode"
    Ssnpm       "ssnpm"       on  tree   No      [S]                "Pointer masking in U-mode, and in guests"
    Sspm        "sspm"        on  untold No      [Smnpm]            "S-mode has pointer masking"
    Ssstateen   "ssstateen"   on  tree   No      [S]                "State enables, supervisor and hypervisor view"
    Sstc        "sstc"        on  tree   No      [S Zicntr]         "Supervisor timer compare"
    Sstvala     "sstvala"     on  tree   No      [S]                "stval holds the faulting address or instruction"
    Sstvecd     "sstvecd"     on  tree   No      [S]                "stvec supports Direct mode at any word address"
    Ssu64xl     "ssu64xl"     on  tree   No      [S]                "sstatus.UXL can be 64 bits"
    Supm        "supm"        on  untold No      [Ssnpm]            "U-mode has pointer masking"
    Sv39        "sv39"        on  untold No      [S]                "39-bit virtual addresses"
    Sv48        "sv48"        on  untold No      [Sv39]             "48-bit virtual addresses"
    Sv57        "sv57"        on  untold No      [Sv48]             "57-bit virtual addresses"
    Svade       "svade"       on  tree   No      [S]                "A page fault asks software to set A and D"
    Svadu       "svadu"       on  tree   No      [S]                "Hardware can update A and D; menvcfg.ADUE"
    Svinval     "svinval"     on  tree   No      [S]                "Fine-grained translation-cache invalidation"
    Svnapot     "svnapot"     on  tree   No      [Sv39]             "Naturally aligned contiguous pages"
    Svpbmt      "svpbmt"      on  tree   No      [Sv39]             "Page-based memory types"
    Svvptc      "svvptc"      on  tree   No      [Sv39]             "A PTE that becomes valid is seen within bounded time"
    Sha         "sha"         on  tree   Exactly [H Ssstateen Shcounterenw Shgatpa Shtvala Shvsatpa Shvstvala Shvstvecd]
                                                                     "Augmented hypervisor extension"
    Shcounterenw "shcounterenw" on tree  No      [H]                "hcounteren bits of existing counters are writable"
    Shgatpa     "shgatpa"     on  tree   No      [H]                "hgatp has the x4 mode of each satp mode, and Bare"
    Shlcofideleg "shlcofideleg" on tree  No      [H Sscofpmf]       "LCOFI can be delegated to VS-mode"
    Shtvala     "shtvala"     on  tree   No      [H]                "htval holds the faulting guest physical address"
    Shvsatpa    "shvsatpa"    on  tree   No      [H]                "vsatp has all modes of satp"
    Shvstvala   "shvstvala"   on  tree   No      [H]                "vstval holds what stval would"
    Shvstvecd   "shvstvecd"   on  tree   No      [H]                "vstvec supports Direct mode at any word address"
    Smcntrpmf   "smcntrpmf"   on  tree   No      [Zicntr]           "Mode filtering of cycle and instret"
    Smdbltrp    "smdbltrp"    off tree   No      []                 "Double traps of M-mode are a critical error"
    Smepmp      "smepmp"      off tree   No      []                 "PMP enhancements: mseccfg.MML, MMWP, RLB"
    Smmpm       "smmpm"       off tree   No      []                 "Pointer masking in M-mode: mseccfg.PMM"
    Smnpm       "smnpm"       on  tree   No      [U]                "Pointer masking in S-mode: menvcfg.PMM"
    Smstateen   "smstateen"   on  tree   No      [Ssstateen]        "State enables"
}

impl Ext {
    /// Its row.
    #[inline]
    pub const fn row(self) -> &'static ExtRow {
        &EXTENSIONS[self as usize]
    }

    /// Its lower-case name.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The extension with this lower-case name.
    pub fn by_name(name: &str) -> Option<Self> {
        EXTENSIONS.iter().find(|row| row.name == name).map(|row| row.ext)
    }
}

impl fmt::Display for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of extensions. Sets made by [`ExtSet::parse`], [`ExtSet::default_set`], [`ExtSet::insert`]
/// and [`ExtSet::remove`] from closed sets are closed under implication.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ExtSet(u128);

const _: () = assert!(EXTENSIONS.len() <= 128);

impl ExtSet {
    /// No extension at all.
    pub const EMPTY: Self = Self(0);

    /// Exactly these, without what they imply.
    pub const fn of(exts: &[Ext]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < exts.len() {
            bits |= 1 << exts[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// All that a default hart has: everything that is built, except what takes effect at reset or
    /// changes what software finds there: Smepmp, and the double-trap extensions.
    ///
    /// Both Svade and Svadu are in it, as in a core that follows RVA23, which demands Svade, and
    /// takes its Svadu option. Software then finds `menvcfg.ADUE` = 0, sets A and D itself, and may
    /// turn hardware updating on through the firmware (SBI FWFT). With Svadu alone, updating is on
    /// from reset; see [`ExtSet::updates_ad_at_reset`].
    pub fn default_set() -> Self {
        EXTENSIONS.iter().filter(|row| row.default).map(|row| row.ext).collect()
    }

    /// Whether `ext` is in the set.
    #[inline]
    pub const fn contains(&self, ext: Ext) -> bool {
        self.0 >> ext as u32 & 1 != 0
    }

    /// Whether every extension of `other` is in the set.
    #[inline]
    pub const fn contains_all(&self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds `ext` and everything it implies.
    pub fn insert(&mut self, ext: Ext) {
        self.0 |= 1 << ext as u32;
        self.close();
    }

    /// Removes `ext`, everything that requires it, and the parts of what it is an umbrella for.
    pub fn remove(&mut self, ext: Ext) {
        let mut going = Self::of(&[ext]);
        match ext {
            Ext::C => going.0 |= Self::of(&[Ext::Zcd]).0,
            Ext::Zcd if self.contains(Ext::D) => going.0 |= Self::of(&[Ext::C]).0,
            _ => {}
        }
        if ext.row().umbrella != Umbrella::No && ext != Ext::Sha {
            going.0 |= ext.row().implies.0;
        }
        if ext == Ext::Sha {
            // H and Ssstateen stand on their own as well.
            going.0 |= ext.row().implies.0 & !Self::of(&[Ext::H, Ext::Ssstateen]).0;
        }
        loop {
            let before = going;
            for row in EXTENSIONS {
                if row.implies.0 & going.0 != 0 {
                    going.0 |= 1 << row.ext as u32;
                }
            }
            if going == before {
                break;
            }
        }
        self.0 &= !going.0;
        self.close();
    }

    /// The extensions of the set in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = Ext> + use<> {
        let set = *self;
        EXTENSIONS.iter().map(|row| row.ext).filter(move |&ext| set.contains(ext))
    }

    /// Whether `menvcfg.ADUE` is 1 after reset: with Svadu and without Svade, which the device-tree
    /// binding defines as "hardware updating is always on".
    pub const fn updates_ad_at_reset(&self) -> bool {
        self.contains(Ext::Svadu) && !self.contains(Ext::Svade)
    }

    /// The bits of `misa` [priv: machine, "misa"]: MXL = 64 and the single letters.
    pub fn misa(&self) -> u64 {
        let letters = self
            .iter()
            .filter(|ext| ext.name().len() == 1)
            .map(|ext| 1 << (ext.name().as_bytes()[0] - b'a'));
        2 << 62 | letters.sum::<u64>()
    }

    /// Adds what is implied until nothing is missing.
    fn close(&mut self) {
        loop {
            let before = *self;
            for row in EXTENSIONS {
                let present = self.contains(row.ext);
                if present {
                    self.0 |= row.implies.0;
                } else if row.umbrella == Umbrella::Exactly
                    && self.contains_all(row.implies)
                    && (row.ext != Ext::C || self.contains(Ext::Zcd) || !self.contains(Ext::D))
                {
                    self.0 |= 1 << row.ext as u32;
                }
            }
            // C with D has the compressed loads and stores of D [unpriv: "Zcd"].
            if self.contains(Ext::C) && self.contains(Ext::D) {
                self.0 |= 1 << Ext::Zcd as u32;
            }
            if *self == before {
                return;
            }
        }
    }
}

impl FromIterator<Ext> for ExtSet {
    /// These and everything they imply.
    fn from_iter<T: IntoIterator<Item = Ext>>(exts: T) -> Self {
        let mut set = Self::EMPTY;
        for ext in exts {
            set.0 |= 1 << ext as u32;
        }
        set.close();
        set
    }
}

impl fmt::Debug for ExtSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (index, row) in EXTENSIONS.iter().enumerate() {
            assert_eq!(row.ext as usize, index);
            assert_eq!(Ext::by_name(row.name), Some(row.ext));
        }
    }

    #[test]
    fn needs_read_as_words() {
        assert_eq!(describe_needs(needs!((Zbb | Zbkb))), "zbb or zbkb");
        assert_eq!(describe_needs(crate::Op::AmocasB.row().needs), "zabha and zacas");
    }

    // norm: Sv57_requires_Sv48, Sv48_requires_Sv39, misa_extensions_dependencies
    // norm: Svnapot_depends_Sv39, Svpbmt_depends_Sv39
    #[test]
    fn implications_follow_the_manual() {
        let set = |ext| [ext].into_iter().collect::<ExtSet>();
        assert!(set(Ext::D).contains_all(ExtSet::of(&[Ext::F, Ext::Zicsr])));
        assert!(set(Ext::A).contains_all(ExtSet::of(&[Ext::Zaamo, Ext::Zalrsc])));
        assert!(set(Ext::Sv57).contains_all(ExtSet::of(&[Ext::Sv48, Ext::Sv39, Ext::S])));
        assert!(set(Ext::Svnapot).contains(Ext::Sv39));
        assert!(set(Ext::Svpbmt).contains(Ext::Sv39));
        assert!(!set(Ext::C).contains(Ext::Zcd));
        assert!([Ext::C, Ext::D].into_iter().collect::<ExtSet>().contains(Ext::Zcd));
        assert!([Ext::Zba, Ext::Zbb, Ext::Zbs].into_iter().collect::<ExtSet>().contains(Ext::B));
    }

    #[test]
    fn switching_off_takes_dependents_and_parts() {
        let mut set = ExtSet::default_set();
        set.remove(Ext::F);
        for gone in [Ext::F, Ext::D, Ext::Zfh, Ext::Zfhmin, Ext::Zfa, Ext::Zcd] {
            assert!(!set.contains(gone), "{gone}");
        }
        assert!(set.contains(Ext::C));
        set.remove(Ext::A);
        for gone in [Ext::A, Ext::Zaamo, Ext::Zalrsc, Ext::Zacas, Ext::Zabha, Ext::Zawrs] {
            assert!(!set.contains(gone), "{gone}");
        }
        set.remove(Ext::Sha);
        assert!(set.contains(Ext::H) && !set.contains(Ext::Shtvala));
        set.remove(Ext::Zbb);
        assert!(!set.contains(Ext::B) && set.contains(Ext::Zba));
        set.remove(Ext::C);
        assert!(!set.contains(Ext::Zca) && !set.contains(Ext::Zcb));
    }

    #[test]
    fn every_removal_leaves_a_closed_set_without_it() {
        for row in EXTENSIONS {
            let mut set: ExtSet = EXTENSIONS.iter().map(|row| row.ext).collect();
            set.remove(row.ext);
            assert!(!set.contains(row.ext), "{}", row.name);
            let mut closed = set;
            closed.close();
            assert_eq!(closed, set, "{}", row.name);
        }
    }

    // norm: H_vm_supported
    #[test]
    fn a_hart_with_h_translates_addresses_in_sv39_at_least() {
        for isa in ["rv64imah", "rv64imafdch_sstc", "rv64gch_sv39", "rv64gch_sv57", "rv64,h=on"] {
            assert!(ExtSet::parse(isa).unwrap().contains_all(ExtSet::of(&[Ext::H, Ext::Sv39])));
        }
        let mut set = ExtSet::default_set();
        set.remove(Ext::Sv39);
        assert!(!set.contains(Ext::H) && !set.contains(Ext::Sha));
        assert!(ExtSet::parse("rv64gc,h=on,sv39=off").is_err());
    }

    // norm: misa_c_set_line, misa_c_set_list
    #[test]
    fn misa_c_says_that_compressed_instructions_are_there_also_those_of_d() {
        for (isa, bit) in [
            ("rv64imafd", 0),
            ("rv64imafd_zca", 0),
            ("rv64imafd_zca_zcd", 1),
            ("rv64imafdc", 1),
            ("rv64imafdc,zcd=off", 0),
            ("rv64imafdc,zca=off", 0),
            ("rv64imaf_zca", 1),
            ("rv64ima_zca", 1),
        ] {
            assert_eq!(ExtSet::parse(isa).unwrap().misa() >> 2 & 1, bit, "{isa}");
        }
    }

    // norm: misa_extensions_enc_tbl, misa_extensions_enc_txt, misa_mxl_enc, misa_extensions_rst1
    #[test]
    fn misa_has_a_bit_for_each_letter() {
        // MXL=2 and A B C D F H I M S U, counted by hand.
        assert_eq!(ExtSet::default_set().misa(), 2 << 62 | 0x14_11af);
    }

    #[test]
    fn svadu_alone_updates_from_reset() {
        let mut set = ExtSet::default_set();
        assert!(!set.updates_ad_at_reset());
        set.remove(Ext::Svade);
        assert!(set.updates_ad_at_reset());
    }
}
