//! Laws of disk requests, of the backends, and of the copy-on-write layer.

use super::spec::*;
use super::*;
use crate::Device;
use crate::virtio::rig::{BUFFERS, Rig};
use crate::virtio::spec::desc::{NEXT, WRITE};
use crate::virtio::spec::reg;
use isa::Pa;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A disk of so many zero bytes that cannot be written.
pub(in crate::virtio) struct Zeros(pub(in crate::virtio) u64);

impl BlockBackend for Zeros {
    fn read_at(&mut self, _: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.0
    }

    fn read_only(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        "zeros".into()
    }
}

/// A disk of 8 sectors that records what it is asked and can be told to fail.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    flushes: usize,
    broken: bool,
}

impl Spy {
    fn new() -> Self {
        let spy = Self::default();
        spy.0.lock().unwrap().bytes = (0..8 * 512).map(|n| (n / 512) as u8 + 1).collect();
        spy
    }

    fn flushes(&self) -> usize {
        self.0.lock().unwrap().flushes
    }

    fn intact(&self) -> io::Result<std::sync::MutexGuard<'_, Seen>> {
        let seen = self.0.lock().unwrap();
        if seen.broken { Err(io::Error::other("broken")) } else { Ok(seen) }
    }
}

impl BlockBackend for Spy {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let seen = self.intact()?;
        out.copy_from_slice(&seen.bytes[offset as usize..offset as usize + out.len()]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut seen = self.intact()?;
        seen.bytes[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.intact()?.flushes += 1;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.0.lock().unwrap().bytes.len() as u64
    }

    fn read_only(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        "spy".into()
    }
}

const HEADER: u64 = BUFFERS;
const STATUS: u64 = BUFFERS + 0x100;
const DATA: u64 = BUFFERS + 0x1000;

struct Disk {
    rig: Rig<Block>,
    requests: u16,
}

impl Disk {
    fn new(backend: impl BlockBackend + 'static, features: u64) -> Self {
        let block = Block::new(Box::new(backend), "a name longer than twenty bytes");
        Self { rig: Rig::running(block, features), requests: 0 }
    }

    /// Makes a request and returns its status and the length in the used ring.
    fn request(&mut self, kind: u32, sector: u64, data: (u32, u16)) -> (u8, u32) {
        self.rig.ram.write_bytes(Pa(HEADER), &kind.to_le_bytes()).unwrap();
        self.rig.ram.write_bytes(Pa(STATUS), &[0xee]).unwrap();
        self.rig.ram.write_u64(Pa(HEADER + 8), sector).unwrap();
        let (bytes, direction) = data;
        self.rig.table(&[
            (HEADER, 16, NEXT, 1),
            (DATA, bytes, direction | NEXT, 2),
            (STATUS, 1, WRITE, 0),
        ]);
        self.rig.offer(0);
        assert!(!self.rig.needs_reset());
        self.requests += 1;
        assert_eq!(self.rig.used_index(0), self.requests);
        (self.rig.bytes(STATUS, 1)[0], self.rig.used_entry(0, self.requests - 1).1)
    }

    fn read(&mut self, sector: u64, bytes: u32) -> (u8, u32) {
        self.request(T_IN, sector, (bytes, WRITE))
    }

