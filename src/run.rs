//! `nestwalk run`: builds a machine, gives it the user's console, runs it, and says how it ended.

use crate::cli::{Console, GuestOptions, RunArgs, print_settings};
use crate::console::{Input, Output};
use crate::events::Records;
use crate::log::CommitLog;
use crate::signature::Signature;
use crate::stop::{Requester, StopRequest};
use crate::terminal::Raw;
use crate::{build, cores, diagnostics, exit, gdb, guests, stats_table};
use anyhow::{Context, Result};
use machine::device_tree::BoardTree;
use machine::load::{self, Symbols};
use machine::{DeviceTree, Limits, Machine, Setup, Stop};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use timing::Clock;

/// Runs `nestwalk run`, and with `guests` `nestwalk hyp run`.
///
/// # Errors
/// The options make no machine, a file cannot be used, or the system refuses a thread.
pub(crate) fn run(args: &RunArgs, guests: Option<&GuestOptions>) -> Result<ExitCode> {
    diagnostics::start(args.run.trace_filter.as_deref())?;
    if show(args, guests)? {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.run.quiet.unwrap_or(false) {
        cores::notes(&args.machine)?.iter().for_each(exit::say);
    }
    let stop = StopRequest::default();
    let output = output(&args.run.console(), &stop)?;
    let mut setup = build::setup(&args.machine, build::boot(&args.run))?;
    if let Some(options) = guests {
        guests::set_up(&mut setup, options, &args.run)?;
    }
    setup.extras = build::extras(&args.run, setup.clock, &output)?;
    let clock = setup.clock;
    setup.reboots = !args.run.no_reboot.unwrap_or(false);
    let log = CommitLog::wanted(&args.run)?;
    let records = Records::wanted(&args.run, setup.harts, clock.cpu_hz(), &stop)?;
    let mut server = gdb::listen(&args.run)?;
    let mut machine = Machine::new(setup, &|| output.sink())?;
    for note in machine.notes() {
        tracing::warn!("{note}");
    }
    if let Some(log) = &log {
        machine.set_log(log.hook());
    }
    if let Some(observing) = records.observing() {
        machine.observe(observing);
    }

    let granularity = args.run.signature_granularity;
    let signature = args.run.signature.as_deref();
    let signature = signature.map(|file| Signature::of(&machine, file, granularity)).transpose()?;

    stop.on_signals().context("signal handlers")?;
    let _watchdog = args.machine.timeout.map(|limit| stop.after(limit.0)).transpose()?;
    let raw = match args.run.console() {
        Console::Stdio => Raw::enter(),
        Console::File(_) | Console::Null => None,
    };
    let mut input = match args.run.console() {
        Console::Stdio => Input::stdin(output.clone(), stop.clone())?,
        Console::File(_) | Console::Null => Input::none(output.clone(), stop.clone()),
    };
    if let Some(server) = &server {
        input.heed(server.shared_bell());
    }
    let limits = Limits {
        insns: args.machine.max_insns.map_or(u64::MAX, |count| count.0),
        stop: &stop.flag(),
    };
    let begin = Instant::now();
    let ended = gdb::run(&mut machine, &limits, &mut input, server.as_mut(), &args.run);
    let figures = Figures {
        insns: machine.retired(),
        cycles: machine.cycles(),
        elapsed: begin.elapsed(),
        clock,
    };
    let stats = machine.stats();
    let toggled = machine.toggle_counts();
    let told = machine.hypervisor().map(|hypervisor| guests::tell(hypervisor, toggled));
    let signed = signature.map_or(Ok(()), |signature| signature.write(&machine));
    // Dropping the machine makes its disks durable; only then is the run over.
    drop(machine);
    output.flush();
    drop(raw);
    if let Some(log) = &log {
        log.finish().context("the commit log is not complete")?;
    }
    signed?;
    let ended = ended.map(|how| {
        let how = match how {
            debug::End::Stop(how) => how,
            debug::End::Killed => {
                stop.make(Requester::Debugger);
                Stop::Requested
            }
        };
        End { stop: how, requested_by: stop.by() }
    });
    let why = match &ended {
        Ok(end) => end.why(|pc| symbolic(pc, args)),
        Err(error) => error.to_string(),
    };
    let code = ended.as_ref().map_or(exit::USAGE, End::code);
    records.write_stats(stats.as_ref(), &why, code)?;
    records.finish_events()?;
    let end = ended?;
    if args.run.stats_table.unwrap_or(false)
        && let Some(stats) = &stats
    {
        exit::say(stats_table::text(stats));
    }
    if !args.run.quiet.unwrap_or(false) {
        exit::say(format_args!("{why}; {figures}"));
        if let Some(told) = told {
            exit::say(told);
        }
    }
    if toggled.is_some_and(|found| found.lost != 0 || found.failures != 0) {
        exit::say("the dirty log is wrong: this is a bug in nestwalk");
        return Ok(ExitCode::from(exit::FAILED));
    }
    Ok(ExitCode::from(end.code()))
}

/// The outlet of the guest's console.
fn output(console: &Console, stop: &StopRequest) -> Result<Output> {
    Ok(match console {
        Console::Stdio => Output::stdout(stop.clone()),
        Console::Null => Output::none(),
        Console::File(path) => Output::file(path, stop.clone())
            .with_context(|| format!("--console file:{}", path.display()))?,
    })
}

/// How a run ended.
struct End {
    stop: Stop,
    requested_by: Option<Requester>,
}

impl End {
    /// The exit code of the command.
    fn code(&self) -> u8 {
        match (self.stop, self.requested_by) {
            // The low 8 bits are what a process can pass on.
            (Stop::Exit { code }, _) => code as u8,
            (Stop::Requested, Some(Requester::Key | Requester::Debugger)) => 0,
            (Stop::Requested, Some(Requester::Signal(number))) => {
                exit::SIGNAL.saturating_add(u8::try_from(number).unwrap_or(0))
            }
            (Stop::Requested, Some(Requester::ConsoleClosed)) => exit::SIGNAL + exit::SIGPIPE,
            (Stop::Requested, Some(Requester::ConsoleFailed | Requester::EventsFailed)) => {
                exit::USAGE
            }
            (Stop::Requested, Some(Requester::Timeout) | None)
            | (Stop::Limit | Stop::Asleep, _)
            | (Stop::TrapLoop { .. } | Stop::CriticalError { .. }, _) => exit::LIMIT,
        }
    }

    /// Why it ended, in words; `symbolic` names an address.
    fn why(&self, symbolic: impl Fn(u64) -> String) -> String {
        match (self.stop, self.requested_by) {
            (Stop::Exit { code: 0 }, _) => "the guest ended with exit code 0".into(),
            (Stop::Exit { code }, _) if code > 0xff => {
                format!("the guest ended with exit code {code} ({} as a process)", code as u8)
            }
            (Stop::Exit { code }, _) => format!("the guest ended with exit code {code}"),
            (Stop::Requested, Some(by)) => by.to_string(),
            (Stop::Requested, None) => "ended from outside".into(),
            (Stop::Limit, _) => "instruction limit reached".into(),
            (Stop::Asleep, _) => "every hart waits, and nothing is left that could wake one".into(),
            (Stop::TrapLoop { hart, exception, pc }, _) => format!(
                "hart {hart} cannot run its trap handler and traps for ever; the first was: {exception} at \
                 pc {pc:#x}{}",
                symbolic(pc)
            ),
            (Stop::CriticalError { hart, cause, pc }, _) => format!(
                "critical error: hart {hart} could take no trap in M-mode when this one came: {cause} at \
                 pc {pc:#x}{}",
                symbolic(pc)
            ),
        }
    }
}

/// What a run took.
struct Figures {
    insns: u64,
    cycles: u64,
    elapsed: Duration,
    clock: Clock,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { insns, cycles, elapsed, clock } = self;
        let seconds = elapsed.as_secs_f64();
        let mips = if seconds > 0.0 { *insns as f64 / seconds / 1e6 } else { 0.0 };
        let hertz = crate::cli::Hertz(clock.cpu_hz());
        write!(
            f,
            "{insns} instructions, {cycles} cycles at {hertz}, {seconds:.2} s, {mips:.1} MIPS"
        )
    }
}

