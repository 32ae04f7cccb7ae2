//! The files a Linux boot needs, in a folder of their own for each Debian suite, with checksums.
//!
//! ```text
//! target/inputs/sid/Image             the kernel, as the package holds it
//!                  /modules/RELEASE/  kernel modules, unpacked (kvm, virtio, ext4 and what they depend on)
//!                  /busybox           static, riscv64
//!                  /fw_dynamic.bin    OpenSBI
//!                  /fw_jump.bin       OpenSBI with fixed addresses
//!                  /u-boot.bin        U-Boot for S-mode
//!                  /CONTENTS          where all this comes from
//!                  /SHA256SUMS        in the format of sha256sum
//! ```
//!
//! A folder is used as it stands when it is complete and its checksums hold; only an absent one, or one that
//! `--refresh` asks to renew, is fetched. A folder the user brought is never changed.

use std::fmt;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::apt::{self, Apt};
use crate::modules;
use crate::process::say;

const CONTENTS: &str = "CONTENTS";
const SUMS: &str = "SHA256SUMS";

/// First line of `CONTENTS`. Raise the number when the set of files changes: folders fetched before are then
/// fetched anew.
const LAYOUT: &str = "layout 2";

/// Where a Debian package keeps a file that we take under another name.
struct Taken {
    from: &'static str,
    to: &'static str,
}

const TAKEN: &[Taken] = &[
    Taken { from: "usr/bin/busybox", to: "busybox" },
    Taken {
        from: "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
        to: "fw_dynamic.bin",
    },
    Taken { from: "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin", to: "fw_jump.bin" },
    Taken { from: "usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin", to: "u-boot.bin" },
];

/// The Debian suite that inputs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Suite {
    /// The development suite: the newest kernel.
    Sid,
    /// Debian 13 with Linux 6.12: the fixed point.
    Trixie,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Suite::Sid => "sid",
            Suite::Trixie => "trixie",
        })
    }
}

/// How to come by inputs.
#[derive(Clone, Debug)]
pub struct Request {
    /// The suite.
    pub suite: Suite,
    /// A folder the user brought (it holds `sid/Image` and so on); nothing is fetched into it.
    pub own: Option<PathBuf>,
    /// The Debian mirror, if not the one of the machine's own apt sources.
    pub mirror: Option<String>,
    /// Fetch again although the files are there.
    pub refresh: bool,
}

impl Request {
    /// Cached inputs of `suite`, fetched from the machine's own mirror when absent.
    pub fn new(suite: Suite) -> Request {
        Request { suite, own: None, mirror: None, refresh: false }
    }
}

/// The files of one suite. What a method names exists, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Inputs {
    directory: PathBuf,
}

/// The folder of kernel modules of one kernel.
#[derive(Clone, Debug)]
pub struct Modules {
    /// What `uname -r` says under this kernel.
    pub release: String,
    /// The folder that holds the `.ko` files.
    pub directory: PathBuf,
}

impl Inputs {
    /// The cached inputs of a suite, if they are there, complete and unchanged. Never fetches.
    pub fn find(suite: Suite) -> Option<Inputs> {
        let inputs = Inputs { directory: root().join(suite.to_string()) };
        inputs.check().ok()?;
        Some(inputs)
    }

    /// The inputs of a suite; fetches them when that is asked for or needed.
    pub fn get(request: &Request) -> Result<Inputs> {
        if let Some(own) = &request.own {
            let inputs = Inputs { directory: own.join(request.suite.to_string()) };
            inputs.check_own(request.suite)?;
            return Ok(inputs);
        }
        let _lock = lock()?;
        let root = root();
        let inputs = Inputs { directory: root.join(request.suite.to_string()) };
        if !request.refresh {
            match inputs.check() {
                Ok(()) => return Ok(inputs),
                Err(_) if !inputs.directory.exists() => {}
                Err(error) => {
                    say(&format!("fetching the {} inputs anew: {error:#}", request.suite))
                }
            }
        }
        let work = root.join(format!("{}.partial", request.suite));
        let fetched = fetch(&work, &inputs.directory, request);
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        if let Err(error) = fetched {
            let suite = request.suite;
            bail!("cannot fetch the {suite} inputs: {error:#}\n\n{}", explain(suite));
        }
        inputs.check()?;
        Ok(inputs)
    }

    /// The folder that holds everything else.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel.
    pub fn image(&self) -> PathBuf {
        self.directory.join("Image")
    }

