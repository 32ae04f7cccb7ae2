//! Cycle models: what is looked up is what is worked out.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use isa::ExtSet;
use machine::config::Boot;
use machine::{Follow, Limits, Machine, NoInput, Setup, Stop};
use mmu::Shape;
use timing::{Banks, Clock, Core, Geometry, Replacement, SecondCache};

/// What a reference program printed on a core, and the cycles and instructions of its run. The words it prints are cycles.
fn run(program: &str, core: Core, latency: u64, plainly: bool) -> (String, u64, Stop) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/timing");
    let setup = Setup {
        harts: 1,
        ram_bytes: 64 << 20,
        exts: ExtSet::default_set(),
        clock: Clock::default(),
        follow: Follow::Cycles,
        shape: Shape::default(),
        pmp_entries: 16,
        geilen: 0,
        asid_bits: 16,
        vmid_bits: 14,
        misaligned: cpu::Misaligned::Handle,
        seed: 1,
        power_on_ns: 0,
        guests: None,
        core: Some((core, Some(latency))),
        test_device: true,
        boot: Boot { program: Some(folder.join(program)), ..Boot::default() },
        reboots: false,
        extras: Vec::new(),
    };
    let printed = Arc::new(Mutex::new(Vec::new()));
    let mut machine = Machine::new(setup, &|| {
        let printed = Arc::clone(&printed);
        Box::new(move |bytes: &[u8]| printed.lock().expect("one thread").extend_from_slice(bytes))
    })
    .expect("a machine");
    if plainly {
        machine.model_plainly();
    }
    let limits = Limits { insns: 20_000_000, stop: &AtomicBool::new(false) };
    let stop = machine.run(&limits, &mut NoInput).expect("nothing is loaded again");
    let printed = printed.lock().expect("one thread").clone();
    (String::from_utf8_lossy(&printed).into_owned(), machine.now(), stop)
}

#[test]
fn what_is_looked_up_is_what_is_worked_out() {
    for (program, core, latency) in [
        ("micro_m.elf", "cva6", 10),
        ("micro_m.elf", "rocket", 60),
        ("micro_h.elf", "cva6", 60),
        ("micro_s.elf", "rocket", 10),
        ("k_matmul.elf", "cva6", 10),
        ("k_crc.elf", "rocket", 10),
    ] {
        let model = || Core::preset(core).expect("a preset");
        let (printed, cycles, stop) = run(program, model(), latency, false);
        let (plain, plain_cycles, plain_stop) = run(program, model(), latency, true);
        assert!(printed.contains(','), "{program}: {stop:?} {printed}");
        assert!(printed == plain, "{program} on {core}");
        assert_eq!((cycles, stop), (plain_cycles, plain_stop), "{program} on {core}");
    }
}

/// A core with a small second cache, and banks that are busy for long.
fn with_second_cache(core: &str, inclusive: bool) -> Core {
    let mut core = Core::preset(core).expect("a preset");
    let cache = Geometry { bytes: 1 << 16, ways: 4, line: 64, replacement: Replacement::Lru };
    let banks = Some(Banks { count: 2, busy: 6 });
    core.l2 = Some(SecondCache { cache, latency: 12, inclusive, banks });
    core.memory.banks = Some(Banks { count: 2, busy: 50 });
    core
}

#[test]
fn a_second_cache_changes_nothing_of_that() {
    for (program, core, inclusive) in [
        ("micro_m.elf", "cva6", true),
        ("micro_m.elf", "rocket", false),
        ("micro_h.elf", "cva6", false),
        ("micro_s.elf", "rocket", true),
        ("k_matmul.elf", "cva6", true),
    ] {
        let (printed, cycles, stop) = run(program, with_second_cache(core, inclusive), 60, false);
        let (plain, plain_cycles, plain_stop) =
            run(program, with_second_cache(core, inclusive), 60, true);
        assert!(printed.contains(','), "{program}: {stop:?} {printed}");
        for (a, b) in printed.lines().zip(plain.lines()) {
            assert_eq!(a, b, "{program} on {core}");
        }
        assert_eq!((cycles, stop), (plain_cycles, plain_stop), "{program} on {core}");
    }
}

#[test]
fn presets_without_a_reference_keep_that_law_as_well() {
    for (program, core) in [
        ("micro_m.elf", "u74"),
        ("micro_s.elf", "x60"),
        ("micro_h.elf", "u74-h"),
        ("k_matmul.elf", "generic-h"),
    ] {
        let model = || Core::preset(core).expect("a preset");
        let latency = model().memory.latency;
        let (printed, cycles, stop) = run(program, model(), latency, false);
        let (plain, plain_cycles, plain_stop) = run(program, model(), latency, true);
        assert!(printed.contains(','), "{program}: {stop:?} {printed}");
        for (a, b) in printed.lines().zip(plain.lines()) {
            assert_eq!(a, b, "{program} on {core}");
        }
        assert_eq!((cycles, stop), (plain_cycles, plain_stop), "{program} on {core}");
    }
}

/// Cycles of a row of a reference program.
fn row(printed: &str, name: &str) -> u64 {
    let start = format!("{name},");
    let line = printed.lines().find(|line| line.starts_with(&start)).expect("the row");
    line.split(',').nth(2).and_then(|cycles| cycles.parse().ok()).expect("cycles")
}

#[test]
fn a_line_from_the_second_cache_is_cheaper_than_one_from_memory() {
    let memory = Core::preset("rocket").expect("a preset");
    let mut second = memory.clone();
    let cache = Geometry { bytes: 1 << 20, ways: 8, line: 64, replacement: Replacement::Lru };
    second.l2 = Some(SecondCache { cache, latency: 12, inclusive: false, banks: None });
    let (from_memory, ..) = run("micro_m.elf", memory, 60, false);
    let (from_second, ..) = run("micro_m.elf", second, 60, false);
    // 256 KiB in lines of 64 bytes, chased twice: none of it stays in the first cache.
    let (slow, fast) = (row(&from_memory, "chase_256k"), row(&from_second, "chase_256k"));
    assert!(fast < slow, "{fast} of {slow}");
    // What the first cache has costs what it did.
    assert_eq!(row(&from_memory, "chase_4k"), row(&from_second, "chase_4k"));
}
