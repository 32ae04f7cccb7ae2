//! What a debugger can ask, and what it is told.

use debug::End;
use machine::Stop;

use crate::rig::{BASE, EXIT, Say, at, converse, machine, machine_of, monitor, talk};

fn packets(texts: &[&str]) -> Vec<Say> {
    texts.iter().map(|text| Say::Packet(text.as_bytes().to_vec())).collect()
}

/// 64 bits as they are sent: the low byte first.
pub(crate) fn word(value: u64) -> String {
    value.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn registers_are_read_and_written_by_gdb_s_numbers() {
    let went = talk(
        "nop",
        &[
            &format!("P5={}", word(0x1122_3344_5566_7788)), // t0
            "p5",
            &format!("P0={}", word(7)), // zero stays
            "p0",
            "p20",                                           // pc
            &format!("P21={}", word(0x3ff0_0000_0000_0000)), // ft0
            "p21",
            "p381", // 65 + 0x340: mscratch
            &format!("P381={}", word(99)),
            "p381",
            "p1041", // priv: M
            "p1042", // virt
            &format!("P1041={}", word(1)),
            &format!("P1042={}", word(1)),
            "p1041",
            "p1042",
            &format!("P1041={}", word(2)), // reserved
            "p381",
            "p6c1", // 65 + 0x680: hgatp
            "p5000",
            "p601", // 65 + 0x5c0: no such CSR
        ],
    );
    let expected = [
        "OK".into(),
        word(0x1122_3344_5566_7788),
        "OK".into(),
        word(0),
        word(BASE),
        "OK".into(),
        word(0x3ff0_0000_0000_0000),
        word(0),
        "OK".into(),
        word(99),
        word(3),
        word(0),
        "OK".into(),
        "OK".into(),
        word(1),
        word(1),
        "E16".into(),
        word(99),
        word(0),
        "E16".into(),
        "E16".into(),
    ];
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(went.reply(index), expected, "{index}");
    }
}

#[test]
fn the_core_registers_come_and_go_together() {
    let registers: String = (0..33).map(|number| word(number * 0x101)).collect();
    let went = talk("nop", &[&format!("G{registers}"), "g", "G00"]);
    assert_eq!(went.reply(0), "OK");
    // x0 stays zero, and pc is even.
    let expected: String =
        (0..33).map(|number| word(if number == 32 { 0x2020 } else { number * 0x101 })).collect();
    assert_eq!(went.reply(1), expected);
    assert_eq!(went.replies.len(), 3);
    assert_eq!(went.replies[2].len(), 0, "the stub ends a conversation that makes no sense");
}

#[test]
fn memory_is_read_and_written_where_there_is_ram() {
    let went = talk(
        "nop",
        &[
            "m80000000,4",
            "M80001ffc,8:0102030405060708",
            "m80001ffc,8",
            "m10000000,1", // the UART is not touched
            "m0,4",
            "M10000000,1:41",
            "m83fffffe,8",          // the last two bytes of 64 MiB
            "M83fffffe,4:01020304", // all or nothing
            "m83fffffe,2",
            "mffffffffffffffff,8",
            "X80003000,2:\u{1}\u{2}",
            "m80003000,2",
        ],
    );
    let expected = [
        "13000000",
        "OK",
        "0102030405060708",
        "E0e",
        "E0e",
        "E0e",
        "0000",
        "E0e",
        "0000",
        "E0e",
        "OK",
        "0102",
    ];
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(went.reply(index), *expected, "{index}");
    }
}

#[test]
fn memory_is_seen_through_the_translation_of_the_hart() {
    // A gigapage at va 0 to the RAM, executable only and without A: a debugger looks all the same.
    const ROOT: u64 = BASE + 0x10_0000;
    const PTE: u64 = 0x8000_0000 >> 12 << 10 | 0x9;
    let went = talk(
        EXIT,
        &[
            "M80000ffc,4:78563412",
            &format!("P3f1={}", word(u64::MAX)), // 65 + 0x3b0: pmpaddr0
            &format!("P3e1={}", word(0x1f)),     // 65 + 0x3a0: pmpcfg0
            &format!("M{ROOT:x},8:{}", word(PTE)),
            &format!("P1c1={}", word(8 << 60 | ROOT >> 12)), // 65 + 0x180: satp
            "mffc,4",                                        // M-mode: not translated
            &format!("P1041={}", word(1)),
            "mffc,4",
            "m80000ffc,4",
            &monitor("memory physical"),
            "m80000ffc,4",
            &monitor("memory virtual"),
            "Mffc,4:00000000",
            &format!("P1041={}", word(3)),
            "m80000ffc,4",
        ],
    );
    assert_eq!((went.reply(5), went.reply(7), went.reply(8)), ("E0e", "78563412", "E0e"));
    assert_eq!((went.reply(10), went.reply(12), went.reply(14)), ("78563412", "OK", "00000000"));
}

