//! Performance monitoring [SBI: "Performance Monitoring Unit Extension"].
//!
//! Counters 0 to 31 are numbered as their CSRs are (1 is `time`, which counts no events and is no
//! counter here), because Linux takes that for granted of the fixed ones. Behind them are counters
//! of what the firmware itself does. The snapshot memory is optional and absent.

use super::{Answer, Call, Done, SbiError};
use isa::field::{counteren, mhpmevent};
use isa::{Ext, Pa, csr};
use serde::{Deserialize, Serialize};

const CYCLE: u64 = 0;
const TIME: u64 = 1;
const INSTRET: u64 = 2;
const FIRST_PROGRAMMABLE: u64 = 3;
const FIRST_FIRMWARE: u64 = 32;
const FIRMWARE_COUNTERS: usize = 16;
const COUNTERS: u64 = FIRST_FIRMWARE + FIRMWARE_COUNTERS as u64;
/// How many events one call looks up at most.
const INFO_ENTRIES_MAX: u64 = 0x1_0000;

/// What the firmware counts of its own doings. Traps that it could count never reach it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum FirmwareEvent {
    SetTimer = 5,
    IpiSent = 6,
    IpiReceived = 7,
    FenceISent = 8,
    FenceIReceived = 9,
    SfenceSent = 10,
    SfenceReceived = 11,
    SfenceAsidSent = 12,
    SfenceAsidReceived = 13,
    GvmaSent = 14,
    GvmaReceived = 15,
    GvmaVmidSent = 16,
    GvmaVmidReceived = 17,
    VvmaSent = 18,
    VvmaReceived = 19,
    VvmaAsidSent = 20,
    VvmaAsidReceived = 21,
}

const FIRMWARE_EVENTS: std::ops::RangeInclusive<u64> =
    FirmwareEvent::SetTimer as u64..=FirmwareEvent::VvmaAsidReceived as u64;

/// The counters of one hart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::firmware) struct Counters {
    /// Which counters have an event, a bit each.
    configured: u64,
    /// Which counters run, a bit each.
    started: u64,
    firmware: [FirmwareCounter; FIRMWARE_COUNTERS],
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct FirmwareCounter {
    event: u64,
    value: u64,
}

/// What can be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    /// A fixed counter may count it, and a programmable one with this selector.
    Hardware { fixed: Option<u64>, selector: u64 },
    /// A firmware counter counts it.
    Firmware(u64),
}

impl Event {
    /// The event with this number and data, on harts with a cycle model or without; `None` where nobody here counts it.
    fn find(index: u64, data: u64, modelled: bool) -> Option<Self> {
        const RAW_BITS: u32 = 48;
        const RAW_V2_BITS: u32 = 56;
        let raw = |bits: u32| {
            (data >> bits == 0).then_some(Self::Hardware { fixed: None, selector: data })
        };
        match (index >> 16, index & 0xffff) {
            (0 | 1, _) => cpu::sbi_events(modelled)
                .find(|&(event, ..)| u64::from(event) == index)
                .map(|(_, selector, row)| Self::Hardware {
                    fixed: row.fixed.map(u64::from),
                    selector,
                }),
            (2, 0) => raw(RAW_BITS),
            (3, 0) => raw(RAW_V2_BITS),
            (15, code) if FIRMWARE_EVENTS.contains(&code) && data == 0 => {
                Some(Self::Firmware(code))
            }
            _ => None,
        }
    }
}

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    let [a, b, c, d, ..] = call.args;
    match call.function {
        0 => Ok(Done::value(COUNTERS)),
        1 => info(call, a),
        2 => call.counters(a, b).and_then(|set| configure(call, set)),
        3 => call.counters(a, b).and_then(|set| start(call, set, c, d)),
        4 => call.counters(a, b).and_then(|set| stop(call, set, c)),
        5 => match a.checked_sub(FIRST_FIRMWARE) {
            Some(index) if a < COUNTERS => {
                Ok(Done::value(call.own().firmware[index as usize].value))
            }
            _ => Err(SbiError::InvalidParam),
        },
        6 if (FIRST_FIRMWARE..COUNTERS).contains(&a) => Ok(Done::OK),
        6 => Err(SbiError::InvalidParam),
        8 => events_info(call),
        _ => Err(SbiError::NotSupported),
    }
}

