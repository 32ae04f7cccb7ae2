//! Remote fences [SBI: "RFENCE Extension"]. Each becomes the fences that the target itself would
//! execute, address by address, so that nothing more is dropped than was asked for.

use super::pmu::FirmwareEvent;
use super::{Answer, Call, Done, Harts, SbiError};
use isa::field::{get, hgatp};
use isa::{Ext, Gpa, PAGE_BYTES, Va, csr};
use mmu::Fence;

/// Ranges of more pages become one fence for all addresses. A 2 MiB range, which KVM fences page by
/// page, is just not more.
const PAGES_MAX: u64 = 512;
/// ASIDs and VMIDs that a register can hold.
const ASID_MAX: u64 = 0xffff;
const VMID_MAX: u64 = 0x3fff;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    use FirmwareEvent as Event;
    let [mask, base, start, size, id, _] = call.args;
    if call.function > 6 || call.function > 2 && !call.port.exts().contains(Ext::H) {
        return Err(SbiError::NotSupported);
    }
    let targets = call.harts(mask, base)?;
    if call.function == 0 {
        for hart in call.hearing(targets) {
            call.count_fence(hart, Event::FenceISent, Event::FenceIReceived);
            call.port.fence_i(hart);
        }
        return Ok(Done::OK);
    }
    let places = places(start, size).ok_or(SbiError::InvalidAddress)?;
    let limited = |max| u16::try_from(id).ok().filter(|_| id <= max).ok_or(SbiError::InvalidParam);
    let vmid = get(call.port.csr(call.hart, csr::HGATP), hgatp::VMID) as u16;
    let va = |place: Option<u64>| place.map(Va);
    let gpa = |place: Option<u64>| place.map(Gpa);
    match call.function {
        1 => call.send(targets, places, Event::SfenceSent, Event::SfenceReceived, |place| {
            Fence::Sfence { va: va(place), asid: None }
        }),
        2 => {
            let asid = Some(limited(ASID_MAX)?);
            call.send(targets, places, Event::SfenceAsidSent, Event::SfenceAsidReceived, |place| {
                Fence::Sfence { va: va(place), asid }
            });
        }
        3 => {
            let vmid = Some(limited(VMID_MAX)?);
            call.send(targets, places, Event::GvmaVmidSent, Event::GvmaVmidReceived, |place| {
                Fence::Gvma { gpa: gpa(place), vmid }
            });
        }
        4 => call.send(targets, places, Event::GvmaSent, Event::GvmaReceived, |place| {
            Fence::Gvma { gpa: gpa(place), vmid: None }
        }),
        5 => {
            let asid = Some(limited(ASID_MAX)?);
            call.send(targets, places, Event::VvmaAsidSent, Event::VvmaAsidReceived, |place| {
                Fence::Vvma { va: va(place), asid, vmid }
            });
        }
        _ => call.send(targets, places, Event::VvmaSent, Event::VvmaReceived, |place| {
            Fence::Vvma { va: va(place), asid: None, vmid }
        }),
    }
    Ok(Done::OK)
}

/// The addresses that fences for a range name: one in each page, or `[None]` for all addresses. `None`
/// where the range leaves the address space.
fn places(start: u64, size: u64) -> Option<Vec<Option<u64>>> {
    if start == 0 && size == 0 || size == u64::MAX {
        return Some(vec![None]);
    }
    if size == 0 {
        return Some(Vec::new());
    }
    let last = start.checked_add(size - 1)?;
    let pages = last / PAGE_BYTES - start / PAGE_BYTES + 1;
    if pages > PAGES_MAX {
        return Some(vec![None]);
    }
    let first = start / PAGE_BYTES;
    Some((first..first + pages).map(|page| Some(page * PAGE_BYTES)).collect())
}

