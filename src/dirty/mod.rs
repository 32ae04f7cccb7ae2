//! `nestwalk hyp dirty-log`: the same guest under each policy of dirty logging, side by side.
//!
//! A run is a migration without a destination: a copy of the working set is brought up to date in rounds, each with the pages that
//! the log named, until few are left. At the end the copy must equal the memory.

mod cpi;
mod guest;
mod html;
mod measure;
mod report;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cli::DirtyLogArgs;
use crate::exit;

/// Runs `nestwalk hyp dirty-log`.
///
/// # Errors
/// The options make no machine, or a file cannot be written.
pub(crate) fn run(args: &DirtyLogArgs) -> Result<ExitCode> {
    let pages = args.working_set.0 / isa::PAGE_BYTES;
    ensure!(
        args.working_set.0.is_multiple_of(isa::PAGE_BYTES) && (1..=1 << 20).contains(&pages),
        "--working-set: from one page of 4 KiB to 4G, in whole pages"
    );
    ensure!(args.bandwidth.0 != 0, "--bandwidth: nothing would ever leave");
    let mut results = Vec::new();
    for policy in &args.policy {
        let result = measure::measure(args, policy.0).with_context(|| policy.0.to_string())?;
        results.push(result);
    }
    print!("{}", report::text(args, &results));
    if let Some(path) = &args.json {
        fs::write(path, report::json(args, &results)?)
            .with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.html {
        fs::write(path, html::page(args, &results)).with_context(|| path.display().to_string())?;
    }
    let lost: u64 = results.iter().map(|result| result.lost).sum();
    if lost != 0 {
        exit::say(format_args!(
            "{lost} written pages were not in a log: this is a bug in nestwalk"
        ));
        return Ok(ExitCode::from(exit::FAILED));
    }
    Ok(ExitCode::SUCCESS)
}
