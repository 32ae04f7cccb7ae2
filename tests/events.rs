//! `--events` and `--stats`: what is told of a guest, line by line, and that telling changes nothing.

use crate::guest::{EXIT, TempFile, elf};
use crate::{Ended, ended, nestwalk};
use std::collections::BTreeMap;

const BASE: u64 = 0x8000_0000;

/// A hypervisor in M-mode that changes one Sv39x4 tree in every way there is. `s0` is its root, `s1` the table of
/// level 1 below its third entry, `s2` a table of level 0. Every instruction is 4 bytes long and all but the loop run
/// once.
const TABLES: &str = "
            li s0, 0x80200000
            li s1, 0x80204000
            li s2, 0x80205000
            li a0, 0x20081001           # a pointer to s1
            li a1, 0x201000df           # a leaf to 0x80400000
            li a2, 0x20081401           # a pointer to s2
            li a3, -5                   # all but W
            sd a0, 16(s0)
            li a4, 0x8000300000080200   # Sv39x4, VMID 3
    load:   csrw hgatp, a4
    map:    sd a1, 8(s1)
            li s3, 0x80204008
    protect: amoand.d a5, a3, (s3)
    again:  amoand.d a5, a3, (s3)
            li a6, 0x20080000
            li a7, 3
    fence:  hfence.gvma a6, a7
            lr.d a5, (s3)
    restore: sc.d a5, a1, (s3)
            li t0, 512
            mv t1, s2
            mv t2, a1
    fill:   sd t2, 0(t1)
            addi t1, t1, 8
            addi t2, t2, 1024
            addi t0, t0, -1
            bnez t0, fill
    split:  sd a2, 8(s1)
            li t2, 0x20101cdb           # the eighth child without W
    protect4: sd t2, 56(s2)
            ori t2, t2, 4
    restore4: sd t2, 56(s2)
    unmap4: sd zero, 56(s2)
    collapse: sd a1, 8(s1)
            sd zero, 0(s2)              # a table no more
            li t3, 0x9f                 # A is clear
    aged:   sb t3, 8(s1)
    unmap:  sd zero, 8(s1)
    unlink: sd zero, 16(s0)
            sd a1, 8(s1)                # a table no more
    relink: sd a0, 16(s0)
    unload: csrw hgatp, zero
            li a0, 0
";

/// Where the labels of a program are.
fn labels(source: &str) -> BTreeMap<String, u64> {
    isa::asm::Program::assemble(BASE, source).expect("the guest assembles").labels
}

/// Runs a guest and returns how it ended, the lines of its events without the header, and the header.
fn observed(guest: &TempFile, args: &str) -> (Ended, Vec<String>, String) {
    let events = TempFile::new("");
    let mut command = nestwalk();
    command.arg("run").args(args.split_whitespace()).arg("--events").arg(events.path());
    let ended = ended(command.arg(guest.path()).output().unwrap());
    let text = std::fs::read_to_string(events.path()).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    let header = lines.next().unwrap_or_default();
    (ended, lines.collect(), header)
}

