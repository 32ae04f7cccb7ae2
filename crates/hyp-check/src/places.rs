//! What each hart owes when vCPUs come and tables change, by the manual and not by the hypervisor's account.
//!
//! A hart may hold translations under every VMID that its `hgatp` had since it last fenced them. So whoever changes tables
//! fences every hart that has the VM's root loaded, under the VMID that is there; a hart that had it before fences when
//! the VM comes back; a VMID that another VM had is fenced before it serves again; and what one vCPU left in the VS-stage
//! under a VMID, or this one before a stay elsewhere, goes before a vCPU enters.

use std::collections::BTreeMap;

use crate::Property;
use crate::layout::{HARTS, VCPUS};
use crate::shared::{Done, violation};

/// What a hart may hold under one VMID.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Translations of the G-stage of this VM.
    vm: Option<usize>,
    /// Tables changed since, and the hart did not fence.
    is_behind: bool,
    /// Translations of the VS-stage of this vCPU.
    vcpu: Option<usize>,
}

/// All harts.
#[derive(Debug, Default)]
pub(crate) struct Places {
    held: [BTreeMap<u16, Held>; HARTS],
    /// The hart and the VMID of each vCPU's last stay.
    stays: [Option<(usize, u16)>; VCPUS.len()],
}

impl Places {
    /// A vCPU enters, after the fences of its VMID that `gvma` and `vvma` say.
    pub(crate) fn enter(
        &mut self,
        hart: usize,
        vcpu: usize,
        vmid: u16,
        gvma: bool,
        vvma: bool,
    ) -> Done<()> {
        let vm = VCPUS[vcpu].0;
        let held = self.held[hart].entry(vmid).or_default();
        let owed = |what: String| violation(Property::Owed, format!("hart {hart} {what}"));
        if !gvma && let Some(other) = held.vm.filter(|other| *other != vm) {
            return owed(format!("may hold translations of VM {other} under VMID {vmid}"));
        }
        if !gvma && held.is_behind {
            return owed(format!("did not fence VMID {vmid} since tables of VM {vm} changed"));
        }
        let stayed = held.vcpu == Some(vcpu) && self.stays[vcpu] == Some((hart, vmid));
        if !vvma && held.vcpu.is_some() && !stayed {
            return owed(format!(
                "may hold what is no longer true of the VS-stage under VMID {vmid}"
            ));
        }
        *held = Held { vm: Some(vm), is_behind: false, vcpu: Some(vcpu) };
        self.stays[vcpu] = Some((hart, vmid));
        Ok(())
    }

    /// A fence of a VM's tables, without which a guest could do what it must not, was executed under this VMID on
    /// `fenced`; the vCPUs in `running` are on harts.
    pub(crate) fn fenced(
        &mut self,
        vm: usize,
        vmid: u16,
        fenced: &[usize],
        running: &[Option<usize>; HARTS],
    ) -> Done<()> {
        for (hart, on) in running.iter().enumerate() {
            let here = on.filter(|vcpu| VCPUS[*vcpu].0 == vm);
            let Some(vcpu) = here else {
                let held = self.held[hart].values_mut().filter(|held| held.vm == Some(vm));
                held.for_each(|held| held.is_behind = true);
                continue;
            };
            if !fenced.contains(&hart) {
                let what =
                    format!("hart {hart} runs VM {vm}, whose tables changed, and did not fence");
                return violation(Property::Owed, what);
            }
            let under = self.stays[vcpu].map(|(_, vmid)| vmid);
            if under != Some(vmid) {
                let what =
                    format!("hart {hart} runs VM {vm} under VMID {under:?} and fenced {vmid}");
                return violation(Property::Owed, what);
            }
        }
        Ok(())
    }

    /// Every hart executed HFENCE.GVMA for all VMIDs while it had none of them.
    pub(crate) fn all_fenced(&mut self) {
        for held in self.held.iter_mut().flat_map(BTreeMap::values_mut) {
            (held.vm, held.is_behind) = (None, false);
        }
    }
}
