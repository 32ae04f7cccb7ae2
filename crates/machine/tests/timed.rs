//! Cycle models: what is looked up is what is worked out.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use isa::ExtSet;
use machine::config::Boot;
use machine::{Follow, Limits, Machine, NoInput, Setup, Stop};
use mmu::Shape;
use timing::{Clock, Core};

/// What a reference program printed on a core, and the cycles and instructions of its run. The words it prints are cycles.
fn run(program: &str, core: &str, latency: u64, plainly: bool) -> (String, u64, Stop) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/timing");
    let core = Core::preset(core).expect("a preset");
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
        let (printed, cycles, stop) = run(program, core, latency, false);
        let (plain, plain_cycles, plain_stop) = run(program, core, latency, true);
        assert!(printed.contains(','), "{program}: {stop:?} {printed}");
        assert!(printed == plain, "{program} on {core}");
        assert_eq!((cycles, stop), (plain_cycles, plain_stop), "{program} on {core}");
    }
}
