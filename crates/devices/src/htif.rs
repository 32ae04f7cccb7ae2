//! HTIF, the interface of the RISC-V test programs to whoever runs them: two 64-bit words in
//! memory, `tohost` and `fromhost`. Pure logic: the machine finds the words by their symbols,
//! empties `tohost`, hands the value over, and stores replies when the guest has emptied
//! `fromhost`.
//!
//! A program may store `tohost` in two halves, as 32-bit code must, in either order: a value is a command once all of the
//! word was stored, or [`PATIENCE_INSNS`] after a part of it was. Spike looks at the word now and then and sees
//! halves as chance has it; Sail waits for the upper half, or a third store of the lower one.
//!
//! A command is a device in bits 63:56, a command in 55:48 and a payload in 47:0. Device 0 is the
//! system-call proxy, whose only calls here are `write` to the standard outputs and `exit`; it
//! never opens a file. Device 1 is a console.

use crate::{Dma, Serial, Sink, Ticks};
use isa::Pa;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Numbers of the interface.
pub mod spec {
    /// The system-call proxy.
    pub const DEVICE_PROXY: u8 = 0;
    /// The console.
    pub const DEVICE_CONSOLE: u8 = 1;
    /// Console: read a byte.
    pub const CONSOLE_READ: u8 = 0;
    /// Console: write a byte.
    pub const CONSOLE_WRITE: u8 = 1;
    /// Console reply: a byte is present in bits 7:0.
    pub const CONSOLE_PRESENT: u64 = 0x100;
    /// The system call `write`.
    pub const SYS_WRITE: u64 = 64;
    /// The system call `exit`.
    pub const SYS_EXIT: u64 = 93;
    /// No such file descriptor.
    pub const EBADF: i64 = 9;
    /// The buffer is not in memory.
    pub const EFAULT: i64 = 14;
    /// No such system call.
    pub const ENOSYS: i64 = 38;
}

/// One `write` moves at most this many bytes; it returns how many it moved, as `write` may.
pub const WRITE_BYTES_MAX: u64 = 1 << 16;
/// How much console input waits at most, in bytes.
pub const BACKLOG_BYTES: usize = 4096;
/// How many replies wait for the guest to empty `fromhost`; further ones are lost.
const REPLIES_MAX: usize = 16;

/// How many instructions after the store of a part of `tohost` the rest is waited for.
pub const PATIENCE_INSNS: u64 = 1000;

/// What a value of `tohost` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// End the run with this code; 0 is success.
    Exit {
        /// The code.
        code: u64,
    },
    /// A system call whose number and arguments stand in the eight double-words at `block`.
    Syscall {
        /// Where they stand; the result replaces the first one.
        block: Pa,
    },
    /// Print a byte.
    Print {
        /// The byte.
        byte: u8,
    },
    /// Reply when a byte of input is there.
    Input,
    /// Nothing that this interface knows.
    Unknown,
}

impl Request {
    /// Decodes a value of `tohost` that is not 0.
    pub fn decode(tohost: u64) -> Self {
        let device = (tohost >> 56) as u8;
        let command = (tohost >> 48) as u8;
        let payload = tohost & 0xffff_ffff_ffff;
        match (device, command) {
            (spec::DEVICE_PROXY, 0) if payload & 1 != 0 => Self::Exit { code: payload >> 1 },
            (spec::DEVICE_PROXY, 0) => Self::Syscall { block: Pa(payload) },
            (spec::DEVICE_CONSOLE, spec::CONSOLE_READ) => Self::Input,
            (spec::DEVICE_CONSOLE, spec::CONSOLE_WRITE) => Self::Print { byte: payload as u8 },
            _ => Self::Unknown,
        }
    }
}

/// The machine's side of the interface.
pub struct Htif {
    state: State,
    sink: Box<dyn Sink>,
    warned: bool,
}

/// What a snapshot of the interface holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    input: VecDeque<u8>,
    /// The guest waits for input.
    waiting: bool,
    replies: VecDeque<u64>,
    /// The bytes of `tohost` that were stored since the last command, a bit each.
    stored: u8,
    /// When the last of them was stored, in instructions.
    stored_at: u64,
}