#[test]
fn a_breakpoint_stops_a_watchpoint_tells_where_and_the_end_is_told() {
    let source = format!(
        "la s0, data\nloop: sd a0, 8(s0)\naddi a0, a0, 1\nli a1, 3\nblt a0, a1, loop\n{EXIT}\n.align 3\ndata: .zero 16"
    );
    let program = isa::asm::Program::assemble(BASE, &source).unwrap();
    let (top, data) = (program.labels["loop"], program.labels["data"]);
    let went = talk(
        &source,
        &[
            &format!("Z0,{top:x},4"),
            "vCont;c",
            "p20",
            &format!("Z1,{:x},4", top + 4),
            "c",
            "p20",
            &format!("z0,{top:x},4"),
            &format!("z1,{:x},4", top + 4),
            &format!("Z2,{:x},8", data + 8),
            "vCont;c:p1.-1",
            "p20",
            &format!("z2,{:x},8", data + 8),
            &format!("Z4,{:x},4", data + 12),
            "c",
            &format!("z4,{:x},4", data + 12),
            "z0,0,4",
            "vCont;c",
        ],
    );
    assert_eq!(went.reply(1), "T05thread:01;swbreak:;");
    assert_eq!(went.reply(2), word(top));
    assert_eq!(went.reply(4), "T05thread:01;hwbreak:;");
    assert_eq!(went.reply(5), word(top + 4));
    // The second pass, behind the store.
    assert_eq!(went.reply(9), format!("T05thread:01;watch:{:x};", data + 8));
    assert_eq!(went.reply(10), word(top + 4));
    assert_eq!(went.reply(13), format!("T05thread:01;awatch:{:x};", data + 12));
    assert_eq!(went.reply(15), "E16", "there is none");
    assert_eq!(went.reply(16), "W00");
    assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
}

#[test]
fn a_thread_steps_while_the_others_run_or_stay() {
    // Each hart counts in its own register.
    let source = "loop: addi a5, a5, 1\nj loop";
    let mut machine = machine(source, 2);
    let went = converse(
        &mut machine,
        packets(&[
            "qfThreadInfo",
            "vCont;s:1",
            "vCont;s:1;c",
            "vCont;s:2;c",
            "Hg2",
            "p20",
            "vCont;s:2",
            "vCont;r80000000,80000004:1",
        ]),
    );
    assert_eq!(went.reply(0), "m01,02");
    for (packet, thread) in [(1, 1), (2, 1), (3, 2), (6, 2)] {
        assert_eq!(went.reply(packet), format!("T05thread:0{thread};"));
    }
    assert_eq!(went.reply(5), word(at(1)));
    // The second hart's turn began where the first one's ended, after 5000 instructions; the first one
    // then made another step alone.
    assert_eq!((machine.harts()[0].retired(), machine.harts()[1].retired()), (5001, 2));
}

#[test]
fn a_debugger_that_leaves_lets_the_machine_go() {
    let source = format!("addi a0, a0, 1\n{EXIT}");
    let went = talk(&source, &[&format!("Z0,{:x},4", at(0)), "D"]);
    assert_eq!(went.reply(1), "OK");
    assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
    let killed = talk(&source, &["vKill;1"]);
    assert_eq!(killed.end, End::Killed);
}

#[test]
fn a_debugger_that_vanishes_leaves_the_machine_as_it_was() {
    let mut machine = machine(&format!("addi a0, a0, 1\n{EXIT}"), 1);
    let went = converse(&mut machine, packets(&["vCont;s:1", &format!("Z0,{:x},4", at(1))]));
    assert_eq!(went.end, End::Stop(Stop::Requested));
    assert_eq!(machine.harts()[0].retired(), 1);
}

