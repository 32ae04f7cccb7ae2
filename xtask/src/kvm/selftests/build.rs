//! The test programs, built from the kernel's source as Debian packs it.
//!
//! The source is fetched, used and thrown away; the programs stay in the inputs folder, so that they are there again
//! without a network. No line of the kernel is part of this repository.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use lzma_rust2::XzReader;

use crate::apt::Apt;
use crate::inputs::{self, Inputs, Request};
use crate::process::{self, say};
use crate::tools;

const CONTENTS: &str = "CONTENTS";

/// First line of `CONTENTS`. Raise the number when programs built before will not do.
const LAYOUT: &str = "layout 1";

/// What make said, beside the programs.
pub const LOG: &str = "make.log";

/// The parts of the source that the tests and the kernel's exported headers are made from.
const PARTS: &[&str] = &["Makefile", "Kbuild", "scripts", "include", "arch/riscv", "tools"];

/// Arguments of every make.
const MAKE: &[&str] = &["ARCH=riscv", "CROSS_COMPILE=riscv64-linux-gnu-"];

/// Arguments of the make that builds the tests.
///
/// `memslot_perf_test` refuses a compiler that does not promise lock-free atomic bytes. gcc before 13 promises
/// nothing, because it calls libatomic for a compare-and-swap of a byte; on riscv64 that routine is a loop of LR.D and
/// SC.D on the word around the byte, and lock-free. So the promise is given in gcc's place.
const MAKE_TESTS: &[&str] = &[
    "LDFLAGS=-static",
    "LDLIBS=-latomic",
    "EXTRA_CFLAGS=-U__GCC_ATOMIC_BOOL_LOCK_FREE -D__GCC_ATOMIC_BOOL_LOCK_FREE=2",
];

/// The test programs, as files of one folder.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The folder.
    pub directory: PathBuf,
    /// What they were built from and with, a line each; empty for a user's own.
    pub origin: Vec<String>,
}

/// The programs for the kernel of these inputs; built when they are absent or when `request` asks to refresh.
pub fn get(inputs: &Inputs, request: &Request) -> Result<Programs> {
    if let Some(own) = &request.own {
        let directory = own.join(request.suite.to_string()).join("selftests");
        if !directory.is_dir() {
            bail!("there is no {}\n\n{}", directory.display(), explain());
        }
        return Ok(Programs::open(directory));
    }
    let modules = inputs.modules()?.context("the kernel's version is not known without modules")?;
    let package = source_package(&modules.release)
        .with_context(|| format!("{} is no release of Linux", modules.release))?;
    let _lock = inputs::lock()?;
    let place = inputs::root().join(format!("kvm-selftests-{}", request.suite));
    if !request.refresh && is_built(&place, &package) {
        return Ok(Programs::open(place));
    }
    tools::need(&[tools::CROSS_COMPILER, tools::CROSS_LIBC, "make"])?;
    let work = place.with_extension("partial");
    remove(&work)?;
    let built = build(&work, &place, &package, request);
    remove(&work)?;
    built.with_context(|| format!("cannot build the tests of {package}\n\n{}", explain()))?;
    Ok(Programs::open(place))
}

impl Programs {
    fn open(directory: PathBuf) -> Programs {
        let contents = fs::read_to_string(directory.join(CONTENTS)).unwrap_or_default();
        let origin = contents.lines().skip(1).map(str::to_owned).collect();
        Programs { directory, origin }
    }
}

/// What a user does who has to bring the programs.
fn explain() -> &'static str {
    "\
To bring your own, build tools/testing/selftests/kvm of the kernel's source with ARCH=riscv and LDFLAGS=-static (after
`make headers` in the source's top folder), put the programs into DIR/sid/selftests/ beside the other inputs, and give
--inputs DIR."
}

/// Debian's package with the source of the kernel with this release.
fn source_package(release: &str) -> Option<String> {
    let mut numbers = release.split(['.', '+', '-']);
    let (major, minor) =
        (numbers.next()?.parse::<u32>().ok()?, numbers.next()?.parse::<u32>().ok()?);
    Some(format!("linux-source-{major}.{minor}"))
}

/// Whether the folder holds complete and unchanged programs made from this package.
fn is_built(place: &Path, package: &str) -> bool {
    let contents = fs::read_to_string(place.join(CONTENTS)).unwrap_or_default();
    contents.starts_with(&format!("{LAYOUT}\nsource {package} ")) && inputs::verify(place).is_ok()
}

