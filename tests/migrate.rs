//! `nestwalk hyp migrate` between two processes, and a receiver among strangers.

use crate::guest::{TempFile, elf};
use crate::{Ended, ended, nestwalk};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Counts in memory for 20 ms of its own time, then prints `m` and powers itself off if all is as it was left.
const COUNTER: &str = "
            csrr s0, time; li t0, 200000; add s0, s0, t0; li t2, 0x80300000
    again:  addi s1, s1, 1; andi t0, s1, 255; slli t0, t0, 12; add t0, t0, t2
            ld t1, 0(t0); addi t1, t1, 1; sd t1, 0(t0)
            csrr t0, time; bltu t0, s0, again
            li t3, 256; li t4, 0; mv t0, t2; li t5, 4096
    sum:    ld t1, 0(t0); add t4, t4, t1; add t0, t0, t5; addi t3, t3, -1; bnez t3, sum
            bne t4, s1, fail
            li a0, 109; li a7, 0x4442434e; li a6, 2; ecall
            li a0, 0; li a1, 0; j reset
    fail:   li a0, 0; li a1, 1
    reset:  li a7, 0x53525354; li a6, 0; ecall
";

fn migrate(guest: &Path, args: &[&str]) -> Command {
    let mut command = nestwalk();
    command.args(["hyp", "migrate", "--memory", "8M"]).args(args).arg(guest);
    command
}

/// A process that waits for a guest, and where.
struct Destination {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Destination {
    fn new(guest: &Path, args: &[&str]) -> Self {
        let args = [&["--listen", "tcp:127.0.0.1:0"], args].concat();
        let mut child =
            migrate(guest, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, said, address }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.strip_prefix("tcp:").unwrap()).unwrap()
    }

    /// What it printed and said by its end.
    fn end(mut self) -> Ended {
        let mut told = String::new();
        self.said.read_to_string(&mut told).unwrap();
        let mut ended = ended(self.child.wait_with_output().unwrap());
        ended.stderr = told;
        ended
    }
}

#[test]
fn a_guest_goes_on_in_another_process() {
    let guest = elf(COUNTER);
    for args in [&[][..], &["--vcpus", "2", "--policy", "dbit", "--throttle", "30"]] {
        let there = Destination::new(guest.path(), args);
        let to = [&["--after", "0.002", "--to", &there.address], args].concat();
        let here = ended(migrate(guest.path(), &to).output().unwrap());
        let there = there.end();
        assert_eq!((here.code, there.code), (Some(0), Some(0)), "{}{}", here.stderr, there.stderr);
        assert_eq!((&here.stdout[..], &there.stdout[..]), ("", "m"));
        // The hash that each of the two computed for itself.
        let state = |text: &str| text.split("state 0x").nth(1).map(|rest| rest[..16].to_owned());
        assert!(state(&here.stderr).is_some() && state(&here.stderr) == state(&there.stderr));
    }
}

#[test]
fn a_guest_goes_over_a_unix_socket_of_two_processes() {
    let guest = elf(COUNTER);
    let socket = TempFile::new("");
    std::fs::remove_file(socket.path()).unwrap();
    let address = format!("unix:{}", socket.path().display());
    let mut there = migrate(guest.path(), &["--listen", &address]);
    let mut there = there.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(there.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    let to = ["--after", "0.002", "--to", &address];
    let here = ended(migrate(guest.path(), &to).output().unwrap());
    let there = ended(there.wait_with_output().unwrap());
    assert_eq!((here.code, there.code), (Some(0), Some(0)), "{}", here.stderr);
    assert_eq!(there.stdout, "m");
    assert!(!socket.path().exists(), "the socket stays behind");
}

/// A frame of the protocol, with a checksum that is right.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(payload);
    let sum = !frame.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 != 0 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 }
        })
    });
    frame.extend(sum.to_le_bytes());
    frame
}

/// A first message.
fn hello(version: u32, vcpus: u32, bytes: u64, isa: &str) -> Vec<u8> {
    let mut payload = b"NWMG".to_vec();
    payload.extend(version.to_le_bytes());
    payload.extend(vcpus.to_le_bytes());
    payload.extend(0x8000_0000u64.to_le_bytes());
    payload.extend(bytes.to_le_bytes());
    payload.extend(isa.as_bytes());
    frame(1, &payload)
}