#[test]
fn an_exception_is_caught_and_told() {
    let source =
        format!("la t0, handler\ncsrw mtvec, t0\necall\n{EXIT}\n.align 2\nhandler: j exit");
    let ecall = isa::asm::Program::assemble(BASE, &source).unwrap().labels["exit"] - 4;
    let went = talk(
        &source,
        &[
            &monitor("catch"),
            &monitor("catch environment-call-from-m-mode"),
            "vCont;c",
            "p20",
            "p383", // 65 + 0x342: mcause, not yet
            "vCont;s:1",
            "p383",
            &monitor("catch all off"),
            "vCont;c",
        ],
    );
    assert_eq!(went.text(0), "nothing is caught\n");
    assert_eq!(went.text(1), "caught: environment-call-from-m-mode\n");
    assert_eq!(
        went.text(2),
        format!(
            "Hart 0 in M-mode at pc {ecall:#x}: environment call from M-mode (cause 11) to M-mode: mtval 0x0\n"
        )
    );
    assert_eq!(went.reply(2), "T05thread:01;");
    assert_eq!((went.reply(3), went.reply(4)), (word(ecall).as_str(), word(0).as_str()));
    assert_eq!(went.reply(6), word(11));
    assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
}

#[test]
fn a_machine_that_sleeps_for_ever_stops_in_the_debugger() {
    let went = talk("wfi\nj .", &["vCont;c", "vCont;c", "p20"]);
    assert!(went.text(0).contains("nothing is left to wake one"), "{}", went.text(0));
    assert_eq!(went.reply(1), "T02thread:01;");
    assert_eq!(went.reply(2), word(at(1)));
}

#[test]
fn the_description_names_every_csr_of_the_hart() {
    let mut text = String::new();
    let mut offset = 0;
    loop {
        let went = talk("nop", &[&format!("qXfer:features:read:target.xml:{offset:x},fff")]);
        let reply = went.reply(0);
        let (more, part) = reply.split_at(1);
        text.push_str(part);
        offset += part.len();
        if more == "l" {
            break;
        }
    }
    for row in isa::csr::all().filter(|row| row.exists(&isa::ExtSet::default_set())) {
        let register = format!(
            "<reg name=\"{}\" bitsize=\"64\" type=\"int\" regnum=\"{}\"",
            row.name,
            65 + row.number
        );
        assert_eq!(text.matches(&register).count(), 1, "{}", row.name);
    }
    assert!(text.ends_with("</target>\n"), "{text}");
}

#[test]
fn monitor_commands_explain_themselves() {
    let went = talk(
        "nop",
        &[
            &monitor(""),
            &monitor("help catch"),
            &monitor("ctach"),
            &monitor("memory sideways"),
            &monitor("info harts now"),
        ],
    );
    assert!(went.text(0).contains("catch ["));
    assert!(went.text(1).starts_with("catch [") && !went.text(1).contains("memory"));
    assert_eq!(went.text(2), "unknown command 'ctach'; did you mean 'catch'?\n");
    assert!(went.text(3).contains("'sideways' is no kind of address; usage: memory"));
    assert!(went.text(4).contains("'now' is too much"));
}

#[test]
fn help_names_everything_that_info_knows() {
    let went = talk(
        "nop",
        &[
            &monitor("help info"),
            &monitor("info harts"),
            &monitor("info csr mhartid"),
            &monitor("info tlb"),
            &monitor("info counts"),
            &monitor("info smem"),
            &monitor("info vsmem"),
            &monitor("info gmem"),
            &monitor("info dtb"),
        ],
    );
    let usage = went.text(0).lines().next().unwrap_or_default().to_owned();
    assert_eq!(usage, "info harts|csr NAME|tlb|counts|smem|vsmem|gmem");
    for index in 1..=7 {
        assert!(!went.text(index).contains("usage"), "{index}: {}", went.text(index));
    }
    assert!(went.text(8).contains(&usage), "{}", went.text(8));
}

#[test]
fn ptw_takes_registers_as_gdb_hands_them_over() {
    let went = talk(
        "nop",
        &[
            &monitor(&format!("ptw {BASE:#x} x")),
            &monitor("ptw $pc x"),
            &monitor("ptw $a1"),
            &monitor("ptw $mtvec"),
            &monitor("ptw gpa $zero"),
            &monitor("ptw $mtvce"),
            &monitor("ptw pc"),
        ],
    );
    assert!(went.text(0).contains("RAM"), "{}", went.text(0));
    assert_eq!(went.text(1), went.text(0));
    for index in 2..=4 {
        assert!(!went.text(index).contains("usage"), "{index}: {}", went.text(index));
    }
    assert!(went.text(5).starts_with("there is no register '$mtvce'"), "{}", went.text(5));
    assert!(went.text(6).contains("'pc' is not a number"), "{}", went.text(6));
}

