//! Hostile guests: whatever a guest does, the native machine is not hurt.
//!
//! A guest is its seed: random code, page tables, virtqueues and calls, on one to eight harts, with
//! and without the built-in firmware. Nothing may panic, overflow, hang or grow. The same guests
//! show that a run repeats, whoever looks on. `NESTWALK_HOSTILE=seed=1,guests=100000` runs others.

mod guest;
mod place;
mod rng;
mod soup;
mod time;
mod watchdog;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cpu::Requests;
use machine::events::{EventKinds, EventSink, Observing};
use machine::load::LoadError;
use machine::{Input, Leg, Limits, Stop};

use guest::Guest;
use watchdog::Watchdog;

/// How often a guest is turned somewhere else, and how many instructions it then has.
const LEGS: u64 = 12;
const LEG_INSNS: u64 = 3_000;
/// The rounds of turns that a leg has at most.
const ROUNDS: u32 = 12;

/// Which guests run, and how many.
struct Plan {
    seed: u64,
    guests: u64,
}

impl Plan {
    fn new(guests: u64) -> Self {
        let mut plan = Self { seed: 1, guests };
        for word in env::var("NESTWALK_HOSTILE").unwrap_or_default().split_terminator(',') {
            let (name, value) = word.split_once('=').expect("name=value");
            let value = value.parse().expect("a number");
            match name {
                "seed" => plan.seed = value,
                "guests" => plan.guests = value,
                _ => panic!("NESTWALK_HOSTILE has no '{name}'"),
            }
        }
        plan
    }

    /// Calls `run` with each seed, on two threads.
    fn each(&self, run: impl Fn(u64) + Sync) {
        let next = AtomicU64::new(self.seed);
        let worker = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed - self.seed >= self.guests {
                    break;
                }
                run(seed);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(worker);
            scope.spawn(worker);
        });
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Names the guest whose machine panicked.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("hostile guest {}: NESTWALK_HOSTILE=seed={},guests=1", self.0, self.0);
        }
    }
}

/// Lets a leg go on for so many rounds: guests that only trap or wait retire nothing.
struct Rounds<'a> {
    left: u32,
    stop: &'a AtomicBool,
}

impl Input for Rounds<'_> {
    /// Asked once a round.
    fn next(&mut self) -> Option<u8> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.stop.store(true, Ordering::Relaxed),
        }
        None
    }

    fn wait(&mut self, _: Option<Duration>) -> bool {
        false
    }
}

/// Who looks on while a guest runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Onlooker {
    Nobody,
    Log,
    Events,
    Debugger,
}

/// Runs one leg, and says how it ended.
fn leg(guest: &mut Guest, insns: u64) -> Result<Stop, LoadError> {
    let stop = AtomicBool::new(false);
    let limits = Limits { insns: guest.machine.retired() + insns, stop: &stop };
    let mut rounds = Rounds { left: ROUNDS, stop: &stop };
    loop {
        let never = AtomicBool::new(false);
        match guest.machine.run_leg(&limits, &never, &mut rounds)? {
            Leg::Ended(stop) => return Ok(stop),
            Leg::Paused => {}
            Leg::Halted { hart } => drop(guest.machine.harts_mut()[hart].take_halt()),
        }
    }
}

#[test]
fn no_guest_hurts_the_native_machine() {
    let folder = folder("hostile");
    let (insns, exits) = (AtomicU64::new(0), AtomicU64::new(0));
    Plan::new(60).each(|seed| {
        let _named = Named(seed);
        let mut guest = Guest::new(seed, &folder);
        let dog = Watchdog::new(seed);
        for _ in 0..LEGS {
            guest.stir();
            dog.pat();
            match leg(&mut guest, LEG_INSNS) {
                Ok(Stop::Limit | Stop::Asleep | Stop::Requested) => {}
                _ => drop(exits.fetch_add(1, Ordering::Relaxed)),
            }
        }
        insns.fetch_add(guest.machine.retired(), Ordering::Relaxed);
    });
    println!("hostile guests: {insns:?} instructions, {exits:?} ends");
    watchdog::check_memory();
}

#[test]
fn a_run_repeats_whoever_looks_on() {
    use Onlooker::*;
    let folder = folder("hostile-repeats");
    Plan::new(24).each(|seed| {
        let _named = Named(seed);
        let dog = Watchdog::new(seed);
        let expected = history(seed, &folder, Nobody, &dog);
        for onlooker in [Nobody, Log, Events, Debugger] {
            let seen = history(seed, &folder, onlooker, &dog);
            let parts = expected.iter().zip(&seen).position(|(a, b)| a != b);
            if let Some(leg) = parts {
                let (a, b) = (expected[leg].split(' '), seen[leg].split(' '));
                let words: Vec<_> = a.zip(b).filter(|(a, b)| a != b).take(12).collect();
                panic!("guest {seed} with {onlooker:?}: leg {leg} differs: {words:?}");
            }
        }
    });
}

/// What a guest looked like after each of a few legs, and its memory at the end.
fn history(seed: u64, folder: &Path, onlooker: Onlooker, dog: &Watchdog) -> Vec<String> {
    let mut guest = Guest::new(seed, folder);
    match onlooker {
        Onlooker::Nobody => {}
        Onlooker::Log => guest.machine.set_log(Box::new(|_| {})),
        Onlooker::Events => {
            let sink: Box<EventSink> = Box::new(|event| event.line(&mut Vec::new()));
            let kinds = EventKinds::default();
            guest.machine.observe(Observing { sink: Some(sink), kinds, gstage: true });
        }
        Onlooker::Debugger => {
            let breakpoints = (0..64).map(|n| place::CODE + 0x3f4 * n).collect();
            let requests = Requests { breakpoints, ..Requests::default() };
            for hart in guest.machine.harts_mut() {
                hart.set_requests(Some(&requests));
            }
        }
    }
    let mut history = Vec::new();
    for _ in 0..LEGS / 2 {
        guest.stir();
        dog.pat();
        let end = leg(&mut guest, LEG_INSNS);
        if matches!(end, Ok(Stop::Requested)) {
            // A halted round is stopped where it is, others at their end.
            return history;
        }
        history.push(format!("{end:?} {}", guest.portrait()));
    }
    history.push(format!("{:x}", guest.memory()));
    history
}
