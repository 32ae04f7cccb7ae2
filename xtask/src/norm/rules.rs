//! The lists in `norm/`: what rules there are, which of them nothing here can test, and which are still open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The files of the manual we answer for, below `src/priv/`, without their ending.
pub const FILES: &[&str] = &[
    "hypervisor",
    "supervisor",
    "machine",
    "svinval",
    "svnapot",
    "svpbmt",
    "svadu",
    "svvptc",
    "zpm",
    "sstc",
    "smstateen",
];

/// How our own ids begin, so that no tag of the manual can be one of them.
pub const OWN: &str = "nw:";

/// Why a rule has no test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It names or describes something and demands nothing that could be broken on its own.
    Definition,
    /// It binds software.
    SoftwareDuty,
    /// It binds the platform or an execution environment, or leaves the choice to them.
    PlatformChoice,
    /// It is about an extension we do not build; the note names it.
    NotBuilt,
    /// It holds for XLEN = 32 (or 128) only.
    Rv32,
    /// It permits something we do not do; the note says what we do.
    Permission,
    /// It forbids what cannot happen here: harts run in turn, memory is coherent and in order, nothing runs ahead.
    Unobservable,
}

/// The tags of one file of the manual, in its order.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Tags {
    /// The commit of riscv-isa-manual they were read at.
    pub commit: String,
    /// Where the file is in that repository.
    pub path: String,
    /// Its sections that have tags.
    pub section: Vec<Section>,
}

/// A heading and the tags below it.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Section {
    /// The heading's text.
    pub heading: String,
    /// Ids, without `norm:`.
    pub rules: Vec<String>,
}

/// Rules without a tag in the manual: our ids, in our words.
#[derive(Debug, Deserialize)]
struct Own {
    section: Vec<OwnSection>,
}

#[derive(Debug, Deserialize)]
struct OwnSection {
    /// The file and heading of the manual that has the text.
    heading: String,
    rules: BTreeMap<String, String>,
}

/// All lists.
pub struct Rules {
    /// File, section, id, in the manual's order.
    rules: Vec<(String, String, String)>,
    ids: BTreeSet<String>,
    words: BTreeMap<String, String>,
    excused: BTreeMap<String, (Reason, String)>,
    open: BTreeMap<String, String>,
}

impl Rules {
    /// Reads `norm/`.
    ///
    /// # Errors
    /// A list is missing, is not what it should be, or names a rule twice.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut rules = Vec::new();
        for file in FILES {
            let tags: Tags = read(&folder.join(format!("{file}.toml")))?;
            for section in tags.section {
                let heading = section.heading;
                rules.extend(
                    section.rules.into_iter().map(|id| ((*file).to_owned(), heading.clone(), id)),
                );
            }
        }
        let own: Own = read(&folder.join("own.toml"))?;
        let mut words = BTreeMap::new();
        for section in own.section {
            for (id, text) in section.rules {
                if !id.starts_with(OWN) {
                    bail!("norm/own.toml: `{id}` does not begin with {OWN}");
                }
                rules.push(("own".to_owned(), section.heading.clone(), id.clone()));
                words.insert(id, text);
            }
        }
        let mut ids = BTreeSet::new();
        for (file, _, id) in &rules {
            if !ids.insert(id.clone()) {
                bail!("norm/{file}.toml: `{id}` is there twice");
            }
        }
        let excuses: BTreeMap<Reason, BTreeMap<String, String>> =
            read(&folder.join("excused.toml"))?;
        let mut excused = BTreeMap::new();
        for (reason, list) in excuses {
            for (id, note) in list {
                if matches!(reason, Reason::NotBuilt | Reason::Permission) && note.is_empty() {
                    bail!("norm/excused.toml: `{id}` does not say what");
                }
                if excused.insert(id.clone(), (reason, note)).is_some() {
                    bail!("norm/excused.toml: `{id}` is excused twice");
                }
            }
        }
        let open = read(&folder.join("open.toml"))?;
        Ok(Self { rules, ids, words, excused, open })
    }

    /// Every rule: file, section, id.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.rules.iter().map(|(file, section, id)| (file.as_str(), section.as_str(), id.as_str()))
    }

    /// Whether there is such a rule.
    pub fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Our wording, of a rule that is ours.
    pub fn words(&self, id: &str) -> Option<&str> {
        self.words.get(id).map(String::as_str)
    }

    /// Whether there is nothing here to test.
    pub fn is_excused(&self, id: &str) -> bool {
        self.excused.contains_key(id)
    }

    /// Whether it is known to have no test yet.
    pub fn is_listed_open(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// The rules that may go without a test, with the list that says so.
    pub fn exempt(&self) -> impl Iterator<Item = (&str, &str)> {
        let excused = self.excused.keys().map(|id| ("excused.toml", id.as_str()));
        excused.chain(self.open.keys().map(|id| ("open.toml", id.as_str())))
    }

    /// Why a rule has no test, and the list that says so.
    pub fn reasons(&self, id: &str) -> impl Iterator<Item = (&str, String)> {
        let excused = self
            .excused
            .get(id)
            .map(|(reason, note)| ("excused", format!("{reason:?} {note}").trim_end().to_owned()));
        excused.into_iter().chain(self.open.get(id).map(|note| ("open", note.clone())))
    }
}

/// Reads a TOML file.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}