#[test]
fn csrs_are_shown_by_name_or_by_group() {
    let went = talk(
        "nop",
        &[&monitor("info csr mhartid"), &monitor("info csr vs"), &monitor("info csr hgapt")],
    );
    assert_eq!(went.text(0), "mhartid        0x0000000000000000  Hart\n");
    let group = went.text(1);
    let names: Vec<&str> = group.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        names,
        [
            "vsstatus",
            "vsie",
            "vstvec",
            "vsscratch",
            "vsepc",
            "vscause",
            "vstval",
            "vsip",
            "vstimecmp",
            "vsatp"
        ]
    );
    assert!(went.text(2).contains("there is no CSR 'hgapt'; did you mean 'hgatp'?"));
}

/// Two harts that race for a word, read time and send each other interrupts end in the same state,
/// however often a debugger stops them.
#[test]
fn a_machine_that_is_stopped_and_let_go_is_the_machine_that_was_not() {
    let source = format!(
        "
        csrr s0, mhartid
        la t0, handler; csrw mtvec, t0
        li t0, 8; csrw mie, t0; csrsi mstatus, 8
        li s1, 0x2000000        # msip of hart 0
        xori t0, s0, 1; slli t0, t0, 2; add s1, s1, t0
        la s2, data
        li s3, 3000
top:    li t1, 1; amoadd.d t2, t1, (s2)
        csrr t3, mcycle; xor s4, s4, t3; xor s4, s4, t2
        andi t4, s3, 63; bnez t4, quiet
        li t1, 1; sw t1, 0(s1)  # wake the other one
quiet:  addi s3, s3, -1
        bnez s3, top
        slli t0, s0, 3; add t0, t0, s2
        sd s4, 8(t0)
        bnez s0, rest
wait:   ld t0, 16(s2); beqz t0, wait
        j exit
rest:   wfi; j rest
        .align 2
handler: csrr t5, mhartid; slli t5, t5, 2; li t6, 0x2000000; add t5, t5, t6; sw x0, 0(t5)
        csrr t6, mepc; xor s4, s4, t6
        mret
        {EXIT}
        .align 3
data:   .zero 32"
    );
    let labels = isa::asm::Program::assemble(BASE, &source).unwrap().labels;
    let state = |machine: &machine::Machine| {
        let data: Vec<_> =
            (0..4).map(|i| machine.ram().read::<u64>(isa::Pa(labels["data"] + 8 * i))).collect();
        let harts: Vec<_> = machine
            .harts()
            .iter()
            .map(|hart| (hart.pc(), hart.retired(), hart.cycle(), hart.x(20), hart.model_counts()))
            .collect();
        (data, harts)
    };
    let quiet = labels["quiet"];
    let handler = labels["handler"];
    let (breakpoint, at_handler) = (format!("Z0,{quiet:x},4"), format!("Z1,{handler:x},4"));
    let watch = format!("Z2,{:x},8", labels["data"]);
    for core in [None, Some("cva6"), Some("generic-h")] {
        let mut plain = machine_of(&source, 2, core);
        let end = converse(&mut plain, packets(&["D"])).end;
        assert_eq!(end, End::Stop(Stop::Exit { code: 0 }));
        for points in [&[&breakpoint, &at_handler][..], &[&watch], &[&at_handler, &watch]] {
            let mut says: Vec<&str> = points.iter().map(|text| text.as_str()).collect();
            // Steps between, of both harts, the others running.
            for round in 0..8000 {
                says.push(match round % 7 {
                    3 => "vCont;s:1;c",
                    5 => "vCont;s:2;c",
                    _ => "vCont;c",
                });
            }
            let mut stopped = machine_of(&source, 2, core);
            let went = converse(&mut stopped, packets(&says));
            assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
            assert!(went.replies.len() > 3000, "{}", went.replies.len());
            assert_eq!(state(&stopped), state(&plain), "{core:?}");
        }
    }
}