    fn write(&mut self, sector: u64, bytes: u32) -> (u8, u32) {
        self.request(T_OUT, sector, (bytes, 0))
    }
}

#[test]
fn the_configuration_tells_capacity_and_limits() {
    let mut disk = Disk::new(Zeros(512 * 0x1_0000_0001 + 1), 0);
    let words = [0, 4, 8, 12, 20].map(|at| disk.rig.get(reg::CONFIG + at));
    assert_eq!(words, [2, 1, 1 << 16, 254, 512]); // the last sector is there in part
}

#[test]
fn sectors_are_read_and_written_at_their_place() {
    let spy = Spy::new();
    let mut disk = Disk::new(spy.clone(), F_FLUSH);
    assert_eq!(disk.read(3, 1024), (S_OK, 1025));
    let data = disk.rig.bytes(DATA, 1024);
    assert_eq!((data[0], data[511], data[512], data[1023]), (4, 4, 5, 5));
    disk.rig.ram.write_bytes(Pa(DATA), &[0xaa; 512]).unwrap();
    assert_eq!(disk.write(7, 512), (S_OK, 1));
    let seen = spy.0.lock().unwrap();
    assert_eq!(seen.bytes[7 * 512 - 1..7 * 512 + 1], [7, 0xaa]);
    assert_eq!(seen.bytes[8 * 512 - 1], 0xaa);
}

#[test]
fn requests_beyond_the_end_or_of_broken_sectors_fail() {
    let mut disk = Disk::new(Spy::new(), F_FLUSH);
    assert_eq!(disk.read(8, 512), (S_IOERR, 0));
    assert_eq!(disk.read(7, 1024), (S_IOERR, 0));
    assert_eq!(disk.read(u64::MAX, 512), (S_IOERR, 0));
    assert_eq!(disk.read(u64::MAX / 512 + 1, 512), (S_IOERR, 0));
    assert_eq!(disk.read(0, 511), (S_IOERR, 0));
    assert_eq!(disk.write(8, 512).0, S_IOERR);
    assert_eq!(disk.write(0, 513).0, S_IOERR);
    assert_eq!(disk.read(8, 0), (S_OK, 1));
}

#[test]
fn a_request_larger_than_the_limit_fails() {
    let mut disk = Disk::new(Zeros(1 << 40), F_FLUSH);
    let rows: Vec<_> = [(HEADER, 16, NEXT, 1)]
        .into_iter()
        .chain((2..7).map(|next| (DATA, 8 << 20, WRITE | NEXT, next)))
        .chain([(STATUS, 1, WRITE, 0)])
        .collect();
    disk.rig.table(&rows);
    disk.rig.offer(0);
    assert_eq!(disk.rig.bytes(STATUS, 1), [S_IOERR]);
}

#[test]
fn a_read_only_disk_says_so_and_refuses_writes() {
    let mut disk = Disk::new(Zeros(4096), F_FLUSH);
    assert_ne!(disk.rig.get(reg::DEVICE_FEATURES) & F_RO as u32, 0);
    assert_eq!(disk.write(0, 512).0, S_IOERR);
    assert_eq!(disk.read(0, 512).0, S_OK);
}

#[test]
fn errors_of_the_backend_reach_the_driver() {
    let spy = Spy::new();
    let mut disk = Disk::new(spy.clone(), F_FLUSH);
    spy.0.lock().unwrap().broken = true;
    assert_eq!(disk.read(0, 512), (S_IOERR, 0));
    assert_eq!(disk.write(0, 512), (S_IOERR, 1));
    assert_eq!(disk.request(T_FLUSH, 0, (0, 0)), (S_IOERR, 1));
    spy.0.lock().unwrap().broken = false;
    assert_eq!(disk.read(0, 512), (S_OK, 513));
}

#[test]
fn a_flush_request_flushes() {
    let spy = Spy::new();
    let mut disk = Disk::new(spy.clone(), F_FLUSH);
    disk.write(0, 512);
    assert_eq!(spy.flushes(), 0);
    assert_eq!(disk.request(T_FLUSH, 0, (0, 0)), (S_OK, 1));
    assert_eq!(spy.flushes(), 1);
    disk.rig.device.storage().unwrap().flush().unwrap();
    assert_eq!(spy.flushes(), 2);
}

#[test]
fn without_flush_requests_each_write_is_durable_when_done() {
    let spy = Spy::new();
    let mut disk = Disk::new(spy.clone(), 0);
    disk.write(0, 512);
    disk.read(0, 512);
    disk.write(1, 512);
    assert_eq!(spy.flushes(), 2);
}

#[test]
fn the_name_is_cut_and_other_requests_are_unsupported() {
    let mut disk = Disk::new(Spy::new(), 0);
    assert_eq!(disk.request(T_GET_ID, 0, (20, WRITE)), (S_OK, 21));
    assert_eq!(disk.rig.bytes(DATA, 20), b"a name longer than t");
    assert_eq!(disk.request(T_GET_ID, 0, (512, WRITE)), (S_OK, 20));
    for kind in [2, 11, 13, u32::MAX] {
        assert_eq!(disk.request(kind, 0, (512, 0)).0, S_UNSUPP);
    }
}

/// A driver may split a request's bytes as it likes [virtio 2.7.4].
#[test]
fn the_framing_of_a_request_does_not_matter() {
    let mut disk = Disk::new(Spy::new(), 0);
    disk.rig.ram.write_u64(Pa(HEADER), 0).unwrap();
    disk.rig.ram.write_u64(Pa(HEADER + 8), 2).unwrap();
    disk.rig.table(&[
        (HEADER, 3, NEXT, 1),
        (HEADER + 3, 0, NEXT, 2),
        (HEADER + 3, 13, NEXT, 3),
        (DATA, 100, WRITE | NEXT, 4),
        (DATA + 100, 413, WRITE, 0),
    ]);
    disk.rig.offer(0);
    assert_eq!(disk.rig.used_entry(0, 0).1, 513);
    assert_eq!(disk.rig.bytes(DATA, 513), [vec![3; 512], vec![S_OK]].concat());
}

#[test]
fn a_request_without_header_or_status_needs_a_reset() {
    for rows in [[(HEADER, 15, NEXT, 1), (STATUS, 1, WRITE, 0)], [(HEADER, 16, 0, 0); 2]] {
        let mut disk = Disk::new(Spy::new(), 0);
        disk.rig.table(&rows);
        disk.rig.offer(0);
        disk.rig.assert_needs_reset("short request");
    }
}

/// A file in the system's folder for temporary files that is gone when the test is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, contents: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("nestwalk-{}-{name}", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_is_read_written_and_keeps_its_odd_tail() {
    let file = Scratch::new("file", &[7; 1000]);
    let mut disk = Disk::new(FileBackend::open(&file.0, FileMode::ReadWrite).unwrap(), F_FLUSH);
    assert_eq!(disk.rig.get(reg::CONFIG), 2);
    assert_eq!(disk.read(1, 512), (S_OK, 513));
    assert_eq!(disk.rig.bytes(DATA, 512), [vec![7; 488], vec![0; 24]].concat());
    disk.rig.ram.write_bytes(Pa(DATA), &[9; 512]).unwrap();
    assert_eq!(disk.write(0, 512).0, S_OK);
    assert_eq!(disk.request(T_FLUSH, 0, (0, 0)).0, S_OK);
    assert_eq!(std::fs::read(&file.0).unwrap(), [vec![9; 512], vec![7; 488]].concat());
}

