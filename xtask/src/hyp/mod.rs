//! `cargo xtask hyp`: Debian's kernel as a guest of the embedded hypervisor, at work.
//!
//! Its work is a script that forks, writes files, computes and packs as a build does ([`LOAD`]); what it prints at the end was
//! computed by another shell and awk on another machine. Meanwhile dirty logging goes on and off under every policy
//! ([`toggles`]), or the guest moves from machine to machine ([`moves`]).

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::initramfs;
use crate::inputs::Inputs;
use crate::linux::{self, InputArgs, ScriptInitramfs};
use crate::process::{self, Watched, say};
use crate::scratch::Scratch;

/// The arguments of `cargo xtask hyp`.
#[derive(Args, Debug)]
pub struct HypArgs {
    #[command(subcommand)]
    what: What,
}

/// What happens to the guest.
#[derive(Subcommand, Debug)]
enum What {
    /// Switch dirty logging on and off under every policy, and check each log against a copy of the memory
    Toggles(TogglesArgs),
    /// Move it from machine to machine, and compare both sides' states each time
    Moves(MovesArgs),
}

#[derive(Args, Debug)]
struct TogglesArgs {
    #[command(flatten)]
    common: Common,
    /// Seconds of the guest's time between switching on and off
    #[arg(long, default_value_t = 0.1, value_name = "SECONDS")]
    every: f64,
    /// Policies, separated by commas; all of them unless said otherwise
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    policy: Vec<String>,
}

#[derive(Args, Debug)]
struct MovesArgs {
    #[command(flatten)]
    common: Common,
    /// Moves, all of one run
    #[arg(long, default_value_t = 100, value_name = "N")]
    times: u32,
    /// Seconds of the guest's time between two moves, and before the first
    #[arg(long, default_value_t = 0.04, value_name = "SECONDS")]
    after: f64,
    /// Streams, separated by commas: unix, tcp
    #[arg(long, value_delimiter = ',', default_value = "unix,tcp", value_name = "LIST")]
    over: Vec<String>,
}

/// What every run has.
#[derive(Args, Debug)]
struct Common {
    #[command(flatten)]
    inputs: InputArgs,
    /// Sources that the guest's build has: ten take it about a second of its time [default: 16, and 64 for moves]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    units: Option<u32>,
    /// The guest's memory
    #[arg(long, default_value = "256M", value_name = "SIZE")]
    memory: String,
    /// More arguments for `nestwalk hyp`
    #[arg(last = true, value_name = "ARG")]
    extra: Vec<String>,
}

/// The work. It reads `$units` and `$place`.
const LOAD: &str = include_str!("load.sh");

/// Every policy, as `nestwalk hyp run --policy` knows it.
pub fn policies() -> impl Iterator<Item = String> {
    let splits = ["split-on-fault", "eager-enable", "eager-clear", "no-split", "dbit"];
    splits.into_iter().flat_map(|split| {
        ["", "+recover-lazy", "+recover-eager"].map(|recovery| format!("{split}{recovery}"))
    })
}

/// `cargo xtask hyp`.
pub fn hyp(args: &HypArgs) -> Result<ExitCode> {
    let (common, units) = match &args.what {
        What::Toggles(args) => (&args.common, 16),
        // 100 moves take longer than that.
        What::Moves(args) => (&args.common, 64),
    };
    let units = common.units.unwrap_or(units);
    let inputs = linux::get(&common.inputs)?;
    say("building nestwalk");
    let nestwalk = linux::build_nestwalk()?;
    let script = format!("units={units}\nplace=/tmp\n{LOAD}");
    let initramfs = ScriptInitramfs::new(&inputs, "build", &script)?;
    let guest = Guest { nestwalk: &nestwalk, inputs: &inputs, initramfs: initramfs.path(), common };
    let sum = reference(units)?;
    match &args.what {
        What::Toggles(args) => toggles(&guest, args, &sum),
        What::Moves(args) => moves(&guest, args, &sum),
    }
}

/// What the work prints on this machine.
fn reference(units: u32) -> Result<String> {
    let place = Scratch::folder("build")?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(LOAD).env("units", units.to_string()).env("place", place.path());
    let said = process::output(&mut command).context("the guest's work, on this machine")?;
    Ok(said.trim().to_owned())
}

/// A guest at work.
struct Guest<'a> {
    nestwalk: &'a Path,
    inputs: &'a Inputs,
    initramfs: &'a Path,
    common: &'a Common,
}

impl Guest<'_> {
    /// Runs it with these words; an error unless its work came to what it must.
    fn run(&self, words: &[&str], sum: &str) -> Result<Watched> {
        let mut command = Command::new(self.nestwalk);
        command.args(["hyp", words[0], "--append", linux::KERNEL_ARGUMENTS, "--kernel"]);
        command.arg(self.inputs.image()).arg("--initrd").arg(self.initramfs);
        command.arg("--memory").arg(&self.common.memory).args(&words[1..]);
        command.args(&self.common.extra);
        let ended = process::watch(&mut command, None, false)?;
        let console = String::from_utf8_lossy(&ended.stdout);
        let script = initramfs::script_exit(&ended.stdout);
        let good = script == Some(0) && console.contains(sum);
        if !good || !ended.status.is_some_and(|status| status.success()) {
            let said = String::from_utf8_lossy(&ended.stderr);
            bail!(
                "the guest's work ended with {script:?}, not with \"{sum}\":\n{}{}",
                process::tail(&console),
                process::tail(&said)
            );
        }
        Ok(ended)
    }
}

