//! Debuggers at the command: the port they connect to, and what the user is told about it.

use crate::cli::RunOptions;
use crate::exit;
use anyhow::{Context, Result, ensure};
use debug::Server;
use machine::Input;
use machine::load::LoadError;
use machine::{Limits, Machine};

/// The port that `options` ask for, if they do. It is open from now on.
///
/// # Errors
/// The options contradict each other, or the system refuses the port.
pub(crate) fn listen(options: &RunOptions) -> Result<Option<Server>> {
    let wait = options.gdb_wait.unwrap_or(false);
    let Some(listen) = options.gdb else {
        ensure!(!wait, "--gdb-wait (-S) needs a debugger's port: --gdb PORT (-s for 1234)");
        return Ok(None);
    };
    ensure!(
        options.log.is_none() && !options.log_commits.unwrap_or(false),
        "--gdb and the commit log do not go together"
    );
    let server = Server::bind(listen.0).with_context(|| format!("--gdb {listen}"))?;
    let address = server.address();
    if !options.quiet.unwrap_or(false) {
        let what = if wait { "waiting" } else { "listening" };
        exit::say(format_args!(
            "{what} for a debugger on {address}; connect with: gdb-multiarch -ex 'target remote {address}'"
        ));
    }
    if !address.ip().is_loopback() {
        exit::say(format_args!("whoever reaches {address} controls this machine"));
    }
    Ok(Some(server))
}

/// Runs `machine`, for debuggers if there is a port for them.
///
/// # Errors
/// As for [`Machine::run`].
pub(crate) fn run(
    machine: &mut Machine,
    limits: &Limits<'_>,
    input: &mut dyn Input,
    server: Option<&mut Server>,
    options: &RunOptions,
) -> Result<debug::End, LoadError> {
    match server {
        None => machine.run(limits, input).map(debug::End::Stop),
        Some(server) => {
            let wait = options.gdb_wait.unwrap_or(false);
            debug::run(machine, limits, input, server, debug::Options { wait })
        }
    }
}
