//! What random schedules are to reach: each of these happens in every campaign of some length, or the campaign tests less
//! than it seems to.

macro_rules! events {
    ($($variant:ident $text:literal)*) => {
        /// Something that happens in a schedule.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Event {
            $(#[doc = $text] $variant,)*
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// What it is.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

events! {
    Load "loads"
    Store "stores"
    Amo "AMOs"
    Hlv "HLV"
    Hlvx "HLVX"
    Remap "windows mapped elsewhere by the guest"
    MapBlock "blocks mapped elsewhere by the guest"
    WaitForLock "faults in the middle of an operation"
    WalkReadFault "faults of a walk's read"
    WalkWriteFault "faults of a walk's write"
    FetchFault "faults of a fetch"
    DeviceLoad "loads where no slot is"
    DeviceStore "stores where no slot is"
    ReadOnlyStore "stores to a read-only slot"
    FaultWithoutTables "faults with too few tables"
    RingFull "rings full"
    LogOn "logs begun"
    LogOnWithoutTables "logs begun with too few tables to split"
    LogOff "logs ended"
    Get "logs read"
    Clear "logs cleared by request"
    ClearPart "parts of large leaves cleared by request"
    ClearWithoutTables "parts of large leaves cleared with too few tables"
    Rings "rings reset"
    Age "slots aged"
    AgeFound "pages found used"
    Unplug "slots taken away"
    Plug "slots brought back"
    UnplugLogging "slots taken away that logged"
    Move "slots moved"
    MoveLogging "slots moved that logged"
    Place "vCPUs placed"
    PlaceClean "vCPUs placed without a fence"
    PlaceBehind "vCPUs placed where tables had changed"
    Generation "generations of VMIDs"
    Split "splits"
    Collapse "collapses"
    LeafPage "leaves of 4 KiB at the end"
    LeafNapot "leaves of 64 KiB at the end"
    LeafMega "leaves of 2 MiB at the end"
    LeafGiga "leaves of 1 GiB at the end"
}

/// How often each of them happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Events([u64; Event::ALL.len()]);

impl Default for Events {
    fn default() -> Self {
        Self([0; Event::ALL.len()])
    }
}

impl Events {
    /// How often one happened.
    pub fn of(&self, event: Event) -> u64 {
        self.0[event as usize]
    }

    pub(crate) fn note(&mut self, event: Event, times: u64) {
        self.0[event as usize] += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}