fn info(call: &Call<'_>, counter: u64) -> Answer {
    const FIRMWARE: u64 = 1 << 63;
    const WIDTH_64: u64 = 63 << 12;
    if !call.exists(counter) {
        return Err(SbiError::InvalidParam);
    }
    Ok(Done::value(if counter < FIRST_FIRMWARE {
        WIDTH_64 | (u64::from(csr::CYCLE) + counter)
    } else {
        FIRMWARE | WIDTH_64
    }))
}

fn configure(call: &mut Call<'_>, set: u64) -> Answer {
    const SKIP_MATCH: u64 = 1 << 0;
    const CLEAR_VALUE: u64 = 1 << 1;
    const AUTO_START: u64 = 1 << 2;
    const INHIBIT: u64 = 0x1f << 3;
    let [_, _, flags, index, data, _] = call.args;
    if flags & !(SKIP_MATCH | CLEAR_VALUE | AUTO_START | INHIBIT) != 0 {
        return Err(SbiError::InvalidParam);
    }
    let modelled = call.port.has_model();
    let event = Event::find(index, data, modelled).ok_or(SbiError::NotSupported)?;
    let counter = if flags & SKIP_MATCH != 0 {
        let first = u64::from(set.trailing_zeros());
        Some(first).filter(|&first| set != 0 && call.can_count(first, event))
    } else {
        call.matching(set & !call.own().configured & !call.own().started, event)
    };
    let counter = counter.ok_or(SbiError::NotSupported)?;
    call.own_mut().configured |= 1 << counter;
    match event {
        Event::Hardware { selector, .. } => call.select(counter, selector, flags & INHIBIT),
        Event::Firmware(code) => call.firmware_counter(counter).event = code,
    }
    if flags & CLEAR_VALUE != 0 {
        call.write(counter, 0);
    }
    if flags & AUTO_START != 0 {
        call.set_running(counter, true);
    }
    Ok(Done::value(counter))
}

fn start(call: &mut Call<'_>, set: u64, flags: u64, initial: u64) -> Answer {
    const SET_INIT_VALUE: u64 = 1 << 0;
    const INIT_SNAPSHOT: u64 = 1 << 1;
    if flags & !(SET_INIT_VALUE | INIT_SNAPSHOT) != 0 {
        return Err(SbiError::InvalidParam);
    }
    if flags & INIT_SNAPSHOT != 0 {
        return Err(SbiError::NoShmem);
    }
    let already = set & call.own().started;
    for counter in members(set & !already) {
        if flags & SET_INIT_VALUE != 0 {
            call.write(counter, initial);
        }
        call.set_running(counter, true);
    }
    if already == 0 { Ok(Done::OK) } else { Err(SbiError::AlreadyStarted) }
}

fn stop(call: &mut Call<'_>, set: u64, flags: u64) -> Answer {
    const RESET: u64 = 1 << 0;
    const TAKE_SNAPSHOT: u64 = 1 << 1;
    if flags & !(RESET | TAKE_SNAPSHOT) != 0 {
        return Err(SbiError::InvalidParam);
    }
    if flags & TAKE_SNAPSHOT != 0 {
        return Err(SbiError::NoShmem);
    }
    let already = set & !call.own().started;
    for counter in members(set) {
        call.set_running(counter, false);
    }
    if flags & RESET != 0 {
        call.own_mut().configured &= !set;
    }
    if already == 0 { Ok(Done::OK) } else { Err(SbiError::AlreadyStopped) }
}

/// Says of each event in a list in memory whether it can be counted.
fn events_info(call: &Call<'_>) -> Answer {
    const ENTRY_BYTES: u64 = 16;
    const EVENT_BITS: u32 = 0xf_ffff;
    let [low, high, entries, flags, ..] = call.args;
    if flags != 0 || !low.is_multiple_of(ENTRY_BYTES) {
        return Err(SbiError::InvalidParam);
    }
    let bytes = entries.checked_mul(ENTRY_BYTES).ok_or(SbiError::InvalidAddress)?;
    let start = call.shared_memory(bytes, low, high).ok_or(SbiError::InvalidAddress)?;
    if entries > INFO_ENTRIES_MAX {
        return Err(SbiError::Failed);
    }
    let memory = call.port.memory();
    for entry in 0..entries {
        let at = Pa(start.0 + entry * ENTRY_BYTES);
        let mut words = [0; ENTRY_BYTES as usize];
        memory.read_bytes(at, &mut words).map_err(|_| SbiError::Failed)?;
        let [index, _, low, high] = std::array::from_fn(|word| {
            let bytes = [0, 1, 2, 3].map(|byte| words[4 * word + byte]);
            u32::from_le_bytes(bytes)
        });
        if index & !EVENT_BITS != 0 {
            return Err(SbiError::InvalidParam);
        }
        let data = u64::from(high) << 32 | u64::from(low);
        // Data counts only for the types that have any.
        let data = if matches!(index >> 16, 2 | 3 | 15) { data } else { 0 };
        let modelled = call.port.has_model();
        let supported = u32::from(Event::find(u64::from(index), data, modelled).is_some());
        let output = Pa(at.0 + 4);
        memory.write_bytes(output, &supported.to_le_bytes()).map_err(|_| SbiError::Failed)?;
    }
    Ok(Done::OK)
}

