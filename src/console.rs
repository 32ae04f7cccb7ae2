//! The guest's console on the user's side: keys in, text out.
//!
//! Input is read by a thread into a bounded queue. From a terminal, Ctrl-A introduces the few keys
//! that are for us; from a pipe every byte is the guest's. Output goes straight to its file
//! descriptor, a line or a slice at a time. Neither ever blocks the machine on an absent user.

use crate::stop::{Requester, StopRequest};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use devices::Sink;
use rustix::io::Errno;
use rustix::stdio;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much input waits for the guest. What is typed beyond it is dropped with a bell; a pipe waits.
const INPUT_BYTES_MAX: usize = 1 << 14;
/// How much output waits for a line end or for [`Output::flush`].
const OUTPUT_BYTES_MAX: usize = 4096;
/// How soon a machine that waits for input notices that it should end.
const STOP_POLL: Duration = Duration::from_millis(20);

/// Ctrl-A, which introduces our keys.
const ESCAPE: u8 = 1;

/// The keys after Ctrl-A, for the user.
const KEYS: &str = "\r\n\
    Ctrl-A x   end the run\r\n\
    Ctrl-A h   this help\r\n\
    Ctrl-A Ctrl-A   send Ctrl-A\r\n";

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    /// A byte for the guest.
    Byte(u8),
    /// End the run.
    Exit,
    /// Show the keys.
    Help,
}

/// Tells our keys from the guest's.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

impl Keys {
    fn press(&mut self, byte: u8) -> Option<Key> {
        match (std::mem::take(&mut self.escaped), byte) {
            (false, ESCAPE) => {
                self.escaped = true;
                None
            }
            (true, b'x' | b'X') => Some(Key::Exit),
            (true, b'h' | b'H' | b'?') => Some(Key::Help),
            (true, ESCAPE | b'a') => Some(Key::Byte(ESCAPE)),
            (true, _) => None,
            (false, byte) => Some(Key::Byte(byte)),
        }
    }
}

/// The bytes for the guest's console. At its end, or without a user, it is empty for ever.
///
/// A machine that asks for input is between two slices, or waits: the moments at which output must
/// show, so that a prompt does.
pub(crate) struct Input {
    from: Option<Receiver<u8>>,
    /// A byte that arrived while waiting.
    held: Option<u8>,
    output: Output,
    stop: StopRequest,
    /// Ends a wait when somebody sets it.
    bell: Option<Arc<AtomicBool>>,
}

impl Input {
    /// No input at all.
    pub(crate) fn none(output: Output, stop: StopRequest) -> Self {
        Self { from: None, held: None, output, stop, bell: None }
    }

    /// Standard input, read by a thread that ends with the process.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn stdin(output: Output, stop: StopRequest) -> std::io::Result<Self> {
        let (to, from) = bounded(INPUT_BYTES_MAX);
        let typed = std::io::stdin().is_terminal();
        let asked = stop.clone();
        std::thread::Builder::new()
            .name("console".into())
            .spawn(move || if typed { forward_keys(&to, &asked) } else { forward_bytes(&to) })?;
        Ok(Self { from: Some(from), held: None, output, stop, bell: None })
    }
}

impl Input {
    /// From now on a wait also ends when `bell` is set.
    pub(crate) fn heed(&mut self, bell: Arc<AtomicBool>) {
        self.bell = Some(bell);
    }

    fn is_called(&self) -> bool {
        let rings = self.bell.as_ref().is_some_and(|bell| bell.load(Ordering::Relaxed));
        rings || self.stop.by().is_some()
    }
}

impl machine::Input for Input {
    fn next(&mut self) -> Option<u8> {
        self.output.flush();
        self.held.take().or_else(|| self.from.as_ref()?.try_recv().ok())
    }

    fn wait(&mut self, limit: Option<Duration>) -> bool {
        self.output.flush();
        let begin = Instant::now();
        while self.held.is_none() && !self.is_called() {
            let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let slice = left.unwrap_or(STOP_POLL).min(STOP_POLL);
            match self.from.as_ref().map(|from| from.recv_timeout(slice)) {
                Some(Ok(byte)) => self.held = Some(byte),
                Some(Err(RecvTimeoutError::Timeout)) => {}
                Some(Err(RecvTimeoutError::Disconnected)) => self.from = None,
                None if limit.is_some() => std::thread::sleep(slice),
                None => return false,
            }
        }
        true
    }
}

/// Reads what is there, waiting for something; nothing at the end of input.
fn read_stdin(buffer: &mut [u8]) -> Option<&[u8]> {
    loop {
        match rustix::io::read(stdio::stdin(), &mut *buffer) {
            Ok(0) => return None,
            Ok(length) => return buffer.get(..length),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(&stdio::stdin(), rustix::event::PollFlags::IN),
            Err(_) => return None,
        }
    }
}

fn forward_bytes(to: &Sender<u8>) {
    let mut buffer = [0; 1024];
    while let Some(bytes) = read_stdin(&mut buffer) {
        if bytes.iter().any(|&byte| to.send(byte).is_err()) {
            return;
        }
    }
}

fn forward_keys(to: &Sender<u8>, stop: &StopRequest) {
    let mut keys = Keys::default();
    let mut buffer = [0; 1024];
    while let Some(bytes) = read_stdin(&mut buffer) {
        for key in bytes.iter().filter_map(|&byte| keys.press(byte)) {
            match key {
                Key::Exit => stop.make(Requester::Key),
                Key::Help => tell_user(KEYS),
                Key::Byte(byte) => match to.try_send(byte) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => tell_user("\x07"),
                    Err(TrySendError::Disconnected(_)) => return,
                },
            }
        }
    }
}

