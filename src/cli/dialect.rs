//! Turns QEMU's and Spike's words into ours before clap sees the command line.
//!
//! A word with one dash and several letters is QEMU's; one with two dashes is ours or Spike's. Of the
//! single letters `-m`, `-s`, `-S` and `-M` are QEMU's and `-l` is Spike's; those that mean different
//! things in the two (`-d`, `-p`) are refused with a hint. Each dialect is one table
//! ([`super::qemu::WORDS`], [`super::spike::WORDS`]); a word that is accepted does what it says,
//! any other is refused with a reason or with the nearest known word.

use super::nearest::did_you_mean;
use super::values::ValueError;
use super::{qemu, spike};
use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

/// One word of another emulator.
pub(crate) struct Word {
    /// As it is written, dashes included.
    pub(crate) word: &'static str,
    /// What its value is called in help; empty when it takes none.
    pub(crate) value: &'static str,
    /// What becomes of it.
    pub(crate) becomes: Becomes,
}

/// What becomes of a foreign word.
pub(crate) enum Becomes {
    /// Our word with the same value, or with none.
    Ours(&'static str),
    /// Several of our words, or one with another value.
    Built(fn(&mut Translation, &str) -> Result<(), ValueError>),
    /// Nothing, because it only asks for what is so anyway.
    SoAnyway,
    /// A refusal: why, and what to write instead.
    Refused(&'static str),
}

/// Our words so far, and what waits for the end of the command line.
#[derive(Default)]
pub(crate) struct Translation {
    words: Vec<OsString>,
    /// Drives, network backends and devices of QEMU's words.
    pub(crate) parts: qemu::Parts,
}

impl Translation {
    /// Adds our word `--name=value`.
    pub(crate) fn put(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let mut word = OsString::from(format!("{name}="));
        word.push(value);
        self.words.push(word);
    }

    /// Adds our word `--name=value` for the case that nothing else says what it is.
    pub(crate) fn put_default(&mut self, name: &str, value: &str) {
        self.words.insert(0, format!("{name}={value}").into());
    }

    /// Adds our word `--name`.
    pub(crate) fn put_flag(&mut self, name: &str) {
        self.words.push(name.into());
    }
}

/// Our words for `args`, the command line of the subcommand `command` without its name.
///
/// # Errors
/// A text for the user that names the word, the reason and, if there is one, what to write instead.
pub(crate) fn translate(
    args: impl IntoIterator<Item = OsString>,
    command: &clap::Command,
) -> Result<Vec<OsString>, ValueError> {
    let mut to = Translation::default();
    let mut operands = Vec::new();
    let mut rest = args.into_iter().peekable();
    while let Some(arg) = rest.next() {
        let Some(text) = arg.to_str() else {
            to.words.push(arg);
            continue;
        };
        if text == "--" {
            operands.push(arg);
            operands.extend(rest);
            break;
        }
        if text.starts_with('+') && foreign_word(text).is_none() {
            return Err(ValueError(format!(
                "'{text}' is a plus-argument of Spike's that is not known here (a file of that name is ./{text})"
            )));
        }
        if !text.starts_with(['-', '+']) || text == "-" {
            to.words.push(arg);
        } else if let Some(own) = own_option(command, text) {
            put_own(&mut to, own, &arg, text, &mut rest)?;
        } else if let Some((foreign, attached)) = foreign_word(text) {
            put_foreign(&mut to, command, foreign, attached, &mut rest)?;
        } else {
            return Err(unknown(command, text));
        }
    }
    qemu::finish(&mut to)?;
    if let Some(stray) = to
        .words
        .iter()
        .filter_map(|word| word.to_str())
        .find(|word| word.starts_with("--") && own_option(command, word).is_none())
    {
        let name = stray.split('=').next().unwrap_or(stray);
        return Err(ValueError(format!("'{name}' means nothing to '{}'", command.get_name())));
    }
    to.words.extend(operands);
    Ok(to.words)
}

/// The option of ours that `text` names: `--memory`, `--memory=2G`, `-j`, `-j4`.
fn own_option<'a>(command: &'a clap::Command, text: &str) -> Option<&'a clap::Arg> {
    let name = text.split('=').next().unwrap_or(text);
    match name.strip_prefix("--") {
        Some(long) => command.get_arguments().find(|arg| arg.get_long() == Some(long)),
        None => {
            let letter = text.strip_prefix('-')?.chars().next()?;
            let takes_rest = |arg: &&clap::Arg| text.len() == 2 || arg.get_action().takes_values();
            command
                .get_arguments()
                .find(|arg| arg.get_short() == Some(letter))
                .filter(takes_rest)
                .filter(|_| text.len() == 2 || text[2..].starts_with(|c: char| c.is_ascii_digit()))
        }
    }
}