impl Htif {
    /// An interface that prints to `sink`.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { state: State::default(), sink, warned: false }
    }

    /// Whether `tohost` holds a command as the guest means it. `stored` has a bit for each byte of the word that was
    /// stored to since the last call, the lowest in bit 0; `now` counts instructions. `idle`: no hart goes on by itself.
    pub fn is_complete(&mut self, tohost: u64, stored: u8, now: u64, idle: bool) -> bool {
        let s = &mut self.state;
        // After a reset the count begins anew.
        let waited = now < s.stored_at || now - s.stored_at >= PATIENCE_INSNS;
        if stored != 0 {
            let before = if waited || stored == u8::MAX { 0 } else { s.stored };
            (s.stored, s.stored_at) = (before | stored, now);
        }
        let complete = s.stored == u8::MAX || (stored == 0 && waited) || idle;
        if complete {
            s.stored = 0;
        }
        complete && tohost != 0
    }

    /// Serves a value of `tohost` that is not 0. Returns the exit code where it was an exit.
    pub fn command(&mut self, tohost: u64, dma: &dyn Dma) -> Option<u64> {
        match Request::decode(tohost) {
            Request::Exit { code } => return Some(code),
            Request::Syscall { block } => match self.syscall(block, dma) {
                Call::Exit { code } => return Some(code),
                Call::Done { result } => {
                    if dma.write_u64(block, result as u64).is_err() {
                        self.warn(tohost);
                    }
                    self.reply_later(1);
                }
            },
            Request::Print { byte } => self.sink.put(&[byte]),
            Request::Input => {
                self.state.waiting = true;
                self.answer_input();
            }
            Request::Unknown => self.warn(tohost),
        }
        None
    }

    /// Once: a guest can repeat its mistake as fast as it can store.
    fn warn(&mut self, tohost: u64) {
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                tohost = format_args!("{tohost:#x}"),
                "`tohost` holds neither a command nor the address of a call in RAM"
            );
        }
    }

    /// What to store to `fromhost`, which the guest has emptied.
    pub fn reply(&mut self) -> Option<u64> {
        self.state.replies.pop_front()
    }

    fn reply_later(&mut self, value: u64) {
        if self.state.replies.len() < REPLIES_MAX {
            self.state.replies.push_back(value);
        }
    }

    fn answer_input(&mut self) {
        if self.state.waiting
            && let Some(byte) = self.state.input.pop_front()
        {
            self.state.waiting = false;
            let device = u64::from(spec::DEVICE_CONSOLE) << 56;
            self.reply_later(device | spec::CONSOLE_PRESENT | u64::from(byte));
        }
    }

    fn syscall(&mut self, block: Pa, dma: &dyn Dma) -> Call {
        let word = |n: u64| block.checked_add(8 * n).and_then(|pa| dma.read_u64(pa).ok());
        let (Some(number), Some(a0), Some(a1), Some(a2)) = (word(0), word(1), word(2), word(3))
        else {
            return Call::Done { result: -spec::EFAULT };
        };
        match number {
            spec::SYS_WRITE => Call::Done { result: self.write(a0, Pa(a1), a2, dma) },
            spec::SYS_EXIT => Call::Exit { code: a0 },
            _ => Call::Done { result: -spec::ENOSYS },
        }
    }

    fn write(&mut self, fd: u64, from: Pa, bytes: u64, dma: &dyn Dma) -> i64 {
        if fd != 1 && fd != 2 {
            return -spec::EBADF;
        }
        let mut buffer = vec![0; bytes.min(WRITE_BYTES_MAX) as usize];
        if dma.read_bytes(from, &mut buffer).is_err() {
            return -spec::EFAULT;
        }
        self.sink.put(&buffer);
        buffer.len() as i64
    }
}

enum Call {
    Exit { code: u64 },
    Done { result: i64 },
}

impl Serial for Htif {
    fn push(&mut self, bytes: &[u8], _now: Ticks) -> usize {
        let n = bytes.len().min(self.room());
        self.state.input.extend(&bytes[..n]);
        self.answer_input();
        n
    }

