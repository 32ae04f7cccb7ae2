//! `--core` and `--timing`: what a core makes of the harts, with its cycles and without, and what is said of it.

use crate::guest::{EXIT, TempFile, elf};
use crate::{Ended, ended, nestwalk, run_words};

fn run(guest: &TempFile, args: &str) -> Ended {
    let mut command = nestwalk();
    command.arg("run").args(args.split_whitespace()).arg(guest.path());
    ended(command.output().unwrap())
}

/// Cycles and instructions, as the last line has them.
fn figures(ended: &Ended) -> (u64, u64) {
    let before = |word: &str| {
        let (text, _) = ended.stderr.split_once(word).expect(word);
        text.rsplit(' ').next().unwrap().parse().unwrap()
    };
    (before(" cycles at"), before(" instructions,"))
}

/// A preset's text.
fn preset(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/timing/presets");
    std::fs::read_to_string(format!("{folder}/{name}.toml")).unwrap()
}

// norm: satp_mode_op_unsupported
#[test]
fn a_core_has_its_translation_modes_whether_or_not_its_cycles_count() {
    // Sv48 is 9; a write of a mode that is not there has no effect.
    let guest = elf(&format!(
        "li a0, 9; slli a0, a0, 60; csrw satp, a0; csrr a0, satp; srli a0, a0, 60; {EXIT}"
    ));
    for (args, mode) in [
        ("", 9),
        ("--core cva6", 0),
        ("--core cva6 --timing off", 0),
        ("--core rocket --timing off", 0),
        ("--core cva6 --isa rv64gch", 9),
    ] {
        assert_eq!(run(&guest, args).code, Some(mode), "{args}");
    }
}

// norm: hgatp_vmid, hgatp_vmid_lsbs
#[test]
fn an_explicit_option_wins_over_the_core() {
    let guest = elf(&format!(
        "li a0, -1; srli a0, a0, 4; li a1, 1; slli a1, a1, 63; or a0, a0, a1; csrw hgatp, a0; csrr a0, hgatp; \
         slli a0, a0, 6; srli a0, a0, 50; {EXIT}"
    ));
    assert_eq!(run(&guest, "--core cva6").code, Some(0xff));
    assert_eq!(run(&guest, "--core cva6 --vmidlen 2").code, Some(3));
    let ended = run(&guest, "--core cva6 --isa rv64gch");
    assert!(ended.stderr.contains("--isa stands in place of what cva6 has"), "{}", ended.stderr);
    assert!(!run(&guest, "--core cva6").stderr.contains("--isa"));
}

#[test]
fn timing_says_whether_an_instruction_is_a_cycle() {
    let guest =
        elf(&format!("li a1, 1000; next: addi a1, a1, -1; bnez a1, next; li a0, 0; {EXIT}"));
    for args in ["", "--timing off", "--core cva6 --timing off"] {
        let (cycles, insns) = figures(&run(&guest, args));
        assert_eq!(cycles, insns, "{args}");
    }
    for args in ["--timing on", "--core rocket", "--core rocket --timing on"] {
        let (cycles, insns) = figures(&run(&guest, args));
        assert_ne!(cycles, insns, "{args}");
    }
    let ended = run(&guest, "--core cva6 --timing off --mem-latency 60");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--mem-latency"), "{}", ended.stderr);
}

#[test]
fn the_presets_are_listed_with_how_well_they_are_known() {
    let listed = run_words("run --core list");
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    for (name, _) in timing::PRESETS {
        let core = timing::Core::preset(name).unwrap();
        let start = format!("{name} ");
        let line = listed.stdout.lines().find(|line| line.starts_with(&start)).expect(name);
        assert_eq!(line.contains("compared with its RTL"), core.measured_as.is_some(), "{line}");
        assert_eq!(line.contains("HYPOTHETICAL"), core.hypothetical, "{line}");
        let known = core.measured_as.is_some() || core.hypothetical;
        assert_eq!(line.contains("not validated"), !known, "{line}");
    }
}

#[test]
fn every_preset_runs_a_guest_and_a_hypothetical_one_says_that_it_is() {
    let guest =
        elf(&format!("li a1, 1000; next: addi a1, a1, -1; bnez a1, next; li a0, 0; {EXIT}"));
    for (name, _) in timing::PRESETS {
        let ended = run(&guest, &format!("--core {name}"));
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        assert_eq!(figures(&ended), figures(&run(&guest, &format!("--core {name}"))), "{name}");
        let hypothetical = timing::Core::preset(name).unwrap().hypothetical;
        assert_eq!(ended.stderr.contains("HYPOTHETICAL"), hypothetical, "{}", ended.stderr);
    }
    let (on, general) = (run(&guest, "--timing on"), run(&guest, "--core generic-h"));
    assert_eq!(figures(&on), figures(&general));
}