fn members(set: u64) -> impl Iterator<Item = u64> {
    (0..COUNTERS).filter(move |counter| set >> counter & 1 != 0)
}

impl Call<'_> {
    fn own(&self) -> &Counters {
        &self.firmware.harts[self.hart].counters
    }

    fn own_mut(&mut self) -> &mut Counters {
        &mut self.firmware.harts[self.hart].counters
    }

    fn firmware_counter(&mut self, counter: u64) -> &mut FirmwareCounter {
        &mut self.own_mut().firmware[(counter - FIRST_FIRMWARE) as usize]
    }

    /// Counts an event of the firmware for a hart.
    pub(super) fn count(&mut self, hart: usize, event: FirmwareEvent) {
        let Some(of_hart) = self.firmware.harts.get_mut(hart) else { return };
        let Counters { started, firmware, .. } = &mut of_hart.counters;
        for (index, counter) in firmware.iter_mut().enumerate() {
            let runs = *started >> (FIRST_FIRMWARE + index as u64) & 1 != 0;
            if runs && counter.event == event as u64 {
                counter.value = counter.value.wrapping_add(1);
            }
        }
    }

    fn exists(&self, counter: u64) -> bool {
        match counter {
            TIME => false,
            CYCLE | INSTRET => self.port.exts().contains(Ext::Zicntr),
            FIRST_PROGRAMMABLE..FIRST_FIRMWARE => self.port.exts().contains(Ext::Zihpm),
            _ => counter < COUNTERS,
        }
    }

    /// The set of a base and a mask; all of its counters must exist.
    fn counters(&self, base: u64, mask: u64) -> Result<u64, SbiError> {
        let reach = u64::from(mask.leading_zeros());
        if mask == 0 {
            return Ok(0);
        }
        if base > reach {
            return Err(SbiError::InvalidParam);
        }
        let set = mask << base;
        let all_exist = (0..64).all(|counter| set >> counter & 1 == 0 || self.exists(counter));
        if all_exist { Ok(set) } else { Err(SbiError::InvalidParam) }
    }

    fn can_count(&self, counter: u64, event: Event) -> bool {
        match event {
            Event::Hardware { fixed, .. } => {
                fixed == Some(counter) || (FIRST_PROGRAMMABLE..FIRST_FIRMWARE).contains(&counter)
            }
            Event::Firmware(_) => (FIRST_FIRMWARE..COUNTERS).contains(&counter),
        }
    }

    /// The best counter for an event. A programmable one can say when it overflows and leave out modes,
    /// if the hart has Sscofpmf; else a fixed one is as good and leaves the others free.
    fn matching(&self, set: u64, event: Event) -> Option<u64> {
        let mut able: Vec<u64> =
            members(set).filter(|&counter| self.can_count(counter, event)).collect();
        let programmable_first = self.port.exts().contains(Ext::Sscofpmf);
        able.sort_by_key(|&counter| (counter < FIRST_PROGRAMMABLE) == programmable_first);
        able.first().copied()
    }

    /// Gives a hardware counter its event. Bits 3 to 7 of the flags leave out a mode each, from VU to M,
    /// in the order of `mhpmevent`'s bits 58 to 62.
    fn select(&mut self, counter: u64, selector: u64, inhibit: u64) {
        let filter = inhibit >> 3 << mhpmevent::VUINH.trailing_zeros();
        let (number, value) = match counter {
            CYCLE | INSTRET if !self.port.exts().contains(Ext::Smcntrpmf) => return,
            CYCLE => (csr::MCYCLECFG, filter),
            INSTRET => (csr::MINSTRETCFG, filter),
            _ if self.port.exts().contains(Ext::Sscofpmf) => {
                (csr::MHPMEVENT3 + (counter - FIRST_PROGRAMMABLE) as u16, filter | selector)
            }
            _ => (csr::MHPMEVENT3 + (counter - FIRST_PROGRAMMABLE) as u16, selector),
        };
        self.port.set_csr(self.hart, number, value);
    }

    fn write(&mut self, counter: u64, value: u64) {
        if counter < FIRST_FIRMWARE {
            self.port.set_csr(self.hart, csr::MCYCLE + counter as u16, value);
        } else {
            self.firmware_counter(counter).value = value;
        }
    }

    fn set_running(&mut self, counter: u64, running: bool) {
        let bit = 1 << counter;
        let started = self.own().started & !bit;
        self.own_mut().started = started | if running { bit } else { 0 };
        if counter >= FIRST_FIRMWARE {
            return;
        }
        let overflows = self.port.exts().contains(Ext::Sscofpmf) && counter >= FIRST_PROGRAMMABLE;
        if running && overflows {
            let number = csr::MHPMEVENT3 + (counter - FIRST_PROGRAMMABLE) as u16;
            let selected = self.port.csr(self.hart, number);
            self.port.set_csr(self.hart, number, selected & !mhpmevent::OF);
        }
        let inhibited = self.port.csr(self.hart, csr::MCOUNTINHIBIT) & !bit;
        let inhibited = inhibited | if running { 0 } else { bit };
        self.port.set_csr(self.hart, csr::MCOUNTINHIBIT, inhibited);
    }
}

