//! Bounds on what a guest takes: a leg that does not come to its end fails the test, and so does
//! memory that grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A leg that takes so long hangs, even on a busy machine.
const HANG: Duration = Duration::from_secs(120);
/// More resident memory than all guests at a time can take.
const RESIDENT_BYTES_MAX: u64 = 2 << 30;

#[derive(Default)]
struct Shared {
    legs: AtomicU64,
    over: AtomicBool,
}

/// Watches the legs of one guest from a thread of its own.
pub(crate) struct Watchdog(Arc<Shared>);

impl Watchdog {
    pub(crate) fn new(seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        std::thread::spawn(move || {
            let (mut leg, mut since) = (0, Instant::now());
            while !watched.over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
                let now = watched.legs.load(Ordering::Relaxed);
                if now != leg {
                    (leg, since) = (now, Instant::now());
                }
                if since.elapsed() > HANG {
                    eprintln!("hostile guest {seed} hangs in its leg {leg}");
                    std::process::abort();
                }
            }
        });
        Self(shared)
    }

    /// A leg begins.
    pub(crate) fn pat(&self) {
        self.0.legs.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Fails if this process holds more memory than guests may make it hold.
pub(crate) fn check_memory() {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        println!("skipped: resident memory: there is no /proc/self/status");
        return;
    };
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = resident
        .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
        .expect("VmHWM in kB");
    assert!(kib << 10 < RESIDENT_BYTES_MAX, "{kib} KiB resident");
}
