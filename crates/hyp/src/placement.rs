//! Where the vCPUs of one VM run, and which fences that makes due.
//!
//! ASIDs are private to a vCPU as each hart is private to an operating system, so what one vCPU left on a hart under the
//! VM's VMID must go before another one, or the same one after a stay elsewhere, runs there: HFENCE.VVMA. And a hart
//! that no vCPU of the VM is on is not interrupted when the tables change; it owes an HFENCE.GVMA for when one comes.

use crate::faults::{Fault, Faults};

/// What a hart must execute before a vCPU enters its guest there, under the VM's VMID in `hgatp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "the fences are due"]
pub struct Arrival {
    /// HFENCE.GVMA of all addresses of the VMID. While `hgatp` does not hold the VM's root yet, so that nothing comes
    /// back by speculation.
    pub gvma: bool,
    /// HFENCE.VVMA without operands.
    pub vvma: bool,
}

/// One hart, as this VM knows it under its present VMID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Place {
    /// The vCPU that is here.
    here: Option<usize>,
    /// The vCPU that was here last, or is.
    last: Option<usize>,
    /// Tables changed while no vCPU was here.
    behind: bool,
}

/// Where the vCPUs of one VM are and were.
#[derive(Clone, Debug)]
pub struct Placement {
    harts: Vec<Place>,
    /// For each vCPU, the hart of its last stay.
    stays: Vec<Option<usize>>,
    faults: Faults,
}

impl Placement {
    /// Nobody is anywhere.
    pub fn new(harts: usize, vcpus: usize) -> Self {
        Self {
            harts: vec![Place::default(); harts],
            stays: vec![None; vcpus],
            faults: Faults::NONE,
        }
    }

    /// The same with a fault.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Puts a vCPU on a hart, in place of any other of this VM, and says what is due there.
    pub fn place(&mut self, hart: usize, vcpu: usize) -> Arrival {
        let Some(place) = self.harts.get_mut(hart) else { return Arrival::default() };
        let Some(stay) = self.stays.get_mut(vcpu) else { return Arrival::default() };
        let returns = *stay == Some(hart) && place.last == Some(vcpu);
        let mut arrival = Arrival { gvma: place.behind, vvma: !returns };
        *stay = Some(hart);
        *place = Place { here: Some(vcpu), last: Some(vcpu), behind: false };
        if self.faults.has(Fault::GvmaWhereVvmaIsDueToo) && arrival.vvma {
            arrival = Arrival { gvma: true, vvma: false };
        }
        if self.faults.has(Fault::AbsentHartForgotten) {
            arrival.gvma = false;
        }
        arrival
    }

    /// Takes the vCPU of this VM off a hart.
    pub fn leave(&mut self, hart: usize) {
        if let Some(place) = self.harts.get_mut(hart) {
            place.here = None;
        }
    }

    /// The vCPU of this VM on a hart.
    pub fn on(&self, hart: usize) -> Option<usize> {
        self.harts.get(hart)?.here
    }

    /// Says which harts must execute a fence of the G-stage now, and notes that the others owe it.
    pub fn fence(&mut self) -> Vec<usize> {
        let mut now = Vec::new();
        for (hart, place) in self.harts.iter_mut().enumerate() {
            if place.here.is_some() {
                now.push(hart);
            } else {
                place.behind |= place.last.is_some();
            }
        }
        if self.faults.has(Fault::RemoteHartsForgotten) {
            now.truncate(1);
        }
        now
    }

    /// The VM has another VMID, under which no hart holds anything of the G-stage.
    pub fn forget(&mut self) {
        self.harts.fill(Place::default());
        self.stays.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_to_a_hart_where_another_was_or_from_another_hart_owes_hfence_vvma() {
        let mut placement = Placement::new(2, 2);
        assert!(placement.place(0, 0).vvma, "the VMID may have been used before");
        placement.leave(0);
        assert!(!placement.place(0, 0).vvma, "nobody else was here, and it was nowhere else");
        placement.leave(0);
        assert!(placement.place(0, 1).vvma);
        placement.leave(0);
        assert!(placement.place(0, 0).vvma, "the other one was here");
        placement.leave(0);
        assert!(placement.place(1, 0).vvma);
        placement.leave(1);
        assert!(placement.place(0, 0).vvma, "what the guest fenced elsewhere is still here");
    }

    #[test]
    fn a_hart_that_nobody_was_on_owes_the_fence_until_somebody_comes() {
        let mut placement = Placement::new(3, 2);
        let _ = placement.place(0, 0);
        let _ = placement.place(1, 1);
        assert_eq!(placement.fence(), [0, 1]);
        placement.leave(1);
        assert_eq!(placement.fence(), [0]);
        assert_eq!(placement.place(1, 1), Arrival { gvma: true, vvma: false });
        placement.leave(1);
        assert_eq!(placement.place(1, 1), Arrival::default());
        assert_eq!(placement.place(2, 1), Arrival { gvma: false, vvma: true }, "never here before");
    }
}
