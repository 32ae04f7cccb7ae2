//! What happens on a machine, as values: traps, fences, roots, stores to G-stage tables; and counts of them.
//!
//! One [`Recorder`] hears all harts as their witness. Events go to a sink as they happen and are not kept; counts
//! are. Nothing here can change the machine: it only reads memory and asks for pages to be watched.

mod entry;
mod exits;
mod json;
mod kinds;
mod stats;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cpu::{Notice, RootRegister, Scene, TrapNotice, Witness, Writer};
use isa::{Mode, Op};
use mmu::{Fence, Ram};

pub use entry::TableOp;
pub use exits::{ExitCount, Exits};
pub use json::Header;
pub use kinds::{EventKinds, UnknownKind};
pub use stats::{ByMode, Counts, HartStats, Named, Stats, Translation, TrapCount, Traps};
pub use tables::{Lost, Scheme, TableStore, TablesNews};

pub(crate) use stats::Moment;
use stats::Tally;
use tables::{Tables, Told};

/// Something that happened on a hart. [`Event::line`] writes it as JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Where and when.
    pub scene: Scene,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A trap was taken.
    Trap(TrapNotice),
    /// A return from a trap.
    Return {
        /// Where to.
        to: Mode,
        /// MRET or SRET; `None` for the built-in firmware.
        by: Option<Op>,
    },
    /// A fence took effect on this hart.
    Fence {
        /// What it orders.
        fence: Fence,
        /// The instruction; `None` for the built-in firmware.
        by: Option<Op>,
        /// The hart whose call the firmware serves.
        caller: Option<usize>,
    },
    /// SFENCE.W.INVAL or SFENCE.INVAL.IR.
    FenceBracket {
        /// Which.
        op: Op,
    },
    /// `hgatp` or `vsatp` was written.
    Root {
        /// Which.
        register: RootRegister,
        /// What it held.
        old: u64,
        /// What it holds.
        new: u64,
    },
    /// A store to a G-stage table.
    Gstage {
        /// Which, and what it did.
        store: TableStore,
        /// Who stored.
        by: Writer,
    },
    /// What the observer of G-stage tables has to tell of itself.
    Tables(TablesNews),
    /// The hart was reset.
    Reset,
}

/// Takes events, in the order in which they happen.
pub type EventSink = dyn FnMut(&Event) + Send;

/// What is to be heard and counted.
#[derive(Default)]
pub struct Observing {
    /// Where events go; without it they are only counted.
    pub sink: Option<Box<EventSink>>,
    /// The kinds that go there.
    pub kinds: EventKinds,
    /// Stores to G-stage tables are followed. That is the one thing that takes time where nothing is told: each
    /// such store takes the slow path.
    pub gstage: bool,
}

/// Hears, counts and passes on. See the module.
pub(crate) struct Recorder {
    observing: Observing,
    tables: Option<Tables>,
    harts: Vec<Tally>,
    /// The hart whose call the built-in firmware serves.
    caller: Option<usize>,
}

/// All harts tell the same recorder.
#[derive(Clone)]
pub(crate) struct SharedRecorder(Arc<Mutex<Recorder>>);

impl SharedRecorder {
    /// A recorder of these harts, each with its mode and where it stands.
    pub(crate) fn new(observing: Observing, ram: Arc<Ram>, harts: &[(Mode, Moment)]) -> Self {
        let tables = observing.gstage.then(|| Tables::new(ram));
        let harts = harts.iter().map(|&(mode, now)| Tally::new(mode, now)).collect();
        Self(Arc::new(Mutex::new(Recorder { observing, tables, harts, caller: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows is done by the built-in firmware for a hart, or by nobody's call.
    pub(crate) fn set_caller(&self, caller: Option<usize>) {
        self.lock().caller = caller;
    }

    /// The counts so far of each hart, which stands there now, and how many table pages are followed.
    pub(crate) fn counts(&self, now: impl Fn(usize) -> Moment) -> (Vec<Counts>, usize) {
        let recorder = self.lock();
        let counts = recorder.harts.iter().enumerate();
        let counts = counts.map(|(hart, tally)| tally.until(now(hart))).collect();
        (counts, recorder.tables.as_ref().map_or(0, Tables::pages))
    }
}

impl Witness for SharedRecorder {
    fn notice(&mut self, scene: &Scene, notice: &Notice) {
        self.lock().hear(scene, notice);
    }
}

impl Recorder {
    fn hear(&mut self, scene: &Scene, notice: &Notice) {
        let Self { observing, tables, harts, caller } = self;
        let Some(tally) = usize::try_from(scene.hart).ok().and_then(|hart| harts.get_mut(hart))
        else {
            return;
        };
        tally.count(scene, notice);
        let wanted = observing.kinds.meets(EventKinds::of(scene, notice));
        let follows = observing.kinds.meets(EventKinds::GSTAGE);
        let mut tell = |wanted: bool, what: What| {
            if let Some(sink) = observing.sink.as_mut().filter(|_| wanted) {
                sink(&Event { scene: *scene, what });
            }
        };
        match *notice {
            Notice::Trap(trap) => tell(wanted, What::Trap(trap)),
            Notice::Return { to, by } => tell(wanted, What::Return { to, by }),
            Notice::Fence { fence, by } => {
                let caller = caller.filter(|_| by.is_none());
                tell(wanted, What::Fence { fence, by, caller });
            }
            Notice::FenceBracket { op } => tell(wanted, What::FenceBracket { op }),
            Notice::Root { register, old, new } => {
                tell(wanted, What::Root { register, old, new });
                if let Some(tables) = tables
                    && register == RootRegister::Hgatp
                {
                    tables.root_written(new, &mut |told| {
                        if let Told::News(news) = told {
                            tell(follows, What::Tables(news));
                        }
                    });
                }
            }
            Notice::TableWritten(by) => {
                let Some(tables) = tables else { return };
                tables.follow_writes(&mut |told| match told {
                    Told::Store(store) => {
                        tally.count_table_store(&store);
                        tell(wanted, What::Gstage { store, by });
                    }
                    Told::News(news) => tell(follows, What::Tables(news)),
                });
            }
            Notice::Reset => {
                if let Some(tables) = tables {
                    tables.clear();
                }
                tell(wanted, What::Reset);
            }
        }
    }
}
