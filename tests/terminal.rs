//! The user's terminal: raw during a run, restored on every way out, with its keys.

use crate::guest::{TempFile, elf};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A terminal with the command on it, and a guest that never ends.
struct Session {
    user: File,
    terminal: File,
    child: Child,
    _guest: TempFile,
}

impl Session {
    fn begin() -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let name = name.to_str().unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let guest = elf("li a2, 0x10000000
            next: lbu a3, 5(a2); andi a3, a3, 1; beqz a3, next; lbu a3, 0(a2); addi a3, a3, 1
            sb a3, 0(a2); j next");
        assert!(is_cooked(&terminal));
        let child = crate::nestwalk()
            .args(["run", "--timeout", "60"])
            .arg(guest.path())
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let session = Self { user: user.into(), terminal, child, _guest: guest };
        session.wait_until(|session| !is_cooked(&session.terminal), "the terminal is raw");
        session
    }

    fn wait_until(&self, holds: impl Fn(&Self) -> bool, what: &str) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.user.write_all(keys).unwrap();
    }

    /// Waits for the end: the exit code and what we said.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(is_cooked(&self.terminal), "the terminal is restored: {said}");
        (status.code(), said)
    }
}

fn is_cooked(terminal: &impl AsFd) -> bool {
    let modes = tcgetattr(terminal).unwrap();
    modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

#[test]
fn ctrl_a_x_ends_the_run_and_restores_the_terminal() {
    let mut session = Session::begin();
    session.press(b"\x01x");
    let (code, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ended from the console"), "{said}");
}

#[test]
fn other_keys_reach_the_guest_as_they_are() {
    let mut session = Session::begin();
    // Ctrl-C and Ctrl-Z are the guest's; a key each, no line needed.
    session.press(b"\x03a\x1a\x01\x01");
    let mut echoed = [0; 4];
    session.user.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, [4, b'b', 0x1b, 2]);
    session.press(b"\x01x");
    assert_eq!(session.end().0, Some(0));
}

#[test]
fn ctrl_a_h_lists_the_keys() {
    let mut session = Session::begin();
    session.press(b"\x01h\x01x");
    let (_, said) = session.end();
    assert!(said.contains("Ctrl-A x"), "{said}");
}

#[test]
fn a_signal_restores_the_terminal() {
    let session = Session::begin();
    std::thread::sleep(Duration::from_millis(100));
    let pid = rustix::process::Pid::from_child(&session.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (code, said) = session.end();
    assert_eq!(code, Some(143), "{said}");
}
