//! `nestwalk hyp check` and `nestwalk hyp kill-table`: the hypervisor and the harts, checked against each other.

use crate::cli::{CheckArgs, KillTableArgs};
use crate::exit;
use anyhow::Result;
use hyp_check::{Campaign, Counts, Event, Injected, Strictness, Summary, TLBS, shrink};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

/// Runs `nestwalk hyp check`.
///
/// # Errors
/// The result cannot be written.
pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode> {
    let campaign = Campaign {
        seed: args.seed,
        steps: args.steps.get(),
        policy: args.policy,
        tlb: TLBS.into_iter().find(|tlb| Some(*tlb) == args.tlb.as_deref()),
        ..Campaign::default()
    };
    let begin = Instant::now();
    let mut out = io::stdout().lock();
    match campaign.run(|_| true) {
        Ok(summary) => {
            writeln!(out, "{}, {} s", clean(&summary), begin.elapsed().as_secs())?;
            for event in Event::ALL {
                writeln!(out, "{:>12} {}", summary.counts.events.of(*event), event.text())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(caught) => {
            writeln!(out, "seed {}, {}", caught.seed, caught.failure)?;
            let (smaller, failure) =
                shrink(&caught.schedule, &caught.failure, Injected::Nothing, Strictness::Manual);
            writeln!(out, "\nmade smaller:\n{smaller}{failure}")?;
            writeln!(
                out,
                "\nagain with --seed {} --steps 1 and the same --policy and --tlb",
                caught.seed
            )?;
            Ok(ExitCode::from(exit::FAILED))
        }
    }
}

fn clean(summary: &Summary) -> String {
    let Summary { schedules, steps, counts } = summary;
    let Counts { accesses, in_operations, faults, fences, logs, .. } = counts;
    format!(
        "clean: {steps} steps in {schedules} schedules, {accesses} accesses ({in_operations} in the middle of an \
         operation), {faults} guest-page faults, {fences} fences, {logs} logs read"
    )
}

/// Runs `nestwalk hyp kill-table`, which a build without faults cannot.
///
/// # Errors
/// This build has no faults.
#[cfg(not(feature = "faults"))]
pub(crate) fn kill_table(_: &KillTableArgs) -> Result<ExitCode> {
    anyhow::bail!(
        "this build has no faults to put in; one that has: cargo run --release --features faults -- hyp kill-table"
    )
}

/// Runs `nestwalk hyp kill-table`.
///
/// # Errors
/// The result cannot be written.
#[cfg(feature = "faults")]
pub(crate) fn kill_table(args: &KillTableArgs) -> Result<ExitCode> {
    use hyp_check::kill::{self, Bounds, Row};

    let bounds = Bounds { seed: args.seed, schedules: args.schedules, shrinks: args.shrink };
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    let head =
        ["fault", "noticed by", "schedules", "steps", "shortest", "by the manual", "published"];
    if !args.json {
        written = line(&mut out, &head.map(str::to_owned));
    }
    let rows = kill::table(bounds, args.fault.as_deref(), |row| {
        if !args.json && written.is_ok() {
            written = line(&mut out, &cells(row));
        }
    });
    written?;
    if rows.is_empty() {
        anyhow::bail!("no fault has this name; without --fault all are listed");
    }
    let is_good = |row: &Row| row.caught.as_ref().is_some_and(|caught| caught.clean_without);
    let good = rows.iter().filter(|row| is_good(row)).count();
    if args.json {
        let rows: Vec<serde_json::Value> = rows.iter().map(json).collect();
        writeln!(out, "{:#}", serde_json::Value::from(rows))?;
    } else {
        writeln!(
            out,
            "{good} of {} faults noticed; the same schedule without the fault is clean for each of them",
            rows.len()
        )?;
    }
    Ok(ExitCode::from(if good == rows.len() { 0 } else { exit::FAILED }))
}

#[cfg(feature = "faults")]
fn line(out: &mut impl Write, cells: &[String; 7]) -> io::Result<()> {
    let [fault, property, schedules, steps, shortest, manual, source] = cells;
    writeln!(
        out,
        "{fault:<32} {property:<23} {schedules:>9} {steps:>8} {shortest:>8}  {manual:<28} {source}"
    )
}

#[cfg(feature = "faults")]
fn cells(row: &hyp_check::kill::Row) -> [String; 7] {
    let (name, source) = (row.name.to_owned(), row.source.to_owned());
    let nothing = || "-".to_owned();
    let Some(caught) = &row.caught else {
        return [name, "NOTHING".to_owned(), nothing(), nothing(), nothing(), nothing(), source];
    };
    let mut property = caught.property.to_string();
    if !caught.clean_without {
        property.push_str(" (TOO)");
    }
    let shortest = caught.shortest.map_or_else(nothing, |steps| steps.to_string());
    let manual = row.by_the_manual;
    let manual =
        manual.map_or_else(nothing, |(property, schedules)| format!("{property}, {schedules}"));
    let (schedules, steps) = (caught.schedules.to_string(), caught.steps.to_string());
    [name, property, schedules, steps, shortest, manual, source]
}

#[cfg(feature = "faults")]
fn json(row: &hyp_check::kill::Row) -> serde_json::Value {
    use hyp_check::kill::Side;

    let side = match row.side {
        Side::Software => "software",
        Side::Hardware => "hardware",
    };
    let caught = row.caught.as_ref().map(|caught| {
        serde_json::json!({
            "property": caught.property.to_string(),
            "seed": caught.seed,
            "schedules": caught.schedules,
            "steps": caught.steps,
            "shortest": caught.shortest,
            "clean_without": caught.clean_without,
        })
    });
    serde_json::json!({
        "fault": row.name,
        "side": side,
        "what": row.doc,
        "published": row.source,
        "caught": caught,
        "by_the_manual": row.by_the_manual.map(|(property, schedules)| {
            serde_json::json!({ "property": property.to_string(), "schedules": schedules })
        }),
    })
}