#[test]
fn every_store_to_a_g_stage_table_is_named_with_what_it_did() {
    let source = format!("{TABLES}{EXIT}");
    let labels = labels(&source);
    let (ended, lines, header) = observed(&elf(&source), "--event-kinds gstage,fences,roots");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        header,
        format!(
            r#"{{"schema":1,"generator":"nestwalk {version}","kinds":["fences","roots","gstage"],"harts":1,"cpu_hz":1000000000}}"#
        )
    );

    // Every instruction takes 4 bytes, and runs once but for the five of the loop.
    let event = |name: &str, label: &str, vmid: u64, rest: &str| {
        let pc = labels[label];
        let insns = (pc - BASE) / 4 + if pc > labels["fill"] { 511 * 5 } else { 0 };
        format!(
            r#"{{"event":"{name}","hart":0,"insns":{insns},"cycle":{insns},"mode":"M","vmid":{vmid},"pc":"{pc:#x}",{rest}}}"#
        )
    };
    let store = |label: &str,
                 op: &str,
                 (level, gpa): (u64, u64),
                 at: u64,
                 old: u64,
                 new: u64,
                 more: &str| {
        let bytes = 4096u64 << (9 * level);
        let rest = format!(
            r#""op":"{op}","by":"store","gpa":"{gpa:#x}","level":{level},"bytes":{bytes},"table_vmid":3,"root":"0x80200000","scheme":"Sv39x4","pte_at":"{at:#x}","old":"{old:#x}","new":"{new:#x}"{more}"#
        );
        event("gstage", label, 3, &rest)
    };
    let (leaf, page, table) = (0x2010_00df, 0x2010_1cdf, 0x2008_1401);
    let (huge, small, giant) = ((1, 0x8020_0000), (0, 0x8020_7000), (2, 0x8000_0000));
    let (entry, child, top) = (0x8020_4008, 0x8020_5038, 0x8020_0010);
    let expected = [
        event(
            "root",
            "load",
            0,
            r#""register":"hgatp","old":"0x0","new":"0x8000300000080200","scheme":"Sv39x4","root":"0x80200000","new_vmid":3"#,
        ),
        event(
            "gstage-tables",
            "load",
            0,
            r#""what":"found","root":"0x80200000","scheme":"Sv39x4","tables":5,"leaves":0"#,
        ),
        store("map", "map", huge, entry, 0, leaf, ""),
        store("protect", "write-protect", huge, entry, leaf, leaf - 4, ""),
        event(
            "fence",
            "fence",
            3,
            r#""by":"hfence.gvma","stage":"G","gpa":"0x80200000","of_vmid":3"#,
        ),
        store("restore", "restore", huge, entry, leaf - 4, leaf, ""),
        store("split", "split", huge, entry, leaf, table, r#","entries":512,"same_frames":true"#),
        store("protect4", "write-protect", small, child, page, page - 4, ""),
        store("restore4", "restore", small, child, page - 4, page, ""),
        store("unmap4", "unmap", small, child, page, 0, ""),
        store(
            "collapse",
            "collapse",
            huge,
            entry,
            table,
            leaf,
            r#","entries":511,"same_frames":false"#,
        ),
        store("aged", "change", huge, entry, leaf, leaf - 0x40, ""),
        store("unmap", "unmap", huge, entry, leaf - 0x40, 0, ""),
        store("unlink", "unlink", giant, top, 0x2008_1001, 0, r#","entries":0"#),
        store("relink", "link", giant, top, 0, 0x2008_1001, r#","entries":1"#),
        event(
            "root",
            "unload",
            3,
            r#""register":"hgatp","old":"0x8000300000080200","new":"0x0","scheme":"Bare","root":"0x0","new_vmid":0"#,
        ),
    ];
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
}

/// Runs a guest with statistics, and returns their text.
fn counted(guest: &TempFile, args: &str) -> (Ended, String) {
    let stats = TempFile::new("");
    let mut command = nestwalk();
    command.arg("run").args(args.split_whitespace()).arg("--stats").arg(stats.path());
    let ended = ended(command.arg(guest.path()).output().unwrap());
    (ended, std::fs::read_to_string(stats.path()).unwrap())
}

/// The value under a path of keys in statistics, and of indices in their lists.
fn at<'a>(value: &'a serde_json::Value, path: &str) -> &'a serde_json::Value {
    path.split('/').fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[key],
    })
}

#[test]
fn the_document_lists_the_events_of_programmable_counters() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/TIMING.md")).unwrap();
    let listed: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("| 1 | `")).collect();
    for ((code, row), line) in (1..).zip(cpu::EVENTS).zip(&listed) {
        let sbi = row.sbi.map_or(" ".to_owned(), |sbi| format!(" {sbi:#x} "));
        let modelled = if row.modelled { " yes " } else { " " };
        assert_eq!(*line, format!("| {code} | `{}` | {} |{sbi}|{modelled}|", row.name, row.doc));
    }
    assert_eq!(listed.get(cpu::EVENTS.len()), Some(&""), "and no more");
}

