//! Debian's `perf` in the machine: it counts a program whose instructions are known, samples, and looks at a guest.
//!
//! The tool and its libraries are fetched once, into a folder of their own beside the inputs; no part of them is in this repository.
//! What they print is shown as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::Apt;
use crate::initramfs::Extra;
use crate::inputs::{self, Request, Suite};
use crate::process;

use super::report::Report;
use super::session::{Ended, Machine, SAY, Session};
use super::{Kit, Shape, breakdown};

/// Extensions beyond what a core has, as for [`super::pmu`].
const ISA: [&str; 2] = ["--isa", "rv64"];

/// `perf kvm stat record` of this version ends in an abort behind its work, on QEMU as well: what it recorded decides. Raw codes are
/// of walks, 23, and walks at V=1, 24 (`docs/TIMING.md`).
const SCRIPT: &str = r#"
cd /tmp
show() { say "\$ $*"; "$@" 2>&1 | grep -v '^$' | sed 's/^/kvm: /'; }
show perf stat -e cycles:u,instructions:u,branches:u,branch-misses:u,cache-misses:u,dTLB-load-misses:u,r17:u rounds
show perf stat -e cycles,instructions,branches,branch-misses,cache-references,cache-misses,L1-icache-load-misses,dTLB-load-misses,iTLB-load-misses rounds
show perf record -e dTLB-load-misses:u -c 100 -o user.data vmm pmu
show perf report -i user.data --stdio --max-stack 0
show perf kvm stat record -o kvm.data vmm bare
show perf kvm -i kvm.data stat report
show perf stat -e kvm:kvm_exit,cycles:G,instructions:G,instructions:H,r18:G vmm bare
"#;

/// Instructions of `riscv-tests/kvm/perf/rounds.S`, by hand.
const ROUNDS_INSNS: u64 = 5 + 4 * 1_000_000;

/// What perf's own libraries need beyond what its package names.
const FURTHER: [&str; 3] = ["libgcc-s1", "libbz2-1.0", "libexpat1"];

/// Replaced by our own, `riscv-tests/kvm/perf/no-debuginfod.c`.
const REPLACED: &str = "libdebuginfod.so.1";

/// Where Debian keeps libraries of riscv64, without a slash in front.
const LIBRARIES: &str = "usr/lib/riscv64-linux-gnu";

const PACKAGE: &str = "linux-perf";
const CONTENTS: &str = "CONTENTS";
/// First line of `CONTENTS`. Raise the number when folders fetched before will not do.
const LAYOUT: &str = "layout 1";

/// Plays it.
pub fn run(kit: &Kit<'_>, shape: Shape, request: &Request, report: &mut Report) {
    let mut extra = breakdown::with_core(&kit.extra);
    extra.extend(ISA.map(str::to_owned));
    let name = format!("perf, {}, {}", shape.machine(), extra.join(" "));
    let machine = [Machine::Nestwalk(kit.nestwalk.to_owned())];
    report.play(&name, &machine, |machine| {
        let mut files = files(request)?;
        files.push(kit.vmm.clone());
        let session = Session { extra: &extra, ..kit.session(shape, &files, SCRIPT) };
        let ended = session.run(machine)?;
        check(&ended)?;
        Ok(ended)
    });
}

fn check(ended: &Ended) -> Result<()> {
    let lines: Vec<&str> = ended.after(SAY).collect();
    let exact = counted(&lines, "instructions:u");
    ensure!(
        exact == Some(ROUNDS_INSNS),
        "perf counted {exact:?} instructions in user mode, not {ROUNDS_INSNS}"
    );
    for event in ["cycles:u", "dTLB-load-misses", "instructions:G", "cycles:G", "kvm:kvm_exit"] {
        ensure!(counted(&lines, event).is_some_and(|count| count > 0), "perf counted no {event}");
    }
    ensure!(
        lines.iter().any(|line| line.contains("EXC_INST_GUEST_PAGE_FAULT")),
        "perf kvm stat showed no guest-page fault"
    );
    Ok(())
}

/// What the first `perf stat` that has this event says of it.
fn counted(lines: &[&str], event: &str) -> Option<u64> {
    lines.iter().find_map(|line| {
        let mut words = line.split_whitespace();
        let (count, name) = (words.next()?, words.next()?);
        (name == event).then(|| count.parse().ok())?
    })
}

