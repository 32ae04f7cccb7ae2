//! What a vCPU finds on a hart, what comes of its exits and calls, and which fences its ways demand.

use hyp::gstage::{Fence, Why};
use hyp::hypervisor::{Next, VcpuId};
use hyp::memory::{Env, GuestMemory};
use hyp::memslot::Slot;
use hyp::port::{HartFence, Harts};
use hyp::vcpu::{Context, SWITCHED};
use isa::field::{henvcfg, hstatus, mip, mstatus, sstatus};
use isa::{Gpa, Pa, csr};

use crate::notes::{Board, Device, Notes, RAM};

const TIME: u64 = 0x5449_4d45;
const IPI: u64 = 0x0073_5049;
const RFENCE: u64 = 0x5246_4e43;
const HSM: u64 = 0x0048_534d;
const DBCN: u64 = 0x4442_434e;

const ECALL_VS: u64 = 10;
const VIRTUAL_INSTRUCTION: u64 = 22;
const LOAD_GUEST_PAGE: u64 = 21;
const STORE_GUEST_PAGE: u64 = 23;

const WFI: u64 = 0x1050_0073;

const VVMA: fn(&HartFence) -> bool =
    |fence| matches!(fence, HartFence::Vvma { va: None, asid: None, .. });

fn vcpu(vm: usize, vcpu: usize) -> VcpuId {
    VcpuId { vm, vcpu }
}

/// The guest on this hart traps.
fn trap(board: &mut Board, hart: usize, cause: u64, stval: u64) -> Next {
    board.notes.set_csr(hart, csr::SCAUSE, cause);
    board.notes.set_csr(hart, csr::STVAL, stval);
    board.exit(hart)
}

/// It calls SBI.
fn call(board: &mut Board, hart: usize, extension: u64, function: u64, args: &[u64]) -> Next {
    board.notes.x[hart][10..10 + args.len()].copy_from_slice(args);
    board.notes.x[hart][16] = function;
    board.notes.x[hart][17] = extension;
    trap(board, hart, ECALL_VS, 0)
}

/// One VM with two vCPUs, each on its hart.
fn two_harts() -> Board {
    let mut board = Board::new(7, 2, |_| {});
    board.add(2);
    board.run(vcpu(0, 0), 0);
    board.run(vcpu(0, 1), 1);
    board
}

/// vCPU 1 of [`two_harts`] waits by WFI, for a software interrupt.
fn let_1_wait(board: &mut Board) {
    board.notes.set_csr(1, csr::VSIE, mip::SSIP);
    assert_eq!(trap(board, 1, VIRTUAL_INSTRUCTION, WFI), Next::Wait);
}

#[test]
fn a_vcpu_goes_on_on_another_hart_as_it_left_the_first() {
    for supervisor in [false, true] {
        let mut notes = Notes::new(7, 2);
        let spp = |on| if on { sstatus::SPP } else { 0 };
        for index in 1..32u8 {
            notes.set_x(0, index, 0x100 + u64::from(index));
        }
        for index in 0..32u8 {
            notes.set_f(0, index, 0x200 + u64::from(index));
        }
        for (value, number) in (0x300..).zip(SWITCHED) {
            notes.set_csr(0, number, value);
        }
        notes.set_csr(0, csr::FCSR, 0x95);
        notes.set_csr(0, csr::SEPC, RAM + 0x123_4560);
        notes.set_csr(0, csr::SSTATUS, spp(supervisor));
        // The other hart has been somebody else's, in the other mode.
        (notes.x[1], notes.f[1]) = ([!0; 32], [!0; 32]);
        for number in SWITCHED {
            notes.set_csr(1, number, !0);
        }
        notes.set_csr(1, csr::SSTATUS, spp(!supervisor) | mstatus::SUM | mstatus::MXR);
        notes.set_csr(1, csr::HSTATUS, if supervisor { 0 } else { hstatus::SPVP });
        let mut context = Context::new();
        context.save(&notes, 0);
        context.restore(&mut notes, 1);
        assert_eq!(notes.x[1][1..], notes.x[0][1..]);
        assert_eq!(notes.f[1], notes.f[0]);
        for number in SWITCHED.into_iter().chain([csr::FCSR, csr::SEPC]) {
            assert_eq!(notes.csr(1, number), notes.csr(0, number), "CSR {number:#x}");
        }
        // SRET goes to the mode that SPV and SPP name; SPVP is as a trap from there leaves it [priv: hypervisor].
        let status = notes.csr(1, csr::SSTATUS);
        let hstatus = notes.csr(1, csr::HSTATUS);
        assert_eq!(status & sstatus::SPP, spp(supervisor));
        assert_eq!(hstatus & hstatus::SPV, hstatus::SPV);
        assert_eq!(hstatus & hstatus::SPVP != 0, supervisor);
        // HS-level FS and MXR hold at V=1 too: F is there for the guest, and what only executes is not read.
        assert_ne!(status & mstatus::FS, 0);
        assert_eq!(status & mstatus::MXR, 0);
    }
}

