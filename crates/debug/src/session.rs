//! Runs a machine while debuggers come and go: one connection after the other, each a conversation
//! with `gdbstub`, between which, and in which, the machine runs.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError, MultiThreadStopReason};
use machine::load::LoadError;
use machine::{Input, Leg, Limits, Machine, Stop};

use crate::frame::{Framer, Item, PACKET_BYTES_MAX, console_text, selected_thread};
use crate::monitor;
use crate::target::Debugged;

/// How soon a machine that a debugger holds notices that the run should end.
const PATIENCE: Duration = Duration::from_millis(50);
/// The longest reply, in bytes: a bound that none of them comes near.
const REPLY_BYTES_MAX: usize = 1 << 22;

/// The other side has closed the line, or it does not work any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineClosed;

/// A connection to a debugger.
pub trait Line {
    /// Waits up to `patience` for bytes and takes those that are there: none if none arrived.
    ///
    /// # Errors
    /// No more will come.
    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, LineClosed>;

    /// Sends bytes.
    ///
    /// # Errors
    /// They do not get through.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Where debuggers knock.
pub trait Door {
    /// Waits up to `patience` for a debugger.
    fn answer(&mut self, patience: Duration) -> Option<Box<dyn Line>>;

    /// Set when a debugger waits, or when a byte has arrived from the one that is connected. It is for
    /// the one who looks after it to clear it.
    fn bell(&self) -> &AtomicBool;
}

/// How a machine starts under debuggers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Nothing runs before a debugger says so.
    pub wait: bool,
}

/// How a run under debuggers ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// As it would have without them.
    Stop(Stop),
    /// A debugger killed it.
    Killed,
}

/// How a conversation ended.
enum Over {
    End(End),
    /// The debugger let the machine go.
    Detached,
    /// The line went dead.
    Lost {
        /// Whether the machine was running then.
        running: bool,
    },
}

/// Runs `machine` as [`Machine::run`] does, for debuggers that come in through `door`.
///
/// # Errors
/// As for [`Machine::run`].
pub fn run(
    machine: &mut Machine,
    limits: &Limits<'_>,
    input: &mut dyn Input,
    door: &mut dyn Door,
    options: Options,
) -> Result<End, LoadError> {
    let mut running = !options.wait;
    loop {
        if running && let Leg::Ended(stop) = machine.run_leg(limits, door.bell(), input)? {
            return Ok(End::Stop(stop));
        }
        door.bell().store(false, Ordering::Relaxed);
        let patience = if running { Duration::ZERO } else { PATIENCE };
        if let Some(mut line) = door.answer(patience) {
            let debugged = Debugged::new(machine);
            let parts = Parts { line: line.as_mut(), bell: door.bell(), limits, input };
            match converse(debugged, parts, running)? {
                Over::End(end) => return Ok(end),
                Over::Detached => running = true,
                Over::Lost { running: was } => running = was,
            }
        }
        if limits.stop.load(Ordering::Relaxed) {
            return Ok(End::Stop(Stop::Requested));
        }
    }
}

/// What a conversation needs beside the machine.
struct Parts<'p> {
    line: &'p mut dyn Line,
    bell: &'p AtomicBool,
    limits: &'p Limits<'p>,
    input: &'p mut dyn Input,
}

/// What `gdbstub` wants to send.
#[derive(Default)]
struct Outbox(Vec<u8>);

