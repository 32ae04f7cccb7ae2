//! `nestwalk hyp migrate`: a guest moves from one machine to another while it runs, as often as is asked for.
//!
//! Both machines are of this process, and the second is made when the guest comes; between them is a socket, whose other end
//! is read by a thread, as by another process. Or the second is another process's: one listens, one moves its guest there.

mod stream;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hyp::hypervisor::Hypervisor;
use hyp::migrate::{self, Incoming, MigrateError, Subject};
use hyp::port::Parts;
use isa::PAGE_BYTES;
use machine::guests::{GuestSetup, RAM_SLOT};
use machine::{Machine, NoInput, Setup, Stop};
use stream::{Breaking, Listener, Stream};

use crate::cli::{Address, MigrateArgs};
use crate::console::Output;
use crate::stop::StopRequest;
use crate::{build, diagnostics, exit, guests};

/// Virtual time within which a paused guest must have left its harts, in cycles.
const PAUSE_CYCLES: u64 = 10_000_000;

/// Runs `nestwalk hyp migrate`.
///
/// # Errors
/// The options make no machine, a socket cannot be had, or the two sides of a move differ.
pub(crate) fn run(args: &MigrateArgs) -> Result<ExitCode> {
    diagnostics::start(args.run.run.trace_filter.as_deref())?;
    ensure!(args.guests.vms == 1, "--vms: one VM moves at a time");
    ensure!(args.how.bandwidth.0 != 0, "--bandwidth: nothing would ever leave");
    let (run, machine) = (&args.run.run, &args.run.machine);
    let watched = run.events.is_some() || run.stats.is_some() || run.log.is_some();
    ensure!(
        !watched && run.gdb.is_none() && !run.log_commits.unwrap_or(false),
        "events, statistics, commit logs and debuggers are of one machine: leave them out"
    );
    ensure!(
        machine.max_insns.is_none() && machine.timeout.is_none(),
        "--max-insns and --timeout end one machine: leave them out"
    );
    ensure!(args.guests.dirty_log_every.is_none(), "--dirty-log-every: the moves have the log");
    let stop = StopRequest::default();
    stop.on_signals().context("signal handlers")?;
    let output = Output::stdout(stop.clone());
    let first = setup(args, args.how.listen.is_some())?;
    let guests = first.guests.as_ref().context("there are guests")?;
    let subject = Subject { vm: 0, slot: RAM_SLOT, exts: guests.guest_exts(&first.exts) };
    let hz = first.clock.cpu_hz();
    let mut machine = Machine::new(first, &|| output.sink())?;
    if let Some(at) = &args.how.listen {
        welcome(&mut machine, subject, at, &stop)?;
    }
    let span = u64::try_from(args.how.after.0.as_nanos() * u128::from(hz) / 1_000_000_000)?;
    let times = if args.how.listen.is_some() { 0 } else { args.how.times };
    let mut moves = 0;
    let stopped = loop {
        let last = moves == times;
        let until = if last { u64::MAX } else { machine.now().saturating_add(span.max(1)) };
        if let Some(stopped) = machine.run_until(until, &stop.flag(), &mut NoInput)? {
            break stopped;
        }
        moves += 1;
        let breaks = args.how.break_after.filter(|_| moves == 1).map(|bytes| bytes.0);
        let one = Move { args, output: &output, hz, breaks, subject };
        match one.make(&mut machine) {
            Ok((Some(there), told)) => {
                exit::say(format_args!("move {moves}: {told}"));
                machine = there;
            }
            Ok((None, told)) => {
                output.flush();
                exit::say(format_args!("move {moves}: {told}"));
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => {
                exit::say(format_args!("move {moves}: {error:#}; the guest runs on where it was"));
            }
        }
    };
    output.flush();
    let told = machine.hypervisor().map(|hypervisor| guests::tell(hypervisor, None));
    if let Some(told) = told.filter(|_| !args.run.run.quiet.unwrap_or(false)) {
        exit::say(told);
    }
    Ok(match stopped {
        Stop::Exit { code } => ExitCode::from(code as u8),
        _ => ExitCode::from(exit::LIMIT),
    })
}

fn setup(args: &MigrateArgs, bare: bool) -> Result<Setup> {
    let mut setup = build::setup(&args.run.machine, build::boot(&args.run.run))?;
    guests::set_up(&mut setup, &args.guests, &args.run.run)?;
    setup.guests = setup.guests.map(|guests| GuestSetup { bare, ..guests });
    Ok(setup)
}

/// Receives a guest from another process.
fn welcome(
    machine: &mut Machine,
    subject: Subject,
    at: &Address,
    stop: &StopRequest,
) -> Result<()> {
    let wanted = on(machine, |hypervisor, _| migrate::shape(hypervisor, subject))?;
    let mut far = Listener::new(at)?.accept(&stop.flag())?;
    let came = (|| {
        let incoming = Incoming::receive(&mut far, &wanted)?;
        let hash =
            on(machine, |hypervisor, parts| incoming.settle(hypervisor, parts, subject, &mut far))?;
        on(machine, |hypervisor, parts| migrate::take_over(hypervisor, parts, subject, &mut far))?;
        anyhow::Ok(hash)
    })();
    let hash = came.context("no guest came")?;
    exit::say(format_args!("a guest came, with state {hash:#018x}"));
    Ok(())
}

/// A move.
struct Move<'a> {
    args: &'a MigrateArgs,
    output: &'a Output,
    hz: u64,
    /// The stream breaks after so many bytes.
    breaks: Option<u64>,
    subject: Subject,
}

