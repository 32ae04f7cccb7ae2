//! The command line: help, usage errors, words of other emulators, configuration files.

use crate::run_words as run;
use std::process::Stdio;

/// The exit code of a usage error, and that it says why without printing to standard output.
#[track_caller]
fn refused(args: &str, why: &str) {
    let ended = run(args);
    assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args}");
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let ended = run("--help");
    assert_eq!(ended.code, Some(0));
    for word in ["run", "test", "disasm", "Exit codes", "124"] {
        assert!(ended.stdout.contains(word), "{word}");
    }
}

#[test]
fn help_of_run_is_grouped_and_lists_the_foreign_words() {
    let ended = run("run --help");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for group in ["Machine:", "Boot:", "Devices:", "Limits:", "Output:", "Configuration:"] {
        assert_eq!(ended.stdout.matches(&format!("\n{group}\n")).count(), 1, "{group}");
    }
    for word in ["-M virt", "-drive file=", "--bootargs", "Ctrl-A x"] {
        assert!(ended.stdout.contains(word), "{word}");
    }
}

#[test]
fn no_line_of_help_is_too_long_to_read() {
    for args in ["--help", "run --help", "test --help", "disasm --help"] {
        for line in run(args).stdout.lines() {
            assert!(line.chars().count() <= 100, "{args}: {line}");
        }
    }
}

#[test]
fn the_version_is_the_package_s() {
    assert_eq!(run("--version").stdout, format!("nestwalk {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn unknown_words_get_the_nearest() {
    refused("run --kernal x", "unknown option '--kernal'; did you mean '--kernel'?");
    refused("run -kernal x", "did you mean '-kernel'?");
    refused("run --bootarg x", "did you mean '--bootargs'?");
    refused("test --isaa=rv64i x", "did you mean '--isa'?");
    refused("rum x", "'rum' is no command; did you mean 'run'?");
    refused("a.elf", "write 'nestwalk run a.elf ...'");
    refused("-kernel x", "write 'nestwalk run -kernel ...'");
}

#[test]
fn ambiguous_and_unbuilt_words_are_refused_with_a_hint() {
    refused("run -p 4 x", "--harts");
    refused("run -d int x", "--trace-filter");
    refused("run -S x", "--gdb");
    refused("run -gdb stdio x", "tcp::1234");
    refused("run --gdb 70000 x", "127.0.0.1:1234");
    refused("run -M sifive_u x", "virt");
}

#[test]
fn values_are_refused_with_an_example() {
    refused("run --memory 2Q x", "2G");
    refused("run --max-insns many x", "1e6");
    refused("run --cpu-hz 0 x", "1GHz");
    refused("run --net user x", "dump:FILE");
    refused("run --misaligned=maybe x", "handle");
}

#[test]
fn a_line_that_runs_nothing_is_refused() {
    refused("run", "nothing to run");
    refused("test", "PATH");
}

#[test]
fn files_that_are_missing_are_named() {
    refused("run /nonexistent/a.elf", "/nonexistent/a.elf");
    refused("run --kernel /nonexistent/Image", "/nonexistent/Image");
    refused("run --config /nonexistent/c.toml", "/nonexistent/c.toml");
    refused("test /nonexistent/tests", "/nonexistent/tests");
    refused("disasm /nonexistent/a.elf", "/nonexistent/a.elf");
}

#[test]
fn a_printed_configuration_is_a_fixed_point() {
    let first =
        run("run --dump-config --memory 3G -smp 2 --isa rv64,sstc=off --disk a.img,ro x.elf");
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    let path = std::env::temp_dir().join(format!("nestwalk-config-{}.toml", std::process::id()));
    std::fs::write(&path, &first.stdout).unwrap();
    let second = run(&format!("run --dump-config --config {}", path.display()));
    assert_eq!(second.stdout, first.stdout);
    let third = run(&format!("run --dump-config --memory 1G --config {}", path.display()));
    assert_eq!(third.stdout, first.stdout.replace("\"3G\"", "\"1G\""));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn disasm_prints_words_as_instructions() {
    let ended = run("disasm --address 0x80000000 00a28293 0x8082");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("80000000") && lines[0].contains("addi"), "{}", lines[0]);
    assert!(lines[1].contains("80000004") && lines[1].contains("ret"), "{}", lines[1]);
    refused("disasm 00a2829x", "00a2829x");
}

#[test]
fn a_reader_that_has_seen_enough_ends_us_quietly() {
    let mut command = crate::nestwalk();
    // More text than a pipe holds.
    command.arg("disasm").args(vec!["00a28293"; 10_000]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = crate::ended(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(141), ""));
}