#[test]
fn an_exception_that_vs_mode_gets_is_as_trap_entry_writes_it() {
    // csrr a0, hstatus: illegal to a guest that is to think it has no H.
    let bits = 0x6000_2573;
    for (supervisor, interrupts) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut board = two_harts();
        let when = |on, bit| if on { bit } else { 0 };
        let notes = &mut board.notes;
        notes.set_csr(0, csr::SSTATUS, when(supervisor, sstatus::SPP));
        let before = when(interrupts, sstatus::SIE)
            | when(!interrupts, sstatus::SPIE)
            | when(!supervisor, sstatus::SPP);
        notes.set_csr(0, csr::VSSTATUS, before);
        notes.set_csr(0, csr::VSTVEC, RAM + 0x2001);
        notes.set_csr(0, csr::SEPC, RAM + 0x40);
        assert_eq!(trap(&mut board, 0, VIRTUAL_INSTRUCTION, bits), Next::Guest);
        let now = |number| board.notes.csr(0, number);
        assert_eq!((now(csr::VSCAUSE), now(csr::VSTVAL)), (2, bits));
        assert_eq!(now(csr::VSEPC), RAM + 0x40);
        let after = when(interrupts, sstatus::SPIE) | when(supervisor, sstatus::SPP);
        assert_eq!(now(csr::VSSTATUS), after);
        // Exceptions go to BASE, whatever MODE says, and to VS-mode.
        assert_eq!(now(csr::SEPC), RAM + 0x2000);
        assert_eq!(now(csr::SSTATUS) & sstatus::SPP, sstatus::SPP);
    }
}

#[test]
fn a_device_sees_the_address_and_the_bytes_of_the_access_and_no_more() {
    let mut board = two_harts();
    board.notes.set_csr(0, csr::HTVAL, 0x1000_0003 >> 2);
    board.notes.set_csr(0, csr::SEPC, RAM);
    // sb x5, transformed: no immediate, no offset in the place of rs1.
    board.notes.set_csr(0, csr::HTINST, 0x0050_0023);
    board.notes.x[0][5] = 0x1122_3344_5566_7788;
    assert_eq!(trap(&mut board, 0, STORE_GUEST_PAGE, 0x40_0003), Next::Guest);
    assert_eq!(board.device.written, [(Gpa(0x1000_0003), 1, 0x88)]);
    // lb x5.
    board.notes.set_csr(0, csr::HTINST, 0x0000_0283);
    assert_eq!(trap(&mut board, 0, LOAD_GUEST_PAGE, 0x40_0003), Next::Guest);
    assert_eq!(board.notes.x[0][5], (Device::READ as i8) as u64);
    assert_eq!(board.notes.csr(0, csr::SEPC), RAM + 8);
}

#[test]
fn a_vcpu_that_is_started_again_finds_nothing_of_its_earlier_life() {
    let mut board = two_harts();
    assert_eq!(call(&mut board, 1, HSM, 1, &[]), Next::Wait);
    board.notes.fences.clear();
    board.run(vcpu(0, 1), 1);
    assert!(board.notes.of(1).iter().any(VVMA), "{:?}", board.notes.fences);
}

