//! `nestwalk calibrate`: runs the programs whose cycles are known on the cores that they were measured on, and says how
//! far off the models are.

mod reference;
mod summary;

use crate::cli::{CalibrateArgs, MachineOptions};
use crate::{build, cores, diagnostics, exit};
use anyhow::{Context, Result, bail, ensure};
use devices::Sink;
use machine::config::Boot;
use machine::{Limits, Machine, NoInput, Stop};
use reference::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use summary::{Compared, Comparison};

/// Instructions after which a program is given up: a hundred times what the longest needs.
const INSNS_MAX: u64 = 10_000_000_000;
/// The most that is kept of what a program prints, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Runs `nestwalk calibrate`.
///
/// # Errors
/// The folder has no reference, a core cannot be had, or a program does not run.
pub(crate) fn run(args: &CalibrateArgs) -> Result<ExitCode> {
    diagnostics::start(None)?;
    let rows = reference::read(&args.folder)?;
    let comparisons = compare_all(args, &rows)?;
    let mut out = io::stdout().lock();
    if let Some(path) = args.write.as_deref().or(args.check.as_deref()) {
        let document = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let table = summary::markdown(&comparisons);
        let new =
            summary::replaced(&document, &table).with_context(|| path.display().to_string())?;
        if args.check.is_some() && new != document {
            exit::say(format!("{}: another table comes out:\n{table}", path.display()));
            return Ok(ExitCode::from(exit::FAILED));
        }
        if args.write.is_some() && new != document {
            fs::write(path, new).with_context(|| path.display().to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        let all: Vec<_> = comparisons.iter().map(Comparison::json).collect();
        writeln!(out, "{:#}", serde_json::json!({ "schema": 1, "comparisons": all }))?;
    } else {
        for comparison in &comparisons {
            writeln!(out, "{}", comparison.text(args.worst))?;
        }
    }
    let exact = comparisons.iter().all(|comparison| comparison.miscounted() == 0);
    Ok(ExitCode::from(if exact { 0 } else { exit::FAILED }))
}

/// Every core that is asked for at every latency that is.
fn compare_all(args: &CalibrateArgs, rows: &[Row]) -> Result<Vec<Comparison>> {
    let measured: BTreeSet<&str> = rows.iter().map(|row| &*row.core).collect();
    let mut asked = Vec::new();
    if args.core.is_empty() {
        for (name, _) in timing::PRESETS {
            let core = timing::Core::preset(name)?;
            if core.measured_as.as_deref().is_some_and(|name| measured.contains(name)) {
                asked.push(core);
            }
        }
    }
    for name in &args.core {
        asked.push(cores::named_core(name)?);
    }
    let mut comparisons = Vec::new();
    for core in &asked {
        let Some(known) = &core.measured_as else {
            bail!("{}: 'measured_as' does not say which core of the reference it is", core.name);
        };
        let rows: Vec<&Row> = rows.iter().filter(|row| row.core == *known).collect();
        let latencies: BTreeSet<u64> = if args.mem_latency.is_empty() {
            rows.iter().map(|row| row.latency).collect()
        } else {
            args.mem_latency.iter().map(|count| count.0).collect()
        };
        for latency in latencies {
            let rows: Vec<&Row> =
                rows.iter().copied().filter(|row| row.latency == latency).collect();
            ensure!(!rows.is_empty(), "{known} was not measured at latency {latency}");
            comparisons.push(compare(&args.folder, core, latency, &rows)?);
        }
    }
    ensure!(!comparisons.is_empty(), "no preset is in the reference");
    Ok(comparisons)
}

fn compare(folder: &Path, core: &timing::Core, latency: u64, rows: &[&Row]) -> Result<Comparison> {
    let has_h = isa::ExtSet::parse(&core.isa)?.contains(isa::Ext::H);
    let mut printed: BTreeMap<String, Option<BTreeMap<String, [u64; 2]>>> = BTreeMap::new();
    let mut comparison =
        Comparison { core: core.name.clone(), latency, rows: Vec::new(), absent: 0 };
    for &row in rows {
        let program = row.program(has_h);
        if !printed.contains_key(&program) {
            let path = folder.join(format!("{program}.elf"));
            let lines = if path.is_file() { Some(lines_of(&path, core, latency)?) } else { None };
            printed.insert(program.clone(), lines);
        }
        let Some(Some(lines)) = printed.get(&program) else {
            comparison.absent += 1;
            continue;
        };
        let Some(&[cycles, instret]) = lines.get(&row.benchmark) else {
            bail!("{program}.elf does not print a line '{}'", row.benchmark);
        };
        comparison.rows.push(Compared { row: row.clone(), cycles, instret });
    }
    Ok(comparison)
}

/// Runs a program on a core: cycles and instructions of each line `name,ops,cycles,instret`.
fn lines_of(path: &Path, core: &timing::Core, latency: u64) -> Result<BTreeMap<String, [u64; 2]>> {
    let context = || path.display().to_string();
    let options = MachineOptions {
        isa: Some(core.isa.clone()),
        test_device: Some(true),
        ..MachineOptions::default()
    };
    let boot = Boot { program: Some(path.to_owned()), ..Boot::default() };
    let mut setup = build::setup(&options, boot).with_context(context)?;
    setup.core = Some((core.clone(), Some(latency)));
    let output = Arc::new(Mutex::new(Vec::new()));
    let mut machine = Machine::new(setup, &|| sink(&output)).with_context(context)?;
    let never = AtomicBool::new(false);
    let ended = machine
        .run(&Limits { insns: INSNS_MAX, stop: &never }, &mut NoInput)
        .with_context(context)?;
    ensure!(ended == Stop::Exit { code: 0 }, "{}: {ended:?}", path.display());
    let output = output.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&output);
    let lines = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.trim().split(',').collect();
        let [name, _, cycles, instret] = fields[..] else { return None };
        Some((name.to_owned(), [cycles.parse().ok()?, instret.parse().ok()?]))
    });
    Ok(lines.collect())
}

fn sink(output: &Arc<Mutex<Vec<u8>>>) -> Box<dyn Sink> {
    let output = Arc::clone(output);
    Box::new(move |bytes: &[u8]| {
        let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < OUTPUT_BYTES_MAX {
            kept.extend_from_slice(bytes);
        }
    })
}
