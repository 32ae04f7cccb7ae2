//! Frames of GDB's remote protocol: what arrives is cut into packets and checked before `gdbstub` sees
//! any of it, so that noise, damage and unreasonable requests end here.

/// The longest packet, with its frame, in bytes. The client is told.
pub(crate) const PACKET_BYTES_MAX: usize = 1 << 14;
/// What one packet may read of memory, in bytes. A client that asks for more gets this much.
const READ_BYTES_MAX: u64 = 1 << 12;
/// Bytes that belong to no packet, after which this is no debugger.
const NOISE_BYTES_MAX: usize = 1 << 10;

/// What a client sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    /// A packet with its frame, whose checksum is right.
    Packet(Vec<u8>),
    /// The wish to stop (Ctrl-C).
    Interrupt,
    /// A packet whose checksum is wrong: it is to be sent again.
    Damaged,
}

/// No debugger sends this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoDebugger;

/// Cuts bytes into packets.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// The packet that has begun.
    packet: Vec<u8>,
    /// Bytes of its checksum that have arrived; `None` before its `#`.
    checksum: Option<usize>,
    noise: usize,
}

impl Framer {
    /// Takes a byte; gives what it completes.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<Item>, NoDebugger> {
        if self.packet.is_empty() {
            return self.outside(byte);
        }
        if self.packet.len() >= PACKET_BYTES_MAX - 2 {
            return Err(NoDebugger);
        }
        match (self.checksum, byte) {
            // A packet that begins anew: the one before was cut off.
            (None, b'$') => self.packet.clear(),
            (None, b'#') => self.checksum = Some(0),
            (None, _) => {}
            (Some(count), _) => self.checksum = Some(count + 1),
        }
        self.packet.push(byte);
        if self.checksum != Some(2) {
            return Ok(None);
        }
        self.checksum = None;
        let packet = std::mem::take(&mut self.packet);
        Ok(Some(match body(&packet) {
            Some(body) => Item::Packet(moderate(body).map_or(packet, |body| frame(&body))),
            None => Item::Damaged,
        }))
    }

    fn outside(&mut self, byte: u8) -> Result<Option<Item>, NoDebugger> {
        match byte {
            b'$' => self.packet.push(byte),
            0x03 => return Ok(Some(Item::Interrupt)),
            // The connection loses nothing, so nothing is ever sent again.
            b'+' | b'-' => {}
            _ => self.noise += 1,
        }
        if self.noise > NOISE_BYTES_MAX { Err(NoDebugger) } else { Ok(None) }
    }
}

/// The body of a packet whose checksum is right.
pub(crate) fn body(packet: &[u8]) -> Option<&[u8]> {
    let (body, sum) = packet.strip_prefix(b"$")?.split_at_checked(packet.len().checked_sub(4)?)?;
    let sum = std::str::from_utf8(sum.strip_prefix(b"#")?).ok()?;
    // Signs are no digits.
    let digits = sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && u8::from_str_radix(sum, 16) == Ok(checksum(body))).then_some(body)
}

fn checksum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// A packet around a body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    [b"$", body, format!("#{:02x}", checksum(body)).as_bytes()].concat()
}

/// A text that the client prints while the machine runs.
pub(crate) fn console_text(text: &str) -> Vec<u8> {
    let mut body = String::from("O");
    text.bytes().for_each(|byte| body.push_str(&format!("{byte:02x}")));
    frame(body.as_bytes())
}

/// In place of a request to read memory one that asks for no more than we give, and not beyond the
/// end of the address space. All other bodies stay as they are.
fn moderate(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body.strip_prefix(b"m")?).ok()?;
    let (address, length) = text.split_once(',')?;
    let address = u64::from_str_radix(address, 16).ok()?;
    let length = u64::from_str_radix(length, 16).unwrap_or(u64::MAX);
    let to_end = (u64::MAX - address).saturating_add(1);
    let length = length.min(READ_BYTES_MAX).min(to_end);
    Some(format!("m{address:x},{length:x}").into_bytes())
}

/// The thread that a packet selects for what follows (`Hg`), from 1.
pub(crate) fn selected_thread(packet: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(body(packet)?.strip_prefix(b"Hg")?).ok()?;
    let thread = match text.strip_prefix('p') {
        Some(ids) => ids.split_once('.')?.1,
        None => text,
    };
    usize::from_str_radix(thread, 16).ok().filter(|&thread| thread != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(bytes: &[u8]) -> Vec<Item> {
        let mut framer = Framer::default();
        bytes.iter().filter_map(|&byte| framer.push(byte).unwrap()).collect()
    }

    fn packet(text: &str) -> Item {
        Item::Packet(text.as_bytes().to_vec())
    }

    // The checksums are sums by hand: '?' is 0x3f; 'O' and 'K' are 0x4f + 0x4b = 0x9a.
    #[test]
    fn packets_are_cut_out_of_acknowledgements_and_noise() {
        assert_eq!(
            items(b"+$?#3f+\n\x03$OK#9A"),
            [packet("$?#3f"), Item::Interrupt, packet("$OK#9A")]
        );
        assert_eq!(items(b"$OK#9b$O$?#3f"), [Item::Damaged, packet("$?#3f")]);
        assert_eq!(items(b"$#00"), [packet("$#00")]);
        assert_eq!(items(b"$?#+f"), [Item::Damaged]);
        assert_eq!(items(b"\x03\x03"), [Item::Interrupt, Item::Interrupt]);
        // Ctrl-C within a packet is data.
        assert_eq!(items(b"$\x03#03"), [packet("$\x03#03")]);
    }

    #[test]
    fn a_packet_without_end_and_endless_noise_come_from_no_debugger() {
        let mut framer = Framer::default();
        framer.push(b'$').unwrap();
        let pushed = (0..PACKET_BYTES_MAX).find(|_| framer.push(b'a').is_err()).unwrap();
        assert!(pushed < PACKET_BYTES_MAX);
        let mut framer = Framer::default();
        assert!((0..=NOISE_BYTES_MAX).any(|_| framer.push(b'G').is_err()));
    }

    #[test]
    fn requests_for_memory_are_kept_within_reason() {
        let asked = |text: &str| match items(&frame(text.as_bytes())).remove(0) {
            Item::Packet(packet) => String::from_utf8(body(&packet).unwrap().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(asked("m80000000,4"), "m80000000,4");
        assert_eq!(asked("m0,ffffffffffffffff"), "m0,1000");
        assert_eq!(asked("m0,fffffffffffffffff"), "m0,1000");
        assert_eq!(asked("mfffffffffffffff8,40"), "mfffffffffffffff8,8");
        assert_eq!(asked("mffffffffffffffff,ffffffffffffffff"), "mffffffffffffffff,1");
        assert_eq!(asked("monitor"), "monitor");
    }

    #[test]
    fn the_selected_thread_is_read_from_either_form() {
        assert_eq!(selected_thread(&frame(b"Hg2")), Some(2));
        assert_eq!(selected_thread(&frame(b"Hgp1.a")), Some(10));
        assert_eq!(selected_thread(&frame(b"Hg0")), None);
        assert_eq!(selected_thread(&frame(b"Hg-1")), None);
        assert_eq!(selected_thread(&frame(b"Hc2")), None);
    }

    #[test]
    fn a_text_is_sent_in_hexadecimal() {
        // 'O' 4f, "68" 36 38, "69" 36 39: 0x4f + 0x6e + 0x6f = 0x12c.
        assert_eq!(console_text("hi"), b"$O6869#2c");
    }
}
