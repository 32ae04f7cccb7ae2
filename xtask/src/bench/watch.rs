//! A run of an emulator: what processor time its process had used when the console came to certain lines, and in all.
//!
//! So start-up is known from the very run it belongs to. Another run's would do only where it is short: how long it takes to have
//! hundreds of MiB for the first time varies tenfold with the size of the pages that the native system has just then.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait4::Wait4;

use crate::process;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch<'a> {
    /// Text in lines of the console; the first line that has it counts.
    pub(super) marks: &'a [&'static str],
    /// The line with which a run ends whose process does not.
    pub(super) last: Option<&'static str>,
    /// Bytes of the machine's RAM, where memory besides it is wanted.
    pub(super) ram: Option<u64>,
    /// Wall time after which the run is given up.
    pub(super) limit: Duration,
}

/// What a run took.
#[derive(Debug)]
pub(super) struct Watched {
    /// Processor seconds, user and system, when each line was there, to the hundredth.
    marks: Vec<(&'static str, f64)>,
    /// Processor seconds in all.
    pub(super) seconds: f64,
    /// MiB of native memory besides RAM, the most that was seen at a mark.
    pub(super) beyond_ram_mib: Option<f64>,
    pub(super) console: String,
}

impl Watched {
    /// Processor seconds at a mark.
    pub(super) fn at(&self, mark: &str) -> Result<f64> {
        let found = self.marks.iter().find(|(text, _)| *text == mark);
        let found = found.with_context(|| {
            format!("no line with `{mark}` came\n{}", process::tail(&self.console))
        })?;
        Ok(found.1)
    }
}

impl Watch<'_> {
    /// Runs the command; an end without success is an error.
    pub(super) fn run(&self, command: &mut Command) -> Result<Watched> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("it does not start")?;
        let out = child.stdout.take().context("no pipe")?;
        let (sender, receiver) = mpsc::channel();
        let reader = thread::spawn(move || read_lines(out, &sender));
        let deadline = Instant::now() + self.limit;
        let mut seen = Watched {
            marks: Vec::new(),
            seconds: 0.0,
            beyond_ram_mib: None,
            console: String::new(),
        };
        let mut is_over = false;
        let mut is_late = false;
        while !is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(line) => {
                    self.note(child.id(), &line, &mut seen);
                    is_over = self.last.is_some_and(|last| line.contains(last));
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => (is_over, is_late) = (true, true),
            }
        }
        if is_over {
            child.kill()?;
        }
        let ended = child.wait4()?;
        // What a killed program's reader still has is of no use.
        drop(receiver);
        let _ = reader.join();
        if is_late || !is_over && !ended.status.success() {
            let late = if is_late { " after too long a time" } else { "" };
            bail!("it ended with {}{late}\n{}", ended.status, process::tail(&seen.console));
        }
        seen.seconds = (ended.rusage.utime + ended.rusage.stime).as_secs_f64();
        Ok(seen)
    }

    /// Looks at the process if the line is one of those.
    fn note(&self, process: u32, line: &str, seen: &mut Watched) {
        let mut is_looked_at = false;
        for mark in self.marks {
            if line.contains(mark) && seen.marks.iter().all(|(text, _)| text != mark) {
                // A process that is gone already has no mark, which whoever needs it says.
                if let Some(used) = process::processor_time(process) {
                    seen.marks.push((mark, used.as_secs_f64()));
                    is_looked_at = true;
                }
            }
        }
        if is_looked_at && let Some(now) = self.ram.and_then(|ram| beyond_ram(process, ram)) {
            seen.beyond_ram_mib = Some(now.max(seen.beyond_ram_mib.unwrap_or(0.0)));
        }
        seen.console += line;
        seen.console.push('\n');
    }
}

/// Hands on each line until there are no more or nobody listens.
fn read_lines(out: impl Read, sender: &mpsc::Sender<String>) {
    let mut out = BufReader::new(out);
    let mut line = Vec::new();
    while out.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if sender.send(text).is_err() {
            return;
        }
        line.clear();
    }
}

/// MiB of native memory that a process has besides the machine's RAM: what is resident of all its mappings but the
/// one that has the size of RAM (proc(5), `smaps`).
fn beyond_ram(process: u32, ram: u64) -> Option<f64> {
    beyond(&fs::read_to_string(format!("/proc/{process}/smaps")).ok()?, ram)
}

fn beyond(smaps: &str, ram: u64) -> Option<f64> {
    let (mut of_ram, mut kib, mut is_ram) = (0, 0, false);
    for line in smaps.lines() {
        if let Some(resident) = line.strip_prefix("Rss:") {
            let resident: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
            if !is_ram {
                kib += resident;
            }
        } else if let Some((from, to)) = line.split(' ').next()?.split_once('-') {
            let number = |text| u64::from_str_radix(text, 16).ok();
            is_ram = number(to)?.checked_sub(number(from)?)? >= ram;
            of_ram += u64::from(is_ram);
        }
    }
    (of_ram == 1).then_some(kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str, last: Option<&'static str>, limit: Duration) -> Result<Watched> {
        let watch = Watch { marks: &["ready", "over"], last, ram: None, limit };
        watch.run(Command::new("sh").args(["-c", text]))
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const BUSY: &str = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";

    #[test]
    fn what_was_used_before_a_line_and_after_it_is_told_apart() {
        let seen =
            shell(&format!("echo ready; {BUSY}; echo over; sleep 0.1; {BUSY}"), None, MINUTE);
        let seen = seen.unwrap();
        let (ready, over) = (seen.at("ready").unwrap(), seen.at("over").unwrap());
        assert!(ready < over && over < seen.seconds, "{seen:?}");
        assert!(seen.at("never").is_err());
    }

    #[test]
    fn a_run_ends_with_its_process_its_last_line_or_its_time() {
        assert!(shell("echo ready; exit 3", None, MINUTE).is_err());
        assert!(shell("echo ready; exec sleep 60", Some("ready"), MINUTE).is_ok());
        let late = shell("echo ready; exec sleep 60", None, Duration::from_millis(200));
        let late = format!("{:#}", late.unwrap_err());
        assert!(late.contains("too long") && late.contains("ready"), "{late}");
    }

    #[test]
    fn memory_beyond_ram_is_all_but_the_mapping_of_its_size() {
        let smaps = "55d0-55e0 r-xp 00000000 fe:00 1 /bin/x\nSize: 64 kB\nRss: 1024 kB\nPss: 9 kB\n\
                     10000000-50000000 rw-p 00000000 00:00 0\nRss: 90000 kB\nVmFlags: rd wr\n\
                     60000000-60400000 rw-p 00000000 00:00 0 [heap]\nRss: 2048 kB\n";
        assert_eq!(beyond(smaps, 1 << 30), Some(3.0));
        assert_eq!(beyond(smaps, 2 << 30), None);
    }
}
