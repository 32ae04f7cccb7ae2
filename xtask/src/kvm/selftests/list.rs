//! Which tests run, with what arguments and time, and what is expected of them; and the script that runs them.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// The list of this repository.
const LIST: &str = include_str!("list.txt");

/// Where the programs are in the machine.
pub const FOLDER: &str = "selftests";

/// What a line of the script's begins with when a test begins: its number, then the command.
pub const BEGIN: &str = "selftest-begin: ";

/// When a test has ended: its number, the exit status, nanoseconds of guest time.
pub const END: &str = "selftest-end: ";

/// How often a test did its work, where it runs for a time and says so.
pub const DONE: &str = "selftest-done: ";

/// The end of what an unsuccessful test said.
pub const SAID: &str = "selftest-said: ";

/// What the kernel complained of.
pub const KERNEL: &str = "selftest-kernel: ";

/// The kernel's version, and the mode of its G-stage tables.
pub const SYSTEM: &str = "selftest-system: ";

/// Exit status of a program that was killed by KILL, as a shell has it.
const KILLED: u8 = 128 + 9;

/// Exit status by which a program of the kernel's tests says that it cannot run here.
const SKIPPED: u8 = 4;

/// How a test came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It ended well.
    Pass,
    /// It said that something it needs is not there.
    Skip,
    /// It was killed when its time was up.
    Hang,
    /// It ended badly.
    Fail,
}

/// How a test may come out: one result, or several of which chance decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Expected(Vec<Verdict>);

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Guest time after which it is killed.
    pub limit_seconds: u32,
    /// How it may come out.
    pub expected: Expected,
    /// How many harts it needs at least.
    pub harts: u32,
    /// The program and its arguments, with `SV39` and so on for the numbers of guest modes.
    pub command: String,
    /// Why it should not pass, in words.
    pub why: Option<String>,
}

impl Verdict {
    /// What an exit status means.
    pub fn of(status: u8) -> Verdict {
        match status {
            0 => Verdict::Pass,
            SKIPPED => Verdict::Skip,
            KILLED => Verdict::Hang,
            _ => Verdict::Fail,
        }
    }

    fn parse(word: &str) -> Option<Verdict> {
        [Verdict::Pass, Verdict::Skip, Verdict::Hang].into_iter().find(|v| v.to_string() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "pass",
            Verdict::Skip => "skip",
            Verdict::Hang => "hang",
            Verdict::Fail => "FAIL",
        })
    }
}

impl Expected {
    /// Whether this is as it should be.
    pub fn allows(&self, verdict: Verdict) -> bool {
        self.0.contains(&verdict)
    }

    fn parse(word: &str) -> Option<Expected> {
        word.split('|').map(Verdict::parse).collect::<Option<_>>().map(Expected)
    }
}

impl From<Verdict> for Expected {
    fn from(verdict: Verdict) -> Self {
        Expected(vec![verdict])
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(Verdict::to_string).collect();
        f.pad(&words.join(" or "))
    }
}

impl Test {
    /// The program's name.
    pub fn program(&self) -> &str {
        self.command.split(' ').next().unwrap_or_default()
    }

    fn parse(line: &str) -> Result<Test> {
        let (line, why) = match line.split_once('#') {
            Some((line, why)) => (line, Some(why.trim().to_owned())),
            None => (line, None),
        };
        let mut words = line.split_whitespace();
        let limit = words.next().unwrap_or_default();
        let limit_seconds = limit.parse().with_context(|| format!("`{limit}` is no time"))?;
        let expected = words.next().unwrap_or_default();
        let expected = Expected::parse(expected)
            .with_context(|| format!("`{expected}` is not pass, skip or hang"))?;
        let mut words = words.peekable();
        let harts = match words.next_if(|word| word.starts_with("harts=")) {
            Some(word) => word["harts=".len()..]
                .parse()
                .with_context(|| format!("`{word}` is no number of harts"))?,
            None => 1,
        };
        let command = words.collect::<Vec<_>>().join(" ");
        if command.is_empty() {
            bail!("there is no command");
        }
        if why.is_none() && expected != Verdict::Pass.into() {
            bail!("it does not say why it should not pass");
        }
        Ok(Test { limit_seconds, expected, harts, command, why })
    }

    /// What is expected on a machine with this many harts.
    fn on(self, harts: u32) -> Test {
        if harts >= self.harts {
            return self;
        }
        let why = Some(format!("it needs {} harts", self.harts));
        Test { expected: Verdict::Skip.into(), why, ..self }
    }
}

/// The tests whose command contains one of these texts, in the list's order; all of them when no text is given. What is
/// expected of them is what holds on a machine with this many harts.
pub fn choose(texts: &[String], harts: u32) -> Result<Vec<Test>> {
    let all = parse(LIST)?;
    if let Some(text) = texts.iter().find(|text| !all.iter().any(|t| t.command.contains(*text))) {
        bail!("no test's command contains `{text}`; the list is xtask/src/kvm/selftests/list.txt");
    }
    let chosen = |test: &Test| texts.is_empty() || texts.iter().any(|t| test.command.contains(t));
    Ok(all.into_iter().filter(chosen).map(|test| test.on(harts)).collect())
}

fn parse(list: &str) -> Result<Vec<Test>> {
    let lines = list.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| Test::parse(line).with_context(|| format!("line {} of the list", at + 1)))
        .collect()
}

