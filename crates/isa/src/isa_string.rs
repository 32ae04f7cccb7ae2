//! ISA strings: `rv64gc_zba_sstc`, and QEMU's comma form `rv64,h=true,sstc=off`.
//!
//! A string names what the hart has. The manual's strings say nothing of privilege levels, counters
//! and translation modes, so those are there unless switched off: S, U, Zicsr, Zicntr, Zihpm, and
//! Sv39, Sv48 and Sv57 unless the string names one of these. `rv64` alone is the default hart.

use crate::ext::{EXTENSIONS, Ext, ExtSet};
use thiserror::Error;

/// What is wrong with an ISA string.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum IsaError {
    /// It does not begin with a base that exists here.
    #[error(
        "ISA string '{0}' does not begin with rv64i, rv64g or rv64: only 64-bit harts are built"
    )]
    Base(String),
    /// A name of the standard that is not built.
    #[error("extension '{0}' is not built into this emulator")]
    NotBuilt(String),
    /// A name that nobody knows.
    #[error("unknown extension '{name}' in the ISA string{}", crate::nearest::hint(*nearest))]
    Unknown {
        /// The bad word.
        name: String,
        /// The most similar known name, if any is similar.
        nearest: Option<&'static str>,
    },
    /// A comma item that is not `name`, `name=on` or `name=off`.
    #[error("'{0}' is not a switch: write name=on or name=off")]
    Switch(String),
    /// An attempt to switch off what every hart has.
    #[error("'{0}' cannot be switched off: every hart has it")]
    Needed(String),
    /// A switch asks for an extension and another one removes what it needs.
    #[error("'{on}' is switched on but needs '{off}', which is switched off")]
    Conflict {
        /// What was asked for.
        on: &'static str,
        /// What was refused.
        off: &'static str,
    },
}

/// Names of ratified extensions and common profiles' names that exist but are not built.
const NOT_BUILT: &[&str] = &[
    "e",
    "p",
    "q",
    "v",
    "l",
    "j",
    "t",
    "n",
    "k",
    "zk",
    "zkn",
    "zknd",
    "zkne",
    "zknh",
    "zks",
    "zksed",
    "zksh",
    "zkt",
    "zalasr",
    "zama16b",
    "zce",
    "zcf",
    "zclsd",
    "zcmp",
    "zcmt",
    "zdinx",
    "zfbfmin",
    "zfinx",
    "zhinx",
    "zhinxmin",
    "zicfilp",
    "zicfiss",
    "ziccamoc",
    "ziccid",
    "zilsd",
    "ztso",
    "zvbb",
    "zvbc",
    "zve32f",
    "zve32x",
    "zve64d",
    "zve64f",
    "zve64x",
    "zvfbfmin",
    "zvfbfwma",
    "zvfh",
    "zvfhmin",
    "zvkb",
    "zvkg",
    "zvkn",
    "zvknc",
    "zvkned",
    "zvkng",
    "zvknha",
    "zvknhb",
    "zvks",
    "zvksc",
    "zvksed",
    "zvksg",
    "zvksh",
    "zvkt",
    "zvl32b",
    "zvl64b",
    "zvl128b",
    "zvl256b",
    "zvl512b",
    "zvl1024b",
    "za128rs",
    "sdext",
    "smaia",
    "smcdeleg",
    "smcsrind",
    "smctr",
    "smrnmi",
    "smvatag",
    "ssaia",
    "ssccfg",
    "sscsrind",
    "ssctr",
    "ssqosid",
    "ssstrict",
    "svrsw60t59b",
    "svukte",
    "sv32",
];

/// What a string need not name.
const UNSAID: ExtSet = ExtSet::of(&[Ext::S, Ext::U, Ext::Zicsr, Ext::Zicntr, Ext::Zihpm]);
const MODES: ExtSet = ExtSet::of(&[Ext::Sv39, Ext::Sv48, Ext::Sv57]);
/// What every hart has.
const NEEDED: ExtSet = ExtSet::of(&[Ext::I, Ext::Zicsr]);

impl ExtSet {
    /// The set that an ISA string or a comma form describes, closed under implication. Letter case
    /// does not matter; version numbers are accepted and ignored.
    pub fn parse(isa_string: &str) -> Result<Self, IsaError> {
        let lower = isa_string.trim().to_ascii_lowercase();
        let mut items = lower.split(',').map(str::trim);
        let base = items.next().unwrap_or_default();
        let mut set = parse_base(base)?;
        let (mut asked, mut refused) = (Vec::new(), Vec::new());
        for item in items {
            let (name, value) = item.split_once('=').unwrap_or((item, "on"));
            let on = match value.trim() {
                "on" | "true" | "yes" | "1" => true,
                "off" | "false" | "no" | "0" => false,
                _ => return Err(IsaError::Switch(item.into())),
            };
            let ext = match find(name.trim()) {
                // What is not built is off already.
                Err(IsaError::NotBuilt(_)) if !on => continue,
                found => found?,
            };
            if !on && NEEDED.contains(ext) {
                return Err(IsaError::Needed(ext.name().into()));
            }
            if on { &mut asked } else { &mut refused }.push(ext);
        }
        // All that goes before all that comes: the order of the switches does not matter.
        for &off in &refused {
            set.remove(off);
        }
        for on in asked {
            set.insert(on);
            if let Some(off) = refused.iter().find(|&&off| set.contains(off)) {
                return Err(IsaError::Conflict { on: on.name(), off: off.name() });
            }
        }
        Ok(set)
    }

