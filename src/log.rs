//! The commit log as a file: lines as they come, and the first error kept until the run is over.

use crate::cli::{LogFormat as Choice, RunOptions};
use anyhow::{Context, Result};
use cpu::Event;
use machine::LogFormat;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::rc::Rc;

/// The commit log of a run, if one is wanted. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct CommitLog(Rc<RefCell<Outlet>>);

struct Outlet {
    to: BufWriter<Box<dyn Write>>,
    format: LogFormat,
    line: String,
    error: Option<io::Error>,
}

impl CommitLog {
    /// The log that the options ask for.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn wanted(options: &RunOptions) -> Result<Option<Self>> {
        if !options.log_commits.unwrap_or(options.log.is_some()) {
            return Ok(None);
        }
        let to: Box<dyn Write> = match &options.log {
            None => Box::new(io::stderr()),
            Some(path) => {
                let made = File::create(path);
                Box::new(made.with_context(|| format!("--log {}", path.display()))?)
            }
        };
        let format = match options.log_format.unwrap_or_default() {
            Choice::Spike => LogFormat::Spike,
            Choice::V => LogFormat::Guest,
        };
        let (to, line) = (BufWriter::new(to), String::new());
        Ok(Some(Self(Rc::new(RefCell::new(Outlet { to, format, line, error: None })))))
    }

    /// What a machine calls.
    pub(crate) fn hook(&self) -> Box<machine::Log> {
        let log = self.clone();
        Box::new(move |event| log.0.borrow_mut().write(event))
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The first error of the whole log: it is not complete.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut outlet = self.0.borrow_mut();
        match outlet.error.take() {
            Some(error) => Err(error),
            None => outlet.to.flush(),
        }
    }
}

impl Outlet {
    fn write(&mut self, event: Event<'_>) {
        if self.error.is_some() {
            return;
        }
        self.line.clear();
        match (event, self.format) {
            (Event::Commit(commit), format) => format.commit(&mut self.line, commit),
            // Spike's --log-commits leaves traps out.
            (Event::Trap(_), LogFormat::Spike) => return,
            (Event::Trap(trap), format) => format.trap(&mut self.line, &trap),
        }
        self.error = self.to.write_all(self.line.as_bytes()).err();
    }
}