#[test]
fn a_file_has_one_writer_or_many_readers() {
    let file = Scratch::new("lock", &[0; 512]);
    let writer = FileBackend::open(&file.0, FileMode::ReadWrite).unwrap();
    for mode in [FileMode::ReadOnly, FileMode::ReadWrite] {
        let error = FileBackend::open(&file.0, mode).unwrap_err();
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    }
    drop(writer);
    let _reader = FileBackend::open(&file.0, FileMode::ReadOnly).unwrap();
    let mut second = FileBackend::open(&file.0, FileMode::ReadOnly).unwrap();
    assert!(FileBackend::open(&file.0, FileMode::ReadWrite).is_err());
    assert!(second.write_at(0, &[1]).is_err());
}

#[test]
fn what_is_no_disk_is_named() {
    let missing = FileBackend::open("/nowhere/disk.img".as_ref(), FileMode::ReadOnly).unwrap_err();
    assert_eq!(missing.to_string(), "cannot open the disk /nowhere/disk.img");
    let folder = FileBackend::open(&std::env::temp_dir(), FileMode::ReadOnly).unwrap_err();
    assert!(matches!(folder, OpenError::NotBytes { .. }));
}

fn check_overlay(mut overlay: Overlay, base: &Spy) {
    let before = base.0.lock().unwrap().bytes.clone();
    overlay.write_at(510, &[0xaa; 4]).unwrap();
    overlay.write_at(512, &[0xbb]).unwrap();
    let mut all = vec![0; 4096];
    overlay.read_at(0, &mut all).unwrap();
    let mut expected = before.clone();
    expected[510..514].copy_from_slice(&[0xaa, 0xaa, 0xbb, 0xaa]);
    assert_eq!(all, expected);
    assert_eq!(base.0.lock().unwrap().bytes, before);
    assert_eq!((overlay.bytes(), overlay.read_only()), (4096, false));
}

#[test]
fn an_overlay_shows_what_was_written_and_leaves_the_disk_alone() {
    let base = Spy::new();
    check_overlay(Overlay::in_memory(Box::new(base.clone()), 1 << 20), &base);
    let file = Scratch::new("overlay", &[]);
    let scratch = File::options().read(true).write(true).open(&file.0).unwrap();
    check_overlay(Overlay::in_file(Box::new(base.clone()), scratch, 1 << 20), &base);
}

#[test]
fn an_overlay_across_clusters_copies_only_what_it_must() {
    let mut overlay = Overlay::in_memory(Box::new(Zeros(1 << 20)), 3 * 4096);
    overlay.write_at(4000, &[1; 4300]).unwrap(); // clusters 0, 1 and 2
    let mut out = vec![9; 4302];
    overlay.read_at(3999, &mut out).unwrap();
    assert_eq!(out, [vec![0], vec![1; 4300], vec![0]].concat());
    assert_eq!(overlay.write_at(3 * 4096, &[1]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    overlay.write_at(0, &[1; 4096]).unwrap();
}
