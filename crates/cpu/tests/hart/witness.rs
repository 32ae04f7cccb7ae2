//! What a witness hears: every trap, return, fence and root, with exact places and counts.

use std::sync::{Arc, Mutex};

use cpu::{Exit, Notice, RootRegister, Scene, Witness, Writer};
use isa::{Cause, Exception, Gpa, Mode, Op, Pa, Va, csr};
use mmu::{Fence, PageClass, TableWrite};

use crate::rig::{BASE, DATA, Empty, hart};

type Heard = Arc<Mutex<Vec<(Scene, Notice)>>>;

struct Ear(Heard);

impl Witness for Ear {
    fn notice(&mut self, scene: &Scene, notice: &Notice) {
        self.0.lock().unwrap().push((*scene, *notice));
    }
}

/// What is heard of a program that ends in a jump to itself, and how many instructions it took.
fn heard(source: &str, prepare: impl FnOnce(&mut cpu::Hart)) -> (Vec<(Scene, Notice)>, u64) {
    let mut hart = hart(source);
    let heard = Heard::default();
    prepare(&mut hart);
    hart.set_witness(Box::new(Ear(Arc::clone(&heard))));
    assert_eq!(hart.run(&mut Empty, 200), Exit::Budget);
    let all = std::mem::take(&mut *heard.lock().unwrap());
    (all, hart.retired())
}

/// `(instructions before, pc - BASE)` of a scene.
fn place(scene: &Scene) -> (u64, u64) {
    (scene.insns, scene.pc - BASE)
}

#[test]
fn fences_are_told_with_their_operands_and_place() {
    let (all, _) = heard(
        "nop
         li a0, 0x5000; li a1, 0x12345
         sfence.vma
         sfence.vma a0, a1
         hfence.gvma a0, a1
         hfence.vvma x0, a1
         stay: j stay",
        |hart| {
            hart.set_csr(csr::HGATP, 5 << 44);
        },
    );
    // li of a1 takes two instructions, that of a0 one.
    let at = [(4, 16), (5, 20), (6, 24), (7, 28)];
    assert_eq!(all.iter().map(|(scene, _)| place(scene)).collect::<Vec<_>>(), at);
    assert!(all.iter().all(|(scene, _)| (scene.mode, scene.vmid) == (Mode::M, 5)));
    let fences: Vec<Notice> = all.into_iter().map(|(_, notice)| notice).collect();
    let fence = |fence, by| Notice::Fence { fence, by: Some(by) };
    // ASIDs have 16 bits, VMIDs 14; rs1 of HFENCE.GVMA is shifted right by two.
    let (va, asid) = (Some(Va(0x5000)), Some(0x2345));
    assert_eq!(
        fences,
        [
            fence(Fence::Sfence { va: None, asid: None }, Op::SfenceVma),
            fence(Fence::Sfence { va, asid }, Op::SfenceVma),
            fence(Fence::Gvma { gpa: Some(Gpa(0x1_4000)), vmid: Some(0x2345) }, Op::HfenceGvma),
            fence(Fence::Vvma { va: None, asid, vmid: 5 }, Op::HfenceVvma),
        ]
    );
}

#[test]
fn roots_are_told_with_what_they_were_and_became() {
    let (all, _) = heard(
        "li a0, 8; slli a0, a0, 60; li a1, 0x80004; or a1, a0, a1
         csrw hgatp, a1; csrw vsatp, a1
         li a2, 5; slli a2, a2, 60; csrw vsatp, a2
         csrw hgatp, x0
         stay: j stay",
        |_| {},
    );
    let root = 8 << 60 | 0x80004;
    let told = |register, old, new| Notice::Root { register, old, new };
    let notices: Vec<Notice> = all.iter().map(|&(_, notice)| notice).collect();
    // The write of an unsupported MODE to vsatp has no effect.
    assert_eq!(
        notices,
        [
            told(RootRegister::Hgatp, 0, root),
            told(RootRegister::Vsatp, 0, root),
            told(RootRegister::Hgatp, root, 0),
        ]
    );
}

/// Into VS-mode, where `0x1000` is no address of anything: a guest-page fault to HS; then home by ECALL.
const VISIT: &str = "
            la a0, guest; csrw sepc, a0
            la a0, hs; csrw stvec, a0
            li a0, 0x100; csrw mstatus, a0; csrw sstatus, a0
            li a0, 0x80; csrw hstatus, a0
            li a0, 0x200000; csrw medeleg, a0
            li a0, 8; slli a0, a0, 60; li a1, 0x80010; or a1, a0, a1; csrw hgatp, a1
            sret
    guest:  ld a3, 0(a4)
    hs:     ecall
";