// Bits of `mcountinhibit` and numbers of counters are the same.
const _: () = assert!(counteren::CY == 1 << CYCLE && counteren::IR == 1 << INSTRET);

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use super::*;
    use crate::firmware::Port;
    use crate::firmware::fake::{Fake, RAM_BASE};
    use isa::ExtSet;

    const PMU: u64 = id(b"PMU");
    const ALL_HARDWARE: u64 = 0xffff_fffd;
    const CYCLES: u64 = 1;
    const INSTRUCTIONS: u64 = 2;

    #[test]
    fn counters_are_numbered_as_their_csrs() {
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(PMU, 0, &[]), (0, 48));
        assert_eq!(bench.call(PMU, 1, &[0]), (0, 63 << 12 | 0xc00));
        assert_eq!(bench.call(PMU, 1, &[1]).0, -3);
        assert_eq!(bench.call(PMU, 1, &[31]), (0, 63 << 12 | 0xc1f));
        assert_eq!(bench.call(PMU, 1, &[32]).1 >> 63, 1);
        assert_eq!(bench.call(PMU, 1, &[48]).0, -3);
    }

    #[test]
    fn an_event_gets_a_free_counter_that_can_count_it() {
        let mut bench = Bench::new(1);
        let mut configure = |event, flags| bench.call(PMU, 2, &[0, ALL_HARDWARE, flags, event, 0]);
        // With Sscofpmf programmable counters come first.
        assert_eq!(configure(CYCLES, 0), (0, 3));
        assert_eq!(configure(CYCLES, 0b10 << 3), (0, 4));
        assert_eq!(configure(3, 0).0, -2);
        assert_eq!(configure(INSTRUCTIONS, 1 << 8).0, -3);
        assert_eq!(bench.port.csr(0, csr::MHPMEVENT3), 1);
        assert_eq!(bench.port.csr(0, csr::MHPMEVENT4), 1 | mhpmevent::VSINH);
        // A fixed one by name.
        assert_eq!(bench.call(PMU, 2, &[0, 1 << 2, 1, INSTRUCTIONS, 0]), (0, 2));
        assert_eq!(bench.call(PMU, 2, &[0, 1 << 0, 1, INSTRUCTIONS, 0]).0, -2);
        assert_eq!(bench.call(PMU, 2, &[0, 2, 0, CYCLES, 0]).0, -3);
    }

    #[test]
    fn without_overflow_interrupts_the_fixed_counter_comes_first() {
        let exts = ExtSet::parse("rv64,sscofpmf=off").unwrap();
        let mut bench = Bench::with_port(Fake::with_exts(1, exts));
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, INSTRUCTIONS, 0]), (0, 2));
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, INSTRUCTIONS, 0]), (0, 3));
    }

    #[test]
    fn a_counter_runs_from_start_to_stop() {
        let mut bench = Bench::new(1);
        bench.call(PMU, 2, &[3, 1, 0, CYCLES, 0]);
        bench.port.set_csr(0, csr::MHPMEVENT3, 1 | mhpmevent::OF);
        let inhibited = |bench: &Bench| bench.port.csr(0, csr::MCOUNTINHIBIT) >> 3 & 1;
        assert_eq!(inhibited(&bench), 1);
        assert_eq!(bench.call(PMU, 3, &[3, 1, 1, 1000]), (0, 0));
        assert_eq!(inhibited(&bench), 0);
        assert_eq!(bench.port.csr(0, csr::MHPMCOUNTER3), 1000);
        assert_eq!(bench.port.csr(0, csr::MHPMEVENT3), 1);
        assert_eq!(bench.call(PMU, 3, &[3, 1, 0, 0]).0, -7);
        assert_eq!(bench.call(PMU, 4, &[3, 1, 1]), (0, 0));
        assert_eq!(inhibited(&bench), 1);
        assert_eq!(bench.call(PMU, 4, &[3, 1, 0]).0, -8);
        assert_eq!(bench.call(PMU, 3, &[3, 1, 2, 0]).0, -9);
        assert_eq!(bench.call(PMU, 3, &[3, 1, 4, 0]).0, -3);
        assert_eq!(bench.call(PMU, 4, &[60, 1, 0]).0, -3);
    }

    #[test]
    fn the_firmware_counts_what_it_does() {
        let mut bench = Bench::new(2);
        let ipi_sent = 15 << 16 | 6;
        // Configure, clear and start.
        assert_eq!(bench.call(PMU, 2, &[32, 0xffff, 0b110, ipi_sent, 0]), (0, 32));
        bench.call(id(b"sPI"), 0, &[0, u64::MAX]);
        assert_eq!(bench.call(PMU, 5, &[32]), (0, 2));
        bench.call(PMU, 4, &[32, 1, 0]);
        bench.call(id(b"sPI"), 0, &[0, u64::MAX]);
        assert_eq!(bench.call(PMU, 5, &[32]), (0, 2));
        assert_eq!(bench.call(PMU, 6, &[32]), (0, 0));
        assert_eq!(bench.call(PMU, 5, &[31]).0, -3);
        assert_eq!(bench.call(PMU, 5, &[48]).0, -3);
    }

    /// Cache events are 1 << 16, the cache (3 is the data TLB) << 3, the operation (0 reads) << 1, and 1 for misses.
    #[test]
    fn what_only_a_cycle_model_counts_needs_one() {
        let dtlb_misses = 1 << 16 | 3 << 3 | 1;
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, dtlb_misses, 0]).0, -2);
        bench.port.modelled = true;
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, dtlb_misses, 0]), (0, 3));
        let selected = bench.port.csr(0, csr::MHPMEVENT3);
        let row = &cpu::EVENTS[selected as usize - 1];
        assert_eq!(row.name, "dTLB-load-misses");
        // Branch misses are general event 6.
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, 6, 0]), (0, 4));
        assert_eq!(
            cpu::EVENTS[bench.port.csr(0, csr::MHPMEVENT4) as usize - 1].name,
            "branch-misses"
        );
        // Nobody counts prefetches.
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, dtlb_misses | 2 << 1, 0]).0, -2);
    }

    #[test]
    fn raw_events_go_to_the_selector_as_they_are() {
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, 2 << 16, 0x1234]), (0, 3));
        assert_eq!(bench.port.csr(0, csr::MHPMEVENT3), 0x1234);
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, 2 << 16, 1 << 48]).0, -2);
        assert_eq!(bench.call(PMU, 2, &[0, ALL_HARDWARE, 0, 3 << 16, 1 << 55]), (0, 4));
    }

    #[test]
    fn a_list_of_events_is_answered_in_place() {
        let mut bench = Bench::new(1);
        let entries: [[u32; 4]; 3] = [[1, 9, 0, 0], [5, 9, 0, 0], [15 << 16 | 21, 9, 0, 0]];
        let bytes: Vec<u8> = entries.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        bench.port.memory().write_bytes(Pa(RAM_BASE), &bytes).unwrap();
        assert_eq!(bench.call(PMU, 8, &[RAM_BASE, 0, 3, 0]), (0, 0));
        let mut back = [0; 48];
        bench.port.memory().read_bytes(Pa(RAM_BASE), &mut back).unwrap();
        assert_eq!([back[4], back[20], back[36]], [1, 0, 1]);
        assert_eq!(bench.call(PMU, 8, &[RAM_BASE + 8, 0, 3, 0]).0, -3);
        assert_eq!(bench.call(PMU, 8, &[RAM_BASE, 0, u64::MAX, 0]).0, -5);
        assert_eq!(bench.call(PMU, 8, &[RAM_BASE, 0, 0x1_0000, 0]).0, -5);
        assert_eq!(bench.call(PMU, 7, &[0, 0, 0]).0, -2);
    }
}
