//! Requests from outside the machine to end a run: keys, signals, an outlet that has closed.

use crate::terminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a run may take to end after a signal before the signal ends the process.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who asked for the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Requester {
    /// Ctrl-A x on the console.
    Key,
    /// A signal, by number.
    Signal(i32),
    /// Nobody reads the console's output any more.
    ConsoleClosed,
    /// The console's output cannot be written, as on a full disk.
    ConsoleFailed,
    /// Events cannot be written, as on a full disk.
    EventsFailed,
    /// The wall-clock limit.
    Timeout,
    /// A debugger killed the machine.
    Debugger,
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("ended from the console"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "ended by {name}"),
                None => write!(f, "ended by signal {number}"),
            },
            Self::ConsoleClosed => f.write_str("the reader of the console's output went away"),
            Self::ConsoleFailed => f.write_str("the console's output could not be written"),
            Self::EventsFailed => f.write_str("the events could not be written"),
            Self::Timeout => f.write_str("time limit reached"),
            Self::Debugger => f.write_str("ended by the debugger"),
        }
    }
}

/// A request to end the run; the first one counts. Clones are the same request.
#[derive(Clone, Default)]
pub(crate) struct StopRequest(Arc<Inner>);

#[derive(Default)]
struct Inner {
    made: Arc<AtomicBool>,
    by: OnceLock<Requester>,
}

impl StopRequest {
    /// Asks for the end.
    pub(crate) fn make(&self, by: Requester) {
        // A later requester changes nothing: the run already ends for the first one's reason.
        let _ = self.0.by.set(by);
        self.0.made.store(true, Ordering::Release);
    }

    /// Who asked for the end, if anybody did.
    pub(crate) fn by(&self) -> Option<Requester> {
        self.0.by.get().copied()
    }

    /// What the machine looks at between slices: true once the end was asked for.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.made.clone()
    }

    /// From now on SIGINT, SIGTERM and SIGHUP make this request, and the terminal is put back while
    /// SIGTSTP stops the process.
    ///
    /// # Errors
    /// The system refuses the handlers or a thread.
    pub(crate) fn on_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP])?;
        let request = self.clone();
        let watch = move || {
            for signal in signals.forever() {
                if signal == SIGTSTP {
                    terminal::restored_during(|| {
                        let _ = emulate_default_handler(SIGTSTP);
                    });
                    continue;
                }
                request.make(Requester::Signal(signal));
                // The run usually ends within a slice, and this thread with the process.
                std::thread::sleep(PATIENCE);
                terminal::restore();
                let _ = emulate_default_handler(signal);
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(watch)?;
        Ok(())
    }

    /// Makes this request when `limit` of wall time has passed, unless the guard is dropped before.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn after(&self, limit: Duration) -> std::io::Result<Watchdog> {
        let (alive, ended) = mpsc::channel();
        let request = self.clone();
        let watch = move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                request.make(Requester::Timeout);
            }
        };
        std::thread::Builder::new().name("timeout".into()).spawn(watch)?;
        Ok(Watchdog { _alive: alive })
    }
}

/// Holds a time limit; see [`StopRequest::after`].
pub(crate) struct Watchdog {
    _alive: mpsc::Sender<()>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_counts() {
        let request = StopRequest::default();
        let flag = request.flag();
        assert!(!flag.load(Ordering::Acquire));
        request.clone().make(Requester::Key);
        request.make(Requester::Timeout);
        assert!(flag.load(Ordering::Acquire));
        assert_eq!(request.by(), Some(Requester::Key));
        assert_eq!(Requester::Signal(15).to_string(), "ended by SIGTERM");
    }

    #[test]
    fn a_dropped_watchdog_asks_for_nothing() {
        let dropped = StopRequest::default();
        drop(dropped.after(Duration::from_millis(20)).unwrap());
        let kept = StopRequest::default();
        let _watchdog = kept.after(Duration::from_millis(20)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(dropped.by(), None);
        assert_eq!(kept.by(), Some(Requester::Timeout));
    }
}
