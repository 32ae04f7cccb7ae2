//! Cycle models: what is looked up is what is worked out.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use isa::ExtSet;
use machine::config::Boot;
use machine::events::{Counts, Observing};
use machine::{Follow, Limits, Machine, NoInput, Setup, Stop};
use mmu::Shape;
use timing::{Banks, Clock, Core, Geometry, Replacement, SecondCache, Stages};

/// A run.
#[derive(PartialEq, Debug)]
struct Ran {
    printed: String,
    cycles: u64,
    stop: Stop,
    counts: Counts,
}

/// What a reference program printed on a core, and the cycles and instructions of its run. The words it prints are cycles.
fn run(program: &str, core: Core, latency: u64, plainly: bool) -> Ran {
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
    machine.observe(Observing::default());
    if plainly {
        machine.model_plainly();
    }
    let limits = Limits { insns: 20_000_000, stop: &AtomicBool::new(false) };
    let stop = machine.run(&limits, &mut NoInput).expect("nothing is loaded again");
    let printed = printed.lock().expect("one thread").clone();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let stats = machine.stats().expect("it was observed");
    Ran { printed, cycles: stats.cycles, stop, counts: stats.total }
}

/// A program takes the same cycles, prints the same and counts the same, looked up and worked out.
fn same_both_ways(program: &str, core: &Core, latency: u64) {
    let name = &core.name;
    let found = run(program, core.clone(), latency, false);
    let plain = run(program, core.clone(), latency, true);
    assert!(found.printed.contains(','), "{program}: {:?} {}", found.stop, found.printed);
    for (a, b) in found.printed.lines().zip(plain.printed.lines()) {
        assert_eq!(a, b, "{program} on {name}");
    }
    assert_eq!((found.cycles, found.stop), (plain.cycles, plain.stop), "{program} on {name}");
    assert_eq!(found.counts.model, plain.counts.model, "{program} on {name}");
    assert!(found == plain, "{program} on {name}");
    let by_mode: u64 = found.counts.cycles_by_mode.0.iter().sum();
    assert_eq!(by_mode, found.cycles, "{program} on {name}");
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
        same_both_ways(program, &Core::preset(core).expect("a preset"), latency);
    }
}

/// The reference programs of a hypervisor and its guest walk through every combination of page sizes; on CVA6 each walk is 3 cycles and
/// 3 for each PTE that the data cache has, 7 and the memory's latency for each other one.
#[test]
fn the_cycles_of_walks_are_those_of_their_references() {
    for latency in [10, 60] {
        let counts =
            run("micro_h.elf", Core::preset("cva6").expect("a preset"), latency, false).counts;
        let model = counts.model.expect("it has a model");
        let nested = model.walks(Stages::VsG);
        let of = |references| {
            nested
                .by_references()
                .find(|&(number, _)| number == references)
                .map_or(0, |(_, count)| count)
        };
        for references in [15, 11, 8, 7, 5] {
            assert!(of(references) > 1000, "{references} PTEs: {}", of(references));
        }
        assert_eq!(nested.by_references().map(|(number, _)| number).max(), Some(15));
        let walks = Stages::ALL.map(|stages| model.walks(stages));
        let reads: u64 = walks
            .iter()
            .flat_map(|walks| walks.by_references())
            .map(|(references, count)| references as u64 * count)
            .sum();
        assert_eq!(model.data_cache_walks.accesses, reads);
        let count: u64 = walks.iter().map(|walks| walks.count).sum();
        let misses = model.data_cache_walks.misses;
        let cycles: u64 = walks.iter().map(|walks| walks.cycles).sum();
        assert_eq!(cycles, 3 * count + 3 * (reads - misses) + (7 + latency) * misses);
        let exits: u64 = counts.exits.iter().map(|exit| exit.count).sum();
        assert_eq!(exits, counts.vm_exits);
        let away: u64 = counts.exits.iter().map(|exit| exit.cycles).sum();
        let guest =
            counts.cycles_by_mode.get(isa::Mode::VS) + counts.cycles_by_mode.get(isa::Mode::VU);
        assert!(away != 0 && away + guest < counts.cycles_by_mode.0.iter().sum());
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
        same_both_ways(program, &with_second_cache(core, inclusive), 60);
    }
}

#[test]
fn presets_without_a_reference_keep_that_law_as_well() {
    for core in ["u74", "x60", "u74-h", "generic-h"] {
        let core = Core::preset(core).expect("a preset");
        for program in ["micro_m.elf", "micro_s.elf", "micro_h.elf", "k_matmul.elf", "k_crc.elf"] {
            same_both_ways(program, &core, core.memory.latency);
        }
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
    let from_memory = run("micro_m.elf", memory, 60, false).printed;
    let from_second = run("micro_m.elf", second, 60, false).printed;
    // 256 KiB in lines of 64 bytes, chased twice: none of it stays in the first cache.
    let (slow, fast) = (row(&from_memory, "chase_256k"), row(&from_second, "chase_256k"));
    assert!(fast < slow, "{fast} of {slow}");
    // What the first cache has costs what it did.
    assert_eq!(row(&from_memory, "chase_4k"), row(&from_second, "chase_4k"));
}
