//! The platform-level interrupt controller (`sifive,plic-1.0.0`): level-sensitive lines from
//! devices on one side, a notification for each context (a hart's M-mode or S-mode) on the other.
//!
//! Behaviour is the RISC-V PLIC specification's. Each source's gateway forwards one request and no
//! more until that one was completed; a request that was forwarded stays pending although its
//! line falls, until it is claimed. Registers of sources and contexts that do not exist read 0
//! and ignore writes.

use crate::access::admit;
use crate::{BusFault, Device, Ticks};
use serde::{Deserialize, Serialize};

/// Where the registers are, all 32 bits wide.
pub mod spec {
    /// Priorities, 4 bytes a source.
    pub const PRIORITY: u64 = 0x00_0000;
    /// Pending bits, one a source.
    pub const PENDING: u64 = 0x00_1000;
    /// Enable bits, one a source, [`ENABLE_STRIDE`] bytes a context.
    pub const ENABLE: u64 = 0x00_2000;
    /// From one context's enable bits to the next one's.
    pub const ENABLE_STRIDE: u64 = 0x80;
    /// Threshold, and claim and complete 4 bytes further on, [`CONTEXT_STRIDE`] bytes a context.
    pub const CONTEXT: u64 = 0x20_0000;
    /// From one context's threshold to the next one's.
    pub const CONTEXT_STRIDE: u64 = 0x1000;
    /// The offset of claim and complete from the threshold.
    pub const CLAIM: u64 = 4;
    /// The highest priority; priorities and thresholds are 3 bits wide.
    pub const PRIORITY_MAX: u8 = 7;
    /// How many sources, from 1 on, this implementation can have.
    pub const SOURCES_MAX: u8 = 127;
    /// How many contexts, from 0 on, the layout has room for.
    pub const CONTEXTS_MAX: usize = 15872;
    /// The length of the whole region, in bytes.
    pub const BYTES: u64 = 0x400_0000;
}

/// The interrupt controller.
#[derive(Debug)]
pub struct Plic {
    sources: u8,
    state: State,
}

/// What a snapshot of an interrupt controller holds. Bit n of a set is source n.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    priority: Vec<u8>,
    lines: u128,
    pending: u128,
    /// Forwarded and claimed, not completed: the gateway is closed.
    in_service: u128,
    contexts: Vec<Context>,
}

#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Context {
    enable: u128,
    threshold: u8,
}

impl State {
    fn new(sources: u8, contexts: usize) -> Self {
        Self {
            priority: vec![0; usize::from(sources) + 1],
            lines: 0,
            pending: 0,
            in_service: 0,
            contexts: vec![Context::default(); contexts],
        }
    }
}

enum Register {
    Priority(usize),
    Pending { word: u64 },
    Enable { context: usize, word: u64 },
    Threshold(usize),
    Claim(usize),
    Vacant,
}

impl Register {
    fn at(offset: u64, size: u8) -> Result<Self, BusFault> {
        admit(offset, size, 4..=4)?;
        Ok(match offset {
            spec::PRIORITY..spec::PENDING => Self::Priority((offset / 4) as usize),
            spec::PENDING..spec::ENABLE => Self::Pending { word: (offset - spec::PENDING) / 4 },
            spec::ENABLE..spec::CONTEXT => {
                let at = offset - spec::ENABLE;
                let context = (at / spec::ENABLE_STRIDE) as usize;
                Self::Enable { context, word: at % spec::ENABLE_STRIDE / 4 }
            }
            spec::CONTEXT..spec::BYTES => {
                let at = offset - spec::CONTEXT;
                let context = (at / spec::CONTEXT_STRIDE) as usize;
                match at % spec::CONTEXT_STRIDE {
                    0 => Self::Threshold(context),
                    spec::CLAIM => Self::Claim(context),
                    _ => Self::Vacant,
                }
            }
            _ => return Err(BusFault),
        })
    }
}

/// 32 bits of a set, `word` times 32 bits up.
fn word_of(set: u128, word: u64) -> u64 {
    if word < 4 { (set >> (32 * word)) as u64 & 0xffff_ffff } else { 0 }
}

/// The members of a set, in order.
fn members(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (lowest < 128).then_some(lowest as usize)
    })
}

impl Plic {
    /// A controller with sources 1 to `sources` (at most [`spec::SOURCES_MAX`]) and contexts 0 to
    /// `contexts` - 1.
    pub fn new(sources: u8, contexts: usize) -> Self {
        let sources = sources.min(spec::SOURCES_MAX);
        Self { sources, state: State::new(sources, contexts.min(spec::CONTEXTS_MAX)) }
    }

    /// The number of sources: the device tree's `riscv,ndev`.
    pub fn sources(&self) -> u8 {
        self.sources
    }

    /// Tells the level of a source's line. Source 0 and sources that do not exist have none.
    pub fn set_line(&mut self, source: u8, level: bool) {
        if source == 0 || source > self.sources {
            return;
        }
        let bit = 1 << source;
        if level {
            self.state.lines |= bit;
            self.state.pending |= bit & !self.state.in_service;
        } else {
            self.state.lines &= !bit;
        }
    }