    /// The static busybox.
    pub fn busybox(&self) -> PathBuf {
        self.directory.join("busybox")
    }

    /// OpenSBI's `fw_dynamic`; an error when the user's own folder lacks it.
    pub fn fw_dynamic(&self) -> Result<PathBuf> {
        let path = self.directory.join("fw_dynamic.bin");
        if !path.is_file() {
            bail!(
                "there is no {}: it is OpenSBI's firmware, in Debian's package opensbi",
                path.display()
            );
        }
        Ok(path)
    }

    /// U-Boot for S-mode; an error when the user's own folder lacks it.
    pub fn u_boot(&self) -> Result<PathBuf> {
        let path = self.directory.join("u-boot.bin");
        if !path.is_file() {
            bail!(
                "there is no {}: it is U-Boot for S-mode, in Debian's package u-boot-qemu",
                path.display()
            );
        }
        Ok(path)
    }

    /// The kernel's modules; `None` when the user's own folder has none.
    pub fn modules(&self) -> Result<Option<Modules>> {
        let Ok(entries) = fs::read_dir(self.directory.join("modules")) else {
            return Ok(None);
        };
        let mut found: Vec<PathBuf> = Vec::new();
        for entry in entries {
            found.push(entry?.path());
        }
        match found.as_slice() {
            [] => Ok(None),
            [directory] => {
                let release = directory.file_name().and_then(|name| name.to_str());
                let release = release.context("the modules folder's name is not UTF-8")?.to_owned();
                Ok(Some(Modules { release, directory: directory.clone() }))
            }
            _ => bail!(
                "{} holds the modules of several kernels; leave those of {}",
                self.directory.join("modules").display(),
                self.image().display()
            ),
        }
    }

    /// Where these inputs come from: the lines of `CONTENTS` after the first; empty for a user's own folder.
    pub fn contents(&self) -> String {
        let text = fs::read_to_string(self.directory.join(CONTENTS)).unwrap_or_default();
        text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    }

    /// Whether the folder is one that `fetch` left, and unchanged since.
    fn check(&self) -> Result<()> {
        let contents = fs::read_to_string(self.directory.join(CONTENTS))
            .with_context(|| format!("there is no {CONTENTS}"))?;
        if contents.lines().next() != Some(LAYOUT) {
            bail!("the set of files has changed since they were fetched");
        }
        verify(&self.directory)
    }

    fn check_own(&self, suite: Suite) -> Result<()> {
        let missing: Vec<String> = [self.image(), self.busybox()]
            .iter()
            .filter(|path| !path.is_file())
            .map(|path| path.display().to_string())
            .collect();
        if !missing.is_empty() {
            bail!("there is no {}\n\n{}", missing.join(" and no "), explain(suite));
        }
        if self.directory.join(SUMS).is_file() {
            verify(&self.directory)?;
        }
        Ok(())
    }
}

/// The folder of all fetched inputs, `target/inputs` of this workspace.
pub fn root() -> PathBuf {
    workspace().join("target/inputs")
}

/// Makes the folder of all fetched inputs and keeps other processes from fetching into it while the result lives.
pub fn lock() -> Result<File> {
    let root = root();
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let lock = File::create(root.join("lock"))?;
    lock.lock().context("cannot lock the inputs folder")?;
    Ok(lock)
}