/// ` <name+0x10>` for an address of the program, its kernel or the files given for their symbols.
fn symbolic(address: u64, args: &RunArgs) -> String {
    let files = args.run.program.iter().chain(&args.run.kernel).chain(&args.run.symbols);
    for file in files {
        // What came through a pipe cannot be read again, and waiting for more would never end.
        if !fs::metadata(file).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        // A kernel image has no symbols, and the run is over: nothing here can be an error.
        let symbols = fs::read(file).ok().and_then(|data| Symbols::parse(&data).ok());
        match symbols.as_ref().and_then(|symbols| symbols.at(address)) {
            Some((name, 0)) => return format!(" <{name}>"),
            Some((name, offset)) => return format!(" <{name}+{offset:#x}>"),
            None => {}
        }
    }
    String::new()
}

/// Prints what was asked for in place of a run; whether anything was.
fn show(args: &RunArgs, guests: Option<&GuestOptions>) -> Result<bool> {
    if args.machine.core.as_deref() == Some(cores::LIST) {
        write_text(&cores::list())?;
        return Ok(true);
    }
    let shown = &args.shown;
    if shown.dump_config {
        let text = print_settings(&args.machine.resolved(), &args.run.resolved())?;
        write_text(&text)?;
    }
    if !(shown.dump_map || shown.dump_dts || shown.dump_dtb.is_some()) {
        return Ok(shown.dump_config);
    }
    let mut setup = build::setup(&args.machine, build::boot(&args.run))?;
    if let Some(options) = guests {
        guests::set_up(&mut setup, options, &args.run)?;
    }
    if shown.dump_map {
        write_text(&build::board(&setup).map())?;
    }
    if shown.dump_dts || shown.dump_dtb.is_some() {
        let blob = device_tree(&setup)?;
        if let Some(path) = &shown.dump_dtb {
            write_file(path, &blob)?;
        }
        if shown.dump_dts {
            write_text(&DeviceTree::parse(&blob)?.to_string())?;
        }
    }
    Ok(true)
}

