//! The options of `nestwalk hyp migrate`.

use super::values::{Count, Seconds, Size, ValueError};
use super::{GuestOptions, RunArgs};
use clap::{Args, ValueEnum};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// `nestwalk hyp migrate`, beside what `nestwalk hyp run` has.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) how: MoveOptions,
    #[command(flatten)]
    pub(crate) guests: GuestOptions,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How the guest moves.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Migration")]
pub(crate) struct MoveOptions {
    /// Virtual time before the first move, and between two
    #[arg(long, value_name = "SECONDS", default_value = "0.3")]
    pub(crate) after: Seconds,
    /// Moves
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) times: u32,
    /// What lies between the two machines
    #[arg(long, value_name = "STREAM", default_value = "unix")]
    pub(crate) over: Over,
    /// Moves the guest to another process, which listens there: unix:PATH, or tcp:ADDRESS:PORT; this one ends when it is there
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["over", "listen"])]
    pub(crate) to: Option<Address>,
    /// Waits there for a guest of another process, and runs it to its end; the guest's options must be the same
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["over", "times", "after", "cancel_after", "break_after"])]
    pub(crate) listen: Option<Address>,
    /// Bytes that leave in a second of virtual time
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub(crate) bandwidth: Size,
    /// Rounds end when no more pages than this are left
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) few: Count,
    /// Rounds at most; then the guest waits for what is left
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) rounds: u8,
    /// Percent of each round that the guest must wait, so that it writes less
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub(crate) throttle: u8,
    /// Gives each move up after so many rounds
    #[arg(long, value_name = "N")]
    pub(crate) cancel_after: Option<u8>,
    /// The stream of the first move breaks after so many bytes from the source
    #[arg(long, value_name = "N")]
    pub(crate) break_after: Option<Count>,
}

/// Where another process listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Address {
    /// A Unix socket by its path.
    Unix(PathBuf),
    /// ADDRESS:PORT, numbers or names.
    Tcp(String),
}

impl FromStr for Address {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) if address.contains(':') => Ok(Self::Tcp(address.to_owned())),
            _ => Err(ValueError(format!("'{text}' is neither unix:PATH nor tcp:ADDRESS:PORT"))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// Streams.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// A Unix socket.
    Unix,
    /// A TCP connection on loopback.
    Tcp,
}
