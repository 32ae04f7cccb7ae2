//! Who runs when: harts in turn, a fixed number of instructions each, and time skipped while all of
//! them wait.
//!
//! A round takes every hart from one moment of virtual time to the next. Nothing here depends on
//! the wall clock or on how long a turn took.

use cpu::{Exit, Hart};

use crate::bus::MachineBus;

/// Instructions a hart runs before the next one's turn, where there are several.
pub(crate) const TURN_INSNS: u64 = 5_000;
/// The same for a single hart: how often the machine looks at console input.
pub(crate) const SOLO_TURN_INSNS: u64 = 100_000;

/// Moments from here on never come, in cycles: harts that only wait for one wait for ever. Virtual time
/// that runs from below cannot reach the end of its numbers.
const END_OF_TIME: u64 = 1 << 63;

/// Hears of every retired instruction and every trap.
pub type Log = dyn FnMut(cpu::Event<'_>);

/// What a round ended with, beside having passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Round {
    /// All harts are at the round's end.
    Passed,
    /// Every hart waits, or traps for ever. Nothing happens before `next`, in cycles; nothing ever does if it is `None`.
    Idle {
        /// When a device or a comparator has something in store.
        next: Option<u64>,
    },
    /// The machine was asked to stop: by a device, or by a hart that cannot go on.
    Stop {
        /// Which hart ran.
        hart: usize,
        /// Why it came back.
        exit: Exit,
    },
    /// A debugger halted a hart. The next round goes on exactly here.
    Halted {
        /// Which hart.
        hart: usize,
    },
}

/// What a hart does with its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs, or waits in WFI.
    Running,
    /// It waits in the firmware or the hypervisor, as in WFI.
    Suspended,
    /// It takes no turns until it is started.
    Stopped,
}

/// What a hart does after the firmware served its trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// Returns by MRET.
    Return,
    /// Goes on in the guest that the hypervisor has entered.
    Guest,
    /// Waits in M-mode, or in HS-mode for the hypervisor; who served it is asked again when it wakes.
    Suspend,
    /// Waits to be started.
    Stop,
    /// Nothing more: the machine ends.
    End,
}

/// Why the firmware is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// A trap went to M-mode.
    Trap,
    /// A trap went to HS-mode, which a hypervisor outside has.
    Hypervisor,
    /// A suspended hart has something to wake for.
    Woken,
}

/// The harts and what decides their turns.
pub(crate) struct Turns {
    pub(crate) harts: Vec<Hart>,
    states: Vec<State>,
    /// The moment up to which all harts have run, in cycles.
    pub(crate) cycle: u64,
    turn_insns: u64,
    /// Harts that a debugger holds: they take no turns, and time passes them by.
    frozen: Vec<bool>,
    /// The round in which a debugger halted a hart.
    unfinished: Option<Unfinished>,
    /// Of each hart the exit with which its last turn ended early, because its trap handler cannot run.
    loops: Vec<Option<Exit>>,
    /// Harts of which the user was told that.
    told: Vec<bool>,
}

/// A round that is to go on where it was left.
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    /// Whose turn it is.
    hart: usize,
    /// Up to where the round goes, in cycles.
    end: u64,
    /// How many instructions had retired before it.
    retired_before: u64,
}

impl Turns {
    pub(crate) fn new(harts: Vec<Hart>, turn_insns: u64) -> Self {
        let states = vec![State::Running; harts.len()];
        let frozen = vec![false; harts.len()];
        let (loops, told) = (vec![None; harts.len()], vec![false; harts.len()]);
        Self { harts, states, cycle: 0, turn_insns, frozen, unfinished: None, loops, told }
    }

    /// All harts run, or none does until it is started.
    pub(crate) fn set_all_running(&mut self, running: bool) {
        self.states.fill(if running { State::Running } else { State::Stopped });
        self.unfinished = None;
    }

    /// All harts leave M-mode, to wait in the mode below.
    pub(crate) fn suspend_all(&mut self) {
        self.states.fill(State::Suspended);
        self.harts.iter_mut().for_each(Hart::mret);
    }

    /// What a hart does with its turn.
    pub(crate) fn state(&self, hart: usize) -> State {
        self.states[hart]
    }

    /// Lets a debugger hold harts: each for which `frozen` says so, and no others.
    pub(crate) fn freeze(&mut self, frozen: impl Fn(usize) -> bool) {
        for (hart, held) in self.frozen.iter_mut().enumerate() {
            *held = frozen(hart);
        }
    }

