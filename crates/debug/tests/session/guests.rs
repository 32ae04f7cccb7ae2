//! A hypervisor in HS-mode and its guest in VS and VU: the same virtual addresses mean different memory, and a debugger's
//! points are virtual addresses of whoever runs.

use std::collections::BTreeMap;

use debug::End;
use isa::asm::Program;
use machine::Stop;

use crate::rig::{BASE, EXIT, talk};
use crate::talk::word;

/// GDB's numbers of the mode.
const PRIV: &str = "p1041";
const VIRT: &str = "p1042";
/// The guest's memory at 0x8001a008, as it knows it: gpa 0x4001a008 in VS, gpa 0x8001a008 in VU.
const IN_VS: u64 = 0x1_a008;
const IN_VU: u64 = 0xc001_a008;

/// HS runs untranslated. The guest's first GiB is gpa 0x40000000 on, its third is gpa 0x80000000 on, its fourth that
/// again, for VU. Both gpas are pa 0x80000000 on, so that all run the same code, VU at 0x40000000 more.
const SOURCE: &str = "
            li t0, -1; csrw pmpaddr0, t0; li t0, 0x1f; csrw pmpcfg0, t0
            li t0, 0x80014008; li t1, 0x200000df; sd t1, 0(t0); sd t1, 8(t0)
            li t0, 0x80010000; li t1, 0x100000cf; sd t1, 0(t0)
            li t1, 0x200000cf; sd t1, 16(t0)
            li t1, 0x200000df; sd t1, 24(t0)
            li t0, 0x8000000000080014; csrw hgatp, t0
            li t0, 0x8000000000080010; csrw vsatp, t0
            la t0, done; csrw mtvec, t0
            la t0, hs; csrw mepc, t0
            li t0, 0x1800; csrc mstatus, t0; li t0, 0x800; csrs mstatus, t0
            li a1, 0
            mret
    hs:     li s1, 0x8001a008
            jal ra, shared
            li s1, 0x1a008
            li t0, 0x100; csrs hstatus, t0
            li a0, 2
            hsv.d a0, (s1)
    behind: nop
            la t0, vs; csrw sepc, t0
            li t0, 0x80; csrs hstatus, t0; li t0, 0x100; csrs sstatus, t0
            sret
    vs:     li s1, 0x1a008
            jal ra, shared
            la t0, vu; li t1, 0x40000000; add t0, t0, t1; csrw sepc, t0
            li t0, 0x100; csrc sstatus, t0
            sret
    vu:     li s1, 0xc001a008
            jal ra, shared
    back:   ecall
    shared: addi a1, a1, 1
    store:  sd a1, 0(s1)
    stored: ret
            .align 2
    done:   nop
";

fn source() -> (String, BTreeMap<String, u64>) {
    let source = format!("{SOURCE}{EXIT}");
    let labels = Program::assemble(BASE, &source).expect("it assembles").labels;
    (source, labels)
}

#[test]
fn a_breakpoint_holds_for_hs_and_its_guest_at_one_address_and_for_no_other() {
    let (source, labels) = source();
    let shared = labels["shared"];
    let point = format!("Z1,{shared:x},4");
    let went = talk(&source, &[&point, "c", "p20", VIRT, PRIV, "c", "p20", VIRT, PRIV, "c"]);
    assert_eq!(went.reply(1), "T05thread:01;hwbreak:;");
    assert_eq!(
        (went.reply(2), went.reply(3), went.reply(4)),
        (&*word(shared), &*word(0), &*word(1))
    );
    assert_eq!(went.reply(5), "T05thread:01;hwbreak:;");
    assert_eq!(
        (went.reply(6), went.reply(7), went.reply(8)),
        (&*word(shared), &*word(1), &*word(1))
    );
    // VU executes the same instruction at another virtual address.
    assert_eq!(went.reply(9), "W00");
    let vu = shared + 0x4000_0000;
    let went = talk(&source, &[&format!("Z0,{vu:x},4"), "c", "p20", VIRT, PRIV, "c"]);
    assert_eq!(went.reply(1), "T05thread:01;swbreak:;");
    assert_eq!((went.reply(2), went.reply(3), went.reply(4)), (&*word(vu), &*word(1), &*word(0)));
    assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
}

#[test]
fn a_watchpoint_sees_the_guest_s_accesses_and_those_that_hs_makes_for_it_at_their_address() {
    let (source, labels) = source();
    let watch = format!("Z2,{IN_VS:x},8");
    let (behind, stored) = (labels["behind"], labels["stored"]);
    let memory = "m8001a008,8";
    // HS stores to the same memory before, at another virtual address: that is no hit.
    let went = talk(&source, &[&watch, "c", "p20", VIRT, memory, "c", "p20", VIRT, PRIV, "c"]);
    let hit = format!("T05thread:01;watch:{IN_VS:06x};");
    assert_eq!(went.reply(1), hit);
    assert_eq!(
        (went.reply(2), went.reply(3), went.reply(4)),
        (&*word(behind), &*word(0), &*word(2))
    );
    assert_eq!(went.reply(5), hit);
    assert_eq!(
        (went.reply(6), went.reply(7), went.reply(8)),
        (&*word(stored), &*word(1), &*word(1))
    );
    assert_eq!(went.reply(9), "W00", "VU stores there at another address");
}

#[test]
fn a_watchpoint_in_vu_sees_memory_through_both_stages() {
    let (source, labels) = source();
    let stored = labels["stored"] + 0x4000_0000;
    let watch = format!("Z2,{IN_VU:x},8");
    let memory = format!("m{IN_VU:x},8");
    let went = talk(&source, &[&watch, "c", "p20", VIRT, PRIV, &memory, "vCont;s:1", "p20", "c"]);
    assert_eq!(went.reply(1), format!("T05thread:01;watch:{IN_VU:x};"));
    assert_eq!(
        (went.reply(2), went.reply(3), went.reply(4)),
        (&*word(stored), &*word(1), &*word(0))
    );
    // The third pass has counted to 3.
    assert_eq!(went.reply(5), word(3));
    assert_eq!(went.reply(7), word(labels["back"] + 0x4000_0000));
    assert_eq!(went.reply(8), "W00");
}
