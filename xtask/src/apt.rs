//! Debian packages for riscv64, fetched by the machine's own apt under a private state.
//!
//! The private state has its own lists, its own sources (one Debian suite on the mirror the machine already uses)
//! and riscv64 as its only architecture. The machine's apt configuration (proxies, say) stays in force; its
//! package database and lists are neither read nor changed. apt checks signatures and checksums as always.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::inputs::Suite;
use crate::process::{self, say};
use crate::sources::{self, Source};
use crate::version;

/// Keys of Debian's archive where newer and older versions of the package `debian-archive-keyring` put them.
const DEBIAN_KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// One version of a package, as the suite's list offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The size of the .deb file.
    pub bytes: u64,
}

/// A private apt state for one suite.
pub struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Sets up the state in `directory` and fetches the suite's package list. `mirror` overrides the mirror named
    /// in the machine's own sources.
    pub fn open(directory: &Path, suite: Suite, mirror: Option<&str>) -> Result<Apt> {
        if process::find("apt-get").is_none() || process::find("dpkg-deb").is_none() {
            bail!("this system has no apt-get and dpkg-deb");
        }
        let source = match mirror {
            Some(uri) => named_mirror(uri)?,
            None => sources::debian_mirror(Path::new("/etc"))?.context(
                "this system's apt sources name no Debian mirror; name one with --mirror URI \
                 (its keys are taken from the package debian-archive-keyring)",
            )?,
        };
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(directory.join(folder))?;
        }
        let directory = directory.canonicalize()?;
        fs::write(directory.join("status"), "")?;
        fs::write(directory.join("suite.sources"), stanza(&source, suite))?;
        fs::write(directory.join("apt.conf"), configuration(&directory)?)?;
        let apt = Apt { directory };
        say(&format!("reading Debian's package list ({suite}, riscv64)"));
        apt.update()?;
        Ok(apt)
    }

    fn update(&self) -> Result<()> {
        let error = match process::output(self.command("apt-get").args(["-q", "update"])) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let unsigned = ["NO_PUBKEY", "not signed", "Missing key", "couldn't be verified"];
        if unsigned.iter().any(|word| error.to_string().contains(word)) {
            return Err(error.context(
                "apt does not know the key that signs this suite; a newer version of the package \
                 debian-archive-keyring has it",
            ));
        }
        Err(error.context("cannot read the package list"))
    }

    /// The names in the suite's list that start with `prefix`.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = process::output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// The newest version of each of these packages.
    pub fn newest_of(&self, names: &[String]) -> Result<Vec<Package>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let stanzas = process::output(self.command("apt-cache").arg("show").args(names))?;
        Ok(newest_versions(&stanzas))
    }

    /// The libraries that a package depends on by name; interpreters and the like are none.
    pub fn libraries_of(&self, name: &str) -> Result<Vec<String>> {
        let said = process::output(self.command("apt-cache").args(["depends", name]))?;
        Ok(libraries_in(&said))
    }

    /// Downloads packages and unpacks them, one over the other, into `target`.
    pub fn unpack(&self, packages: &[Package], target: &Path) -> Result<()> {
        let archives = self.directory.join("archives");
        for package in packages {
            let wanted = format!("{}={}", package.name, package.version);
            let megabytes = package.bytes as f64 / 1e6;
            say(&format!("fetching {} {} ({megabytes:.1} MB)", package.name, package.version));
            process::output(
                self.command("apt-get").args(["-q", "download", &wanted]).current_dir(&archives),
            )?;
            let file = downloaded(&archives, &package.name)?;
            process::output(Command::new("dpkg-deb").arg("-x").arg(&file).arg(target))?;
            fs::remove_file(&file)?;
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-c").arg(self.directory.join("apt.conf"));
        command
    }
}

/// Picks the kernel: the newest package that matches a pattern, from a list of names in which names hold the
/// kernel's release. Debian's newer suites split the kernel into `linux-binary-*` and `linux-modules-*`; in the
/// older ones `linux-image-*` holds both.
///
/// Returns (the release, the names of the packages that hold it).
pub fn kernel_packages(names: &[String]) -> Option<(String, Vec<String>)> {
    let release = |name: &str, prefix: &str| -> Option<String> {
        let release = name.strip_prefix(prefix)?;
        let flavour = release.strip_suffix("-riscv64")?;
        let plain = flavour.starts_with(|c: char| c.is_ascii_digit()) && !flavour.contains('-');
        plain.then(|| release.to_owned())
    };
    let newest = |prefix: &str| {
        names
            .iter()
            .filter_map(|name| release(name, prefix))
            .max_by(|left, right| version::compare(left, right))
    };
    let packages = |prefixes: &[&str], release: &str| -> Vec<String> {
        prefixes.iter().map(|prefix| format!("{prefix}{release}")).collect()
    };
    let (split, whole) = (newest("linux-binary-"), newest("linux-image-"));
    match (split, whole) {
        // The split kernel has a linux-image package of the same release that holds nothing itself.
        (Some(split), whole)
            if whole.as_ref().is_none_or(|whole| version::compare(&split, whole).is_ge()) =>
        {
            Some((split.clone(), packages(&["linux-binary-", "linux-modules-"], &split)))
        }
        (_, Some(whole)) => Some((whole.clone(), packages(&["linux-image-"], &whole))),
        (_, None) => None,
    }
}

/// The newest version of each package in the output of `apt-cache show`.
fn newest_versions(stanzas: &str) -> Vec<Package> {
    let mut newest: BTreeMap<String, Package> = BTreeMap::new();
    for stanza in stanzas.split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        let bytes = field("Size").and_then(|size| size.parse().ok()).unwrap_or(0);
        let known = newest.get(&name);
        if known.is_none_or(|known| version::compare(&version, &known.version).is_gt()) {
            newest.insert(name.clone(), Package { name, version, bytes });
        }
    }
    newest.into_values().collect()
}

