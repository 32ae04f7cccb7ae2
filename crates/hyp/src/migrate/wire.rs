//! Messages of a migration on a stream: each in a frame with its kind, its length and a checksum.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | kind |
//! | 4 | length of the payload, little-endian, at most 1 MiB |
//! | n | payload |
//! | 4 | CRC-32 (IEEE 802.3) of all that |

use std::io::{self, Read, Write};

use isa::{Gpa, PAGE_BYTES};

/// The version of all this.
pub const VERSION: u32 = 2;
const MAGIC: [u8; 4] = *b"NWMG";
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
const PAGE: usize = PAGE_BYTES as usize;

/// The longest ISA string that is received, in bytes.
const ISA_BYTES_MAX: usize = 1 << 12;

/// What comes first: the shape that both sides must agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// vCPUs.
    pub vcpus: u32,
    /// Where the memory begins.
    pub base: Gpa,
    /// Its size in bytes.
    pub bytes: u64,
    /// The guest's extensions, as an ISA string.
    pub isa: String,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The first one.
    Hello(Hello),
    /// A page and what it holds.
    Page(Gpa, Box<[u8; PAGE]>),
    /// A page of zeros.
    Zero(Gpa),
    /// vCPUs, clocks, console.
    State(Vec<u8>),
    /// The hash of all that was sent, as the source has it.
    Hash(u64),
    /// The destination has the same.
    Accept,
    /// The destination cannot go on with it.
    Refuse,
    /// The source has given the guest up: the destination runs it.
    Commit,
}

/// Why nothing could be received.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The stream.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A frame that is not as it was sent.
    #[error("a frame is damaged")]
    Damaged,
    /// A message that means nothing.
    #[error("a message of kind {0} and {1} bytes means nothing")]
    Unknown(u8, usize),
    /// The other side is of another version.
    #[error("the other side speaks version {0}, this one {VERSION}")]
    Version(u32),
}

/// Sends a message.
///
/// # Errors
/// The stream does not take it.
pub fn send(to: &mut dyn Write, message: &Message) -> io::Result<()> {
    let (kind, payload) = match message {
        Message::Hello(hello) => {
            let Hello { vcpus, base, bytes, isa } = hello;
            let mut payload = MAGIC.to_vec();
            payload.extend(VERSION.to_le_bytes());
            payload.extend(vcpus.to_le_bytes());
            payload.extend(base.0.to_le_bytes());
            payload.extend(bytes.to_le_bytes());
            payload.extend(isa.as_bytes());
            (1, payload)
        }
        Message::Page(gpa, bytes) => (2, [&gpa.0.to_le_bytes()[..], &bytes[..]].concat()),
        Message::Zero(gpa) => (3, gpa.0.to_le_bytes().to_vec()),
        Message::State(bytes) => (4, bytes.clone()),
        Message::Hash(hash) => (5, hash.to_le_bytes().to_vec()),
        Message::Accept => (6, Vec::new()),
        Message::Refuse => (7, Vec::new()),
        Message::Commit => (8, Vec::new()),
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = vec![kind];
    frame.extend(length.to_le_bytes());
    frame.extend(payload);
    let sum = crc32(&frame);
    frame.extend(sum.to_le_bytes());
    to.write_all(&frame)
}

/// Receives a message.
///
/// # Errors
/// See [`WireError`].
pub fn receive(from: &mut dyn Read) -> Result<Message, WireError> {
    let mut frame = vec![0; 5];
    from.read_exact(&mut frame)?;
    let kind = frame[0];
    let length = u32::from_le_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(WireError::Damaged);
    }
    frame.resize(5 + length, 0);
    from.read_exact(&mut frame[5..])?;
    let mut sum = [0; 4];
    from.read_exact(&mut sum)?;
    if u32::from_le_bytes(sum) != crc32(&frame) {
        return Err(WireError::Damaged);
    }
    decode(kind, &frame[5..])
}

fn decode(kind: u8, payload: &[u8]) -> Result<Message, WireError> {
    let unknown = || WireError::Unknown(kind, payload.len());
    let word = |at: usize| {
        let bytes = payload.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        bytes.map(u64::from_le_bytes).ok_or_else(unknown)
    };
    let half = |at: usize| {
        let bytes = payload.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map(u32::from_le_bytes).ok_or_else(unknown)
    };
    match (kind, payload.len()) {
        (1, _) if payload.get(..4) != Some(&MAGIC[..]) => Err(unknown()),
        (1, _) if half(4)? != VERSION => Err(WireError::Version(half(4)?)),
        (1, 28..) if payload.len() - 28 <= ISA_BYTES_MAX => Ok(Message::Hello(Hello {
            vcpus: half(8)?,
            base: Gpa(word(12)?),
            bytes: word(20)?,
            isa: std::str::from_utf8(&payload[28..]).map_err(|_| unknown())?.to_owned(),
        })),
        (2, length) if length == 8 + PAGE => {
            let page = payload[8..].try_into().map_err(|_| unknown())?;
            Ok(Message::Page(Gpa(word(0)?), Box::new(page)))
        }
        (3, 8) => Ok(Message::Zero(Gpa(word(0)?))),
        (4, _) => Ok(Message::State(payload.to_vec())),
        (5, 8) => Ok(Message::Hash(word(0)?)),
        (6, 0) => Ok(Message::Accept),
        (7, 0) => Ok(Message::Refuse),
        (8, 0) => Ok(Message::Commit),
        _ => Err(unknown()),
    }
}

/// CRC-32 as Ethernet has it, bit by bit from a table of one byte.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = (index as u32, 0);
            while bit < 8 {
                value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes
        .iter()
        .fold(u32::MAX, |sum, byte| sum >> 8 ^ TABLE[usize::from((sum ^ u32::from(*byte)) as u8)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_ethernet_s() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_message_comes_as_it_was_sent() {
        let hello =
            Hello { vcpus: 2, base: Gpa(0x8000_0000), bytes: 1 << 20, isa: "rv64gc".into() };
        let messages = [
            Message::Hello(hello),
            Message::Page(Gpa(0x8000_1000), Box::new([7; PAGE])),
            Message::Zero(Gpa(0x8000_2000)),
            Message::State(vec![1, 2, 3]),
            Message::Hash(u64::MAX),
            Message::Accept,
            Message::Refuse,
            Message::Commit,
        ];
        let mut stream = Vec::new();
        messages.iter().for_each(|message| send(&mut stream, message).unwrap());
        let mut from = &stream[..];
        for message in &messages {
            assert_eq!(receive(&mut from).unwrap(), *message);
        }
        assert!(matches!(receive(&mut from), Err(WireError::Io(_))));
    }

    #[test]
    fn a_frame_with_any_bit_turned_is_refused() {
        let mut stream = Vec::new();
        send(&mut stream, &Message::Hash(0x1234)).unwrap();
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(receive(&mut &damaged[..]).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_version_says_so() {
        let mut frame = vec![1, 29, 0, 0, 0];
        frame.extend(MAGIC);
        frame.extend(9u32.to_le_bytes());
        frame.extend([0; 21]);
        let sum = crc32(&frame);
        frame.extend(sum.to_le_bytes());
        assert!(matches!(receive(&mut &frame[..]), Err(WireError::Version(9))));
    }
}