#[test]
fn a_guest_page_fault_is_told_with_its_walk_and_a_return_with_its_mode() {
    let (all, retired) = heard(VISIT, |hart| {
        // The guest's own code is mapped by a gigabyte leaf.
        let leaf = (BASE >> 12) << 10 | 0xdf;
        hart.ram().write(Pa(BASE + 0x1_0000 + 16), leaf).unwrap();
        hart.set_x(14, 0x1008);
        let program = isa::asm::Program::assemble(BASE + 0x4000, "stay: j stay").unwrap();
        hart.ram().write_bytes(Pa(BASE + 0x4000), &program.bytes).unwrap();
    });
    let [(_, Notice::Root { .. }), back, fault, call] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(back.0.mode, Mode::M);
    let Notice::Return { to: Mode::VS, by: Some(Op::Sret) } = back.1 else { panic!("{back:?}") };
    let Notice::Trap(trap) = fault.1 else { panic!("{fault:?}") };
    assert_eq!(trap.cause, Cause::Exception(Exception::LoadGuestPage));
    assert_eq!((fault.0.mode, trap.to), (Mode::VS, Mode::S));
    assert_eq!((trap.tval, trap.tval2, trap.gva), (0x1008, 0x402, true));
    // The SRET was one instruction; the load did not retire.
    assert_eq!((fault.0.insns, fault.0.pc), (back.0.insns + 1, back.0.pc + 4));
    let Some(mmu::Fault::GuestPage { gpa, implicit: None, why }) = trap.fault else {
        panic!("{trap:?}")
    };
    assert_eq!((gpa, why.reason), (Gpa(0x1008), mmu::Reason::Invalid));
    let pte = why.pte.unwrap();
    // The root's first entry, at level 2, which is zero.
    assert_eq!((pte.level, pte.at, pte.value), (2, BASE + 0x1_0000, Some(0)));
    let Notice::Trap(call_trap) = call.1 else { panic!("{call:?}") };
    assert_eq!(call_trap.cause, Cause::Exception(Exception::EcallS));
    assert_eq!((call.0.mode, call_trap.to, call_trap.fault), (Mode::S, Mode::M, None));
    assert_eq!((call.0.insns, call.0.pc), (fault.0.insns, fault.0.pc + 4));
    // Each trap took one of the 200 cycles.
    assert_eq!(retired, 198);
}

/// Every instruction that stores, and what it writes where.
const WRITERS: &str = "
            li a1, -1
            sd a1, 8(s0)
            sd a1, 16(s0)
            sb a1, 24(s0)
            amoadd.d a2, a1, (s0)
            lr.d a2, (s0); sc.d a2, a1, (s0)
            amocas.d a1, a2, (s0)
            cbo.zero (s0)
            stay: j stay
";

#[test]
fn each_store_to_a_watched_table_is_told_at_once() {
    let mut hart = hart(WRITERS);
    hart.set_csr(csr::MENVCFG, isa::field::menvcfg::CBZE);
    hart.ram().watch(Pa(DATA), PageClass::Table);
    let heard = Heard::default();
    hart.set_witness(Box::new(Ear(Arc::clone(&heard))));
    assert_eq!(hart.run(&mut Empty, 100), Exit::Budget);
    let all = heard.lock().unwrap();
    // Nobody fetches the writes in this test, so other accesses tell of them again.
    let by_store = |(_, notice): &&(Scene, Notice)| *notice == Notice::TableWritten(Writer::Store);
    let places: Vec<_> = all.iter().filter(by_store).map(|(scene, _)| place(scene)).collect();
    // CBO.ZERO stores 64 bytes in eights.
    let mut expected = vec![(1, 4), (2, 8), (3, 12), (4, 16), (6, 24), (7, 28)];
    expected.extend([(8, 32); 8]);
    assert_eq!(places, expected);
    let mut writes = Vec::new();
    assert!(hart.ram().fetch_table_writes(&mut writes));
    let write = |offset, bytes| TableWrite { pa: Pa(DATA + offset), bytes };
    let mut expected = vec![write(8, 8), write(16, 8), write(24, 1)];
    expected.extend([write(0, 8); 3]);
    expected.extend((0..8).map(|i| write(8 * i, 8)));
    assert_eq!(writes, expected);
}

#[test]
fn a_witness_changes_nothing() {
    let end = |watched: bool| {
        let mut hart = hart(WRITERS);
        if watched {
            hart.ram().watch(Pa(DATA), PageClass::Table);
            hart.set_witness(Box::new(Ear(Heard::default())));
        }
        let exit = hart.run(&mut Empty, 1000);
        let state: Vec<u64> = (0..32).map(|i| hart.x(i)).collect();
        (exit, hart.retired(), hart.cycle(), hart.pc(), state, hart.ram().read::<u64>(Pa(DATA)))
    };
    assert_eq!(end(false), end(true));
}
