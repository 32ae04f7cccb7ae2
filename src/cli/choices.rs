//! Values of options that choose between a few things, some of them with a file.
//! Each has one parser and one printer, and what is printed can be read back.

use super::nearest::did_you_mean;
use super::values::{Count, ValueError, serde_as_text};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What runs in M-mode before the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Bios {
    /// The SBI implementation that Nestwalk brings along.
    Builtin,
    /// Nothing: the program starts in M-mode.
    None,
    /// A firmware image, such as OpenSBI's `fw_dynamic`.
    File(PathBuf),
}

impl FromStr for Bios {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(match text {
            "" => return Err(ValueError("builtin, none or a file is missing".into())),
            "builtin" => Self::Builtin,
            "none" => Self::None,
            file => Self::File(file.into()),
        })
    }
}

impl fmt::Display for Bios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::None => f.write_str("none"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Bios {
    /// The file that is meant, if one is.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        if let Self::File(path) = self { Some(path) } else { None }
    }
}

/// What becomes of a guest's writes to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiskWrites {
    /// They reach the file.
    Kept,
    /// They are refused: the guest sees a read-only disk.
    Refused,
    /// They are forgotten at the end of the run; the file stays as it is.
    Forgotten,
}

/// One disk: `FILE` or `FILE,rw`, `FILE,ro`, `FILE,overlay`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Disk {
    /// The raw image.
    pub(crate) file: PathBuf,
    /// What becomes of writes.
    pub(crate) writes: DiskWrites,
}

impl FromStr for Disk {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (file, writes) = match text.rsplit_once(',') {
            Some((file, "ro")) => (file, DiskWrites::Refused),
            Some((file, "overlay")) => (file, DiskWrites::Forgotten),
            Some((file, "rw")) => (file, DiskWrites::Kept),
            _ => (text, DiskWrites::Kept),
        };
        if file.is_empty() {
            return Err(ValueError("the disk's file is missing".into()));
        }
        Ok(Self { file: file.into(), writes })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.writes {
            DiskWrites::Kept => ",rw",
            DiskWrites::Refused => ",ro",
            DiskWrites::Forgotten => ",overlay",
        };
        write!(f, "{}{suffix}", self.file.display())
    }
}

/// What a network device is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Net {
    /// Nothing: frames vanish.
    Null,
    /// Nothing, but sent frames are kept in a pcap file.
    Dump(PathBuf),
}

impl FromStr for Net {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "null" => Ok(Self::Null),
            Some(("dump", file)) if !file.is_empty() => Ok(Self::Dump(file.into())),
            _ => Err(ValueError(format!("'{text}' is not null or dump:FILE"))),
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Dump(path) => write!(f, "dump:{}", path.display()),
        }
    }
}

impl Net {
    /// The file that is meant, if one is.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        if let Self::Dump(path) = self { Some(path) } else { None }
    }
}

/// Where the guest's console goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Console {
    /// Standard input and output.
    Stdio,
    /// Output to a file, no input.
    File(PathBuf),
    /// Neither output nor input.
    Null,
}

impl FromStr for Console {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "stdio" => Ok(Self::Stdio),
            None if text == "null" => Ok(Self::Null),
            Some(("file", file)) if !file.is_empty() => Ok(Self::File(file.into())),
            _ => Err(ValueError(format!("'{text}' is not stdio, null or file:FILE"))),
        }
    }
}

impl fmt::Display for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("stdio"),
            Self::Null => f.write_str("null"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Console {
    /// The file that is meant, if one is.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        if let Self::File(path) = self { Some(path) } else { None }
    }
}

/// The shape of the architectural TLBs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Tlb {
    /// One that has a name.
    Preset(String),
    /// One from a file.
    File(PathBuf),
}

