//! `nestwalk test`: runs programs in parallel, each on a machine of its own, and reports.

mod discover;
mod report;

use crate::cli::TestArgs;
use crate::signature::Signature;
use crate::stop::StopRequest;
use crate::{build, diagnostics, exit};
use anyhow::{Context, Result};
use devices::Sink;
use discover::Program;
use machine::config::Boot;
use machine::{Limits, Machine, NoInput, Stop};
use report::{Outcome, Reporter, Verdict};
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The wall time that a program gets when no limit is given.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a program's output reports keep: its end, in bytes.
const OUTPUT_BYTES_MAX: usize = 8 << 10;

/// Runs `nestwalk test`.
///
/// # Errors
/// Nothing to run, options that make no machine, or a report that cannot be written.
pub(crate) fn run(args: &TestArgs) -> Result<ExitCode> {
    diagnostics::start(None)?;
    let programs = discover::programs(&args.paths)?;
    // Options that make no machine are the user's error, not every program's.
    build::setup(&args.machine, Boot::default())?;
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = args.jobs.unwrap_or(processors).clamp(1, programs.len());
    let width = programs.iter().map(|program| program.name.chars().count()).max().unwrap_or(0);
    let begin = Instant::now();
    let mut reporter = Reporter::new(io::stdout().lock(), args.format, programs.len(), width)?;
    each(&programs, jobs, |program| run_one(program, args), |outcome| reporter.add(&outcome))?;
    let tally = reporter.finish(begin.elapsed())?;
    Ok(ExitCode::from(if tally.is_good() { 0 } else { exit::FAILED }))
}

/// Applies `work` to all of `items` in `jobs` threads, and `take` to the results in the items' order
/// as soon as each is there. When `take` fails, no further item is begun.
fn each<T: Sync, R: Send, E>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let (to, from) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let to = to.clone();
            scope.spawn(|| {
                let to = to;
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    if to.send((at, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(to);
        let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
        let mut taken = 0;
        while let Ok((at, result)) = from.recv() {
            results[at] = Some(result);
            while let Some(result) = results.get_mut(taken).and_then(Option::take) {
                taken += 1;
                if let Err(error) = take(result) {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    })
}

fn run_one(program: &Program, args: &TestArgs) -> Outcome {
    let name = program.name.clone();
    let begin = Instant::now();
    let output = Arc::new(Mutex::new(Vec::new()));
    let (verdict, insns) = match program.unsuitable {
        Some(why) => (Verdict::Skipped(why.into()), 0),
        None => verdict(program, args, &output).unwrap_or_else(|error| {
            // What is wrong with one file is a result, not the end of the others.
            (Verdict::Failed(format!("{error:#}")), 0)
        }),
    };
    let output = tail(&output.lock().unwrap_or_else(PoisonError::into_inner));
    Outcome { name, verdict, insns, elapsed: begin.elapsed(), output }
}

/// Runs a program on a machine of its own: what became of it, and how many instructions it took.
fn verdict(
    program: &Program,
    args: &TestArgs,
    output: &Arc<Mutex<Vec<u8>>>,
) -> Result<(Verdict, u64)> {
    let boot = Boot { program: Some(program.path.clone()), ..Boot::default() };
    let setup = build::setup(&args.machine, boot)?;
    let mut machine = Machine::new(setup, &|| sink(output))?;
    let signature_file = args.signature.as_deref().map(|folder| signature_file(folder, program));
    let signature = match &signature_file {
        Some(file) if machine.signature().is_some() => {
            Some(Signature::of(&machine, file, args.signature_granularity)?)
        }
        _ => None,
    };
    let stop = StopRequest::default();
    let timeout = args.machine.timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let _watchdog = stop.after(timeout)?;
    let insns = args.machine.max_insns.map_or(u64::MAX, |count| count.0);
    let ended = machine.run(&Limits { insns, stop: &stop.flag() }, &mut NoInput)?;
    if let Some((signature, folder)) =
        signature.zip(signature_file.as_deref().and_then(Path::parent))
    {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        signature.write(&machine)?;
    }
    let verdict = match ended {
        Stop::Exit { code: 0 } => Verdict::Passed,
        Stop::Exit { code } => Verdict::Failed(format!("exit code {code}")),
        Stop::Limit => Verdict::Limit(format!("{insns} instructions")),
        Stop::Requested => Verdict::Limit(format!("{} s", timeout.as_secs_f64())),
        Stop::Asleep => Verdict::Failed("every hart waits for ever".into()),
        Stop::TrapLoop { hart, exception, pc } => {
            Verdict::Failed(format!("hart {hart}: {exception} for ever at pc {pc:#x}"))
        }
        Stop::CriticalError { hart, cause, pc } => {
            Verdict::Failed(format!("hart {hart}: critical error: {cause} at pc {pc:#x}"))
        }
    };
    Ok((verdict, machine.retired()))
}

/// Where a program's signature goes: below `folder` as the program is below the folder that was searched for it, or
/// below the root.
fn signature_file(folder: &Path, program: &Program) -> PathBuf {
    let parts = Path::new(&program.name).components();
    let parts = parts.filter_map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    let mut file = folder.join(parts.collect::<PathBuf>()).into_os_string();
    file.push(".signature");
    file.into()
}

/// Keeps the end of what a program prints.
fn sink(output: &Arc<Mutex<Vec<u8>>>) -> Box<dyn Sink> {
    let output = Arc::clone(output);
    Box::new(move |bytes: &[u8]| {
        let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * OUTPUT_BYTES_MAX {
            let excess = kept.len() - OUTPUT_BYTES_MAX;
            kept.drain(..excess);
        }
    })
}

/// The end of a program's output as text that cannot harm a terminal or a report.
fn tail(output: &[u8]) -> String {
    let from = output.len().saturating_sub(OUTPUT_BYTES_MAX);
    let text = String::from_utf8_lossy(&output[from..]);
    let shown = text.chars().filter(|&c| c != '\r');
    shown.map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..40).collect();
        let mut seen = Vec::new();
        let slow_first = |&item: &u64| {
            std::thread::sleep(Duration::from_micros((40 - item) * 20));
            item
        };
        let taken: Result<(), ()> = each(&items, 4, slow_first, |item| {
            seen.push(item);
            Ok(())
        });
        assert_eq!((taken, seen), (Ok(()), items));
    }

    #[test]
    fn a_failed_report_begins_nothing_more() {
        let begun = AtomicUsize::new(0);
        let count = |_: &u64| begun.fetch_add(1, Ordering::Relaxed);
        assert_eq!(each(&[0; 1000], 1, count, |_| Err("full")), Err("full"));
        assert!(begun.into_inner() <= 1000);
    }

    #[test]
    fn output_is_kept_from_its_end_and_cannot_harm_a_terminal() {
        let long = [b"x".repeat(OUTPUT_BYTES_MAX), b"\x1b[2Jend\r\n".to_vec()].concat();
        let kept = tail(&long);
        assert!(kept.len() <= OUTPUT_BYTES_MAX + 2 && kept.ends_with("\u{fffd}[2Jend\n"));
    }
}