/// The device tree that the guest gets. Without anything to run, it is the board's alone.
fn device_tree(setup: &Setup) -> Result<Vec<u8>> {
    if let Some(guests) = &setup.guests {
        return Ok(machine::guests::load(guests, setup)?.tree);
    }
    let board = build::board(setup);
    let own = BoardTree {
        board: &board,
        exts: &setup.exts,
        timebase_hz: u32::try_from(setup.clock.timebase_hz()).unwrap_or(u32::MAX),
        seed: setup.seed,
        modelled: setup.core.is_some(),
    };
    let boot = &setup.boot;
    let idle = boot.program.is_none()
        && boot.kernel.is_none()
        && !matches!(boot.bios, machine::config::Bios::File(_));
    if idle && boot.dtb.is_none() {
        let mut tree = own.tree();
        tree.choose(boot.append.as_deref(), None);
        return Ok(tree.blob()?);
    }
    Ok(load::load(boot, &own)?.tree)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

fn write_text(text: &str) -> Result<()> {
    io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(stop: Stop, requested_by: Option<Requester>) -> End {
        End { stop, requested_by }
    }

    #[test]
    fn a_guest_s_exit_code_passes_in_its_low_8_bits() {
        assert_eq!(end(Stop::Exit { code: 0 }, None).code(), 0);
        assert_eq!(end(Stop::Exit { code: 3 }, None).code(), 3);
        assert_eq!(end(Stop::Exit { code: 0x103 }, None).code(), 3);
        // The guest ended before the request was seen.
        assert_eq!(end(Stop::Exit { code: 3 }, Some(Requester::Key)).code(), 3);
    }

    #[test]
    fn who_ends_a_run_decides_its_code() {
        for (requester, code) in [
            (Requester::Key, 0),
            (Requester::Debugger, 0),
            (Requester::Signal(15), 143),
            (Requester::ConsoleClosed, 141),
            (Requester::ConsoleFailed, 2),
            (Requester::Timeout, 124),
        ] {
            assert_eq!(end(Stop::Requested, Some(requester)).code(), code, "{requester}");
        }
        assert_eq!(end(Stop::Limit, None).code(), 124);
        assert_eq!(end(Stop::Asleep, None).code(), 124);
    }
}