fn build(work: &Path, place: &Path, package: &str, request: &Request) -> Result<()> {
    let (unpacked, made) = (work.join("unpacked"), work.join("made"));
    fs::create_dir_all(&unpacked)?;
    fs::create_dir_all(&made)?;
    let apt = Apt::open(&work.join("apt"), request.suite, request.mirror.as_deref())?;
    let packages = apt.newest_of(&[package.to_owned()])?;
    let [source] = packages.as_slice() else {
        bail!("Debian {} offers no package {package}", request.suite);
    };
    apt.unpack(&packages, &unpacked)?;
    let tree = unpack(&unpacked.join(format!("usr/src/{package}.tar.xz")), package, work)?;

    say("building the kernel's KVM tests");
    make(&tree, &["headers"], work)?;
    let out = work.join("out");
    fs::create_dir_all(&out)?;
    let output = format!("OUTPUT={}", out.display());
    let tests = tree.join("tools/testing/selftests/kvm");
    // A test that this compiler cannot build shall not take the others with it.
    let outcome = make(&tests, &[MAKE_TESTS, &["-k", &output]].concat(), work);
    let mut count = 0;
    for folder in [out.clone(), out.join("riscv")] {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_file() && is_program(name) {
                strip(&path, &made.join(name))?;
                count += 1;
            }
        }
    }
    if count == 0 {
        outcome?;
        bail!("make made no programs");
    }
    let compiler = process::output(Command::new(tools::CROSS_COMPILER).arg("--version"))?;
    let mut contents = format!("{LAYOUT}\nsource {} {}\n", source.name, source.version);
    writeln!(contents, "compiler {}", compiler.lines().next().unwrap_or_default())?;
    fs::write(made.join(CONTENTS), contents)?;
    fs::copy(work.join(LOG), made.join(LOG))?;
    inputs::seal(&made)?;
    remove(place)?;
    fs::rename(&made, place)?;
    Ok(())
}

/// Programs have no extension; objects, dependency files and our own records have one or are in capitals.
fn is_program(name: &str) -> bool {
    !name.contains('.') && name.chars().any(|c| c.is_ascii_lowercase())
}

/// Unpacks the parts that are needed and returns the source's top folder.
fn unpack(archive: &Path, package: &str, work: &Path) -> Result<PathBuf> {
    say("unpacking");
    let packed =
        File::open(archive).with_context(|| format!("there is no {}", archive.display()))?;
    let mut command = Command::new("tar");
    command.arg("-x").arg("-C").arg(work);
    command.args(PARTS.iter().map(|part| format!("{package}/{part}")));
    let mut tar = command.stdin(Stdio::piped()).spawn().context("cannot start tar")?;
    let mut pipe = tar.stdin.take().context("tar has no stdin")?;
    io::copy(&mut XzReader::new(io::BufReader::new(packed), true), &mut pipe)?;
    drop(pipe);
    if !tar.wait()?.success() {
        bail!("tar cannot unpack {}", archive.display());
    }
    Ok(work.join(package))
}

/// Runs make; what it says goes to [`LOG`], and the end of it into the error.
fn make(directory: &Path, arguments: &[&str], work: &Path) -> Result<()> {
    let log = work.join(LOG);
    let jobs = thread::available_parallelism().map_or(1, |count| count.get());
    let to_log = || File::options().create(true).append(true).open(&log);
    let status = Command::new("make")
        .current_dir(directory)
        .arg(format!("-j{jobs}"))
        .args(MAKE)
        .args(arguments)
        // Variables of an outer make or build would be taken for ours.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("OUTPUT")
        .env_remove("CFLAGS")
        .stdin(Stdio::null())
        .stdout(to_log()?)
        .stderr(to_log()?)
        .status()
        .context("cannot start make")?;
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!("make failed ({status}):\n{}", process::tail(&said));
    }
    Ok(())
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    process::output(Command::new("riscv64-linux-gnu-strip").arg("-o").arg(to).arg(from))?;
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_package_is_named_by_the_release() {
        let package = |release| source_package(release).unwrap_or_default();
        assert_eq!(package("7.2.13+deb14-riscv64"), "linux-source-7.2");
        assert_eq!(package("7.3-rc2-riscv64"), "linux-source-7.3");
        assert_eq!(package("next"), "");
    }

    #[test]
    fn only_programs_are_taken() {
        assert!(is_program("get-reg-list") && is_program("dirty_log_test"));
        for other in ["dirty_log_test.o", "dirty_log_test.d", "SHA256SUMS", CONTENTS, LOG] {
            assert!(!is_program(other), "{other}");
        }
    }
}
