//! Diagnostics: what the libraries have to say, on standard error.

use anyhow::{Context, Result};
use std::env::VarError;
use tracing_subscriber::EnvFilter;

/// The variable that chooses diagnostics where no option does.
const VARIABLE: &str = "NESTWALK_LOG";

/// Prints from now on what `filter` asks for, else the environment, else warnings.
///
/// # Errors
/// The filter is malformed.
pub(crate) fn start(filter: Option<&str>) -> Result<()> {
    let (name, text) = match (filter, std::env::var(VARIABLE)) {
        (Some(filter), _) => ("--trace-filter", filter.to_owned()),
        (None, Ok(filter)) => (VARIABLE, filter),
        (None, Err(VarError::NotPresent)) => ("", "warn".to_owned()),
        (None, Err(error)) => return Err(error).context(VARIABLE),
    };
    let filter = EnvFilter::builder().parse(&text).with_context(|| format!("{name} {text}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_ansi(false)
        // A closed standard error must not end a run.
        .log_internal_errors(false)
        .init();
    Ok(())
}