/// The libraries in the output of `apt-cache depends`.
fn libraries_in(said: &str) -> Vec<String> {
    let named = said.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let library = |name: &&str| name.starts_with("lib") || name.starts_with("zlib");
    named.filter(library).map(str::to_owned).collect()
}

fn downloaded(archives: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(archives)? {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if file
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('_') && rest.ends_with(".deb"))
        {
            return Ok(path);
        }
    }
    bail!("apt-get download {name} left no .deb file in {}", archives.display())
}

/// A mirror that the user named; this system need not be a Debian one, but must have Debian's keys.
fn named_mirror(uri: &str) -> Result<Source> {
    let keyring = DEBIAN_KEYRINGS.iter().find(|path| Path::new(path).is_file());
    let keyring = keyring.context(
        "this system does not have the keys of Debian's archive; they are in its package \
         debian-archive-keyring",
    )?;
    let trust = vec![("Signed-By", (*keyring).to_owned())];
    Ok(Source { uris: vec![uri.to_owned()], trust, ..Source::default() })
}

fn stanza(source: &Source, suite: Suite) -> String {
    let mut text = format!(
        "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\nTargets: Packages\n",
        source.uris.join(" ")
    );
    for (field, value) in &source.trust {
        text.push_str(&format!("{field}: {value}\n"));
    }
    text
}

/// `#clear` first: lists of the machine's own configuration would be added to ours otherwise. Its update hooks
/// are for its own state. Downloads run as the user who called, who may be the only one to reach `directory`.
fn configuration(directory: &Path) -> Result<String> {
    let path = directory.to_str().context("the inputs folder's path is not UTF-8")?;
    if path.contains(['"', '\n', ';']) {
        bail!("apt cannot work below {path}: a quote, semicolon or line break is in the path");
    }
    Ok(format!(
        r#"#clear APT::Update;
#clear APT::Architectures;
#clear Acquire::Languages;
Dir::State "{path}";
Dir::State::status "{path}/status";
Dir::Cache "{path}";
Dir::Etc::sourcelist "{path}/suite.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "riscv64";
APT::Architectures {{ "riscv64"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages {{ "none"; }};
Acquire::Retries "3";
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(names: &[&str]) -> Option<(String, Vec<String>)> {
        kernel_packages(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn split_kernel_is_binary_and_modules() {
        let (release, packages) = kernel(&[
            "linux-base-7.2.13+deb14-riscv64",
            "linux-image-7.2.13+deb14-riscv64",
            "linux-image-7.2.13+deb14-riscv64-dbg",
            "linux-image-riscv64",
            "linux-binary-7.2.9+deb14-riscv64",
            "linux-binary-7.2.13+deb14-riscv64",
            "linux-modules-7.2.13+deb14-riscv64",
        ])
        .unwrap();
        assert_eq!(release, "7.2.13+deb14-riscv64");
        let expect = ["linux-binary-7.2.13+deb14-riscv64", "linux-modules-7.2.13+deb14-riscv64"];
        assert_eq!(packages, expect);
    }

    #[test]
    fn whole_kernel_is_the_newest_image_by_number_not_by_letter() {
        let (release, packages) = kernel(&[
            "linux-image-6.12.94+deb13-riscv64",
            "linux-image-6.12.107+deb13-riscv64",
            "linux-image-6.12.200+deb13-riscv64-dbg",
            "linux-image-6.12.200+deb13-rt-riscv64",
            "linux-image-6.12.200+deb13-amd64",
        ])
        .unwrap();
        assert_eq!(release, "6.12.107+deb13-riscv64");
        assert_eq!(packages, ["linux-image-6.12.107+deb13-riscv64"]);
    }

    #[test]
    fn a_newer_whole_kernel_wins_over_an_older_split_one() {
        let (release, _) =
            kernel(&["linux-binary-7.2.1+deb14-riscv64", "linux-image-8.0.1+deb15-riscv64"])
                .unwrap();
        assert_eq!(release, "8.0.1+deb15-riscv64");
    }

    #[test]
    fn meta_packages_alone_are_no_kernel() {
        assert_eq!(kernel(&["linux-image-riscv64", "linux-base-riscv64"]), None);
    }

    #[test]
    fn newest_of_several_versions_is_taken() {
        let stanzas = "\
Package: opensbi
Version: 1.9-1
Size: 1

Package: busybox-static
Version: 1:1.38.0-3+b1

Package: opensbi
Version: 1.10-1
Size: 234648
";
        let found = newest_versions(stanzas);
        let found: Vec<_> =
            found.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.bytes)).collect();
        assert_eq!(found, [("busybox-static", "1:1.38.0-3+b1", 0), ("opensbi", "1.10-1", 234_648)]);
    }

    #[test]
    fn libraries_are_among_what_a_package_depends_on() {
        let said = "linux-perf\n  Depends: <perl:any>\n  Depends: libc6\n  Suggests: libdoc\n  Depends: zlib1g\n";
        assert_eq!(libraries_in(said), ["libc6", "zlib1g"]);
    }

    #[test]
    fn stanza_carries_trust_over() {
        let source = Source {
            uris: vec!["http://mirror.example/debian".into()],
            trust: vec![("Signed-By", "/k.gpg".into())],
            ..Source::default()
        };
        let text = stanza(&source, Suite::Sid);
        assert!(
            text.contains("\nSuites: sid\n") && text.contains("\nSigned-By: /k.gpg\n"),
            "{text}"
        );
    }
}