    /// The notification of a context: a pending, enabled source has a priority above the
    /// threshold.
    pub fn context_pending(&self, context: usize) -> bool {
        self.state.contexts.get(context).is_some_and(|c| {
            members(self.state.pending & c.enable).any(|s| self.state.priority[s] > c.threshold)
        })
    }

    /// Every existing source.
    fn existing(&self) -> u128 {
        (u128::MAX >> (127 - self.sources)) & !1
    }

    /// Takes the pending source of the highest priority, the lowest number first; 0 where there is
    /// none. The threshold has no say here, and priority 0 means never.
    fn claim(&mut self, context: usize) -> u64 {
        let Some(c) = self.state.contexts.get(context) else { return 0 };
        let priority = &self.state.priority;
        let best = members(self.state.pending & c.enable)
            .filter(|&s| priority[s] > 0)
            .max_by_key(|&s| (priority[s], std::cmp::Reverse(s)));
        let Some(source) = best else { return 0 };
        self.state.pending &= !(1 << source);
        self.state.in_service |= 1 << source;
        source as u64
    }

    /// Opens the gateway of `source` again, if the context has it enabled.
    fn complete(&mut self, context: usize, source: u64) {
        let Some(c) = self.state.contexts.get(context) else { return };
        if source < 128 && c.enable & (1 << source) != 0 {
            let bit = 1 << source;
            self.state.in_service &= !bit;
            self.state.pending |= self.state.lines & bit;
        }
    }
}

impl Device for Plic {
    fn read(&mut self, offset: u64, size: u8, _now: Ticks) -> Result<u64, BusFault> {
        let contexts = &self.state.contexts;
        Ok(match Register::at(offset, size)? {
            Register::Priority(s) => self.state.priority.get(s).copied().unwrap_or(0).into(),
            Register::Pending { word } => word_of(self.state.pending, word),
            Register::Enable { context, word } => {
                contexts.get(context).map_or(0, |c| word_of(c.enable, word))
            }
            Register::Threshold(context) => contexts.get(context).map_or(0, |c| c.threshold.into()),
            Register::Claim(context) => self.claim(context),
            Register::Vacant => 0,
        })
    }

    fn write(&mut self, offset: u64, size: u8, value: u64, _now: Ticks) -> Result<(), BusFault> {
        let existing = self.existing();
        let level = value as u8 & spec::PRIORITY_MAX;
        match Register::at(offset, size)? {
            Register::Priority(source) if source != 0 => {
                if let Some(priority) = self.state.priority.get_mut(source) {
                    *priority = level;
                }
            }
            Register::Enable { context, word } if word < 4 => {
                if let Some(c) = self.state.contexts.get_mut(context) {
                    let mask = 0xffff_ffff << (32 * word);
                    let bits = u128::from(value & 0xffff_ffff) << (32 * word);
                    c.enable = (c.enable & !mask) | (bits & existing);
                }
            }
            Register::Threshold(context) => {
                if let Some(c) = self.state.contexts.get_mut(context) {
                    c.threshold = level;
                }
            }
            Register::Claim(context) => self.complete(context, value & 0xffff_ffff),
            Register::Priority(_)
            | Register::Enable { .. }
            | Register::Pending { .. }
            | Register::Vacant => {}
        }
        Ok(())
    }

