//! Configuration files: any option of `run` as `name = value` in TOML.

use super::nearest::did_you_mean;
use super::options::{MachineOptions, RunOptions};
use super::values::ValueError;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The largest configuration file that is read, in bytes; a real one has some hundreds.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The options in a file; relative file names in it are relative to it.
pub(crate) fn load(path: &Path) -> Result<(MachineOptions, RunOptions), ValueError> {
    let in_file = |why: &dyn std::fmt::Display| ValueError(format!("{}: {why}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| in_file(&error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(in_file(&"too large for a configuration file"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| in_file(&error))?;
    let (mut machine, mut run) = parse(&text).map_err(|error| in_file(&error))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    machine.rebase(directory);
    run.rebase(directory);
    Ok((machine, run))
}

/// The options as a configuration file. File names are made absolute, so that the text means the
/// same wherever it is kept.
pub(crate) fn print(machine: &MachineOptions, run: &RunOptions) -> Result<String, ValueError> {
    let here = std::env::current_dir().map_err(|error| ValueError(error.to_string()))?;
    let (mut machine, mut run) = (machine.clone(), run.clone());
    machine.rebase(&here);
    run.rebase(&here);
    let text = |part: Result<String, toml::ser::Error>| part.map_err(|e| ValueError(e.to_string()));
    Ok(text(toml::to_string(&machine))? + &text(toml::to_string(&run))?)
}

fn parse(text: &str) -> Result<(MachineOptions, RunOptions), ValueError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| ValueError(error.to_string().trim_end().to_owned()))?;
    let machine_names: Vec<String> = MachineOptions::names().collect();
    let run_names: Vec<String> = RunOptions::names().collect();
    let (mut machine, mut run) = (toml::Table::new(), toml::Table::new());
    for (key, value) in table {
        if machine_names.contains(&key) {
            machine.insert(key, value);
        } else if run_names.contains(&key) {
            run.insert(key, value);
        } else {
            let known: Vec<&str> =
                machine_names.iter().chain(&run_names).map(String::as_str).collect();
            let hint = did_you_mean(&key, &known);
            return Err(ValueError(format!("unknown option '{key}'{hint}")));
        }
    }
    Ok((options(machine)?, options(run)?))
}

fn options<T: DeserializeOwned>(table: toml::Table) -> Result<T, ValueError> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        ValueError(error.to_string().trim_end().replace('\n', " "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_every_value_that_the_command_line_takes() {
        let text = r#"
            memory = "2G"
            harts = 4
            max-insns = 1e9
            timeout = 0.5
            seed = 7
            rtc = "now"
            clock = "native"
            disk = ["a.img", "b.img,ro"]
            console = "file:out.txt"
            quiet = true
        "#;
        let (machine, run) = parse(text).unwrap();
        assert_eq!(machine.memory, Some("2G".parse().unwrap()));
        assert_eq!(machine.max_insns, Some("1e9".parse().unwrap()));
        assert_eq!(machine.timeout, Some("0.5".parse().unwrap()));
        assert_eq!(machine.harts, Some(4));
        assert_eq!(run.disk, ["a.img".parse().unwrap(), "b.img,ro".parse().unwrap()]);
        assert_eq!(run.quiet, Some(true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("memroy = 1", "unknown option 'memroy'; did you mean 'memory'?"),
            ("memory = '2Q'", "'2Q' is no size"),
            ("memory = '2Q'", "memory"),
            ("memory = ['2G']", "memory"),
            ("harts = 400", "harts"),
            ("memory", "expected"),
        ] {
            let error = parse(text).unwrap_err().0;
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn printed_options_are_read_back_the_same() {
        let text = "memory = '3G'\ndisk = ['/a,ro', '/b']\nbios = 'none'\nprogram = '/x.elf'\ntlb = '/t.toml'";
        let (machine, run) = parse(text).unwrap();
        let printed = print(&machine, &run).unwrap();
        assert_eq!(parse(&printed).unwrap(), (machine, run), "{printed}");
    }

    #[test]
    fn file_names_in_a_file_are_relative_to_it() {
        let (_, mut run) = parse("kernel = 'Image'\nbios = '/fw'").unwrap();
        run.rebase(Path::new("boards"));
        assert_eq!(run.kernel.as_deref(), Some(Path::new("boards/Image")));
        assert_eq!(run.bios.map(|bios| bios.to_string()).as_deref(), Some("/fw"));
    }
}