impl Move<'_> {
    /// Makes it. Returns the machine where the guest is now, if it is of this process, and what there is to say.
    fn make(&self, here: &mut Machine) -> Result<(Option<Machine>, String)> {
        let subject = self.subject;
        let moved = match &self.args.how.to {
            Some(to) => self.try_away(here, to).map(|told| (None, told)),
            None => self.try_to(here).map(|(there, told)| (Some(there), told)),
        };
        if moved.is_err() {
            // Logging ends, and the guest runs on.
            on(here, |hypervisor, parts| migrate::cancel(hypervisor, parts, subject))?;
        }
        moved
    }

    /// To another process.
    fn try_away(&self, here: &mut Machine, to: &Address) -> Result<String> {
        let subject = self.subject;
        let mut near = Breaking { stream: Stream::connect(to)?, left: self.breaks };
        let (rounds, hash) = self.send(here, subject, &mut near)?;
        on(here, |hypervisor, parts| migrate::commit(hypervisor, parts, subject, &mut near))?;
        let told = by_round(&rounds);
        Ok(format!("the guest is at {to}, with state {hash:#018x}; {told}"))
    }

    /// To another machine of this process.
    fn try_to(&self, here: &mut Machine) -> Result<(Machine, String)> {
        let subject = self.subject;
        let (near, mut far) = Stream::pair(self.args.how.over)?;
        let mut near = Breaking { stream: near, left: self.breaks };
        let mut there = Machine::new(setup(self.args, true)?, &|| self.output.sink())?;
        let wanted = on(&mut there, |hypervisor, _| migrate::shape(hypervisor, subject))?;
        let receiver = std::thread::Builder::new().name("destination".into()).spawn(move || {
            let incoming = Incoming::receive(&mut far, &wanted);
            (far, incoming)
        })?;
        let sent = self.send(here, subject, &mut near);
        if sent.is_err() {
            // The destination sees the end of the stream.
            drop(near.stream);
            let _ = receiver.join();
            return Err(sent.err().unwrap_or_else(|| anyhow!("given up")));
        }
        let (rounds, source) = sent?;
        let received = receiver.join().map_err(|_| anyhow!("the destination's thread failed"))?;
        let (mut far, incoming) = (received.0, received.1?);
        let there_hash = on(&mut there, |hypervisor, parts| {
            incoming.settle(hypervisor, parts, subject, &mut far)
        })?;
        on(here, |hypervisor, parts| migrate::commit(hypervisor, parts, subject, &mut near))?;
        on(&mut there, |hypervisor, parts| {
            migrate::take_over(hypervisor, parts, subject, &mut far)
        })?;
        ensure!(source == there_hash, "the two sides differ");
        let told = by_round(&rounds);
        Ok((there, format!("both sides have state {source:#018x}; {told}")))
    }

    /// All that the source has to say; returns pages by round, and the hash.
    fn send(
        &self,
        here: &mut Machine,
        subject: Subject,
        to: &mut dyn Write,
    ) -> Result<(Vec<u64>, u64)> {
        let how = &self.args.how;
        let page_cycles = (PAGE_BYTES * self.hz).div_ceil(how.bandwidth.0).max(1);
        let mut left =
            on(here, |hypervisor, parts| migrate::begin(hypervisor, parts, subject, to))?;
        let mut rounds = vec![left];
        for number in 0..how.rounds {
            if how.cancel_after.is_some_and(|rounds| number >= rounds) {
                bail!("given up after {number} rounds");
            }
            let span = left.saturating_mul(page_cycles).max(self.hz / 10_000);
            let waits = span / 100 * u64::from(how.throttle);
            pass(here, span - waits)?;
            if waits != 0 {
                pause(here, subject, true)?;
                pass(here, waits)?;
                pause(here, subject, false)?;
            }
            left = on(here, |hypervisor, parts| migrate::round(hypervisor, parts, subject, to))?;
            rounds.push(left);
            if left <= how.few.0 {
                break;
            }
        }
        pause(here, subject, true)?;
        let end = here.now().saturating_add(PAUSE_CYCLES);
        while here.hypervisor().is_some_and(|hypervisor| !hypervisor.is_quiet(subject.vm)) {
            ensure!(here.now() < end, "the guest does not leave its harts");
            pass(here, 1)?;
        }
        let hash = on(here, |hypervisor, parts| migrate::finish(hypervisor, parts, subject, to))?;
        Ok((rounds, hash))
    }
}

fn by_round(rounds: &[u64]) -> String {
    let rounds: Vec<String> = rounds.iter().map(u64::to_string).collect();
    format!("pages by round {}", rounds.join(" "))
}

/// Acts on a machine's hypervisor.
fn on<T>(
    machine: &mut Machine,
    act: impl FnOnce(&mut Hypervisor, &mut Parts<'_>) -> Result<T, MigrateError>,
) -> Result<T> {
    Ok(machine.with_hypervisor(act).context("there is a hypervisor")??)
}

fn pause(machine: &mut Machine, subject: Subject, pause: bool) -> Result<()> {
    on(machine, |hypervisor, parts| {
        if pause {
            hypervisor.pause(parts, subject.vm);
        } else {
            hypervisor.resume(parts, subject.vm);
        }
        Ok(())
    })
}

/// Lets a machine run for so many cycles.
fn pass(machine: &mut Machine, cycles: u64) -> Result<()> {
    let never = AtomicBool::new(false);
    let until = machine.now().saturating_add(cycles.max(1));
    let stopped = machine.run_until(until, &never, &mut NoInput)?;
    ensure!(stopped.is_none(), "the guest has ended");
    Ok(())
}