/// perf, its libraries, and what it runs.
fn files(request: &Request) -> Result<Vec<Extra>> {
    let folder = fetched(request)?;
    let made = inputs::workspace().join("target/kvm");
    fs::create_dir_all(&made)?;
    let build = inputs::workspace().join("riscv-tests/kvm/perf/build.sh");
    process::output(Command::new(build).arg(&made))?;
    let mut files = vec![
        Extra::copy("bin/rounds", 0o755, &made.join("rounds"))?,
        Extra::copy(&format!("{LIBRARIES}/{REPLACED}"), 0o755, &made.join(REPLACED))?,
    ];
    for (name, path) in entries(&folder)? {
        let place = match name.as_str() {
            "perf" => "usr/bin/perf".to_owned(),
            loader if loader.starts_with("ld-linux") => format!("lib/{loader}"),
            library if library.contains(".so") => format!("{LIBRARIES}/{library}"),
            _ => continue,
        };
        files.push(Extra::copy(&place, 0o755, &path)?);
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let entry = entry?;
        found.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    Ok(found)
}

/// The folder that holds `perf` and its libraries; a user's own is `DIR/sid/perf`.
fn fetched(request: &Request) -> Result<PathBuf> {
    if let Some(own) = &request.own {
        let place = own.join(request.suite.to_string()).join("perf");
        ensure!(
            place.join("perf").is_file(),
            "there is no {}: it is in Debian's package {PACKAGE}, and the libraries that it needs belong beside it",
            place.join("perf").display()
        );
        return Ok(place);
    }
    ensure!(request.suite == Suite::Sid, "perf is fetched from sid, beside whose kernel it runs");
    let _lock = inputs::lock()?;
    let place = inputs::root().join(format!("perf-{}", request.suite));
    let contents = fs::read_to_string(place.join(CONTENTS)).unwrap_or_default();
    if !request.refresh && contents.starts_with(LAYOUT) && inputs::verify(&place).is_ok() {
        return Ok(place);
    }
    let work = place.with_extension("partial");
    remove(&work)?;
    let done = fetch(&work, &place, request);
    remove(&work)?;
    done.context("cannot fetch perf")?;
    Ok(place)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?
    }
    Ok(())
}

fn fetch(work: &Path, place: &Path, request: &Request) -> Result<()> {
    let (unpacked, made) = (work.join("unpacked"), work.join("made"));
    fs::create_dir_all(&unpacked)?;
    fs::create_dir_all(&made)?;
    let apt = Apt::open(&work.join("apt"), request.suite, request.mirror.as_deref())?;
    let mut wanted = apt.libraries_of(PACKAGE)?;
    wanted.push(PACKAGE.to_owned());
    wanted.extend(FURTHER.map(str::to_owned));
    let packages = apt.newest_of(&wanted)?;
    apt.unpack(&packages, &unpacked)?;
    copy(&unpacked.join("usr/bin/perf"), &made.join("perf"))?;
    let mut left = needed(&made.join("perf"))?;
    let mut seen = BTreeSet::from([REPLACED.to_owned()]);
    while let Some(library) = left.pop() {
        if seen.insert(library.clone()) {
            let copied = made.join(&library);
            copy(&unpacked.join(LIBRARIES).join(&library), &copied)?;
            left.extend(needed(&copied)?);
        }
    }
    let mut contents = format!("{LAYOUT}\nsuite {}\n", request.suite);
    for package in &packages {
        contents.push_str(&format!("package {} {}\n", package.name, package.version));
    }
    fs::write(made.join(CONTENTS), contents)?;
    inputs::seal(&made)?;
    remove(place)?;
    fs::rename(&made, place)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// The libraries that an executable or a library names, by binutils.
fn needed(file: &Path) -> Result<Vec<String>> {
    let said = process::output(Command::new("riscv64-linux-gnu-readelf").arg("-d").arg(file))?;
    Ok(names_in(&said))
}

fn names_in(said: &str) -> Vec<String> {
    let named = said.lines().filter(|line| line.contains("(NEEDED)"));
    named.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_first_of_their_event() {
        let lines = [
            "$ perf stat -e cycles:u,instructions:u rounds",
            " Performance counter stats for 'rounds':",
            "           4000760      cycles:u",
            "           4000005      instructions:u      #    1.0 insn per cycle",
            "   <not supported>      cache-misses:u",
            "                 7      cycles:u",
        ];
        assert_eq!(counted(&lines, "cycles:u"), Some(4_000_760));
        assert_eq!(counted(&lines, "instructions:u"), Some(4_000_005));
        assert_eq!(counted(&lines, "cache-misses:u"), None);
        assert_eq!(counted(&lines, "instructions"), None);
    }

    #[test]
    fn libraries_are_those_that_readelf_calls_needed() {
        let said = " 0x0001 (NEEDED)   Shared library: [libm.so.6]\n 0x000e (SONAME)  Library soname: [libc.so.6]\n";
        assert_eq!(names_in(said), ["libm.so.6"]);
    }
}
