//! What a guest does with each device.

use crate::hal::SharedPages;
use crate::port::Port;
use devices::virtio::blk::{FileBackend, FileMode};
use devices::virtio::net::{NetBackend, NullNet};
use devices::virtio::{Block, Console, Net, Rng};
use devices::{Device, Entropy, Network, Serial, Ticks};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use virtio_drivers::device::blk::{BlkReq, BlkResp, RespStatus, VirtIOBlk};
use virtio_drivers::device::console::{Size, VirtIOConsole};
use virtio_drivers::device::net::{TxBuffer, VirtIONet};
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::InterruptStatus;

/// A disk image that is gone when the test is.
struct Image(PathBuf);

impl Image {
    /// Sector n holds bytes of the value n.
    fn new(name: &str, sectors: u8) -> Self {
        let path = std::env::temp_dir().join(format!("nestwalk-{}-{name}", std::process::id()));
        let bytes: Vec<u8> = (0..sectors).flat_map(|n| [n; 512]).collect();
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn disk(&self, mode: FileMode) -> Port<Block> {
        let file = FileBackend::open(&self.0, mode).unwrap();
        Port::new(Block::new(Box::new(file), "story"))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_guest_reads_writes_and_flushes_a_disk() {
    let image = Image::new("rw", 64);
    let port = image.disk(FileMode::ReadWrite);
    let mut disk = VirtIOBlk::<SharedPages, _>::new(port.clone()).unwrap();
    assert_eq!((disk.capacity(), disk.readonly()), (64, false));
    let mut two = [0; 1024];
    disk.read_blocks(5, &mut two).unwrap();
    assert_eq!((two[0], two[511], two[512], two[1023]), (5, 5, 6, 6));
    for round in 0..200 {
        disk.write_blocks(round % 64, &[round as u8 ^ 0x55; 512]).unwrap();
    }
    disk.flush().unwrap();
    let contents = std::fs::read(&image.0).unwrap();
    assert_eq!(contents[7 * 512], 199 ^ 0x55);
    assert_eq!(contents[8 * 512], 136 ^ 0x55);
    assert_eq!(contents.len(), 64 * 512);
    let mut id = [0; 20];
    assert_eq!(disk.device_id(&mut id).unwrap(), 5);
    assert_eq!(&id[..5], b"story");
    assert!(disk.read_blocks(64, &mut two).is_err());
    assert!(disk.write_blocks(63, &two).is_err());
}

#[test]
fn a_guest_cannot_write_a_read_only_disk() {
    let image = Image::new("ro", 2);
    let port = image.disk(FileMode::ReadOnly);
    let mut disk = VirtIOBlk::<SharedPages, _>::new(port).unwrap();
    assert!(disk.readonly());
    assert!(disk.write_blocks(0, &[1; 512]).is_err());
    disk.read_blocks(1, &mut [0; 512]).unwrap();
    disk.flush().unwrap();
}

#[test]
fn a_disk_interrupts_when_a_request_is_done() {
    let image = Image::new("irq", 4);
    let port = image.disk(FileMode::ReadOnly);
    let mut disk = VirtIOBlk::<SharedPages, _>::new(port.clone()).unwrap();
    let (mut request, mut response) = (BlkReq::default(), BlkResp::default());
    let mut sector = [0; 512];
    assert!(!port.device(|device| device.irq()));
    // SAFETY: request, buffer and response stay where they are until the request is completed.
    #[allow(unsafe_code)]
    let token = unsafe { disk.read_blocks_nb(3, &mut request, &mut sector, &mut response) };
    let token = token.unwrap();
    assert!(port.device(|device| device.irq()));
    assert!(disk.ack_interrupt() == InterruptStatus::QUEUE_INTERRUPT);
    assert!(!port.device(|device| device.irq()));
    assert_eq!(disk.peek_used(), Some(token));
    // SAFETY: these are the request's own.
    #[allow(unsafe_code)]
    unsafe { disk.complete_read_blocks(token, &request, &mut sector, &mut response) }.unwrap();
    assert_eq!((response.status(), sector[0]), (RespStatus::OK, 3));
}

#[test]
fn a_disk_outlives_its_driver() {
    let image = Image::new("again", 4);
    let port = image.disk(FileMode::ReadWrite);
    for round in 1..4 {
        let mut disk = VirtIOBlk::<SharedPages, _>::new(port.clone()).unwrap();
        disk.write_blocks(round, &[0xf0 | round as u8; 512]).unwrap();
        if round == 2 {
            port.device(|device| device.reset()); // as if the machine had been reset
        }
    }
    assert_eq!(std::fs::read(&image.0).unwrap()[3 * 512], 0xf3);
}

fn console() -> (Port<Console>, Receiver<u8>) {
    let (tx, rx) = channel();
    let sink = move |bytes: &[u8]| bytes.iter().for_each(|&b| tx.send(b).unwrap());
    (Port::new(Console::new(Box::new(sink))), rx)
}

#[test]
fn a_guest_talks_over_a_console() {
    let (port, out) = console();
    let mut console = VirtIOConsole::<SharedPages, _>::new(port.clone()).unwrap();
    console.send_bytes(b"login: ").unwrap();
    console.send(b'>').unwrap();
    console.emergency_write(b'!').unwrap();
    assert_eq!(out.try_iter().collect::<Vec<_>>(), b"login: >!");
    assert_eq!(console.recv(true).unwrap(), None);
    assert_eq!(port.device(|device| device.push(b"root\n", Ticks(0))), 5);
    let typed: Vec<u8> = std::iter::from_fn(|| console.recv(true).unwrap()).collect();
    assert_eq!(typed, b"root\n");
}

#[test]
fn a_guest_learns_the_size_of_its_window() {
    let (port, _out) = console();
    let mut console = VirtIOConsole::<SharedPages, _>::new(port.clone()).unwrap();
    assert_eq!(console.size().unwrap(), Some(Size { columns: 80, rows: 25 }));
    port.device(|device| device.change_config(|c| c.resize(120, 40)));
    assert!(port.device(|device| device.irq()));
    console.ack_interrupt().unwrap();
    assert_eq!(console.size().unwrap(), Some(Size { columns: 120, rows: 40 }));
}

#[test]
fn a_guest_gets_the_entropy_of_the_seed() {
    let port = Port::new(Rng::new(Entropy::new(42)));
    let mut rng = VirtIORng::<SharedPages, _>::new(port).unwrap();
    let mut expected = Entropy::new(42);
    for _ in 0..3 {
        let (mut got, mut wanted) = ([0; 32], [0; 32]);
        assert_eq!(rng.request_entropy(&mut got).unwrap(), 32);
        expected.fill(&mut wanted);
        assert_eq!(got, wanted);
    }
}

/// A cable that hands on what the guest sends.
struct Tap(Sender<Vec<u8>>);

impl NetBackend for Tap {
    fn transmit(&mut self, frame: &[u8], _now: Ticks) {
        self.0.send(frame.to_vec()).unwrap();
    }
}

#[test]
fn a_guest_sends_and_receives_frames() {
    let (tx, sent) = channel();
    let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    let port = Port::new(Net::new(mac, Box::new(Tap(tx))));
    let mut net = VirtIONet::<SharedPages, _, 16>::new(port.clone(), 2048).unwrap();
    assert_eq!(net.mac_address(), mac);
    net.send(TxBuffer::from(b"a frame from the guest")).unwrap();
    assert_eq!(sent.try_iter().collect::<Vec<_>>(), [b"a frame from the guest"]);
    for round in 0..40_u8 {
        assert!(port.device(|device| device.push_frame(&[round; 60], Ticks(0))));
        let frame = net.receive().unwrap();
        assert_eq!(frame.packet(), [round; 60]);
        net.recycle_rx_buffer(frame).unwrap();
    }
    assert!(!net.can_recv());
}

#[test]
fn a_frame_larger_than_the_guests_buffers_is_lost_alone() {
    let port = Port::new(Net::new([2; 6], Box::new(NullNet)));
    let mut net = VirtIONet::<SharedPages, _, 4>::new(port.clone(), 1536).unwrap();
    port.device(|device| device.push_frame(&[1; 2000], Ticks(0)));
    port.device(|device| device.push_frame(&[2; 64], Ticks(0)));
    assert_eq!(net.receive().unwrap().packet(), [2; 64]);
    assert!(!net.can_recv());
}