#[test]
fn a_log_takes_no_cycles_of_a_core() {
    let guest =
        elf(&format!("li a1, 1000; next: addi a1, a1, -1; bnez a1, next; li a0, 0; {EXIT}"));
    let (plain, logged) = (run(&guest, "--core cva6"), run(&guest, "--core cva6 --log /dev/null"));
    assert!(!logged.stderr.contains("an instruction is a cycle"), "{}", logged.stderr);
    assert_eq!(figures(&plain), figures(&logged));
    let (cycles, insns) = figures(&logged);
    assert_ne!(cycles, insns);
}

/// Two harts chase lines of their own; the first one counts the cycles it takes, in 256.
fn chase(core: &str, harts: u8) -> u64 {
    let guest = elf(&format!(
        "csrr s0, mhartid; slli s0, s0, 20; li a0, 0x81000000; add s0, s0, a0; li s2, 0x82000000; csrr s4, mhartid; \
         li a0, {harts}; li a1, 1; amoadd.d x0, a1, (s2); wait: ld a2, 0(s2); bne a2, a0, wait; \
         csrr s1, mcycle; li a1, 4000; next: ld a2, 0(s0); add s0, s0, a2; addi s0, s0, 256; addi a1, a1, -1; \
         bnez a1, next; csrr a0, mcycle; sub a0, a0, s1; srli a0, a0, 8; \
         beqz s4, exit; idle: j idle; {EXIT}"
    ));
    let ended = run(&guest, &format!("--core {core} --harts {harts} --memory 64M"));
    let (_, code) = ended.stderr.split_once("exit code ").expect("an exit code");
    let digits: String = code.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_hart_waits_for_another_at_the_memory_s_banks_and_without_banks_it_does_not() {
    let text = preset("rocket");
    let with = |banks: &str| {
        let file = TempFile::new("");
        let path = file.path().with_extension("toml");
        let text =
            text.replace("[memory]\nlatency = 10", &format!("[memory]\nlatency = 40\n{banks}"));
        std::fs::write(&path, text).unwrap();
        let cycles = [1, 2, 2].map(|harts| chase(&path.display().to_string(), harts));
        std::fs::remove_file(&path).unwrap();
        // It repeats.
        assert_eq!(cycles[1], cycles[2], "{banks}");
        (cycles[0], cycles[1])
    };
    let (alone, both) = with("");
    // Apart from when the other one is seen to have come.
    assert!(alone.abs_diff(both) <= alone / 50, "{alone} {both}");
    let (alone, both) = with("banks = { count = 1, busy = 50 }");
    assert!(both > alone + alone / 10, "{alone} {both}");
    let (_, many) = with("banks = { count = 16, busy = 50 }");
    assert!(many < both, "{many} {both}");
}

#[test]
fn what_is_wrong_in_a_description_is_named() {
    let guest = elf(&format!("li a0, 0; {EXIT}"));
    let text = preset("cva6");
    for (from, to, named) in [
        ("window = 8", "windows = 8", "windows"),
        ("window = 8", "window = 0", "integer.window"),
        ("window = 8", "window = 8\nwindow = 8", "window"),
        ("vmid_bits = 14", "vmid_bits = 15", "architecture.vmid_bits"),
        ("pmp_entries = 16", "pmp_entries = 8", "architecture.pmp_entries"),
        ("entries = 32, ways = 32", "entries = 32, ways = 5", "architecture.tlb"),
        ("hit = 3 ", "hit = 99999999999 ", "load.hit"),
        ("arithmetic = [3, 4]", "arithmetic = [3, 9999999]", "float.arithmetic"),
        ("bytes = 32768", "bytes = 32769", "dcache"),
        (
            "[integer]",
            "[issue]\npipes = [[\"alu\"]]\npairs_behind_branch = true\n[integer]",
            "issue.pipes",
        ),
        ("[memory]", "[memory]\nbanks = { count = 3, busy = 1 }", "memory.banks"),
        ("isa = \"rv64imafdch", "isa = \"rv64imafdcy", "isa"),
    ] {
        assert!(text.contains(from), "{from}");
        let named_toml = TempFile::new("");
        let path = named_toml.path().with_extension("toml");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let ended = run(&guest, &format!("--core {}", path.display()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ended.code, Some(2), "{to}: {}", ended.stderr);
        assert!(ended.stderr.contains(named), "{to}: {}", ended.stderr);
    }
}