impl Call<'_> {
    /// The targets that hear a fence: a stopped hart holds nothing, and is fenced when it starts.
    fn hearing(&self, targets: Harts) -> Vec<usize> {
        targets.iter().filter(|&hart| self.is_interruptible(hart)).collect()
    }

    fn count_fence(&mut self, target: usize, sent: FirmwareEvent, received: FirmwareEvent) {
        self.count(self.hart, sent);
        self.count(target, received);
    }

    fn send(
        &mut self,
        targets: Harts,
        places: Vec<Option<u64>>,
        sent: FirmwareEvent,
        received: FirmwareEvent,
        fence: impl Fn(Option<u64>) -> Fence,
    ) {
        for hart in self.hearing(targets) {
            self.count_fence(hart, sent, received);
            for &place in &places {
                self.port.fence(hart, fence(place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use super::*;
    use crate::firmware::Port;
    use crate::firmware::fake::Fake;
    use isa::ExtSet;

    const RFNC: u64 = id(b"RFNC");
    const ALL: u64 = u64::MAX;

    fn fences(function: u64, args: &[u64]) -> Vec<(usize, Fence)> {
        let mut bench = Bench::new(2);
        bench.port.set_csr(0, csr::HGATP, 8 << 60 | 7 << 44);
        assert_eq!(bench.call(RFNC, function, args), (0, 0));
        bench.port.fences
    }

    #[test]
    fn each_page_of_a_range_is_fenced_on_each_target() {
        let sfence = |hart, va| (hart, Fence::Sfence { va: Some(Va(va)), asid: None });
        assert_eq!(
            fences(1, &[0b11, 0, 0x1fff, 2]),
            [sfence(0, 0x1000), sfence(0, 0x2000), sfence(1, 0x1000), sfence(1, 0x2000)]
        );
        let top = u64::MAX - 0xfff;
        assert_eq!(fences(1, &[1, 0, top, 0x1000]), [sfence(0, top)]);
    }

    #[test]
    fn the_whole_address_space_is_one_fence() {
        let all = vec![(1, Fence::Sfence { va: None, asid: None })];
        assert_eq!(fences(1, &[2, 0, 0, 0]), all);
        assert_eq!(fences(1, &[2, 0, 0x5000, ALL]), all);
        assert_eq!(fences(1, &[2, 0, 0, 513 << 12]), all);
        assert_eq!(fences(1, &[2, 0, 0, 512 << 12]).len(), 512);
        assert_eq!(fences(1, &[2, 0, 0x5000, 0]), []);
    }

    #[test]
    fn each_function_is_its_own_fence() {
        let (va, gpa) = (Some(Va(0x3000)), Some(Gpa(0x3000)));
        let one = |function, id| fences(function, &[1, 0, 0x3000, 0x1000, id])[0].1;
        assert_eq!(one(2, 5), Fence::Sfence { va, asid: Some(5) });
        assert_eq!(one(3, 6), Fence::Gvma { gpa, vmid: Some(6) });
        assert_eq!(one(4, 0), Fence::Gvma { gpa, vmid: None });
        // HFENCE.VVMA is for the VMID in the caller's hgatp.
        assert_eq!(one(5, 9), Fence::Vvma { va, asid: Some(9), vmid: 7 });
        assert_eq!(one(6, 0), Fence::Vvma { va, asid: None, vmid: 7 });
    }

    #[test]
    fn fence_i_reaches_all_harts() {
        let mut bench = Bench::new(3);
        assert_eq!(bench.call(RFNC, 0, &[0, ALL]), (0, 0));
        assert_eq!(bench.port.fences_i, [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_fenced_is_an_error() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.call(RFNC, 1, &[4, 0, 0, 0]).0, -3);
        assert_eq!(bench.call(RFNC, 1, &[1, 0, u64::MAX, 2]).0, -5);
        assert_eq!(bench.call(RFNC, 2, &[1, 0, 0, 0, 0x1_0000]).0, -3);
        assert_eq!(bench.call(RFNC, 3, &[1, 0, 0, 0, 0x4000]).0, -3);
        assert_eq!(bench.call(RFNC, 7, &[1, 0, 0, 0]).0, -2);
        assert!(bench.port.fences.is_empty());

        let exts = ExtSet::parse("rv64,h=off").unwrap();
        let mut bench = Bench::with_port(Fake::with_exts(1, exts));
        for function in 3..=6 {
            assert_eq!(bench.call(RFNC, function, &[1, 0, 0, 0, 0]).0, -2);
        }
    }
}
