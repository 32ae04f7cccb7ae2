//! The machine's own apt sources, read to learn which Debian mirror it uses and which keys it trusts.
//!
//! Both formats of `sources.list(5)` are understood: deb822 stanzas (`*.sources`) and one-line entries (`*.list`).
//! Nothing is ever written to them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Names under which Debian's own suites appear. A newer release than these is recognised through
/// `VERSION_CODENAME` of a machine whose `ID` is debian.
const DEBIAN_SUITES: &[&str] = &[
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
];

/// Options that say how far a mirror is trusted; they are carried over as they stand.
/// (field of a stanza, option of a line)
const TRUST: &[(&str, &str)] = &[
    ("Signed-By", "signed-by"),
    ("Trusted", "trusted"),
    ("Check-Valid-Until", "check-valid-until"),
    ("Check-Date", "check-date"),
];

/// One enabled source of binary packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where the mirror is, as apt writes it.
    pub uris: Vec<String>,
    /// The suites that are taken from it.
    pub suites: Vec<String>,
    /// Areas such as `main`.
    pub components: Vec<String>,
    /// Fields that decide trust, by their stanza names; a value may span lines (an inlined key).
    pub trust: Vec<(&'static str, String)>,
}

impl Source {
    /// Whether this is Debian's main archive, and not its security archive or someone else's.
    fn is_debian_archive(&self, own_codename: Option<&str>) -> bool {
        let known = |suite: &str| DEBIAN_SUITES.contains(&suite) || Some(suite) == own_codename;
        self.suites.iter().any(|suite| known(suite))
            && self.components.iter().any(|component| component == "main")
            && !self.uris.is_empty()
    }
}

/// The Debian mirror that the sources under `etc` (normally `/etc`) name, if they name one.
pub fn debian_mirror(etc: &Path) -> Result<Option<Source>> {
    let codename = codename(&fs::read_to_string(etc.join("os-release")).unwrap_or_default());
    let sources = machine_sources(&etc.join("apt"))?;
    Ok(sources.into_iter().find(|source| source.is_debian_archive(codename.as_deref())))
}

fn machine_sources(apt: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    if apt.join("sources.list").is_file() {
        files.push(apt.join("sources.list"));
    }
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        let mut parts: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut sources = Vec::new();
    for file in files {
        let parse: fn(&str) -> Vec<Source> = match file.extension().and_then(|ext| ext.to_str()) {
            Some("sources") => parse_stanzas,
            Some("list") => parse_lines,
            _ => continue,
        };
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read apt's sources in {}", file.display()))?;
        sources.extend(parse(&text));
    }
    Ok(sources)
}

/// `VERSION_CODENAME` of a Debian machine.
fn codename(os_release: &str) -> Option<String> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    if value("ID")? != "debian" {
        return None;
    }
    value("VERSION_CODENAME")
}

/// Stanzas of `Field: value` lines, parted by empty lines; a line that starts with a blank continues the field.
fn parse_stanzas(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(source_of_stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((field, value)) = line.split_once(':') {
            fields.push((field.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn source_of_stanza(fields: &[(String, String)]) -> Option<Source> {
    let get = |name: &str| {
        fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let words = |name: &str| -> Vec<String> {
        get(name)
            .map(|value| value.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let off = get("Enabled").is_some_and(|value| {
        ["no", "false", "without", "off", "disable"].contains(&value.to_ascii_lowercase().as_str())
    });
    if off || !words("Types").iter().any(|kind| kind == "deb") {
        return None;
    }
    let trust = TRUST.iter().filter_map(|(field, _)| Some((*field, get(field)?.clone()))).collect();
    Some(Source {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        trust,
    })
}

/// Lines of `deb [option=value …] uri suite component…`.
fn parse_lines(text: &str) -> Vec<Source> {
    text.lines().filter_map(source_of_line).collect()
}

fn source_of_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let (options, rest) = match rest.trim_start().strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let mut trust = Vec::new();
    for (key, value) in options.split_whitespace().filter_map(|option| option.split_once('=')) {
        if let Some((field, _)) = TRUST.iter().find(|(_, name)| *name == key) {
            trust.push((*field, value.replace(',', " ")));
        }
    }
    Some(Source { uris: vec![uri], suites: vec![suite], components: words.collect(), trust })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main

Types: deb
URIs: http://mirror.example/debian
 http://other.example/debian
# in between
Suites: trixie trixie-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://third.example/debian
Suites: sid
Components: main
";

    #[test]
    fn stanzas_give_every_enabled_binary_source() {
        let sources = parse_stanzas(STANZAS);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["trixie-security"]);
        let debian = &sources[1];
        assert_eq!(debian.uris, ["http://mirror.example/debian", "http://other.example/debian"]);
        assert_eq!(debian.components, ["main", "contrib"]);
        let key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc";
        assert_eq!(debian.trust, [("Signed-By", key.to_owned())]);
    }

    #[test]
    fn lines_give_every_binary_source_with_its_options() {
        let text = "\
deb-src http://mirror.example/debian sid main
# deb http://old.example/debian sid main
deb\thttp://mirror.example/debian bookworm main # the archive
deb [ arch=amd64 signed-by=/k/one.gpg,/k/two.gpg trusted=yes ] http://b.example/debian sid main non-free
deb http://broken.example/debian
";
        let sources = parse_lines(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm"]);
        assert_eq!(sources[0].components, ["main"]);
        assert_eq!(sources[1].uris, ["http://b.example/debian"]);
        let trust =
            [("Signed-By", "/k/one.gpg /k/two.gpg".to_owned()), ("Trusted", "yes".to_owned())];
        assert_eq!(sources[1].trust, trust);
    }

    #[test]
    fn the_archive_is_told_from_security_and_from_others() {
        let of = |suite: &str, component: &str| Source {
            uris: vec!["http://mirror.example/x".into()],
            suites: vec![suite.into()],
            components: vec![component.into()],
            trust: Vec::new(),
        };
        assert!(of("bookworm", "main").is_debian_archive(None));
        assert!(!of("bookworm-security", "main").is_debian_archive(None));
        assert!(!of("noble", "main").is_debian_archive(None));
        assert!(!of("nodistro", "main").is_debian_archive(Some("bookworm")));
        assert!(!of("stable", "vendor").is_debian_archive(None));
        assert!(of("newname", "main").is_debian_archive(Some("newname")));
    }

    #[test]
    fn only_a_debian_machine_lends_its_codename() {
        let debian = "ID=debian\nVERSION_CODENAME=\"newname\"\n";
        assert_eq!(codename(debian).as_deref(), Some("newname"));
        assert_eq!(codename("ID=ubuntu\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(codename(""), None);
    }
}