impl FromStr for Tlb {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.ends_with(".toml") {
            return Ok(Self::File(text.into()));
        }
        let names: Vec<&str> = mmu::PRESETS.iter().map(|preset| preset.name).collect();
        if names.contains(&text) {
            return Ok(Self::Preset(text.into()));
        }
        let hint = did_you_mean(text, &names);
        Err(ValueError(format!(
            "'{text}' is neither FILE.toml nor one of {}{hint}",
            names.join(", ")
        )))
    }
}

impl fmt::Display for Tlb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What a real-time clock shows at power-on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rtc {
    /// So many seconds since 1970.
    Seconds(u64),
    /// What the clock of the native system shows.
    Now,
}

impl FromStr for Rtc {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "now" {
            return Ok(Self::Now);
        }
        // Nanoseconds since 1970 must fit the clock's 64 bits.
        let fits = |seconds: &Count| seconds.0 <= u64::MAX / 1_000_000_000;
        text.parse()
            .ok()
            .filter(fits)
            .map(|seconds: Count| Self::Seconds(seconds.0))
            .ok_or_else(|| ValueError(format!("'{text}' is neither now nor seconds since 1970")))
    }
}

impl fmt::Display for Rtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => seconds.fmt(f),
            Self::Now => f.write_str("now"),
        }
    }
}

/// The kinds of events that are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EventKinds(pub(crate) machine::events::EventKinds);

impl FromStr for EventKinds {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|error: machine::events::UnknownKind| {
            let known: Vec<&str> =
                machine::events::EventKinds::known().map(|(name, _)| name).collect();
            let hint = did_you_mean(&error.0, &known);
            ValueError(format!("{error}; there are {}{hint}", known.join(", ")))
        })
    }
}

impl fmt::Display for EventKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Bios, Disk, EventKinds, Net, Console, Rtc, Tlb);

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trips<T: FromStr<Err = ValueError> + fmt::Display>(texts: &[&str]) {
        for text in texts {
            let value: T = text.parse().unwrap_or_else(|e: ValueError| panic!("{text}: {e}"));
            assert_eq!(value.to_string(), *text);
        }
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        round_trips::<Bios>(&["builtin", "none", "fw_dynamic.bin", "./none"]);
        round_trips::<Disk>(&["a.img,rw", "a.img,ro", "a,b.img,overlay", "a,ro,rw"]);
        round_trips::<Net>(&["null", "dump:a:b.pcap"]);
        round_trips::<Console>(&["stdio", "null", "file:log.txt"]);
        round_trips::<Tlb>(&["none", "default", "adversarial", "shapes/small.toml"]);
        round_trips::<EventKinds>(&["fences", "exceptions,ecalls,interrupts,gstage"]);
        round_trips::<Rtc>(&["now", "0", "1767225600"]);
    }

    #[test]
    fn a_missing_file_name_is_refused() {
        assert!("".parse::<Bios>().is_err());
        assert!(",ro".parse::<Disk>().is_err());
        assert!("dump:".parse::<Net>().is_err());
        assert!("file:".parse::<Console>().is_err());
        assert!("user".parse::<Net>().is_err());
    }

    #[test]
    fn an_unknown_shape_gets_the_nearest() {
        let error = "adverserial".parse::<Tlb>().unwrap_err().0;
        assert!(error.ends_with("did you mean 'adversarial'?"), "{error}");
    }

    #[test]
    fn an_unknown_kind_of_events_gets_the_nearest_and_the_list() {
        let error = "traps,fence".parse::<EventKinds>().unwrap_err().0;
        assert!(
            error.starts_with("'fence' is no kind of events; there are exceptions, "),
            "{error}"
        );
        assert!(error.ends_with("did you mean 'fences'?"), "{error}");
    }

    #[test]
    fn a_time_beyond_the_clock_is_refused() {
        assert!("18446744073".parse::<Rtc>().is_ok());
        assert!("18446744074".parse::<Rtc>().is_err());
        assert!("today".parse::<Rtc>().is_err());
    }
}