/// The number in front of `what` in `text`; 0 where there is none.
fn figure(text: &str, what: &str) -> u64 {
    let before = text.split(what).next().filter(|before| before.len() < text.len());
    let number = before.and_then(|before| before.split_whitespace().next_back());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn toggles(guest: &Guest<'_>, args: &TogglesArgs, sum: &str) -> Result<ExitCode> {
    let all: Vec<String> =
        if args.policy.is_empty() { policies().collect() } else { args.policy.clone() };
    println!(
        "| policy | guest's seconds | switched | periods | pages named | as they were | lost | page faults | splits | collapses | fences |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let every = args.every.to_string();
    let mut bad = 0;
    for policy in &all {
        let words = ["run", "--vcpus", "2", "--dirty-log-every", &every, "--policy", policy];
        match guest.run(&words, sum).and_then(|ended| toggled(&ended, policy, args.every)) {
            Ok(row) => println!("{row}"),
            Err(error) => {
                bad += 1;
                println!("| `{policy}` | {error:#} |");
            }
        }
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A row of the table, if there was nothing wrong.
fn toggled(ended: &Watched, policy: &str, every: f64) -> Result<String> {
    let text = String::from_utf8_lossy(&ended.stderr);
    let seconds = figure(&text, " cycles at 1GHz") as f64 / 1e9;
    let (switched, periods) = (figure(&text, " times, "), figure(&text, " periods, "));
    let (lost, failures) = (figure(&text, " lost, "), figure(&text, " failures"));
    ensure!(lost == 0 && failures == 0, "{lost} pages lost, {failures} failures");
    ensure!(text.contains("vm0 powered off:"), "it did not power off:\n{text}");
    let due = (seconds / every) as u64;
    ensure!(
        switched.abs_diff(due) <= 1 && periods == switched / 2,
        "switched {switched} times in {seconds} s"
    );
    let (named, same) = (figure(&text, " pages named"), figure(&text, " of them as they were"));
    let faults = figure(&text, " page faults");
    let (splits, collapses) = (figure(&text, " splits"), figure(&text, " collapses"));
    let local = text.split("by address ").nth(1).map_or(0, |rest| figure(rest, " here"));
    let remote = text.split("by address ").nth(1).map_or(0, |rest| figure(rest, " on others"));
    let by_address = local + remote;
    Ok(format!(
        "| `{policy}` | {seconds:.2} | {switched} | {periods} | {named} | {same} | {lost} | {faults} | {splits} | {collapses} | {by_address} |"
    ))
}

fn moves(guest: &Guest<'_>, args: &MovesArgs, sum: &str) -> Result<ExitCode> {
    println!(
        "| over | moves | states equal | rounds, mean | pages by move, mean | seconds of this machine |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let (times, after) = (args.times.to_string(), args.after.to_string());
    for over in &args.over {
        // So much that a round is a few milliseconds: the guest is to be moved often, not to be on its way all the time.
        let words = [
            "migrate",
            "--bandwidth",
            "64G",
            "--vcpus",
            "2",
            "--times",
            &times,
            "--after",
            &after,
            "--over",
        ];
        let ended = guest.run(&[&words[..], &[over]].concat(), sum).context(over.clone())?;
        println!("{}", moved(&ended, over, args.times)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn moved(ended: &Watched, over: &str, times: u32) -> Result<String> {
    let text = String::from_utf8_lossy(&ended.stderr);
    let equal = text.matches("both sides have state").count();
    let (mut rounds, mut pages) = (0, 0u64);
    for line in text.lines() {
        let Some((_, by_round)) = line.split_once("pages by round ") else { continue };
        let by_round: Vec<u64> = by_round.split(' ').filter_map(|n| n.parse().ok()).collect();
        rounds += by_round.len();
        pages += by_round.iter().skip(1).sum::<u64>();
    }
    ensure!(equal == times as usize, "{equal} of {times} moves had equal states:\n{text}");
    let each = |sum: f64| sum / f64::from(times);
    Ok(format!(
        "| {over} | {times} | {equal} | {:.1} | {:.0} | {:.0} |",
        each(rounds as f64),
        each(pages as f64),
        ended.elapsed.as_secs_f64()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_number_in_front_of_its_word() {
        let text =
            "vm0 powered off: 61 page faults, 1 tables\ndirty logs: switched 9 times, 4 periods";
        assert_eq!(figure(text, " page faults"), 61);
        assert_eq!(figure(text, " times, "), 9);
        assert_eq!(figure(text, " periods"), 4);
        assert_eq!(figure(text, " lost"), 0);
    }

    #[test]
    fn there_are_fifteen_policies() {
        assert_eq!(policies().count(), 15);
    }
}