#[test]
fn statistics_count_what_happened() {
    let (ended, text) = counted(&elf(&format!("{TABLES}{EXIT}")), "");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    let number = |path: &str| at(&stats, path).as_u64().unwrap_or_else(|| panic!("{path}"));
    for (op, count) in [
        ("map", 1),
        ("unmap", 2),
        ("split", 1),
        ("collapse", 1),
        ("write-protect", 2),
        ("restore", 2),
        ("link", 1),
        ("unlink", 1),
        ("change", 1),
    ] {
        assert_eq!(number(&format!("total/gstage/{op}")), count, "{op}");
        assert_eq!(number(&format!("harts/0/gstage/{op}")), count, "{op}");
    }
    assert_eq!((number("schema"), number("exit_code"), number("gstage_table_pages")), (2, 0, 5));
    assert_eq!(at(&stats, "end"), "the guest ended with exit code 0");
    assert_eq!((number("total/fences/hfence.gvma"), number("total/root_writes/hgatp")), (1, 2));
    let insns: u64 =
        ended.stderr.split("; ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!((number("instructions"), number("total/instructions_by_mode/M")), (insns, insns));
    assert_eq!(number("cycles"), insns);
}

/// Into VS-mode twice, and out by a guest-page fault and by a call: each with 100 instructions in between.
const GUEST: &str = "
            li s0, 0x80200000
            li a0, 0x200000df; sd a0, 16(s0)    # gpa 0x80000000 on, as it is
            li a4, 0x8000300000080200; csrw hgatp, a4
            li a0, 0x80; csrw hstatus, a0
            la a0, hs; csrw stvec, a0
            li a0, 0xf00400; csrw medeleg, a0
            la a0, home; csrw mtvec, a0
            li a0, 0x800; csrw mstatus, a0
            la a0, start; csrw mepc, a0
            li a1, -1; csrw pmpaddr0, a1; li a1, 31; csrw pmpcfg0, a1
            mret
    start:  la a0, guest; csrw sepc, a0
            li a0, 0x180; csrw hstatus, a0
            li a0, 0x100; csrw sstatus, a0
            sret
    guest:  li a1, 49
    more:   addi a1, a1, -1; bnez a1, more
    fault:  ld a2, 8(zero)
            ecall
    hs:     csrr a0, scause
            csrr a1, sepc; addi a1, a1, 4; csrw sepc, a1
            li a2, 10; beq a0, a2, back
            sret
    back:   ecall
    home:   li a0, 0
";

#[test]
fn a_visit_to_a_guest_is_told_and_counted() {
    let source = format!("{GUEST}{EXIT}");
    let labels = labels(&source);
    let guest = elf(&source);
    let (ended, lines, _) = observed(&guest, "--event-kinds exits,entries,ecalls");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let parsed: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words = |line: &serde_json::Value| {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        (text("event"), text("mode"), text("to"), text("pc"))
    };
    let expect = |event: &str, mode: &str, to: &str, pc: u64| {
        (event.to_owned(), mode.to_owned(), to.to_owned(), format!("{pc:#x}"))
    };
    assert_eq!(
        parsed.iter().map(words).collect::<Vec<_>>(),
        [
            expect("return", "S", "VS", labels["guest"] - 4),
            expect("trap", "VS", "S", labels["fault"]),
            expect("return", "S", "VS", labels["back"] - 4),
            expect("trap", "VS", "S", labels["hs"] - 4),
            expect("trap", "S", "M", labels["back"]),
        ]
    );
    let fault = &parsed[1];
    for (key, value) in [
        ("cause", "load guest-page fault"),
        ("tval", "0x8"),
        ("tval2", "0x2"),
        ("fault/kind", "guest-page"),
        ("fault/gpa", "0x8"),
        ("fault/stage", "G"),
        ("fault/reason", "V is clear"),
        ("fault/pte_at", "0x80200000"),
        ("fault/pte", "0x0"),
    ] {
        assert_eq!(at(fault, key), value, "{key}");
    }
    assert_eq!(
        (&fault["code"], &fault["gva"], at(fault, "fault/level")),
        (&21.into(), &true.into(), &2.into())
    );
    assert_eq!((&fault["vmid"], &fault["interrupt"]), (&3.into(), &false.into()));
    // The load is transformed [hypervisor, "Transformed Instruction"]: ld a2, with rs1 and offset gone.
    assert_eq!(fault["tinst"], "0x3603");

    let (_, text) = counted(&guest, "");
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    let number = |path: &str| at(&stats, path).as_u64().unwrap_or_else(|| panic!("{path}"));
    assert_eq!((number("total/vm_entries"), number("total/vm_exits")), (2, 2));
    // One to load the count, two for each round; neither the load nor the call retires.
    assert_eq!(number("total/instructions_by_mode/VS"), 99);
    // From `start` to the first SRET, the handler to its SRET, the handler to its ECALL.
    let first = (labels["guest"] - labels["start"]) / 4;
    let handler = (labels["back"] - labels["hs"]) / 4;
    assert_eq!(number("total/instructions_by_mode/S"), first + handler + handler - 1);
    let modes = ["M", "S", "U", "VS", "VU"]
        .map(|mode| number(&format!("total/instructions_by_mode/{mode}")));
    assert_eq!(modes.iter().sum::<u64>(), number("instructions"));
    assert_eq!(number("total/guest_page_faults/load"), 1);
    let traps = at(&stats, "total/traps").as_array().unwrap();
    let codes: Vec<_> =
        traps.iter().map(|trap| (trap["code"].as_u64(), trap["count"].as_u64())).collect();
    assert_eq!(codes, [(Some(9), Some(1)), (Some(10), Some(1)), (Some(21), Some(1))]);
}

#[test]
fn observing_changes_nothing() {
    for source in [format!("{TABLES}{EXIT}"), format!("{GUEST}{EXIT}")] {
        let guest = elf(&source);
        let log = |more: &[&str]| {
            let log = TempFile::new("");
            let mut command = nestwalk();
            command.args(["run", "--log-format", "v", "--log"]).arg(log.path()).args(more);
            let ended = ended(command.arg(guest.path()).output().unwrap());
            (ended.code, std::fs::read_to_string(log.path()).unwrap())
        };
        let (events, stats) = (TempFile::new(""), TempFile::new(""));
        let path = |file: &TempFile| file.path().to_str().unwrap().to_owned();
        let (events, stats) = (path(&events), path(&stats));
        let with = ["--events", &events, "--event-kinds", "all", "--stats", &stats];
        assert_eq!(log(&[]), log(&with));
    }
}

#[test]
fn the_usual_mistakes_get_an_answer() {
    let guest = elf(&format!("li a0, 0\n{EXIT}"));
    let run = |args: &[&str]| {
        let mut command = nestwalk();
        ended(command.arg("run").args(args).arg(guest.path()).output().unwrap())
    };
    for (args, why) in [
        (&["--events", "/no/such/folder/x"][..], "--events /no/such/folder/x"),
        (&["--stats", "/no/such/folder/x"], "--stats /no/such/folder/x"),
        (&["--events", "x", "--event-kinds", "fence"], "did you mean 'fences'?"),
        (&["--event-kinds", "fences"], "--events FILE, which is missing"),
        (&["--events", "-"], "move it with --console"),
        (&["--events", "/dev/full"], "the events are not complete"),
        (&["--stats", "/dev/full"], "the statistics could not be written"),
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{args:?}: {}", ended.stderr);
    }
    let ended = run(&["--events", "-", "--console", "null"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.starts_with(r#"{"schema":1,"#), "{}", ended.stdout);
}

#[test]
fn events_that_cannot_be_written_end_the_run() {
    // More events than a buffer holds, for ever.
    let guest = elf("again: sfence.vma; j again");
    let mut command = nestwalk();
    command.args(["run", "--timeout", "60", "--events", "/dev/full"]);
    let ended = ended(command.arg(guest.path()).output().unwrap());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("the events are not complete"), "{}", ended.stderr);
}