#[test]
fn a_fence_for_a_vcpu_that_waits_is_executed_before_it_runs_again() {
    for function in [None, Some(0), Some(1), Some(2)] {
        let mut board = two_harts();
        let_1_wait(&mut board);
        board.notes.fences.clear();
        if let Some(function) = function {
            assert_eq!(call(&mut board, 0, RFENCE, function, &[0b10, 0, 0, 0, 3]), Next::Guest);
            assert_eq!(board.notes.x[0][10], 0);
        }
        assert_eq!(call(&mut board, 0, IPI, 0, &[0b10, 0]), Next::Guest);
        assert_eq!(board.exit(1), Next::Guest);
        let fences = board.notes.of(1);
        match function {
            // On the hart where it was, and where nobody else was meanwhile, nothing is due.
            None => assert_eq!(fences, []),
            Some(0) => assert!(fences.contains(&HartFence::I), "{fences:?}"),
            Some(_) => assert!(fences.iter().any(VVMA), "{fences:?}"),
        }
    }
}

#[test]
fn a_fence_for_a_vcpu_on_a_hart_is_executed_there() {
    let mut board = two_harts();
    board.notes.fences.clear();
    assert_eq!(call(&mut board, 0, RFENCE, 0, &[0b10, 0]), Next::Guest);
    assert_eq!((board.notes.of(0), board.notes.of(1)), (vec![], vec![HartFence::I]));
    board.notes.fences.clear();
    assert_eq!(call(&mut board, 0, RFENCE, 2, &[0b11, 0, 0x7000, 0x2000, 3]), Next::Guest);
    let vmid = board.hypervisor.vms[0].memory.vmid();
    let page = |va| HartFence::Vvma { va: Some(isa::Va(va)), asid: Some(3), vmid };
    for hart in 0..2 {
        assert_eq!(board.notes.of(hart), [page(0x7000), page(0x8000)]);
    }
}

#[test]
fn a_vcpu_that_comes_to_another_hart_fences_there() {
    let mut board = Board::new(7, 2, |_| {});
    board.add(1);
    board.add(1);
    board.run(vcpu(0, 0), 0);
    board.run(vcpu(1, 0), 1);
    // The first VM waits, the second one comes to its hart, and the first one to the other.
    board.notes.set_csr(0, csr::VSIE, mip::STIP);
    board.notes.set_csr(0, csr::HTIMEDELTA, 1000);
    assert_eq!(call(&mut board, 0, TIME, 0, &[1100]), Next::Guest);
    assert_eq!(trap(&mut board, 0, VIRTUAL_INSTRUCTION, WFI), Next::Wait);
    board.notes.set_csr(1, csr::VSIE, mip::STIP);
    assert_eq!(call(&mut board, 1, TIME, 0, &[50]), Next::Guest);
    assert_eq!(trap(&mut board, 1, VIRTUAL_INSTRUCTION, WFI), Next::Wait);
    board.notes.fences.clear();
    for (time, hart, id) in [(50, 0, vcpu(1, 0)), (100, 1, vcpu(0, 0))] {
        board.notes.set_csr(hart, csr::TIME, time);
        assert_eq!(board.exit(hart), Next::Guest);
        assert_eq!(board.hypervisor.on_hart(hart), Some(id));
        let fences = board.notes.of(hart);
        assert!(fences.iter().any(VVMA) && fences.contains(&HartFence::I), "{fences:?}");
    }
}

#[test]
fn a_hart_that_missed_a_change_of_tables_fences_when_the_vm_comes_back() {
    let mut board = two_harts();
    let_1_wait(&mut board);
    board.notes.fences.clear();
    let vmid = board.hypervisor.vms[0].memory.vmid();
    let all = HartFence::Gvma { gpa: None, vmid: Some(vmid) };
    board.act(|hypervisor, parts| {
        hypervisor.with_memory(parts, 0, Some(0), |_, env| {
            env.fences.fence(vmid, &Fence::Everything { why: Why::Unmapped });
        });
    });
    // Hart 1 has nobody of the VM, and need not be interrupted.
    assert_eq!((board.notes.of(0), board.notes.of(1)), (vec![all], vec![]));
    assert_eq!(call(&mut board, 0, IPI, 0, &[0b10, 0]), Next::Guest);
    assert_eq!(board.exit(1), Next::Guest);
    assert_eq!(board.notes.of(1)[0], all);
    assert!(board.notes.fences.iter().all(|one| one.hart != 1 || one.vsatp == 0));
}