/// What the machine runs: every test in turn, each under its limit times `patience`.
///
/// A guest's modes have numbers that count through all of them, for each mode of the G-stage from the widest one on:
/// 17 to 19 are Sv57, Sv48 and Sv39 over Sv57x4, 20 to 22 the same over Sv48x4, 23 to 25 over Sv39x4.
pub fn script(tests: &[Test], patience: u32) -> String {
    let mut script = format!(
        r#"
mode=$(dmesg | grep -o 'Sv[0-9]*x4' | head -n 1)
echo "{SYSTEM}Linux $(uname -r), $mode"
case $mode in
  Sv57x4) SV57=17 SV48=18 SV39=19 ;;
  Sv48x4) SV57=20 SV48=21 SV39=22 ;;
  Sv39x4) SV57=23 SV48=24 SV39=25 ;;
  *) say "the G-stage's mode is not known"; exit 1 ;;
esac
hugepages 64
ulimit -n 4096
cd /{FOLDER}
now() {{ sed -n '/^now at/{{s/[^0-9]//g;p;q}}' /proc/timer_list; }}
begin() {{
  say "[$1/{count}] $2"
  echo "{BEGIN}$1 $2"
  start=$(now)
}}
end() {{
  echo "{END}$1 $2 $(($(now) - start))"
  sed -n 's/^Done \([0-9]*\) iterations.*/{DONE}\1/p' /tmp/out
  [ "$2" = 0 ] || tail -n 8 /tmp/out | sed 's/^/{SAID}/'
}}
"#,
        count = tests.len()
    );
    for (at, test) in tests.iter().enumerate() {
        let (number, limit) = (at + 1, test.limit_seconds.saturating_mul(patience));
        let command = with_modes(&test.command);
        script.push_str(&format!(
            "begin {number} '{}'\ntimeout -s KILL {limit} ./{command} > /tmp/out 2>&1 < /dev/null\n\
             end {number} $?\n",
            test.command
        ));
    }
    script.push_str(&format!(
        "dmesg | grep -E 'WARNING:|BUG:|Oops|soft lockup|detected stalls|hung_task|unexpected' |\n  \
         sed 's/^/{KERNEL}/'\nexit 0\n"
    ));
    script
}

/// The command as the shell reads it: names of modes become its variables.
fn with_modes(command: &str) -> String {
    let word = |word: &str| match word {
        "SV39" | "SV48" | "SV57" => format!("${word}"),
        _ => word.to_owned(),
    };
    command.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_can_be_read_and_is_harmless_in_a_shell() {
        let tests = parse(LIST).unwrap();
        assert!(tests.len() > 20, "{}", tests.len());
        for test in &tests {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_ .".contains(c);
            assert!(test.command.chars().all(plain), "{}", test.command);
        }
    }

    #[test]
    fn a_line_is_time_expectation_command_and_reason() {
        let list = "# a comment\n\n7  pass  a_test -m SV39  -b 1M\n2 skip b # has no C\n";
        let pass = Test {
            limit_seconds: 7,
            expected: Verdict::Pass.into(),
            harts: 1,
            command: "a_test -m SV39 -b 1M".to_owned(),
            why: None,
        };
        let skip = Test {
            limit_seconds: 2,
            expected: Verdict::Skip.into(),
            harts: 1,
            command: "b".to_owned(),
            why: Some("has no C".to_owned()),
        };
        assert_eq!(parse(list).unwrap(), [pass, skip]);
        for wrong in ["7 pass", "x pass a", "7 fail a", "7 skip a", "7 hang|pass a"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_several_results_each_is_expected_and_no_other() {
        let tests = parse("3 hang|pass a # by chance\n").unwrap();
        let expected = &tests[0].expected;
        assert!(expected.allows(Verdict::Hang) && expected.allows(Verdict::Pass));
        assert!(!expected.allows(Verdict::Skip) && !expected.allows(Verdict::Fail));
        assert_eq!(expected.to_string(), "hang or pass");
        for wrong in ["3 hang| a # x", "3 | a # x", "3 hang|no a # x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_test_that_needs_more_harts_is_expected_to_skip() {
        let tests = parse("3 pass harts=2 a -n 2\n").unwrap();
        let [test] = tests.as_slice() else { panic!() };
        assert_eq!((test.harts, test.command.as_str()), (2, "a -n 2"));
        assert_eq!(test.clone().on(2), *test);
        let alone = test.clone().on(1);
        assert_eq!(alone.expected, Verdict::Skip.into());
        assert!(alone.why.is_some());
        for wrong in ["3 pass harts= a", "3 pass harts=x a", "3 pass harts=2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_needs_two_harts_in_the_list_skips_on_one() {
        let skipping = |harts| {
            let tests = choose(&[], harts).unwrap().into_iter();
            let skip = tests.filter(|test| test.expected == Verdict::Skip.into());
            skip.map(|test| test.program().to_owned()).collect::<Vec<_>>()
        };
        let (one, two) = (skipping(1), skipping(2));
        let more: Vec<_> = one.iter().filter(|name| !two.contains(name)).collect();
        assert_eq!(more, ["arch_timer", "rseq_test"]);
    }

    #[test]
    fn statuses_are_those_of_the_kernels_tests_and_of_the_shell() {
        assert_eq!(Verdict::of(0), Verdict::Pass);
        // KSFT_SKIP of the kernel's Documentation/dev-tools/kselftest.rst.
        assert_eq!(Verdict::of(4), Verdict::Skip);
        assert_eq!(Verdict::of(137), Verdict::Hang);
        assert_eq!(Verdict::of(254), Verdict::Fail);
    }

    #[test]
    fn modes_become_variables_and_nothing_else_does() {
        assert_eq!(with_modes("t -m SV39 -s XSV39"), "t -m $SV39 -s XSV39");
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(choose(&["no_such_test".to_owned()], 2).is_err());
        let chosen = choose(&["get-reg".to_owned(), "guest_print".to_owned()], 2).unwrap();
        let names: Vec<&str> = chosen.iter().map(Test::program).collect();
        assert_eq!(names, ["guest_print_test", "get-reg-list"]);
    }
}
