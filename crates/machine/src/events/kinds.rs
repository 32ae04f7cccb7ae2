//! Which events are wanted: kinds by name, and what belongs to each.

use std::fmt;
use std::str::FromStr;

use cpu::{Notice, Scene};
use isa::{Cause, Exception};
use mmu::Fault;

/// A set of kinds of events. An event is wanted if one of its kinds is in the set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventKinds(u16);

/// A name for one kind, or for several.
struct Row {
    name: &'static str,
    doc: &'static str,
    bits: u16,
}

macro_rules! kinds {
    ($($constant:ident $bit:literal $name:literal $doc:literal)*) => {
        impl EventKinds {
            $(#[doc = concat!($doc, ".")] pub const $constant: Self = Self(1 << $bit);)*
        }

        const KINDS: &[Row] = &[$(Row { name: $name, doc: $doc, bits: 1 << $bit }),*];
    };
}

kinds! {
    EXCEPTIONS 0 "exceptions" "Exceptions other than environment calls"
    ECALLS     1 "ecalls"     "Environment calls"
    INTERRUPTS 2 "interrupts" "Interrupts"
    RETURNS    3 "returns"    "Returns from traps"
    EXITS      4 "exits"      "Traps that leave a guest, whatever their cause"
    ENTRIES    5 "entries"    "Returns into a guest"
    FAULTS     6 "faults"     "Guest-page faults"
    FENCES     7 "fences"     "Fences, with their operands"
    ROOTS      8 "roots"      "Writes of hgatp and vsatp"
    GSTAGE     9 "gstage"     "Stores to G-stage tables"
}

const ALL: u16 = (1 << KINDS.len()) - 1;

/// What a Linux boot has too many of, and what is said by other kinds.
const NOT_BY_DEFAULT: EventKinds =
    EventKinds(EventKinds::ECALLS.0 | EventKinds::INTERRUPTS.0 | EventKinds::RETURNS.0);

const GROUPS: &[Row] = &[
    Row {
        name: "traps",
        doc: "exceptions, ecalls and interrupts",
        bits: EventKinds::EXCEPTIONS.0 | EventKinds::ECALLS.0 | EventKinds::INTERRUPTS.0,
    },
    Row {
        name: "default",
        doc: "all but ecalls, interrupts and returns; those that leave or enter a guest are there",
        bits: ALL & !NOT_BY_DEFAULT.0,
    },
    Row { name: "all", doc: "everything", bits: ALL },
];

impl Default for EventKinds {
    fn default() -> Self {
        Self(ALL & !NOT_BY_DEFAULT.0)
    }
}

impl EventKinds {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether the sets have a kind in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the kinds, in the order of the table.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KINDS.iter().filter(move |row| self.0 & row.bits != 0).map(|row| row.name)
    }

    /// Every name that can be parsed, with what it stands for.
    pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
        KINDS.iter().chain(GROUPS).map(|row| (row.name, row.doc))
    }

    /// The kinds of what happened; the empty set for what is always told.
    pub(super) fn of(scene: &Scene, notice: &Notice) -> Self {
        match notice {
            Notice::Trap(trap) => {
                let mut kinds = match trap.cause {
                    Cause::Interrupt(_) => Self::INTERRUPTS,
                    Cause::Exception(
                        Exception::EcallU
                        | Exception::EcallS
                        | Exception::EcallVs
                        | Exception::EcallM,
                    ) => Self::ECALLS,
                    Cause::Exception(_) => Self::EXCEPTIONS,
                };
                if scene.mode.v() && !trap.to.v() {
                    kinds.0 |= Self::EXITS.0;
                }
                if matches!(trap.fault, Some(Fault::GuestPage { .. })) {
                    kinds.0 |= Self::FAULTS.0;
                }
                kinds
            }
            Notice::Return { to, .. } if to.v() && !scene.mode.v() => {
                Self(Self::RETURNS.0 | Self::ENTRIES.0)
            }
            Notice::Return { .. } => Self::RETURNS,
            Notice::Fence { .. } | Notice::FenceBracket { .. } => Self::FENCES,
            Notice::Root { .. } => Self::ROOTS,
            Notice::TableWritten(_) => Self::GSTAGE,
            Notice::Reset => Self(ALL),
        }
    }
}

/// No kind has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no kind of events")]
pub struct UnknownKind(pub String);

impl FromStr for EventKinds {
    type Err = UnknownKind;

    /// Names separated by commas.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let mut kinds = Self::NONE;
        for name in text.split(',') {
            let row = KINDS.iter().chain(GROUPS).find(|row| row.name == name.trim());
            kinds.0 |= row.ok_or_else(|| UnknownKind(name.trim().to_owned()))?.bits;
        }
        Ok(kinds)
    }
}

impl fmt::Display for EventKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names().enumerate() {
            write!(f, "{}{name}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["exits", "traps,fences", "default", "all", "gstage, roots"] {
            let kinds: EventKinds = text.parse().unwrap();
            assert_eq!(kinds.to_string().parse(), Ok(kinds), "{text}");
        }
        assert_eq!(
            "fences,traps".parse::<EventKinds>().unwrap().to_string(),
            "exceptions,ecalls,interrupts,fences"
        );
        assert_eq!("fence".parse::<EventKinds>(), Err(UnknownKind("fence".into())));
        assert_eq!("".parse::<EventKinds>(), Err(UnknownKind(String::new())));
    }

    #[test]
    fn the_default_leaves_out_what_there_is_too_much_of() {
        let names: Vec<&str> = EventKinds::default().names().collect();
        assert_eq!(
            names,
            ["exceptions", "exits", "entries", "faults", "fences", "roots", "gstage"]
        );
        assert_eq!("default".parse(), Ok(EventKinds::default()));
    }
}