#[test]
fn a_fence_reaches_each_leaf_on_each_hart_that_runs_the_vm() {
    let mut board = two_harts();
    board.notes.fences.clear();
    let vmid = board.hypervisor.vms[0].memory.vmid();
    let leaves = Fence::Leaves { gpa: Gpa(RAM), bytes: 0x3000, stride: 0x1000, why: Why::Unmapped };
    let before = *board.hypervisor.vms[0].fences();
    board.act(|hypervisor, parts| {
        hypervisor.with_memory(parts, 0, Some(0), |_, env| env.fences.fence(vmid, &leaves));
    });
    let page =
        |page: u64| HartFence::Gvma { gpa: Some(Gpa(RAM + page * 0x1000)), vmid: Some(vmid) };
    for hart in 0..2 {
        assert_eq!(board.notes.of(hart), [page(0), page(1), page(2)]);
    }
    let after = board.hypervisor.vms[0].fences();
    let grown = |of: fn(&hyp::vm::FenceCounts) -> u64| of(after) - of(&before);
    assert_eq!(grown(|counts| counts.gvma_local), 3);
    assert_eq!(grown(|counts| counts.gvma_remote), 3);
    assert_eq!(grown(|counts| counts.ipis), 1);
}

#[test]
fn without_vmids_each_vcpu_that_comes_fences_what_another_left() {
    let mut board = Board::new(0, 1, |_| {});
    board.add(1);
    board.add(1);
    board.run(vcpu(0, 0), 0);
    board.act(|hypervisor, parts| hypervisor.start(parts, vcpu(1, 0), RAM, 0));
    for turn in 1..5 {
        board.notes.fences.clear();
        board.notes.set_csr(0, csr::VSATP, 8 << 60 | turn);
        // The slice is over.
        board.notes.set_csr(0, csr::TIME, turn * 1000);
        assert_eq!(trap(&mut board, 0, 1 << 63 | 5, 0), Next::Guest);
        assert_eq!(board.hypervisor.on_hart(0), Some(vcpu(turn as usize % 2, 0)));
        let fences = board.notes.of(0);
        assert!(fences.contains(&HartFence::Gvma { gpa: None, vmid: None }), "{fences:?}");
        assert!(fences.iter().any(VVMA), "{fences:?}");
        // A walk ahead of time by the one's root would keep what the other one then uses.
        assert!(board.notes.fences.iter().all(|one| one.vsatp == 0));
    }
}

#[test]
fn a_hart_whose_guest_is_gone_has_none_of_its_enables() {
    let mut board = two_harts();
    board.notes.set_csr(1, csr::HIE, mip::VSSIP | mip::VSTIP);
    let_1_wait(&mut board);
    assert_eq!(board.notes.csr(1, csr::HIE), 0);
    let fresh = Board::new(7, 1, |notes| {
        notes.set_csr(0, csr::HIE, mip::VSTIP);
        notes.set_csr(0, csr::VSATP, 8 << 60 | 5);
    });
    assert_eq!((fresh.notes.csr(0, csr::HIE), fresh.notes.csr(0, csr::VSATP)), (0, 0));
}

#[test]
fn a_timer_that_is_set_is_no_longer_pending() {
    let mut board = two_harts();
    board.notes.set_csr(0, csr::HVIP, mip::VSTIP | mip::VSSIP);
    assert_eq!(call(&mut board, 0, TIME, 0, &[700]), Next::Guest);
    assert_eq!(board.notes.csr(0, csr::HVIP), mip::VSSIP);
    assert_eq!(board.notes.timers[0], 700);
    // With Sstc the hart does that.
    board.notes.set_csr(0, csr::HENVCFG, henvcfg::STCE);
    assert_eq!(call(&mut board, 0, TIME, 0, &[900]), Next::Guest);
    assert_eq!(board.notes.csr(0, csr::VSTIMECMP), 900);
}

