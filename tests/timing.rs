//! The reference programs of `benches/timing`: they run here, and count what the measured cores counted.

use crate::nestwalk;
use object::{Object, ObjectSegment};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: &[&str] = &["micro_m", "micro_s", "micro_h", "k_matmul", "k_crc"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/timing")
}

/// One column of the lines `name,ops,cycles,instret` that a program prints, by name.
fn column_of(program: &str, words: &str, column: usize) -> BTreeMap<String, u64> {
    let mut command = nestwalk();
    command.args(["run", "--quiet", "--test-device"]).args(words.split_whitespace());
    let output = command.arg(folder().join(format!("{program}.elf"))).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0].to_owned(), fields[column].parse().unwrap())
    })
    .collect()
}

/// Which program a row of the measurements comes from; only CVA6 has H.
fn program_of(group: &str, benchmark: &str, core: &str) -> String {
    match group {
        "micro_m" => "micro_m".into(),
        "micro_sv" if core.starts_with("cva6") => "micro_h".into(),
        "micro_sv" => "micro_s".into(),
        _ => format!("k_{benchmark}"),
    }
}

#[test]
fn instret_is_that_of_the_measured_cores_on_every_row() {
    let ours: BTreeMap<&str, _> =
        PROGRAMS.iter().map(|&program| (program, column_of(program, "", 3))).collect();
    let csv = std::fs::read_to_string(folder().join("reference_cycles.csv")).unwrap();
    let mut compared = 0;
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [group, benchmark, core, _, ops, _, instret] = fields[..] else {
            panic!("{line}");
        };
        let program = program_of(group, benchmark, core);
        let mut expected: u64 = instret.parse().unwrap();
        // Rocket counts an ECALL or EBREAK as retired, against [priv: machine, "Environment Call and Breakpoint"].
        let calls = ["ecall", "ebreak"].iter().any(|word| benchmark.contains(word));
        if core.starts_with("rocket") && calls {
            expected -= ops.parse::<u64>().unwrap();
        }
        assert_eq!(ours[&*program].get(benchmark), Some(&expected), "{line}");
        compared += 1;
    }
    assert!(compared > 500, "{compared}");
}

/// The relative errors of cycles on a core, over all programs of the reference at this memory latency.
fn errors(core: &str, measured_core: &str, latency: &str) -> Vec<(String, f64)> {
    let csv = std::fs::read_to_string(folder().join("reference_cycles.csv")).unwrap();
    let mut ran: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut errors = Vec::new();
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [group, benchmark, of, at, _, cycles, _] = fields[..] else { panic!("{line}") };
        if of != measured_core || at != latency {
            continue;
        }
        let program = program_of(group, benchmark, of);
        let words = format!("--core {core} --mem-latency {latency}");
        let rows = ran.entry(program.clone()).or_insert_with(|| column_of(&program, &words, 2));
        let (ours, measured) = (rows[benchmark] as f64, cycles.parse::<f64>().unwrap());
        errors.push((benchmark.to_owned(), (ours - measured) / measured));
    }
    errors
}

#[test]
fn cycles_of_cva6_are_near_those_of_its_rtl() {
    let errors = errors("cva6", "cva6-imafdch", "10");
    assert!(errors.len() > 250);
    let mean = errors.iter().map(|(_, e)| e.abs()).sum::<f64>() / errors.len() as f64;
    let near = errors.iter().filter(|(_, e)| e.abs() <= 0.05).count() as f64 / errors.len() as f64;
    assert!(mean <= 0.05 && near >= 0.8, "mean {mean:.4}, within 5 %: {near:.3}");
    // The two-dimensional walk: 15 reads at three cycles, three for the walk, three for the load that hits.
    let walks = errors.iter().filter(|(name, _)| name.contains("chase_4k_g4k_"));
    for (name, error) in walks {
        assert!(error.abs() <= 0.03, "{name}: {error:.4}");
    }
}

#[test]
fn rocket_counts_calls_as_retired() {
    let counted = column_of("micro_m", "--core rocket", 3);
    let plain = column_of("micro_m", "", 3);
    assert_eq!(counted["ecall_m_m"], plain["ecall_m_m"] + 128);
    assert_eq!(counted["alu_dep"], plain["alu_dep"]);
}

/// The bytes of each loadable segment, with where they go and how much room they take.
fn segments(path: &Path) -> Vec<(u64, u64, Vec<u8>)> {
    let data = std::fs::read(path).unwrap();
    let file = object::File::parse(&*data).unwrap();
    file.segments().map(|s| (s.address(), s.size(), s.data().unwrap().to_vec())).collect()
}

#[test]
fn the_sources_build_what_was_measured() {
    const COMPILER: &str = "riscv64-linux-gnu-gcc";
    let version = Command::new(COMPILER).arg("-dumpversion").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|version| version.starts_with("12")) {
        println!("skipped: the programs were built with {COMPILER} 12, here is {version:?}");
        return;
    }
    let out = std::env::temp_dir().join(format!("nestwalk-timing-{}", std::process::id()));
    let built = Command::new("sh").arg(folder().join("build.sh")).arg(&out).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    for program in PROGRAMS {
        let name = format!("{program}.elf");
        assert!(segments(&out.join(&name)) == segments(&folder().join(&name)), "{name} differs");
    }
    std::fs::remove_dir_all(out).unwrap();
}