    /// The canonical ISA string: everything by name, then what a string would otherwise take for
    /// granted as `,name=off`. [`ExtSet::parse`] gives the same set back.
    pub fn isa_string(&self) -> String {
        let mut text = join(self.iter().filter(|&ext| !matches!(ext, Ext::S | Ext::U)));
        let mut parsed = parse_base(&text).unwrap_or_default();
        for row in EXTENSIONS.iter().filter(|row| !self.contains(row.ext)) {
            if parsed.contains(row.ext) {
                text.push_str(&format!(",{}=off", row.name));
                parsed.remove(row.ext);
            }
        }
        text
    }

    /// The entries of the device tree's `riscv,isa-extensions`.
    pub fn device_tree_extensions(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.iter().filter(|ext| ext.row().in_device_tree).map(Ext::name)
    }

    /// The device tree's older `riscv,isa`: the same names in one string.
    pub fn device_tree_isa(&self) -> String {
        join(self.iter().filter(|ext| ext.row().in_device_tree))
    }
}

/// The names after `rv64`: letters run together, words behind underscores.
fn join(exts: impl Iterator<Item = Ext>) -> String {
    let mut text = String::from("rv64");
    for ext in exts {
        if ext.name().len() > 1 {
            text.push('_');
        }
        text.push_str(ext.name());
    }
    text
}

/// The part before the first comma.
fn parse_base(base: &str) -> Result<ExtSet, IsaError> {
    if base == "rv64" {
        return Ok(ExtSet::default_set());
    }
    let wrong_base = || IsaError::Base(base.into());
    let rest = base.strip_prefix("rv64").ok_or_else(wrong_base)?;
    match rest.as_bytes().first() {
        Some(b'i' | b'g') => {}
        Some(b'e') => return Err(IsaError::NotBuilt("e".into())),
        _ => return Err(wrong_base()),
    }
    let mut named = ExtSet::EMPTY;
    for chunk in rest.split('_') {
        parse_chunk(chunk, &mut named)?;
    }
    // Named, not implied: Svnapot needs Sv39 and says nothing of Sv48.
    let names = |chunk: &str| MODES.iter().any(|mode| chunk.ends_with(mode.name()));
    let modes = rest.split('_').any(names);
    let unsaid = UNSAID.iter().chain(MODES.iter().filter(|_| !modes));
    Ok(named.iter().chain(unsaid).collect())
}

/// One part between underscores: letters, perhaps with versions, and at most one longer name at the
/// end.
fn parse_chunk(chunk: &str, named: &mut ExtSet) -> Result<(), IsaError> {
    let mut rest = chunk;
    while let Some(letter) = rest.chars().next() {
        let second = rest[letter.len_utf8()..].chars().next();
        let longer = match letter {
            'z' | 'x' => true,
            's' => matches!(second, Some('d' | 'h' | 'm' | 's' | 'v' | 'u')) && rest.len() > 2,
            _ => false,
        };
        if longer {
            named.insert(find(rest)?);
            return Ok(());
        }
        let (name, after) = rest.split_at(letter.len_utf8());
        if name == "g" {
            for ext in [Ext::I, Ext::M, Ext::A, Ext::F, Ext::D, Ext::Zicsr, Ext::Zifencei] {
                named.insert(ext);
            }
        } else {
            // A letter of a misspelt word is better reported as that word.
            let found = find(name);
            let word =
                matches!(found, Err(IsaError::Unknown { .. })) && !chunk.starts_with(['i', 'g']);
            named.insert(if word { find(chunk)? } else { found? });
        }
        rest = without_version(after);
    }
    Ok(())
}