    fn room(&mut self) -> usize {
        BACKLOG_BYTES.saturating_sub(self.state.input.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmu::Ram;
    use std::sync::mpsc::{Receiver, channel};

    const BASE: u64 = 0x8000_0000;

    fn htif() -> (Htif, Ram, Receiver<Vec<u8>>) {
        let (tx, rx) = channel();
        let sink = move |bytes: &[u8]| tx.send(bytes.to_vec()).unwrap();
        (Htif::new(Box::new(sink)), Ram::new(Pa(BASE), 0x1000).unwrap(), rx)
    }

    fn call(h: &mut Htif, ram: &Ram, words: [u64; 4]) -> Option<u64> {
        for (n, word) in words.into_iter().enumerate() {
            ram.write_u64(Pa(BASE + 8 * n as u64), word).unwrap();
        }
        h.command(BASE, ram)
    }

    #[test]
    fn an_odd_value_ends_the_run() {
        let (mut h, ram, _out) = htif();
        assert_eq!(h.command(1, &ram), Some(0));
        assert_eq!(h.command((1337 << 1) | 1, &ram), Some(1337));
    }

    #[test]
    fn halves_in_either_order_are_one_command() {
        let (mut h, ..) = htif();
        let putc = (1 << 56) | (1 << 48) | 0x41;
        for (first, half) in [(0x41, 0x0f), (putc & !0xffff_ffff, 0xf0)] {
            assert!(!h.is_complete(first, half, 7, false));
            assert!(!h.is_complete(first, 0, 8, false));
            assert!(h.is_complete(putc, !half, 9, false));
        }
        // The upper half of an exit is 0, and may come before the lower one.
        assert!(!h.is_complete(0, 0xf0, 20, false));
        assert!(h.is_complete(1, 0x0f, 21, false));
    }

    #[test]
    fn a_whole_store_is_a_command_at_once_and_zero_is_none() {
        let (mut h, ..) = htif();
        assert!(h.is_complete(1, 0xff, 0, false));
        assert!(!h.is_complete(0, 0xff, 1, false));
        assert!(!h.is_complete(0x41, 0x0f, 2, false), "the zero is over");
    }

    #[test]
    fn half_a_word_is_a_command_after_a_while_or_when_nobody_will_store_the_rest() {
        let (mut h, ..) = htif();
        let at = 5000;
        assert!(!h.is_complete(1, 0x0f, at, false));
        assert!(!h.is_complete(1, 0, at + PATIENCE_INSNS - 1, false));
        assert!(h.is_complete(1, 0, at + PATIENCE_INSNS, false));
        assert!(!h.is_complete(1, 0x0f, at + PATIENCE_INSNS, false));
        assert!(h.is_complete(1, 0, at + PATIENCE_INSNS + 1, true));
    }

    #[test]
    fn an_upper_half_stored_long_ago_does_not_complete_a_word() {
        let (mut h, ..) = htif();
        assert!(!h.is_complete(0, 0xf0, 10, false));
        assert!(!h.is_complete(0x75, 0x0f, 10 + PATIENCE_INSNS, false));
        assert!(h.is_complete(0x0101_0000_0000_0075, 0xf0, 12 + PATIENCE_INSNS, false));
    }

    #[test]
    fn sys_write_prints_and_replies() {
        let (mut h, ram, out) = htif();
        ram.write_bytes(Pa(BASE + 0x100), b"hello").unwrap();
        assert_eq!(call(&mut h, &ram, [64, 1, BASE + 0x100, 5]), None);
        assert_eq!(out.try_iter().collect::<Vec<_>>(), [b"hello".to_vec()]);
        assert_eq!(ram.read_u64(Pa(BASE)), Ok(5));
        assert_eq!(h.reply(), Some(1));
        assert_eq!(h.reply(), None);
    }

    #[test]
    fn sys_exit_ends_the_run() {
        let (mut h, ram, _out) = htif();
        assert_eq!(call(&mut h, &ram, [93, 7, 0, 0]), Some(7));
    }

    #[test]
    fn bad_calls_return_errors_of_linux() {
        let (mut h, ram, out) = htif();
        let result = |h: &mut Htif, words| {
            assert_eq!(call(h, &ram, words), None);
            h.reply().unwrap();
            ram.read_u64(Pa(BASE)).unwrap() as i64
        };
        assert_eq!(result(&mut h, [64, 0, BASE, 1]), -9);
        assert_eq!(result(&mut h, [64, 1, BASE - 1, 1]), -14);
        assert_eq!(result(&mut h, [64, 1, BASE, u64::MAX]), -14);
        assert_eq!(result(&mut h, [64, 1, u64::MAX, 8]), -14);
        assert_eq!(result(&mut h, [1024, 0, 0, 0]), -38);
        assert_eq!(out.try_iter().count(), 0);
    }

    #[test]
    fn a_call_block_outside_ram_is_survived() {
        let (mut h, ram, _out) = htif();
        assert_eq!(h.command(0xffff_ffff_fff8, &ram), None);
        assert_eq!(h.command(BASE + 0xff8, &ram), None);
        assert_eq!(h.command(u64::MAX, &ram), None);
    }

    #[test]
    fn console_bytes_go_out_and_come_in_when_they_are_there() {
        let (mut h, ram, out) = htif();
        h.command((1 << 56) | (1 << 48) | 0x41, &ram);
        assert_eq!(out.try_iter().collect::<Vec<_>>(), [b"A".to_vec()]);
        h.command(1 << 56, &ram);
        assert_eq!(h.reply(), None);
        h.push(b"zy", Ticks(0));
        assert_eq!(h.reply(), Some((1 << 56) | 0x100 | u64::from(b'z')));
        assert_eq!(h.reply(), None);
        h.command(1 << 56, &ram);
        assert_eq!(h.reply(), Some((1 << 56) | 0x100 | u64::from(b'y')));
    }

    #[test]
    fn replies_that_nobody_fetches_are_bounded() {
        let (mut h, ram, _out) = htif();
        for _ in 0..1000 {
            call(&mut h, &ram, [1024, 0, 0, 0]);
        }
        assert_eq!(std::iter::from_fn(|| h.reply()).count(), REPLIES_MAX);
        assert_eq!(h.push(&[0; 2 * BACKLOG_BYTES], Ticks(0)), BACKLOG_BYTES);
        assert_eq!(h.push(&[0], Ticks(0)), 0);
    }
}