    /// The lines keep their level: they belong to the devices.
    fn reset(&mut self) {
        let lines = self.state.lines;
        self.state = State::new(self.sources, self.state.contexts.len());
        self.state.lines = lines;
        self.state.pending = lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S0: u64 = 0x20_1000; // context 1: hart 0 in S-mode

    fn read(p: &mut Plic, offset: u64) -> u64 {
        p.read(offset, 4, Ticks(0)).unwrap()
    }

    fn write(p: &mut Plic, offset: u64, value: u64) {
        p.write(offset, 4, value, Ticks(0)).unwrap();
    }

    /// 95 sources, 2 harts; sources 1 to 95 enabled for context 1 with priority 1.
    fn plic() -> Plic {
        let mut p = Plic::new(95, 4);
        for source in 1..=95 {
            write(&mut p, 4 * source, 1);
        }
        for word in 0..3 {
            write(&mut p, 0x2080 + 4 * word, 0xffff_ffff);
        }
        p
    }

    #[test]
    fn a_line_notifies_exactly_the_contexts_that_enable_it() {
        let mut p = plic();
        p.set_line(10, true);
        assert_eq!(
            (0..4).map(|c| p.context_pending(c)).collect::<Vec<_>>(),
            [false, true, false, false]
        );
        assert_eq!(read(&mut p, 0x1000), 1 << 10);
        assert_eq!(read(&mut p, S0 + 4), 10);
        assert!(!p.context_pending(1));
        assert_eq!(read(&mut p, S0 + 4), 0);
    }

    #[test]
    fn the_gateway_stays_closed_until_completion() {
        let mut p = plic();
        p.set_line(10, true);
        assert_eq!(read(&mut p, S0 + 4), 10);
        p.set_line(10, false);
        p.set_line(10, true);
        assert!(!p.context_pending(1));
        write(&mut p, S0 + 4, 10);
        assert!(p.context_pending(1)); // the line is still high
        assert_eq!(read(&mut p, S0 + 4), 10);
        p.set_line(10, false);
        write(&mut p, S0 + 4, 10);
        assert!(!p.context_pending(1));
    }

    #[test]
    fn a_forwarded_request_outlives_its_line() {
        let mut p = plic();
        p.set_line(3, true);
        p.set_line(3, false);
        assert!(p.context_pending(1));
        assert_eq!(read(&mut p, S0 + 4), 3);
    }

    #[test]
    fn the_highest_priority_wins_and_ties_go_to_the_lowest_number() {
        let mut p = plic();
        write(&mut p, 4 * 70, 5);
        for source in [9, 70, 8] {
            p.set_line(source, true);
        }
        let order: Vec<u64> = (0..4).map(|_| read(&mut p, S0 + 4)).collect();
        assert_eq!(order, [70, 8, 9, 0]);
    }

    #[test]
    fn the_threshold_masks_the_notification_but_not_the_claim() {
        let mut p = plic();
        p.set_line(1, true);
        write(&mut p, S0, 1);
        assert!(!p.context_pending(1));
        write(&mut p, 4, 2);
        assert!(p.context_pending(1));
        write(&mut p, S0, 7);
        assert!(!p.context_pending(1));
        assert_eq!(read(&mut p, S0 + 4), 1);
    }

    #[test]
    fn priority_0_never_interrupts() {
        let mut p = plic();
        write(&mut p, 4, 0);
        p.set_line(1, true);
        assert!(!p.context_pending(1));
        assert_eq!(read(&mut p, S0 + 4), 0);
    }

    #[test]
    fn completing_a_source_that_is_not_enabled_is_ignored() {
        let mut p = plic();
        p.set_line(5, true);
        assert_eq!(read(&mut p, S0 + 4), 5);
        write(&mut p, 0x20_0004, 5); // context 0 has nothing enabled
        assert!(!p.context_pending(1));
        write(&mut p, S0 + 4, 5);
        assert!(p.context_pending(1));
    }

    #[test]
    fn priorities_and_thresholds_are_3_bits_wide() {
        let mut p = plic();
        write(&mut p, 4, 0xffff_ffff);
        write(&mut p, S0, 0xffff_ffff);
        assert_eq!((read(&mut p, 4), read(&mut p, S0)), (7, 7));
    }

    #[test]
    fn source_0_and_absent_sources_and_contexts_do_not_exist() {
        let mut p = plic();
        p.set_line(0, true);
        p.set_line(96, true);
        p.set_line(255, true);
        write(&mut p, 0, 7);
        write(&mut p, 4 * 96, 7);
        write(&mut p, 4 * 1000, 7);
        assert_eq!(read(&mut p, 0) | read(&mut p, 4 * 96) | read(&mut p, 0x1000 + 4 * 3), 0);
        assert_eq!(read(&mut p, 0x2080), 0xffff_fffe);
        write(&mut p, 0x208c, 0xffff_ffff);
        write(&mut p, 0x20fc, 0xffff_ffff);
        assert_eq!(read(&mut p, 0x208c) | read(&mut p, 0x20fc), 0);
        write(&mut p, 0x2000 + 0x80 * 4, 0xffff_ffff);
        assert_eq!(read(&mut p, 0x2000 + 0x80 * 4) | read(&mut p, 0x20_4004), 0);
        write(&mut p, S0 + 4, 0xffff_ffff);
        assert!(!p.context_pending(4) && !p.context_pending(usize::MAX));
    }

    #[test]
    fn all_127_sources_fit() {
        let mut p = Plic::new(255, 1);
        assert_eq!(p.sources(), 127);
        write(&mut p, 4 * 127, 1);
        write(&mut p, 0x200c, 0xffff_ffff);
        p.set_line(127, true);
        assert!(p.context_pending(0));
        assert_eq!(read(&mut p, 0x20_0004), 127);
    }

    #[test]
    fn reset_forgets_everything_but_the_lines() {
        let mut p = plic();
        p.set_line(4, true);
        p.reset();
        assert!(!p.context_pending(1));
        assert_eq!(read(&mut p, 0x1000), 1 << 4);
        assert_eq!(read(&mut p, 4), 0);
    }

    #[test]
    fn only_words_are_admitted() {
        let mut p = plic();
        assert!(p.read(0, 8, Ticks(0)).is_err());
        assert!(p.read(1, 1, Ticks(0)).is_err());
        assert!(p.read(0x400_0000, 4, Ticks(0)).is_err());
    }
}