/// Adds an option of ours, joined with its value, so that a value may begin with a dash. Where the
/// value may be left out, the next argument is taken for it only when it cannot be anything else.
fn put_own(
    to: &mut Translation,
    own: &clap::Arg,
    arg: &OsStr,
    text: &str,
    rest: &mut Peekable<impl Iterator<Item = OsString>>,
) -> Result<(), ValueError> {
    let complete = text.contains('=') || (!text.starts_with("--") && text.len() > 2);
    let has_value = match own.is_require_equals_set() {
        true => rest.peek().is_some_and(|next| {
            own.get_possible_values().iter().any(|value| next == value.get_name())
        }),
        false => own.get_action().takes_values(),
    };
    if complete || !has_value {
        to.words.push(arg.to_owned());
        return Ok(());
    }
    let value = rest.next().ok_or_else(|| ValueError(format!("'{text}' needs a value")))?;
    if text.starts_with("--") {
        to.put(text, value);
    } else {
        to.words.extend([arg.to_owned(), value]);
    }
    Ok(())
}

/// The word of another emulator that `text` is, with the value that is written in the same
/// argument: after `=` for Spike's long words and plus-arguments, directly for its letters.
fn foreign_word(text: &str) -> Option<(&'static Word, Option<&str>)> {
    if text.starts_with("--") || text.starts_with('+') {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        return spike::WORDS.iter().find(|known| known.word == name).map(|word| (word, value));
    }
    let all = || qemu::WORDS.iter().chain(spike::WORDS);
    let whole = all().find(|known| known.word == text).map(|word| (word, None));
    whole.or_else(|| {
        let (letter, value) = text.split_at_checked(2)?;
        let number = value.starts_with(|c: char| c.is_ascii_digit());
        let word = all().find(|known| known.word == letter && !known.value.is_empty())?;
        number.then_some((word, Some(value)))
    })
}

fn put_foreign(
    to: &mut Translation,
    command: &clap::Command,
    foreign: &Word,
    attached: Option<&str>,
    rest: &mut impl Iterator<Item = OsString>,
) -> Result<(), ValueError> {
    let word = foreign.word;
    if let Becomes::Refused(why) = foreign.becomes {
        return Err(ValueError(format!("'{word}' is not accepted: {why}")));
    }
    if let Becomes::Ours(ours) = foreign.becomes
        && own_option(command, ours).is_none()
    {
        return Err(ValueError(format!("'{word}' means nothing to '{}'", command.get_name())));
    }
    let value = match (foreign.value.is_empty(), attached) {
        (true, None) => OsString::new(),
        (true, Some(_)) => return Err(ValueError(format!("'{word}' takes no value"))),
        (false, Some(value)) => value.into(),
        (false, None) => rest
            .next()
            .ok_or_else(|| ValueError(format!("'{word}' needs a value: {}", foreign.value)))?,
    };
    match foreign.becomes {
        Becomes::Ours(ours) if foreign.value.is_empty() => to.put_flag(ours),
        Becomes::Ours(ours) => to.put(ours, value),
        Becomes::Built(build) => {
            let text = value.to_str().ok_or_else(|| {
                ValueError(format!(
                    "'{word}': the value is not UTF-8; our own options take any name"
                ))
            })?;
            build(to, text)?;
        }
        Becomes::SoAnyway | Becomes::Refused(_) => {}
    }
    Ok(())
}

fn unknown(command: &clap::Command, text: &str) -> ValueError {
    let name = text.split('=').next().unwrap_or(text);
    let own: Vec<String> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| arg.get_long())
        .map(|long| format!("--{long}"))
        .collect();
    let accepted = |known: &&Word| !matches!(known.becomes, Becomes::Refused(_));
    let foreign = qemu::WORDS.iter().chain(spike::WORDS).filter(accepted).map(|known| known.word);
    let all: Vec<&str> = own.iter().map(String::as_str).chain(foreign).collect();
    ValueError(format!("unknown option '{name}'{}", did_you_mean(name, &all)))
}

