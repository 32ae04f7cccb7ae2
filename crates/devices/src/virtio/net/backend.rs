//! Where the cable of a network card leads: nowhere, or into a file that packet tools read.

use crate::Ticks;
use crate::time::elapsed_ns;
use std::io::{self, Write};

/// The far end of a network cable.
pub trait NetBackend: Send {
    /// The driver sent a frame.
    fn transmit(&mut self, frame: &[u8], now: Ticks);

    /// The driver received a frame.
    fn delivered(&mut self, _frame: &[u8], _now: Ticks) {}
}

/// A cable that leads nowhere.
#[derive(Clone, Copy, Default, Debug)]
pub struct NullNet;

impl NetBackend for NullNet {
    fn transmit(&mut self, _frame: &[u8], _now: Ticks) {}
}

/// A cable whose frames, both ways, are written down as a pcap file with virtual time in
/// nanoseconds, and then go on to another one.
pub struct Pcap<W> {
    file: W,
    timebase_hz: u64,
    /// How much may still be written, in bytes; 0 after an error, too.
    left: u64,
    next: Box<dyn NetBackend>,
}

/// The number that begins a pcap file with time in nanoseconds.
const PCAP_MAGIC_NS: u32 = 0xa1b2_3c4d;
const PCAP_VERSION: [u16; 2] = [2, 4];
const SNAP_BYTES: u32 = 1 << 18;
const LINK_ETHERNET: u32 = 1;
const FILE_HEADER_BYTES: u64 = 24;
const RECORD_HEADER_BYTES: u64 = 16;

impl<W: Write + Send> Pcap<W> {
    /// Writes to `file`, at most `bytes_max` bytes in all; frames go on to `next`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(
        mut file: W,
        timebase_hz: u64,
        bytes_max: u64,
        next: Box<dyn NetBackend>,
    ) -> io::Result<Self> {
        let mut header = Vec::with_capacity(FILE_HEADER_BYTES as usize);
        header.extend(PCAP_MAGIC_NS.to_le_bytes());
        header.extend(PCAP_VERSION.iter().flat_map(|v| v.to_le_bytes()));
        header.extend([0; 8]); // time zone and accuracy
        header.extend(SNAP_BYTES.to_le_bytes());
        header.extend(LINK_ETHERNET.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self { file, timebase_hz, left: bytes_max.saturating_sub(FILE_HEADER_BYTES), next })
    }

    fn record(&mut self, frame: &[u8], now: Ticks) {
        let bytes = RECORD_HEADER_BYTES + frame.len() as u64;
        if self.left == 0 {
            return;
        }
        if bytes > self.left {
            tracing::warn!("the packet dump has reached its limit and ends here");
            self.left = 0;
            return;
        }
        let ns = elapsed_ns(now, self.timebase_hz);
        let words = [
            (ns / 1_000_000_000) as u32,
            (ns % 1_000_000_000) as u32,
            frame.len() as u32,
            frame.len() as u32,
        ];
        let mut record: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        record.extend(frame);
        self.left -= bytes;
        if let Err(error) = self.file.write_all(&record).and_then(|()| self.file.flush()) {
            tracing::warn!(%error, "the packet dump cannot be written and ends here");
            self.left = 0;
        }
    }
}

impl<W: Write + Send> NetBackend for Pcap<W> {
    fn transmit(&mut self, frame: &[u8], now: Ticks) {
        self.record(frame, now);
        self.next.transmit(frame, now);
    }

    fn delivered(&mut self, frame: &[u8], now: Ticks) {
        self.record(frame, now);
        self.next.delivered(frame, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_dump_is_a_pcap_file_in_virtual_nanoseconds() {
        let file = Shared::default();
        let mut pcap = Pcap::new(file.clone(), 10_000_000, 1 << 20, Box::new(NullNet)).unwrap();
        pcap.transmit(b"abc", Ticks(15_000_001));
        let mut expected = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0];
        expected.extend([0; 8]);
        expected.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        expected.extend([1, 0, 0, 0]); // s
        expected.extend(500_000_100_u32.to_le_bytes()); // ns
        expected.extend([3, 0, 0, 0, 3, 0, 0, 0]);
        expected.extend(b"abc");
        assert_eq!(*file.0.lock().unwrap(), expected);
    }

    #[test]
    fn a_dump_ends_at_its_limit_between_frames() {
        let file = Shared::default();
        let mut pcap = Pcap::new(file.clone(), 1, 24 + 2 * 20 + 10, Box::new(NullNet)).unwrap();
        for _ in 0..5 {
            pcap.delivered(b"four", Ticks(0));
        }
        assert_eq!(file.0.lock().unwrap().len(), 24 + 2 * 20);
    }
}
