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

/// What `nestwalk calibrate` says of one comparison.
struct Compared(serde_json::Value);

impl Compared {
    fn figure(&self, group: &str, name: &str) -> f64 {
        self.0["groups"][group][name].as_f64().unwrap()
    }

    fn rows(&self) -> &[serde_json::Value] {
        self.0["rows"].as_array().unwrap()
    }
}

/// A preset against everything that was measured at a latency. That its exit code is 0 means that `instret` is exact
/// on every row.
fn calibrated(core: &str, latency: u64) -> Compared {
    let mut command = nestwalk();
    command.arg("calibrate").arg(folder()).arg("--json");
    command.args(["--core", core, "--mem-latency", &latency.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    Compared(report["comparisons"][0].clone())
}

const PIPELINE: &str = "pipeline, memory, branches";

#[test]
fn cycles_of_cva6_are_near_those_of_its_rtl() {
    let compared = calibrated("cva6", 10);
    assert!(compared.rows().len() > 250);
    assert!(compared.figure(PIPELINE, "mape") <= 5.0);
    assert!(compared.figure(PIPELINE, "within_5_percent") >= 80.0);
    assert!(compared.figure("walks and TLBs", "largest") <= 3.0);
    assert!(compared.figure("traps and fences", "mape") <= 5.0);
    assert!(compared.figure("kernels", "largest") <= 5.0);
    // The two-dimensional walk: 15 reads at three cycles, three for the walk, three for the load that hits.
    let walks = compared
        .rows()
        .iter()
        .filter(|row| row["benchmark"].as_str().is_some_and(|name| name.contains("chase_4k_g4k_")));
    for row in walks {
        let cycles = |name: &str| row[name].as_f64().unwrap() / row["ops"].as_f64().unwrap();
        assert!((cycles("cycles") - cycles("measured_cycles")).abs() <= 1.0, "{row}");
    }
}

#[test]
fn cycles_of_rocket_are_near_those_of_its_rtl() {
    let compared = calibrated("rocket", 10);
    assert!(compared.rows().len() > 150);
    assert!(compared.figure(PIPELINE, "mape") <= 5.0);
    assert!(compared.figure(PIPELINE, "within_5_percent") >= 80.0);
    assert!(compared.figure("traps and fences", "mape") <= 5.0);
}

#[test]
fn the_table_in_the_readme_is_what_comes_out() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let mut command = nestwalk();
    let output =
        command.arg("calibrate").arg(folder()).arg("--check").arg(readme).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "run: nestwalk calibrate benches/timing --write README.md\n{said}"
    );
}

/// The instructions in each line `name,ops,cycles,instret` of a program, by name.
fn instret_of(program: &str, words: &str) -> BTreeMap<String, u64> {
    let mut command = nestwalk();
    command.args(["run", "--quiet", "--test-device"]).args(words.split_whitespace());
    let output = command.arg(folder().join(format!("{program}.elf"))).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0].to_owned(), fields[3].parse().unwrap())
    })
    .collect()
}

#[test]
fn rocket_counts_calls_as_retired() {
    let counted = instret_of("micro_m", "--core rocket");
    let plain = instret_of("micro_m", "");
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