/// `text` without a leading version number such as `2p1`.
fn without_version(text: &str) -> &str {
    let major = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if major.len() == text.len() {
        return text;
    }
    match major.strip_prefix('p') {
        Some(minor) if minor.starts_with(|c: char| c.is_ascii_digit()) => {
            minor.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        _ => major,
    }
}

/// `name` without a trailing version number.
fn without_trailing_version(name: &str) -> &str {
    let shorter = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match shorter.strip_suffix('p') {
        Some(major)
            if shorter.len() < name.len() && major.ends_with(|c: char| c.is_ascii_digit()) =>
        {
            major.trim_end_matches(|c: char| c.is_ascii_digit())
        }
        _ => shorter,
    }
}

fn find(name: &str) -> Result<Ext, IsaError> {
    for candidate in [name, without_trailing_version(name)] {
        if let Some(ext) = Ext::by_name(candidate) {
            return Ok(ext);
        }
        if NOT_BUILT.contains(&candidate) {
            return Err(IsaError::NotBuilt(candidate.into()));
        }
    }
    let nearest = crate::nearest::nearest(name, EXTENSIONS.iter().map(|row| row.name));
    Err(IsaError::Unknown { name: name.into(), nearest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> ExtSet {
        ExtSet::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn g_is_imafd_zicsr_zifencei() {
        assert_eq!(parse("rv64g"), parse("rv64imafd_zicsr_zifencei"));
        assert_eq!(parse("RV64GC"), parse("rv64i2p1m2_a2p1_f2p2d2p2_c2p0_zicsr2p0_zifencei2p0"));
        assert_eq!(parse("rv64gczba_zbb"), parse("rv64gc_zba_zbb"));
    }

    #[test]
    fn a_string_has_what_it_names_and_no_more() {
        let set = parse("rv64imafdch_sstc");
        assert!(set.contains_all(ExtSet::of(&[Ext::H, Ext::Sstc, Ext::S, Ext::Sv57, Ext::Zcd])));
        assert!(
            !set.contains(Ext::Zba) && !set.contains(Ext::Svpbmt) && !set.contains(Ext::Zifencei)
        );
        let set = parse("rv64gc_sv48");
        assert!(set.contains(Ext::Sv39) && !set.contains(Ext::Sv57));
        assert!(parse("rv64gc_svnapot").contains(Ext::Sv57));
    }

    #[test]
    fn commas_switch_single_extensions() {
        let set = parse("rv64,h=true,sstc=off");
        assert!(set.contains(Ext::H) && !set.contains(Ext::Sstc));
        let mut default = ExtSet::default_set();
        default.remove(Ext::Sstc);
        assert_eq!(set, default);
        assert_eq!(parse("rv64"), ExtSet::default_set());
        assert_eq!(
            parse("rv64,v=false"),
            ExtSet::default_set(),
            "what is not built may be refused"
        );
        assert!(!parse("rv64gc,sv39=off").contains(Ext::Sv57));
    }

    #[test]
    fn errors_name_the_bad_word_and_the_nearest_known() {
        let error = |text| ExtSet::parse(text).unwrap_err();
        assert_eq!(
            error("rv64gc_sstd"),
            IsaError::Unknown { name: "sstd".into(), nearest: Some("sstc") }
        );
        assert!(error("rv64gch_foo").to_string().contains("'foo'"), "not a letter of it");
        assert!(error("rv64gc_zbbb").to_string().contains("did you mean 'zbb'?"));
        assert_eq!(error("rv64gcv"), IsaError::NotBuilt("v".into()));
        assert_eq!(error("rv64gc_zvl128b"), IsaError::NotBuilt("zvl128b".into()));
        assert_eq!(error("rv64gc_smaia1p0"), IsaError::NotBuilt("smaia".into()));
        assert_eq!(error("rv32gc"), IsaError::Base("rv32gc".into()));
        assert_eq!(error("rv64,sstc=maybe"), IsaError::Switch("sstc=maybe".into()));
        assert_eq!(error("rv64,i=off"), IsaError::Needed("i".into()));
        let conflict = IsaError::Conflict { on: "h", off: "s" };
        assert_eq!(error("rv64,zba=off,h=on,s=off"), conflict);
        assert_eq!(error("rv64,s=off,h=on"), conflict);
        assert_eq!(parse("rv64,zca=on,c=off"), parse("rv64,c=off,zca=on"));
        assert_eq!(error(""), IsaError::Base(String::new()));
    }

    #[test]
    fn the_canonical_string_of_the_default_hart_parses_back() {
        let text = ExtSet::default_set().isa_string();
        assert!(text.starts_with("rv64imafdcbh_zic64b_zicbom"), "{text}");
        assert_eq!(parse(&text), ExtSet::default_set());
        assert!(
            ExtSet::default_set()
                .device_tree_extensions()
                .all(|name| name != "sv39" && name != "s")
        );
    }

    proptest! {
        #[test]
        fn any_closed_set_prints_and_parses_to_itself(
            off in proptest::collection::vec(0..EXTENSIONS.len(), 0..12),
        ) {
            let mut set: ExtSet = EXTENSIONS.iter().map(|row| row.ext).collect();
            for index in off {
                if !NEEDED.contains(EXTENSIONS[index].ext) {
                    set.remove(EXTENSIONS[index].ext);
                }
            }
            prop_assert_eq!(parse(&set.isa_string()), set, "{}", set.isa_string());
        }

        #[test]
        fn no_string_panics(text in "\\PC{0,40}") {
            let _ = ExtSet::parse(&text);
            let _ = ExtSet::parse(&format!("rv64{text}"));
        }
    }
}