    /// Whether a debugger has halted a round that is not over.
    pub(crate) fn is_mid_round(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Lets a stopped hart leave M-mode and run.
    pub(crate) fn start(&mut self, hart: usize) {
        self.states[hart] = State::Running;
        self.harts[hart].set_waiting(false);
        self.harts[hart].mret();
    }

    /// Instructions retired by all harts.
    pub(crate) fn retired(&self) -> u64 {
        self.harts.iter().map(Hart::retired).sum()
    }

    /// Runs one round of at most `budget` instructions of all harts together, give or take one a hart.
    /// `firmware` is called when a trap to M-mode leaves a hart; `log` hears of every instruction.
    pub(crate) fn round(
        &mut self,
        bus: &mut MachineBus,
        budget: u64,
        mut log: Option<&mut Log>,
        mut firmware: impl FnMut(&mut Self, &mut MachineBus, usize, Call) -> After,
    ) -> Round {
        let fair = budget.div_ceil(self.harts.len() as u64);
        let resumed = self.unfinished.take();
        let Unfinished { hart: first, end, retired_before } = resumed.unwrap_or(Unfinished {
            hart: 0,
            end: self.cycle + self.turn_insns.min(fair).max(1),
            retired_before: self.retired(),
        });
        let several = self.harts.len() > 1;
        for index in first..self.harts.len() {
            let resumes = resumed.is_some() && index == first;
            if !resumes {
                self.harts[index].begin_turn();
                if several {
                    // What other harts wrote in between may have been the reserved bytes.
                    self.harts[index].clear_reservation();
                }
            }
            self.loops[index] = None;
            while self.takes_turns(index) && self.has_to_run(index, end) {
                let hart = &mut self.harts[index];
                let left = end.saturating_sub(hart.cycle());
                let call = if self.states[index] == State::Suspended {
                    if !hart.wakes(bus) {
                        break;
                    }
                    Call::Woken
                } else {
                    let exit = match log.as_deref_mut() {
                        None => hart.run(bus, left),
                        Some(log) => hart.run_logged(bus, left, log),
                    };
                    match exit {
                        Exit::Budget => continue,
                        Exit::Wfi => break,
                        Exit::Firmware => Call::Trap,
                        Exit::Hypervisor => Call::Hypervisor,
                        // The round goes on where it is after the machine has looked.
                        Exit::Tripped => return Round::Passed,
                        Exit::Halted => {
                            self.unfinished = Some(Unfinished { hart: index, end, retired_before });
                            return Round::Halted { hart: index };
                        }
                        exit @ Exit::TrapLoop { .. } if several => {
                            // The rest of its turn would be the same trap again and again.
                            self.note_loop(index, exit);
                            break;
                        }
                        exit @ (Exit::Stopped
                        | Exit::TrapLoop { .. }
                        | Exit::CriticalError { .. }) => {
                            return Round::Stop { hart: index, exit };
                        }
                    }
                };
                let after = firmware(self, bus, index, call);
                self.states[index] = match after {
                    After::Return => {
                        self.harts[index].mret();
                        State::Running
                    }
                    After::Guest => State::Running,
                    After::Suspend => State::Suspended,
                    After::Stop => State::Stopped,
                    After::End => return Round::Passed,
                };
                if call == Call::Woken && after == After::Suspend {
                    // It found nothing to do; asking again at once would ask for ever.
                    break;
                }
                if self.harts[index].is_halted() {
                    // A step that led into the firmware is over when the firmware is done.
                    self.unfinished = Some(Unfinished { hart: index, end, retired_before });
                    return Round::Halted { hart: index };
                }
            }
        }
        if self.retired() == retired_before && self.none_works() {
            if let Some((hart, exit)) = self.looping()
                && !self.any_waits()
            {
                return Round::Stop { hart, exit };
            }
            return Round::Idle { next: self.next_event(bus) };
        }
        // A lone hart that has come to wait may wake at any cycle: its time is not rounded up.
        self.cycle = if several { end } else { self.harts[0].cycle() };
        self.bring_harts_to(self.cycle);
        Round::Passed
    }

    /// Whether a hart is not yet where its turn in a round up to `end` leads it.
    fn has_to_run(&self, hart: usize, end: u64) -> bool {
        self.harts[hart].cycle() < end || self.harts[hart].is_halfway()
    }

    fn takes_turns(&self, hart: usize) -> bool {
        self.states[hart] != State::Stopped && !self.frozen[hart]
    }

    /// Whether no hart has anything to do: each waits, is stopped or held, or cannot run its trap handler.
    fn none_works(&self) -> bool {
        let idle = |(index, hart): (usize, &Hart)| {
            self.states[index] != State::Running
                || self.frozen[index]
                || hart.waiting()
                || self.loops[index].is_some()
        };
        self.harts.iter().enumerate().all(idle)
    }

    /// Whether some hart waits that an interrupt can wake.
    fn any_waits(&self) -> bool {
        let waits = |index| self.takes_turns(index) && self.loops[index].is_none();
        (0..self.harts.len()).any(waits)
    }

    /// A hart that cannot run its trap handler, if there is one: which, and with what it left its turn.
    pub(crate) fn looping(&self) -> Option<(usize, Exit)> {
        let looping = |(hart, exit): (usize, &Option<Exit>)| Some((hart, (*exit)?));
        self.loops.iter().enumerate().find_map(looping)
    }

    /// Other harts go on without a hart that cannot run its trap handler: they may repair it.
    fn note_loop(&mut self, hart: usize, exit: Exit) {
        self.loops[hart] = Some(exit);
        if let Exit::TrapLoop { exception, pc } = exit
            && !std::mem::replace(&mut self.told[hart], true)
        {
            tracing::warn!(
                "hart {hart} cannot run its trap handler and traps again and again; the first was: {exception} \
                 at pc {pc:#x}"
            );
        }
    }

    fn bring_harts_to(&mut self, cycle: u64) {
        for hart in &mut self.harts {
            if hart.cycle() < cycle {
                hart.set_cycle(cycle);
            }
        }
    }

    /// When the next event comes that a device or a comparator has in store. Asked after a round in
    /// which every hart was asked and none woke.
    fn next_event(&self, bus: &MachineBus) -> Option<u64> {
        let mut next = u64::MAX;
        for (index, hart) in self.harts.iter().enumerate() {
            if self.frozen[index] {
                continue;
            }
            next = next.min(bus.deadline(index));
            if self.states[index] != State::Stopped {
                next = next.min(hart.comparator_deadline());
            }
        }
        (next < END_OF_TIME).then_some(next.max(self.cycle + 1))
    }

    /// Moves virtual time on to `cycle`.
    pub(crate) fn skip_to(&mut self, cycle: u64) {
        self.cycle = self.cycle.max(cycle);
        self.bring_harts_to(self.cycle);
    }
}
