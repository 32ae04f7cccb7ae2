//! Events and statistics of a run as files: lines as they come, the first error kept, statistics at the end.

use crate::cli::{Console, RunOptions};
use crate::stop::{Requester, StopRequest};
use anyhow::{Context, Result, ensure};
use machine::events::{Event, EventKinds, Header, Observing, Stats};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who writes these files.
const GENERATOR: &str = concat!("nestwalk ", env!("CARGO_PKG_VERSION"));

/// What stands for standard output in place of a file.
const STDOUT: &str = "-";

/// The events and statistics that are wanted of a run. Clones write to the same place.
#[derive(Default)]
pub(crate) struct Records {
    events: Option<EventFile>,
    stats: Option<File>,
    counted: bool,
}

impl Records {
    /// The files that the options ask for, empty but for the first line of events.
    ///
    /// # Errors
    /// A file cannot be made, or events would mix with the console's output.
    pub(crate) fn wanted(
        options: &RunOptions,
        harts: usize,
        cpu_hz: u64,
        stop: &StopRequest,
    ) -> Result<Self> {
        ensure!(
            options.events.is_some() || options.event_kinds.is_none(),
            "--event-kinds chooses among the events of --events FILE, which is missing"
        );
        let kinds = options.event_kinds.map_or_else(EventKinds::default, |kinds| kinds.0);
        let events = match &options.events {
            None => None,
            Some(path) => {
                ensure!(
                    path != Path::new(STDOUT) || options.console() != Console::Stdio,
                    "--events -: the guest's console is on standard output too; move it with --console"
                );
                let header = Header { generator: GENERATOR, kinds, harts, cpu_hz };
                let file = EventFile::new(path, kinds, stop)
                    .with_context(|| format!("--events {}", path.display()))?;
                file.outlet().write(header.line().as_bytes());
                Some(file)
            }
        };
        let made = options
            .stats
            .as_ref()
            .map(|path| File::create(path).with_context(|| format!("--stats {}", path.display())));
        let counted = options.stats.is_some() || options.stats_table.unwrap_or(false);
        Ok(Self { events, stats: made.transpose()?, counted })
    }

    /// What a machine is asked to tell and count, if anything.
    pub(crate) fn observing(&self) -> Option<Observing> {
        let kinds = self.events.as_ref().map_or(EventKinds::NONE, |events| events.kinds);
        let sink = self.events.as_ref().map(EventFile::sink);
        let gstage = self.stats.is_some() || kinds.meets(EventKinds::GSTAGE);
        (sink.is_some() || self.counted).then_some(Observing { sink, kinds, gstage })
    }

    /// Writes what is left of the events.
    ///
    /// # Errors
    /// The first error of all events: they are not complete.
    pub(crate) fn finish_events(&self) -> Result<()> {
        let Some(events) = &self.events else { return Ok(()) };
        events.outlet().finish().context("the events are not complete")
    }

    /// Writes the statistics of a run that ended like this.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn write_stats(
        &self,
        stats: Option<&Stats>,
        end: &str,
        exit_code: u8,
    ) -> Result<()> {
        let (Some(file), Some(stats)) = (&self.stats, stats) else { return Ok(()) };
        let whole = Ended { stats, generator: GENERATOR, end, exit_code };
        let mut to = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut to, &whole)
            .map_err(io::Error::from)
            .and_then(|()| to.write_all(b"\n"))
            .and_then(|()| to.flush())
            .context("the statistics could not be written")
    }
}

/// Statistics, and how the run ended.
#[derive(serde::Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    stats: &'a Stats,
    generator: &'a str,
    end: &'a str,
    exit_code: u8,
}

/// Where events go.
#[derive(Clone)]
struct EventFile {
    kinds: EventKinds,
    outlet: Arc<Mutex<Outlet>>,
}

struct Outlet {
    to: BufWriter<Box<dyn Write + Send>>,
    line: Vec<u8>,
    error: Option<io::Error>,
    stop: StopRequest,
}

impl EventFile {
    fn new(path: &Path, kinds: EventKinds, stop: &StopRequest) -> io::Result<Self> {
        let to: Box<dyn Write + Send> = if path == Path::new(STDOUT) {
            Box::new(io::stdout())
        } else {
            Box::new(File::create(path)?)
        };
        let (to, stop) = (BufWriter::with_capacity(1 << 16, to), stop.clone());
        let outlet = Outlet { to, line: Vec::new(), error: None, stop };
        Ok(Self { kinds, outlet: Arc::new(Mutex::new(outlet)) })
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self) -> Box<machine::events::EventSink> {
        let file = self.clone();
        Box::new(move |event| file.outlet().take(event))
    }
}

impl Outlet {
    fn take(&mut self, event: &Event) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        event.line(&mut line);
        self.write(&line);
        self.line = line;
    }

    /// Writes a line; the first error ends the run, whose further events would be lost.
    fn write(&mut self, line: &[u8]) {
        if self.error.is_none() {
            self.error = self.to.write_all(line).err();
            if self.error.is_some() {
                self.stop.make(Requester::EventsFailed);
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.to.flush(),
        }
    }
}