#[test]
fn bytes_of_a_stranger_are_refused_with_a_reason() {
    let guest = elf(COUNTER);
    for (bytes, why) in [
        (Vec::new(), "failed to fill whole buffer"),
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(), "a frame is damaged"),
        (vec![0; 64], "a frame is damaged"),
        (vec![0xff; 64], "a frame is damaged"),
        (frame(9, &[]), "kind 9 and 0 bytes means nothing"),
        (frame(1, b"NWMG"), "means nothing"),
        (frame(1, b"XXXX0000000000000000000000000000"), "means nothing"),
        (hello(1, 1, 8 << 20, "rv64"), "speaks version 1"),
        (hello(u32::MAX, 1, 8 << 20, "rv64"), "speaks version 4294967295"),
        (hello(2, 7, 8 << 20, "rv64"), "differ in vCPUs: 7 where it was, 1 here"),
        (hello(2, 1, u64::MAX, "rv64"), "differ in bytes of memory: 18446744073709551615"),
        (hello(2, 1, 8 << 20, "rv64i"), "differ in extensions: rv64i where it was"),
        (hello(2, 1, 8 << 20, &"x".repeat(5000)), "means nothing"),
        // Answers, pages and states before anything else.
        (frame(6, &[]), "at the wrong moment"),
        (frame(8, &[]), "at the wrong moment"),
        (frame(3, &[0; 8]), "at the wrong moment"),
        (frame(4, &[7; 4000]), "at the wrong moment"),
    ] {
        let there = Destination::new(guest.path(), &[]);
        let mut stream = there.connect();
        // It may have hung up before all was written.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let ended = there.end();
        assert_eq!(ended.code, Some(2), "{why}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{why}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

/// What a real source sends up to its hash, each frame by itself.
fn sent(guest: &Path) -> Vec<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap());
    let args = ["--after", "0.002", "--to", &to];
    let mut child =
        migrate(guest, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let frames = frames(&mut listener.accept().unwrap().0);
    assert_eq!(child.wait().unwrap().code(), Some(0), "the guest does not run on");
    frames
}

/// Frames up to the hash.
fn frames(stream: &mut TcpStream) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let mut frame = vec![0; 5];
        stream.read_exact(&mut frame).unwrap();
        let length = u32::from_le_bytes(frame[1..5].try_into().unwrap()) as usize;
        frame.resize(5 + length + 4, 0);
        stream.read_exact(&mut frame[5..]).unwrap();
        let kind = frame[0];
        frames.push(frame);
        if kind == 5 {
            return frames;
        }
    }
}

#[test]
fn a_stream_that_lies_after_a_good_beginning_is_refused() {
    let guest = elf(COUNTER);
    let good = sent(guest.path());
    let state = good.iter().position(|frame| frame[0] == 4).unwrap();
    let payload = |frame: &[u8]| frame[5..frame.len() - 4].to_vec();
    let outside = [&0x1000u64.to_le_bytes()[..], &[0; 4096]].concat();
    let mut granted = payload(&good[state]);
    // The second of the CSRs behind 9 words and 64 registers is henvcfg: all that there is.
    granted[8 * (9 + 64 + 1)..][..8].fill(0xff);
    for (replaced, by, why) in [
        (1, frame(2, &outside), "at the wrong moment"),
        (1, frame(3, &u64::MAX.to_le_bytes()), "at the wrong moment"),
        (1, frame(3, &0x8000_0001u64.to_le_bytes()), "at the wrong moment"),
        (state, frame(4, &[]), "state of the vCPUs is malformed"),
        (state, frame(4, &[0xff; 3000]), "state of the vCPUs is malformed"),
        (state, frame(4, &granted), "state of the vCPUs is malformed"),
        (state, frame(4, &vec![0; 1 << 20]), "malformed"),
        (state + 1, frame(5, &[0; 8]), "did not get what the source sent"),
        (state + 1, frame(7, &[]), "at the wrong moment"),
    ] {
        let mut bytes = good.clone();
        bytes[replaced] = by;
        let there = Destination::new(guest.path(), &[]);
        let mut stream = there.connect();
        let _ = stream.write_all(&bytes.concat());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let ended = there.end();
        assert_eq!(ended.code, Some(2), "{replaced} {why}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{replaced} {why}: {}", ended.stderr);
    }
    // The whole truth, and no word that the source has given the guest up.
    let there = Destination::new(guest.path(), &[]);
    let mut stream = there.connect();
    stream.write_all(&good.concat()).unwrap();
    let mut accepted = [0; 9];
    stream.read_exact(&mut accepted).unwrap();
    assert_eq!(accepted[..], frame(6, &[])[..]);
    drop(stream);
    let ended = there.end();
    assert_eq!((ended.code, &ended.stdout[..]), (Some(2), ""), "{}", ended.stderr);
}

#[test]
fn whatever_the_destination_does_the_guest_is_not_lost() {
    let guest = elf(COUNTER);
    let answers: [&[u8]; 5] =
        [&[], &frame(7, &[]), b"rubbish, and more of it", &frame(8, &[]), &[6]];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = format!("tcp:{}", listener.local_addr().unwrap());
        let args = ["--after", "0.002", "--to", &to];
        let child = migrate(guest.path(), &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stream = listener.accept().unwrap().0;
        frames(&mut stream);
        let _ = stream.write_all(answer);
        drop(stream);
        let here = ended(child.wait_with_output().unwrap());
        assert_eq!((here.code, &here.stdout[..]), (Some(0), "m"), "{}", here.stderr);
        assert!(here.stderr.contains("the guest runs on where it was"), "{}", here.stderr);
    }
    // Nobody is there at all.
    let here = ended(
        migrate(guest.path(), &["--after", "0.002", "--to", "unix:/nonexistent/socket"])
            .output()
            .unwrap(),
    );
    assert_eq!((here.code, &here.stdout[..]), (Some(0), "m"), "{}", here.stderr);
    assert!(here.stderr.contains("cannot connect"), "{}", here.stderr);
}
