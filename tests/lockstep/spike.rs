//! Spike as the other side: how it is started, and its log as records.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

/// The flags that decide what the machine is; the ISA string stands beside the programs.
const MACHINE: &[&str] = &["-p1", "-m2048", "--pmpregions=16", "--triggers=0", "--blocksz=64"];

/// A retired instruction, as Spike tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Line {
    /// The whole line, without its line break.
    pub(crate) text: String,
    pub(crate) pc: u64,
    pub(crate) bits: u32,
    /// Registers by the name in the log (`x5`, `f0`, `c768_mstatus`), and their values.
    pub(crate) written: Vec<(String, u64)>,
    /// Everything from the first `mem` on.
    pub(crate) memory: String,
}

/// What the log reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    /// An instruction retired.
    Commit(Line),
    /// A trap, with the lines that tell of it.
    Trap {
        /// All its lines, with line breaks.
        text: String,
        /// For an interrupt, its number.
        interrupt: Option<u64>,
        /// For an exception, the instruction that was last fetched.
        bits: u32,
    },
}

/// Where `spike` is, if it is on the `PATH`.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("spike")).find(|file| file.is_file())
}

/// Starts `elf` on Spike, which then runs as far as its log is read.
pub(crate) fn start(spike: &Path, isa: &str, elf: &Path) -> Result<Records> {
    let mut child = Command::new(spike)
        .arg(format!("--isa={isa}"))
        .args(MACHINE)
        .args(["-l", "--log-commits", "--log=/dev/stdout"])
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("spike does not start")?;
    let lines = BufReader::new(child.stdout.take().context("spike has no output")?);
    Ok(Records { child, lines, ahead: None, fetched: 0 })
}

/// The commit log of `elf` by itself, `isa` being the whole argument.
pub(crate) fn log(spike: &Path, isa: &str, elf: &Path) -> Result<String> {
    let mut command = Command::new(spike);
    command.arg(isa).args(MACHINE).args(["--log-commits", "--log=/dev/stdout"]).arg(elf);
    let output = command.stdin(Stdio::null()).output().context("spike does not start")?;
    Ok(String::from_utf8(output.stdout)?)
}

/// The records of a log, in order. Lines that only list what is fetched are passed over.
pub(crate) struct Records {
    child: Child,
    lines: BufReader<ChildStdout>,
    ahead: Option<String>,
    fetched: u32,
}

/// A program that has ended spins until Spike notices.
impl Drop for Records {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Records {
    fn line(&mut self) -> Result<Option<String>> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(line));
        }
        let mut line = String::new();
        Ok((self.lines.read_line(&mut line)? != 0).then_some(line))
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        while let Some(line) = self.line()? {
            let Some(rest) = line.strip_prefix("core   0: ") else {
                bail!("spike logs a line of an unknown form: {line:?}");
            };
            if rest.starts_with("exception ") {
                let interrupt = rest
                    .strip_prefix("exception interrupt #")
                    .and_then(|rest| rest.split(',').next()?.parse().ok());
                let mut text = line;
                match self.line()? {
                    Some(next) if next.contains(":           tval ") => text.push_str(&next),
                    next => self.ahead = next,
                }
                return Ok(Some(Record::Trap { text, interrupt, bits: self.fetched }));
            }
            // A fetched instruction begins with its address, a symbol with `>>>>`, a retired one
            // with the digit of its privilege.
            if rest.starts_with("0x") {
                let word = rest.split(['(', ')']).nth(1).and_then(hex);
                self.fetched = word.and_then(|word| u32::try_from(word).ok()).unwrap_or(0);
            } else if rest.starts_with(|first: char| first.is_ascii_digit()) {
                let line = commit(line.trim_end(), rest)
                    .with_context(|| format!("spike logs {line:?}"))?;
                return Ok(Some(Record::Commit(line)));
            }
        }
        Ok(None)
    }
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

fn commit(text: &str, rest: &str) -> Option<Line> {
    let (registers, memory) = match rest.find(" mem ") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let mut words = registers.split_whitespace().skip(1);
    let pc = hex(words.next()?)?;
    let bits = hex(words.next()?.trim_matches(['(', ')']))?;
    let mut written = Vec::new();
    while let Some(name) = words.next() {
        written.push((name.to_owned(), hex(words.next()?)?));
    }
    let bits = u32::try_from(bits).ok()?;
    Some(Line { text: text.to_owned(), pc, bits, written, memory: memory.trim_end().to_owned() })
}
