//! Running other programs: found by name, watched, and explained when they fail.
//!
//! Every helper here turns a failure into one message that names the program, what it was asked to do and the
//! last lines it said. Nothing here kills a program it did not start.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many closing lines of a failed program its error message repeats.
const TAIL_LINES: usize = 12;

/// Tells the user what is being done, on stderr: stdout belongs to the machine's console.
pub fn say(text: &str) {
    eprintln!("==> {text}");
}

/// The path of a program on `PATH`, or `None`.
pub fn find(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// The `cargo` that started us, or the one on `PATH`.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a program that shares our terminal; an unsuccessful exit is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a program quietly and returns what it wrote to stdout; when it fails, the error carries the end of its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({})\n{}", describe(command), output.status, tail(&said).trim_end());
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} wrote bytes that are not UTF-8", describe(command)))
}

/// What a watched program did.
pub struct Watched {
    /// Its exit status; `None` when it was stopped because the time was up.
    pub status: Option<ExitStatus>,
    /// Everything it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote to stderr.
    pub stderr: Vec<u8>,
    /// Wall time from start to end.
    pub elapsed: Duration,
    /// Processor time, user and system, to some tens of milliseconds; zero where /proc does not tell.
    pub cpu: Duration,
}

/// Runs a program without input, keeps both its streams (and repeats them as they come when `echo` is set), and
/// stops it once `limit` has passed.
pub fn watch(command: &mut Command, limit: Option<Duration>, echo: bool) -> Result<Watched> {
    watch_lines(command, limit, echo, |_, _| {})
}

/// As [`watch`], and hands each line of stdout to `each` as soon as it is complete, without its end, and with the
/// processor time that the program has used by then.
pub fn watch_lines(
    command: &mut Command,
    limit: Option<Duration>,
    echo: bool,
    each: impl FnMut(&str, Duration) + Send,
) -> Result<Watched> {
    watch_streams(command, limit, echo, each, |_| {})
}

/// As [`watch_lines`], and hands each line of stderr to `hear`.
pub fn watch_streams(
    command: &mut Command,
    limit: Option<Duration>,
    echo: bool,
    mut each: impl FnMut(&str, Duration) + Send,
    hear: impl FnMut(&str) + Send,
) -> Result<Watched> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    let out = child.stdout.take().context("the program has no stdout")?;
    let err = child.stderr.take().context("the program has no stderr")?;
    let process = child.id();
    thread::scope(|scope| {
        let mut used = Duration::ZERO;
        let each = move |line: &str| {
            used = processor_time(process).unwrap_or(used);
            each(line, used);
        };
        let out = scope.spawn(move || copy(out, echo.then(io::stdout), each));
        let err = scope.spawn(move || copy(err, echo.then(io::stderr), hear));
        let mut cpu = Duration::ZERO;
        let status = loop {
            // Looked at before each wait, because nothing is left to look at afterwards.
            cpu = processor_time(process).unwrap_or(cpu);
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if limit.is_some_and(|limit| start.elapsed() > limit) {
                child.kill()?;
                child.wait()?;
                break None;
            }
            thread::sleep(Duration::from_millis(20));
        };
        let gone = |_| anyhow::anyhow!("a thread that reads the program's output ended early");
        let (stdout, stderr) = (out.join().map_err(gone)??, err.join().map_err(gone)??);
        Ok(Watched { status, stdout, stderr, elapsed: start.elapsed(), cpu })
    })
}

/// What the process has used so far: fields 14 and 15 of /proc/PID/stat (proc(5)), in hundredths of a second.
pub fn processor_time(process: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut hundredths = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((hundredths()? + hundredths()?).saturating_mul(10)))
}

/// Runs a program that shares our stderr, repeats its stdout line by line and hands each line to `each`.
pub fn lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    let out = child.stdout.take().context("the program has no stdout")?;
    let mut reader = BufReader::new(out);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        each(text.trim_end());
        line.clear();
    }
    Ok(child.wait()?)
}

/// The last lines of a text, indented, for an error message.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..].iter().map(|line| format!("    {line}\n")).collect()
}

fn copy<W: Write>(
    mut from: impl Read,
    mut echo: Option<W>,
    mut each: impl FnMut(&str),
) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut line_start = 0;
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(kept),
            Ok(count) => {
                kept.extend_from_slice(&buffer[..count]);
                if let Some(echo) = &mut echo {
                    echo.write_all(&buffer[..count])?;
                    echo.flush()?;
                }
                while let Some(bytes) = kept[line_start..].iter().position(|&byte| byte == b'\n') {
                    let line = &kept[line_start..line_start + bytes];
                    each(String::from_utf8_lossy(line).trim_end());
                    line_start += bytes + 1;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn describe(command: &Command) -> String {
    let mut text = format!("`{}", command.get_program().display());
    for argument in command.get_args().take(6) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    if command.get_args().len() > 6 {
        text.push_str(" …");
    }
    text + "`"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_a_failed_program_is_in_the_error() {
        let error = output(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]));
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("no such thing") && text.contains("3"), "{text}");
    }

    #[test]
    fn a_program_is_stopped_when_its_time_is_up() {
        let mut sleeper = Command::new("sleep");
        let watched = watch(sleeper.arg("60"), Some(Duration::from_millis(50)), false).unwrap();
        assert!(watched.status.is_none());
        assert!(watched.elapsed < Duration::from_secs(30));
    }

    #[test]
    fn both_streams_of_a_watched_program_are_kept() {
        let mut shell = Command::new("sh");
        let watched = watch(shell.args(["-c", "echo out; echo err >&2"]), None, false).unwrap();
        assert!(watched.status.unwrap().success());
        assert_eq!(watched.stdout, b"out\n");
        assert_eq!(watched.stderr, b"err\n");
    }

    #[test]
    fn each_line_is_told_once_however_it_arrives() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf 'a\\nb'; sleep 0.1; printf 'c\\r\\n\\nd'"]);
        let mut lines = Vec::new();
        watch_lines(&mut shell, None, false, |line, _| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["a", "bc", ""]);
    }

    #[test]
    fn processor_time_is_what_the_program_used() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done"]);
        let busy = watch(&mut shell, None, false).unwrap();
        assert!(busy.cpu > Duration::ZERO && busy.cpu <= busy.elapsed * 2, "{:?}", busy.cpu);
        let idle = watch(Command::new("sleep").arg("0.3"), None, false).unwrap();
        assert!(idle.cpu < idle.elapsed / 2, "{:?}", idle.cpu);
    }

    #[test]
    fn each_line_comes_with_the_time_used_so_far() {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "echo first; i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo last; sleep 0.1",
        ]);
        let mut stamps = Vec::new();
        let watched = watch_lines(&mut shell, None, false, |_, cpu| stamps.push(cpu)).unwrap();
        // On a busy machine both lines may be read at once, behind the loop.
        assert!(stamps.len() == 2 && stamps[0] <= stamps[1], "{stamps:?}");
        let all = watched.cpu;
        assert!(stamps[1] > all / 2 && stamps[1] <= all, "{stamps:?}, {all:?}");
    }
}
