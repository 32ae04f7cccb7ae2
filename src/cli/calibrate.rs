//! The words of `nestwalk calibrate`.

use super::values::Count;
use clap::Args;
use std::path::PathBuf;

/// `nestwalk calibrate`.
#[derive(Args, Debug)]
pub(crate) struct CalibrateArgs {
    /// Folder with reference_cycles.csv and the programs that were measured
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// A core, or FILE.toml; may be repeated [default: every preset that was measured]
    #[arg(long, value_name = "CORE")]
    pub(crate) core: Vec<String>,
    /// A memory latency; may be repeated [default: all in the reference]
    #[arg(long, value_name = "CYCLES")]
    pub(crate) mem_latency: Vec<Count>,
    /// How many of the worst rows to print for each core and latency
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) worst: usize,
    /// Print JSON, with every row
    #[arg(long)]
    pub(crate) json: bool,
    /// Put the table between the marks in this Markdown file
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub(crate) write: Option<PathBuf>,
    /// Fail unless the table in this Markdown file is the one that comes out
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
}
