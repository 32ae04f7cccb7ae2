//! Clients that are no debuggers, or bad ones: nothing that they send may harm the machine.

use debug::End;
use machine::Stop;

use crate::rig::{Say, converse, frame, machine};

/// A small generator of numbers (xorshift), so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Beginnings of packets that do something.
const STARTS: &[&str] = &[
    "m",
    "M",
    "X",
    "p",
    "P",
    "G",
    "g",
    "Z0,",
    "Z1,",
    "Z2,",
    "Z3,",
    "Z4,",
    "z0,",
    "z2,",
    "vCont;",
    "vCont?",
    "c",
    "s",
    "C",
    "S",
    "H",
    "Hg",
    "Hc",
    "T",
    "qXfer:features:read:",
    "qRcmd,",
    "qSupported:",
    "qThreadExtraInfo,",
    "qfThreadInfo",
    "qC",
    "?",
    "D",
    "k",
    "vKill;",
    "!",
    "R",
    "QStartNoAckMode",
    "vMustReplyEmpty",
    "qAttached",
    "vFile:open:",
    "qTStatus",
    "bc",
    "bs",
];

const PARTS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "p1.1",
    "p1.2",
    "p-1.-1",
    "80000000",
    "ffffffffffffffff",
    "fffffffffffffffff",
    ",",
    ";",
    ":",
    "=",
    "s",
    "c",
    "r",
    "s:1",
    "c:p1.-1",
    "t:1",
    "target.xml",
    "4",
    "1000",
    "10000000",
    "xx",
    "ff",
    "}",
    "*",
    "\u{3}",
    "636174636820616c6c",
    "C05",
    "S05:1",
];

#[test]
fn no_sequence_of_packets_harms_the_machine() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..400 {
        let mut says = Vec::new();
        for _ in 0..30 {
            let mut body = STARTS[random.below(STARTS.len())].to_owned();
            for _ in 0..random.below(6) {
                body.push_str(PARTS[random.below(PARTS.len())]);
            }
            // Sometimes bytes of any kind, between packets or within one.
            says.push(match random.below(8) {
                0 => {
                    let count = random.below(40);
                    Say::Raw((0..count).map(|_| random.next() as u8).collect())
                }
                1 => {
                    let mut packet = frame(body.as_bytes());
                    let at = random.below(packet.len());
                    packet[at] = random.next() as u8;
                    Say::Raw(packet)
                }
                _ => Say::Raw(frame(body.as_bytes())),
            });
        }
        let mut machine = machine("loop: addi a0, a0, 1\nsd a0, 64(a1)\nj loop", 2);
        // It comes back, whatever was said: the run goes on to its limit or is asked to end.
        let went = converse(&mut machine, says);
        assert!(matches!(
            went.end,
            End::Killed | End::Stop(Stop::Requested | Stop::Limit | Stop::TrapLoop { .. })
        ));
    }
}

#[test]
fn endless_noise_ends_the_conversation() {
    let request = b"GET / HTTP/1.1\r\n".repeat(1000);
    let mut machine = machine("loop: j loop", 1);
    let went = converse(&mut machine, vec![Say::Raw(request)]);
    assert_eq!(went.end, End::Stop(Stop::Requested));
    assert_eq!(machine.harts()[0].retired(), 0, "it still waits for a debugger");
}

#[test]
fn an_endless_packet_ends_the_conversation() {
    let mut endless = b"$m".to_vec();
    endless.resize(1 << 20, b'0');
    let went = converse(&mut machine("loop: j loop", 1), vec![Say::Raw(endless)]);
    assert_eq!(went.end, End::Stop(Stop::Requested));
}