/// The accepted words of a table for the help text, one line each.
pub(crate) fn help_lines(words: &[Word]) -> String {
    let mut lines = String::new();
    for word in words.iter().filter(|word| !matches!(word.becomes, Becomes::Refused(_))) {
        lines.push_str(format!("  {} {}", word.word, word.value).trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that `nestwalk run` gets for this line.
    fn ours(line: &[&str]) -> Result<Vec<String>, String> {
        let grammar = super::super::grammar();
        let run = grammar.find_subcommand("run").unwrap();
        let words = translate(line.iter().map(OsString::from), run).map_err(|error| error.0)?;
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    fn refusal(line: &[&str]) -> String {
        ours(line).expect_err(&format!("{line:?}"))
    }

    #[test]
    fn a_qemu_line_becomes_ours() {
        let line = "-M virt -cpu rv64,h=true,sstc=off -smp 4 -m 2G -nographic -bios default \
                    -kernel Image -initrd rd.gz -append x -drive \
                    file=a.img,if=none,id=hd0,format=raw,readonly=on -device \
                    virtio-blk-device,drive=hd0 -serial mon:stdio -rtc base=utc";
        let line: Vec<&str> = line.split_whitespace().collect();
        let expected = "--isa=rv64,h=true,sstc=off --harts=4 --memory=2G --bios=builtin \
                        --kernel=Image --initrd=rd.gz --append=x --console=stdio --rtc=now \
                        --disk=a.img,ro";
        assert_eq!(ours(&line).unwrap(), expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn a_spike_line_becomes_ours() {
        let line = ["--isa=rv64gc", "-m2048", "--misaligned", "--instructions=5", "a.elf"];
        let expected = ["--isa=rv64gc", "--memory=2048M", "--misaligned", "--max-insns=5", "a.elf"];
        assert_eq!(ours(&line).unwrap(), expected);
        assert_eq!(ours(&["--bootargs", "a b"]).unwrap(), ["--append=a b"]);
        let signature = ["+signature-granularity=4", "+signature=f"];
        let granularity = "--signature-granularity";
        let expected =
            [format!("{granularity}=16"), format!("{granularity}=4"), "--signature=f".into()];
        assert_eq!(ours(&signature).unwrap(), expected);
    }

    #[test]
    fn a_bare_number_of_m_is_mebibytes() {
        assert_eq!(ours(&["-m", "512"]).unwrap(), ["--memory=512M"]);
        assert_eq!(ours(&["-m", "size=3G"]).unwrap(), ["--memory=3G"]);
    }

    #[test]
    fn a_value_is_never_read_as_an_option() {
        assert_eq!(ours(&["--append", "-s -kernel"]).unwrap(), ["--append=-s -kernel"]);
        assert_eq!(ours(&["-append", "--foo"]).unwrap(), ["--append=--foo"]);
        assert_eq!(ours(&["--", "-kernel"]).unwrap(), ["--", "-kernel"]);
    }

    #[test]
    fn a_value_that_may_be_left_out_is_taken_only_when_it_is_one() {
        let expected = ["--misaligned=trap", "--quiet", "a.elf"];
        assert_eq!(ours(&["--misaligned", "trap", "--quiet", "a.elf"]).unwrap(), expected);
        assert_eq!(ours(&["--misaligned", "a.elf"]).unwrap(), ["--misaligned", "a.elf"]);
        assert_eq!(ours(&["--overlay", "false"]).unwrap(), ["--overlay=false"]);
    }

    #[test]
    fn operands_stay_behind_what_is_added() {
        let line = ["-drive", "file=a,if=virtio", "--", "-x"];
        assert_eq!(ours(&line).unwrap(), ["--disk=a,rw", "--", "-x"]);
    }

    #[test]
    fn disks_follow_the_order_of_their_devices() {
        let line = "-drive file=a,if=none,id=a -drive file=b,if=none,id=b,snapshot=on \
                    -device virtio-blk-device,drive=b -device virtio-blk-device,drive=a";
        let line: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(ours(&line).unwrap(), ["--disk=b,overlay", "--disk=a,rw"]);
    }

    #[test]
    fn a_debugger_s_port_is_qemu_s() {
        assert_eq!(ours(&["-s", "-S"]).unwrap(), ["--gdb=1234", "--gdb-wait"]);
        assert_eq!(ours(&["-gdb", "tcp::9"]).unwrap(), ["--gdb=:9"]);
        assert_eq!(ours(&["-gdb", "tcp:0.0.0.0:9"]).unwrap(), ["--gdb=0.0.0.0:9"]);
    }

    #[test]
    fn a_comma_in_a_file_name_survives() {
        assert_eq!(ours(&["-drive", "file=a,,ro,if=virtio"]).unwrap(), ["--disk=a,ro,rw"]);
    }

    #[test]
    fn unknown_words_get_the_nearest() {
        for (word, expected) in [
            ("-kernal", "unknown option '-kernal'; did you mean '-kernel'?"),
            ("--kernal", "unknown option '--kernal'; did you mean '--kernel'?"),
            ("--smp", "unknown option '--smp'; did you mean '-smp'?"),
            ("--bootarg=x", "unknown option '--bootarg'; did you mean '--bootargs'?"),
            ("--mem", "unknown option '--mem'; did you mean '--memory'?"),
            ("-xyzzyx", "unknown option '-xyzzyx'"),
        ] {
            assert_eq!(refusal(&[word]), expected);
        }
    }

    #[test]
    fn ambiguous_and_unbuilt_words_are_refused_with_a_hint() {
        assert!(refusal(&["-p", "4"]).contains("--harts"));
        assert!(refusal(&["-p4"]).contains("--harts"));
        assert!(refusal(&["-d", "int"]).contains("--trace-filter"));
        assert!(refusal(&["-gdb", "stdio"]).contains("tcp::1234"));
        assert!(refusal(&["--ic=64:4:64"]).contains("not built yet"));
        assert!(refusal(&["+vcd=x"]).contains("not known here"));
        assert!(refusal(&["-M", "spike"]).contains("virt"));
        assert!(refusal(&["-cpu", "sifive-u54"]).contains("rv64"));
        assert!(refusal(&["-device", "virtio-blk-pci,drive=a"]).contains("virtio-blk-device"));
        assert!(refusal(&["-netdev", "user,id=n"]).contains("not built yet"));
        assert!(refusal(&["-display", "gtk"]).contains("no display"));
    }

    #[test]
    fn drives_and_devices_must_match() {
        assert!(refusal(&["-drive", "file=a,if=none,id=x"]).contains("nothing uses x"));
        assert!(refusal(&["-device", "virtio-blk-device,drive=x"]).contains("no -drive"));
        assert!(refusal(&["-netdev", "null,id=x"]).contains("nothing uses x"));
        assert!(refusal(&["-drive", "file=a,if=none,id=x,fromat=raw"]).contains("'format'"));
        assert!(refusal(&["-drive", "file=a,if=virtio,format=qcow2"]).contains("only raw"));
        assert!(refusal(&["-drive", "file=a"]).contains("if="));
    }

    #[test]
    fn a_missing_value_is_named() {
        assert_eq!(refusal(&["--kernel"]), "'--kernel' needs a value");
        assert!(refusal(&["-kernel"]).starts_with("'-kernel' needs a value"));
    }

    #[test]
    fn every_word_becomes_something_that_run_knows() {
        let grammar = super::super::grammar();
        let run = grammar.find_subcommand("run").unwrap();
        for word in qemu::WORDS.iter().chain(spike::WORDS) {
            if let Becomes::Ours(ours) = word.becomes {
                let own = own_option(run, ours).unwrap_or_else(|| panic!("{}", word.word));
                let same = own.get_action().takes_values() && !own.is_require_equals_set();
                assert_eq!(same, !word.value.is_empty(), "{}", word.word);
            }
        }
    }

    #[test]
    fn no_foreign_word_hides_one_of_ours() {
        let grammar = super::super::grammar();
        let run = grammar.find_subcommand("run").unwrap();
        for word in qemu::WORDS.iter().chain(spike::WORDS) {
            assert!(own_option(run, word.word).is_none(), "{}", word.word);
        }
    }

    #[test]
    fn test_refuses_what_only_run_knows() {
        let grammar = super::super::grammar();
        let test = grammar.find_subcommand("test").unwrap();
        let words = |line: &[&str]| translate(line.iter().map(OsString::from), test);
        assert!(words(&["-kernel", "x"]).unwrap_err().0.contains("means nothing to 'test'"));
        assert!(words(&["-drive", "file=a,if=virtio"]).unwrap_err().0.contains("means nothing"));
        assert_eq!(words(&["-smp", "2", "-j4", "-j", "4", "x"]).unwrap().len(), 5);
    }
}
