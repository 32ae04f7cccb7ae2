//! What harts see when VMs change on them.

use hyp::hypervisor::{Next, VcpuId};
use hyp::port::{HartFence, Harts};
use hyp::vm::End;
use isa::csr;
use isa::field::hgatp;

use crate::notes::{Board, Notes};

/// Starts VMs of one vCPU one after the other on as many harts as there are; each ends when the next one wants its hart.
fn one_after_the_other(vmid_bits: u32, harts: usize, vms: usize) -> Notes {
    let mut board = Board::new(vmid_bits, harts, |_| {});
    for vm in 0..vms {
        assert_eq!(board.add(1), vm);
        let hart = vm % harts;
        if vm >= harts {
            board.act(|hypervisor, parts| hypervisor.end(parts, vm - harts, End::Shutdown));
            assert_eq!(board.exit(hart), Next::Wait);
        }
        board.run(VcpuId { vm, vcpu: 0 }, hart);
    }
    board.notes
}

#[test]
fn no_hart_has_a_root_while_it_fences_what_another_vm_left_under_a_vmid() {
    // With two bits there are three numbers for five VMs; with none each VM fences.
    for vmid_bits in [2, 0] {
        let notes = one_after_the_other(vmid_bits, 2, 5);
        let all = HartFence::Gvma { gpa: None, vmid: None };
        let fences = notes.fences.iter().filter(|one| one.fence == all);
        let fences: Vec<_> = fences.collect();
        assert!(fences.len() > 2, "those of the start, and more");
        // [priv: hypervisor, HFENCE.GVMA]: with a root there, a walk may begin right behind the fence.
        assert!(fences.iter().all(|one| one.hgatp == 0), "{fences:x?}");
    }
}

#[test]
fn after_a_rollover_every_running_vm_has_a_number_of_its_own() {
    // With 4 and 6 VMs the last one to come began a generation; with 7 there was another one behind it.
    for vms in [4, 6, 7] {
        check_numbers(&one_after_the_other(2, 2, vms));
    }
}

fn check_numbers(notes: &Notes) {
    let numbers = [0, 1].map(|hart| notes.csr(hart, csr::HGATP) & hgatp::VMID);
    assert!(numbers[0] != numbers[1] && !numbers.contains(&0), "{numbers:x?}");
    let placed = |hart| {
        let of = notes.fences.iter().filter(move |one| one.hart == hart);
        of.filter_map(|one| match one.fence {
            HartFence::Vvma { vmid, .. } => Some((u64::from(vmid), one.hgatp & hgatp::VMID)),
            _ => None,
        })
    };
    for (hart, number) in numbers.into_iter().enumerate() {
        for (vmid, there) in placed(hart) {
            let there = there >> hgatp::VMID.trailing_zeros();
            assert_eq!(vmid, there, "HFENCE.VVMA acts on the VMID that hgatp has");
        }
        // Whatever was under this number before.
        let last = placed(hart).next_back().map(|(vmid, _)| vmid << hgatp::VMID.trailing_zeros());
        assert_eq!(last, Some(number));
    }
}