#[test]
fn a_suspended_vcpu_keeps_its_timer_and_what_is_pending() {
    let mut board = two_harts();
    assert_eq!(call(&mut board, 1, TIME, 0, &[700]), Next::Guest);
    board.notes.set_csr(1, csr::VSIE, mip::SSIP);
    let non_retentive = 0x8000_0000;
    let next = call(&mut board, 1, HSM, 3, &[non_retentive, RAM + 0x100, 55]);
    assert_eq!(next, Next::Wait);
    assert_eq!(call(&mut board, 0, IPI, 0, &[0b10, 0]), Next::Guest);
    assert_eq!(board.exit(1), Next::Guest);
    // [SBI: "Hart State Management Extension"]: as after a start, but nothing that was on its way is lost.
    let notes = &board.notes;
    assert_eq!((notes.csr(1, csr::SEPC), notes.x[1][10], notes.x[1][11]), (RAM + 0x100, 1, 55));
    assert_eq!(notes.csr(1, csr::HVIP), mip::VSSIP);
    assert_eq!(notes.timers[1], 700);
}

#[test]
fn starting_a_vcpu_that_runs_or_where_nothing_is_is_refused() {
    let mut board = two_harts();
    for (args, error) in [([1, RAM], -6i64), ([2, RAM], -3), ([1, 0x1000], -5)] {
        assert_eq!(call(&mut board, 0, HSM, 0, &args), Next::Guest);
        assert_eq!(board.notes.x[0][10], error as u64, "{args:x?}");
    }
}

#[test]
fn a_paused_vm_runs_nowhere_until_it_is_resumed() {
    let mut board = two_harts();
    board.act(|hypervisor, parts| hypervisor.pause(parts, 0));
    for hart in [0, 1] {
        assert_eq!(trap(&mut board, hart, 1 << 63 | 1, 0), Next::Wait);
    }
    assert!(board.hypervisor.is_quiet(0));
    board.act(|hypervisor, parts| hypervisor.resume(parts, 0));
    assert_eq!([0, 1].map(|hart| board.exit(hart)), [Next::Guest; 2]);
}

#[test]
fn what_the_hypervisor_writes_for_a_guest_is_dirty_and_goes_to_no_read_only_memory() {
    let mut board = two_harts();
    let read_only =
        Slot { writable: false, ..Slot::new(1, Gpa(0x1000_0000), 0x1000, Pa(0xa000_0000)) };
    board.act(|hypervisor, parts| {
        hypervisor.vms[0].memory.add_slot(read_only).unwrap();
        let on = |memory: &mut GuestMemory, env: &mut Env<'_>| memory.enable_log(env, 0);
        hypervisor.with_memory(parts, 0, Some(0), on).unwrap();
    });
    board.device.typed = b"xy".to_vec();
    assert_eq!(call(&mut board, 0, DBCN, 1, &[1, RAM + 0x5008, 0]), Next::Guest);
    assert_eq!((board.notes.x[0][10], board.notes.x[0][11]), (0, 1));
    assert_eq!(board.memory.at(0x9000_5008), b'x');
    let log = board.act(|hypervisor, parts| {
        hypervisor.with_memory(parts, 0, Some(0), |memory, env| memory.get_log(env, 0)).unwrap()
    });
    assert_eq!((log.count(), log.contains(5)), (1, true));
    assert_eq!(call(&mut board, 0, DBCN, 1, &[1, 0x1000_0000, 0]), Next::Guest);
    // SBI_ERR_INVALID_PARAM, and nothing that was typed is lost.
    assert_eq!(board.notes.x[0][10], -3i64 as u64);
    assert_eq!((board.memory.at(0xa000_0000), board.device.typed.as_slice()), (0, &b"y"[..]));
}