/// Says something to the user beside the guest's output. Nobody may be listening.
fn tell_user(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Where the guest's output goes. Clones are the same outlet.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Outlet>>);

struct Outlet {
    to: To,
    waiting: Vec<u8>,
    stop: StopRequest,
}

enum To {
    Stdout,
    File(File, PathBuf),
    Nowhere,
}

impl Output {
    /// Standard output. When nobody reads it any more, `stop` is requested.
    pub(crate) fn stdout(stop: StopRequest) -> Self {
        Self::new(To::Stdout, stop)
    }

    /// A new file, or an old one emptied. When it cannot be written any more, `stop` is requested.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn file(path: &Path, stop: StopRequest) -> std::io::Result<Self> {
        Ok(Self::new(To::File(File::create(path)?, path.to_owned()), stop))
    }

    /// No outlet: output vanishes.
    pub(crate) fn none() -> Self {
        Self::new(To::Nowhere, StopRequest::default())
    }

    fn new(to: To, stop: StopRequest) -> Self {
        Self(Arc::new(Mutex::new(Outlet { to, waiting: Vec::new(), stop })))
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink for a device.
    pub(crate) fn sink(&self) -> Box<dyn Sink> {
        let output = self.clone();
        Box::new(move |bytes: &[u8]| output.put(bytes))
    }

    /// Takes output; it appears at the next line end or flush.
    pub(crate) fn put(&self, bytes: &[u8]) {
        let mut outlet = self.outlet();
        outlet.waiting.extend_from_slice(bytes);
        if outlet.waiting.len() >= OUTPUT_BYTES_MAX || bytes.contains(&b'\n') {
            outlet.flush();
        }
    }

    /// Makes all output appear. For slice ends and before waiting, so that prompts show.
    pub(crate) fn flush(&self) {
        self.outlet().flush();
    }
}

impl Outlet {
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let done = match &mut self.to {
            To::Stdout => write_stdout(&self.waiting),
            To::File(file, _) => file.write_all(&self.waiting),
            To::Nowhere => Ok(()),
        };
        self.waiting.clear();
        if let Err(error) = done {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                self.stop.make(Requester::ConsoleClosed);
            } else {
                let outlet = match &self.to {
                    To::File(_, path) => path.display().to_string(),
                    To::Stdout | To::Nowhere => "standard output".into(),
                };
                tracing::error!("{outlet}: {error}");
                self.stop.make(Requester::ConsoleFailed);
            }
            self.to = To::Nowhere;
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Writes around the standard library's line buffer, which would hold back prompts.
fn write_stdout(mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stdio::stdout(), bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(&stdio::stdout(), rustix::event::PollFlags::OUT),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until a descriptor that somebody made non-blocking is ready.
fn wait_for(descriptor: &impl rustix::fd::AsFd, events: rustix::event::PollFlags) {
    let mut polled = [rustix::event::PollFd::new(descriptor, events)];
    // A failed wait is followed by another read or write, which reports what is wrong.
    let _ = rustix::event::poll(&mut polled, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(text: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        text.iter().filter_map(|&byte| keys.press(byte)).collect()
    }

    #[test]
    fn only_ctrl_a_introduces_our_keys() {
        assert_eq!(press(b"xh"), [Key::Byte(b'x'), Key::Byte(b'h')]);
        assert_eq!(press(b"\x01x"), [Key::Exit]);
        assert_eq!(press(b"\x01h"), [Key::Help]);
        assert_eq!(press(b"\x03\x1a"), [Key::Byte(3), Key::Byte(26)]);
    }

    #[test]
    fn ctrl_a_twice_is_one_for_the_guest() {
        assert_eq!(press(b"\x01\x01x"), [Key::Byte(1), Key::Byte(b'x')]);
        assert_eq!(press(b"\x01qx"), [Key::Byte(b'x')]);
    }

    #[test]
    fn a_machine_waits_for_input_for_ever_only_if_some_can_come() {
        use machine::Input as _;
        let stop = StopRequest::default();
        let mut none = Input::none(Output::none(), stop.clone());
        assert!(!none.wait(None));
        assert!(none.wait(Some(Duration::from_millis(1))));
        let (to, from) = bounded(4);
        let mut some = Input { from: Some(from), ..Input::none(Output::none(), stop) };
        to.send(b'x').unwrap();
        assert!(some.wait(None));
        assert_eq!((some.next(), some.next()), (Some(b'x'), None));
        drop(to);
        assert!(!some.wait(None));
    }

    #[test]
    fn a_request_to_stop_ends_the_wait_for_input() {
        use machine::Input as _;
        let stop = StopRequest::default();
        let (_to, from) = bounded(4);
        let mut input = Input { from: Some(from), ..Input::none(Output::none(), stop.clone()) };
        stop.make(Requester::Key);
        assert!(input.wait(None));
    }

    #[test]
    fn output_appears_at_a_line_end_a_flush_and_the_end() {
        let path = std::env::temp_dir().join(format!("nestwalk-output-{}", std::process::id()));
        let seen = || std::fs::read_to_string(&path).unwrap();
        let output = Output::file(&path, StopRequest::default()).unwrap();
        output.put(b"pro");
        assert_eq!(seen(), "");
        output.put(b"mpt\n$ ");
        assert_eq!(seen(), "prompt\n$ ");
        output.put(b"a");
        output.flush();
        assert_eq!(seen(), "prompt\n$ a");
        output.put(b"b");
        drop(output);
        assert_eq!(seen(), "prompt\n$ ab");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_outlet_that_fails_asks_for_the_end() {
        let stop = StopRequest::default();
        let output = Output::file(Path::new("/dev/full"), stop.clone()).unwrap();
        output.put(b"x\n");
        assert_eq!(stop.by(), Some(Requester::ConsoleFailed));
    }
}