impl Connection for Outbox {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        if self.0.len() >= REPLY_BYTES_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Stub<'a, 'm> = GdbStubStateMachine<'a, Debugged<'m>, Outbox>;
type StubError = GdbStubError<std::convert::Infallible, io::Error>;

/// Why a conversation cannot go on.
enum Failure {
    Load(LoadError),
    /// The line is closed.
    Line,
    /// The client sent what no debugger sends.
    Client(String),
}

impl From<StubError> for Failure {
    fn from(error: StubError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<LineClosed> for Failure {
    fn from(_: LineClosed) -> Self {
        Self::Line
    }
}

/// Talks with one debugger. Until it has said something sensible, the machine goes on if it ran.
fn converse(debugged: Debugged<'_>, parts: Parts<'_>, running: bool) -> Result<Over, LoadError> {
    let mut conversation =
        Conversation { debugged, parts, framer: Framer::default(), items: VecDeque::new() };
    let mut was_running = running;
    let over = match conversation.greet(running) {
        Ok(ControlFlow::Continue(())) => {
            tracing::info!("a debugger is connected");
            conversation.talk(&mut was_running)
        }
        Ok(ControlFlow::Break(over)) => Ok(over),
        Err(failure) => Err(failure),
    };
    conversation.debugged.disarm();
    match over {
        Ok(over) => Ok(over),
        Err(Failure::Load(error)) => Err(error),
        Err(Failure::Line) => {
            tracing::info!("the debugger went away without a word");
            Ok(Over::Lost { running: was_running })
        }
        Err(Failure::Client(why)) => {
            tracing::warn!("a debugger was sent away: {why}");
            Ok(Over::Lost { running: was_running })
        }
    }
}

struct Conversation<'m, 'p> {
    debugged: Debugged<'m>,
    parts: Parts<'p>,
    framer: Framer,
    /// What has arrived and is not yet dealt with.
    items: VecDeque<Item>,
}

impl<'m> Conversation<'m, '_> {
    /// Waits for a first packet. A machine that ran goes on meanwhile.
    fn greet(&mut self, running: bool) -> Result<ControlFlow<Over>, Failure> {
        loop {
            self.receive(if running { Duration::ZERO } else { PATIENCE })?;
            if !self.items.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            if let Some(over) = self.stop_requested() {
                return Ok(ControlFlow::Break(over));
            }
            if running && let Leg::Ended(stop) = self.run_leg()? {
                return Ok(ControlFlow::Break(Over::End(End::Stop(stop))));
            }
        }
    }

    fn stop_requested(&self) -> Option<Over> {
        let requested = self.parts.limits.stop.load(Ordering::Relaxed);
        requested.then_some(Over::End(End::Stop(Stop::Requested)))
    }

    fn run_leg(&mut self) -> Result<Leg, Failure> {
        let Parts { bell, limits, input, .. } = &mut self.parts;
        self.debugged.machine.run_leg(limits, bell, *input).map_err(Failure::Load)
    }

    /// Takes in what has arrived.
    fn receive(&mut self, patience: Duration) -> Result<(), Failure> {
        // Before looking, lest a byte arrive in between.
        self.parts.bell.store(false, Ordering::Relaxed);
        for byte in self.parts.line.receive(patience)? {
            match self.framer.push(byte) {
                Ok(item) => self.items.extend(item),
                Err(_) => return Err(Failure::Client("it does not speak GDB's protocol".into())),
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.parts.line.send(bytes).map_err(|_| Failure::Line)
    }

    /// The conversation itself; keeps `running` up to date.
    fn talk(&mut self, running: &mut bool) -> Result<Over, Failure> {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let builder = GdbStub::builder(Outbox::default()).with_packet_buffer(&mut buffer);
        let stub = builder.build().map_err(|error| Failure::Client(error.to_string()))?;
        let mut stub: Stub<'_, 'm> = stub.run_state_machine(&mut self.debugged)?;
        loop {
            *running = matches!(stub, GdbStubStateMachine::Running(_));
            if let Some(item) = self.items.pop_front() {
                stub = self.deal_with(stub, item)?;
            } else {
                match stub {
                    GdbStubStateMachine::Running(_) => {
                        stub = match self.advance(stub)? {
                            ControlFlow::Continue(stub) => stub,
                            ControlFlow::Break(over) => return Ok(over),
                        }
                    }
                    _ => {
                        if let Some(over) = self.stop_requested() {
                            return Ok(over);
                        }
                        self.receive(PATIENCE)?;
                    }
                }
            }
            let outbox = match &mut stub {
                GdbStubStateMachine::Idle(inner) => inner.borrow_conn(),
                GdbStubStateMachine::Running(inner) => inner.borrow_conn(),
                GdbStubStateMachine::CtrlCInterrupt(inner) => inner.borrow_conn(),
                GdbStubStateMachine::Disconnected(inner) => inner.borrow_conn(),
            };
            let reply = std::mem::take(&mut outbox.0);
            if !reply.is_empty() {
                self.send(&reply)?;
            }
            if let GdbStubStateMachine::Disconnected(inner) = &stub {
                return Ok(match inner.get_reason() {
                    DisconnectReason::Kill => Over::End(End::Killed),
                    _ => Over::Detached,
                });
            }
        }
    }

    /// Passes an item on to the stub.
    fn deal_with<'a>(
        &mut self,
        mut stub: Stub<'a, 'm>,
        item: Item,
    ) -> Result<Stub<'a, 'm>, Failure> {
        let bytes = match item {
            Item::Packet(packet) => packet,
            Item::Interrupt => vec![0x03],
            Item::Damaged => {
                self.send(b"-")?;
                return Ok(stub);
            }
        };
        if let Some(thread) = selected_thread(&bytes)
            && thread <= self.debugged.machine.harts().len()
        {
            self.debugged.selected = thread - 1;
        }
        for byte in bytes {
            stub = match stub {
                GdbStubStateMachine::Idle(inner) => {
                    inner.incoming_data(&mut self.debugged, byte)?
                }
                GdbStubStateMachine::Running(inner) => {
                    inner.incoming_data(&mut self.debugged, byte)?
                }
                other => other,
            };
        }
        if let GdbStubStateMachine::CtrlCInterrupt(inner) = stub {
            let reason = Some(self.debugged.interrupted());
            return Ok(inner.interrupt_handled(&mut self.debugged, reason)?);
        }
        Ok(stub)
    }

    /// Lets the machine run until something happens.
    fn advance<'a>(
        &mut self,
        stub: Stub<'a, 'm>,
    ) -> Result<ControlFlow<Over, Stub<'a, 'm>>, Failure> {
        let leg = self.run_leg()?;
        let reason = match leg {
            Leg::Paused => {
                self.receive(Duration::ZERO)?;
                return Ok(ControlFlow::Continue(stub));
            }
            Leg::Halted { hart } => {
                let (reason, caught) = self.debugged.stop_reason(hart);
                if let Some(caught) = caught {
                    self.send(&console_text(&monitor::caught(&self.debugged, &caught)))?;
                }
                reason
            }
            Leg::Ended(Stop::Asleep) => {
                self.send(&console_text("Every hart waits, and nothing is left to wake one.\n"))?;
                self.debugged.interrupted()
            }
            Leg::Ended(Stop::TrapLoop { hart, exception, pc }) => {
                self.send(&console_text(&format!(
                    "Hart {hart} cannot run its trap handler; the first trap was: {exception} at pc {pc:#x}.\n"
                )))?;
                self.debugged.selected = hart;
                self.debugged.interrupted()
            }
            Leg::Ended(Stop::CriticalError { hart, cause, pc }) => {
                self.send(&console_text(&format!(
                    "Critical error: hart {hart} could take no trap in M-mode; this one came: {cause} at pc {pc:#x}.\n"
                )))?;
                self.debugged.selected = hart;
                self.debugged.interrupted()
            }
            Leg::Ended(stop) => {
                let last = match stop {
                    Stop::Exit { code } => MultiThreadStopReason::Exited(code as u8),
                    _ => MultiThreadStopReason::Terminated(gdbstub::common::Signal::SIGTERM),
                };
                if let GdbStubStateMachine::Running(inner) = stub
                    && let GdbStubStateMachine::Disconnected(mut inner) =
                        inner.report_stop(&mut self.debugged, last)?
                {
                    let reply = std::mem::take(&mut inner.borrow_conn().0);
                    // The run is over, whether the debugger hears of it or not.
                    let _ = self.send(&reply);
                }
                return Ok(ControlFlow::Break(Over::End(End::Stop(stop))));
            }
        };
        // What the guest has printed shows before the debugger's prompt.
        self.parts.input.wait(Some(Duration::ZERO));
        Ok(ControlFlow::Continue(match stub {
            GdbStubStateMachine::Running(inner) => inner.report_stop(&mut self.debugged, reason)?,
            other => other,
        }))
    }
}