/// The workspace's top folder.
pub fn workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// What a user does who has to bring the files.
fn explain(suite: Suite) -> String {
    format!(
        "\
To bring your own, put these files into DIR/{suite}/ and give --inputs DIR:
    Image             riscv64 Linux with KVM as a module; in Debian, usr/lib/modules/*/vmlinuz of
                      linux-binary-*-riscv64 or boot/vmlinux-* of linux-image-*-riscv64
    busybox           static, riscv64; in Debian, usr/bin/busybox of busybox-static
    modules/RELEASE/  the kernel's kvm.ko, virtio_mmio.ko and so on, unpacked or .ko.xz (may be absent)
    fw_dynamic.bin    OpenSBI, for --firmware opensbi only; in Debian, in the package opensbi
Debian's .deb files can be unpacked anywhere: ar x FILE.deb && tar xf data.tar.*"
    )
}

/// Fetches everything into the folder `work`, and moves it to `place` once complete.
fn fetch(work: &Path, place: &Path, request: &Request) -> Result<()> {
    let suite = request.suite;
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    let (unpacked, made) = (work.join("unpacked"), work.join("made"));
    fs::create_dir_all(&unpacked)?;
    fs::create_dir_all(&made)?;

    let apt = Apt::open(&work.join("apt"), suite, request.mirror.as_deref())?;
    let (release, mut wanted) = apt::kernel_packages(&apt.names("linux-")?)
        .with_context(|| format!("Debian {suite} offers no riscv64 kernel"))?;
    wanted.extend(["busybox-static", "opensbi", "u-boot-qemu"].map(str::to_owned));
    let packages = apt.newest_of(&wanted)?;
    if let Some(absent) = wanted.iter().find(|name| packages.iter().all(|p| p.name != **name)) {
        bail!("Debian {suite} offers no package {absent} for riscv64");
    }
    apt.unpack(&packages, &unpacked)?;

    say("unpacking");
    let kernel = [
        format!("usr/lib/modules/{release}/vmlinuz"),
        format!("boot/vmlinux-{release}"),
        format!("boot/vmlinuz-{release}"),
    ];
    let kernel = kernel.iter().map(|path| unpacked.join(path)).find(|path| path.is_file());
    let kernel =
        kernel.with_context(|| format!("the packages of {release} hold no kernel image"))?;
    copy(&kernel, &made.join("Image"))?;
    for Taken { from, to } in TAKEN {
        copy(&unpacked.join(from), &made.join(to))?;
    }
    let tree = ["usr/lib/modules", "lib/modules"].map(|path| unpacked.join(path).join(&release));
    let tree = tree.into_iter().find(|path| path.join("kernel").is_dir());
    let tree = tree.with_context(|| format!("the packages of {release} hold no modules"))?;
    modules::collect(&tree, &made.join("modules").join(&release))?;

    let mut contents = format!("{LAYOUT}\nsuite {suite}\nkernel {release}\n");
    for package in &packages {
        writeln!(contents, "package {} {}", package.name, package.version)?;
    }
    fs::write(made.join(CONTENTS), contents)?;
    seal(&made)?;

    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::rename(&made, place)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Writes `SHA256SUMS` with a line for every file below `directory`, sorted by name.
pub fn seal(directory: &Path) -> Result<()> {
    Ok(fs::write(directory.join(SUMS), sums(directory)?)?)
}

fn sums(directory: &Path) -> Result<String> {
    let mut files = Vec::new();
    walk(directory, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let name = file.strip_prefix(directory)?.to_str().context("a file name is not UTF-8")?;
        if name != SUMS {
            writeln!(text, "{}  {name}", sha256(&file)?)?;
        }
    }
    Ok(text)
}

/// Compares every file that `SHA256SUMS` names with its sum.
pub fn verify(directory: &Path) -> Result<()> {
    let path = directory.join(SUMS);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").with_context(|| {
            format!("{} has a line that is no checksum: {line}", path.display())
        })?;
        let file = directory.join(name);
        if sha256(&file)? != sum {
            bail!("{} does not have the checksum in {SUMS}", file.display());
        }
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path =
                std::env::temp_dir().join(format!("nestwalk-inputs-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("sid")).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn sha256_is_the_standards() {
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let scratch = Scratch::new("sum");
        fs::write(scratch.0.join("abc"), "abc").unwrap();
        let expect = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&scratch.0.join("abc")).unwrap(), expect);
    }

    #[test]
    fn a_changed_file_fails_its_checksum() {
        let scratch = Scratch::new("changed");
        let sid = scratch.0.join("sid");
        fs::create_dir_all(sid.join("modules/1")).unwrap();
        fs::write(sid.join("modules/1/kvm.ko"), "one").unwrap();
        seal(&sid).unwrap();
        verify(&sid).unwrap();
        fs::write(sid.join("modules/1/kvm.ko"), "two").unwrap();
        let error = verify(&sid).unwrap_err().to_string();
        assert!(error.contains("kvm.ko"), "{error}");
    }

    #[test]
    fn own_inputs_are_told_what_is_missing() {
        let scratch = Scratch::new("own");
        let mut request = Request::new(Suite::Sid);
        request.own = Some(scratch.0.clone());
        fs::write(scratch.0.join("sid/Image"), "kernel").unwrap();
        let error = Inputs::get(&request).unwrap_err().to_string();
        assert!(error.contains("sid/busybox") && error.contains("--inputs"), "{error}");
        fs::write(scratch.0.join("sid/busybox"), "busybox").unwrap();
        let inputs = Inputs::get(&request).unwrap();
        assert!(inputs.modules().unwrap().is_none());
        assert!(inputs.fw_dynamic().is_err());
    }
}
