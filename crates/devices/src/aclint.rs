//! The ACLINT's MTIMER and MSWI devices, in the layout of the older CLINT (`sifive,clint0`), so
//! that software for either finds them: `msip` at 0, `mtimecmp` at 0x4000, `mtime` at 0xbff8.
//!
//! It holds registers and answers questions about them; which pin of which hart an answer moves
//! is the machine's business, and so are the deadlines, of which there is one for each hart.
//! Registers of harts that do not exist read 0 and ignore writes.

use crate::access::{admit, part, with_part};
use crate::{BusFault, Device, Ticks};
use serde::{Deserialize, Serialize};

/// Where the registers are.
pub mod spec {
    /// `msip` of hart 0; 4 bytes a hart.
    pub const MSIP: u64 = 0x0000;
    /// `mtimecmp` of hart 0; 8 bytes a hart.
    pub const MTIMECMP: u64 = 0x4000;
    /// `mtime`, 8 bytes.
    pub const MTIME: u64 = 0xbff8;
    /// The length of the whole region, in bytes.
    pub const BYTES: u64 = 0x1_0000;
    /// How many harts the layout has room for.
    pub const HARTS_MAX: usize = 4095;
}

/// The two devices.
#[derive(Debug)]
pub struct Aclint {
    state: State,
}

/// What a snapshot of the two devices holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    msip: Vec<bool>,
    mtimecmp: Vec<u64>,
    /// `mtime` at tick 0: software may set the time.
    mtime_start: u64,
}

impl State {
    /// `mtimecmp` has no reset value in the manual; the largest lets no timer ring before it is
    /// set.
    fn new(harts: usize) -> Self {
        Self { msip: vec![false; harts], mtimecmp: vec![u64::MAX; harts], mtime_start: 0 }
    }
}

enum Register {
    Msip(usize),
    Mtimecmp { hart: usize, lane: u64 },
    Mtime { lane: u64 },
    Vacant,
}

impl Register {
    fn at(offset: u64, size: u8) -> Result<Self, BusFault> {
        Ok(match offset {
            spec::MSIP..spec::MTIMECMP => {
                admit(offset, size, 4..=4)?;
                Self::Msip((offset / 4) as usize)
            }
            spec::MTIMECMP..spec::MTIME => {
                admit(offset, size, 4..=8)?;
                let at = offset - spec::MTIMECMP;
                Self::Mtimecmp { hart: (at / 8) as usize, lane: at % 8 }
            }
            0xbff8..0xc000 => {
                admit(offset, size, 4..=8)?;
                Self::Mtime { lane: offset % 8 }
            }
            0xc000..spec::BYTES => {
                admit(offset, size, 4..=8)?;
                Self::Vacant
            }
            _ => return Err(BusFault),
        })
    }
}

impl Aclint {
    /// Devices for harts 0 to `harts` - 1; the layout ends at [`spec::HARTS_MAX`].
    pub fn new(harts: usize) -> Self {
        Self { state: State::new(harts.min(spec::HARTS_MAX)) }
    }

    /// The machine software interrupt of `hart`.
    pub fn msip(&self, hart: usize) -> bool {
        self.state.msip.get(hart).copied().unwrap_or(false)
    }

    /// `mtimecmp` of `hart`.
    pub fn mtimecmp(&self, hart: usize) -> u64 {
        self.state.mtimecmp.get(hart).copied().unwrap_or(u64::MAX)
    }

    /// `mtime`, which is also what the `time` CSR of every hart reads.
    pub fn mtime(&self, now: Ticks) -> u64 {
        self.state.mtime_start.wrapping_add(now.0)
    }

    /// The machine timer interrupt of `hart`: `mtime` is at least `mtimecmp`, both unsigned.
    pub fn mtip(&self, hart: usize, now: Ticks) -> bool {
        hart < self.state.mtimecmp.len() && self.mtime(now) >= self.mtimecmp(hart)
    }

    /// When `mtime` will reach `value`; `None` where it already has, or never will.
    pub fn reaches(&self, value: u64, now: Ticks) -> Option<Ticks> {
        match value.checked_sub(self.mtime(now)) {
            None | Some(0) => None,
            Some(remaining) => now.checked_add(remaining),
        }
    }

    /// When the timer of `hart` will ring; `None` where it already has, or never will.
    pub fn timer_deadline(&self, hart: usize, now: Ticks) -> Option<Ticks> {
        self.state.mtimecmp.get(hart).and_then(|&compare| self.reaches(compare, now))
    }
}

impl Device for Aclint {
    fn read(&mut self, offset: u64, size: u8, now: Ticks) -> Result<u64, BusFault> {
        Ok(match Register::at(offset, size)? {
            Register::Msip(hart) => self.msip(hart).into(),
            Register::Mtimecmp { hart, lane } => {
                self.state.mtimecmp.get(hart).map_or(0, |&whole| part(whole, lane, size))
            }
            Register::Mtime { lane } => part(self.mtime(now), lane, size),
            Register::Vacant => 0,
        })
    }

    fn write(&mut self, offset: u64, size: u8, value: u64, now: Ticks) -> Result<(), BusFault> {
        match Register::at(offset, size)? {
            Register::Msip(hart) => {
                if let Some(msip) = self.state.msip.get_mut(hart) {
                    *msip = value & 1 != 0;
                }
            }
            Register::Mtimecmp { hart, lane } => {
                if let Some(whole) = self.state.mtimecmp.get_mut(hart) {
                    *whole = with_part(*whole, lane, size, value);
                }
            }
            Register::Mtime { lane } => {
                let mtime = with_part(self.mtime(now), lane, size, value);
                self.state.mtime_start = mtime.wrapping_sub(now.0);
            }
            Register::Vacant => {}
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state = State::new(self.state.msip.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(a: &mut Aclint, offset: u64, size: u8, value: u64, now: u64) {
        a.write(offset, size, value, Ticks(now)).unwrap();
    }

    // norm: msip_enc, msip_sz_acc
    #[test]
    fn msip_is_one_bit_a_hart() {
        let mut a = Aclint::new(2);
        write(&mut a, 4, 4, 0xffff_ffff, 0);
        assert_eq!((a.msip(0), a.msip(1)), (false, true));
        assert_eq!(a.read(4, 4, Ticks(0)), Ok(1));
        write(&mut a, 4, 4, 0xffff_fffe, 0);
        assert!(!a.msip(1));
    }

    // norm: mtime_intr_pending, mtimecmp_sz
    #[test]
    fn mtip_is_mtime_not_below_mtimecmp() {
        let mut a = Aclint::new(2);
        write(&mut a, 0x4008, 8, 100, 0);
        assert!(!a.mtip(1, Ticks(99)));
        assert!(a.mtip(1, Ticks(100)));
        assert!(!a.mtip(0, Ticks(1 << 60)));
        assert_eq!(a.timer_deadline(1, Ticks(40)), Some(Ticks(100)));
        assert_eq!(a.timer_deadline(1, Ticks(100)), None);
    }

    // norm: mtimecmp_sz
    // norm: mtimecmp_enc_img
    #[test]
    fn mtimecmp_can_be_written_by_halves() {
        let mut a = Aclint::new(1);
        write(&mut a, 0x4000, 4, 0x89ab_cdef, 0);
        write(&mut a, 0x4004, 4, 0x0123_4567, 0);
        assert_eq!(a.mtimecmp(0), 0x0123_4567_89ab_cdef);
        assert_eq!(a.read(0x4004, 4, Ticks(0)), Ok(0x0123_4567));
    }

    // norm: mtime_acc, mtime_sz, mtime_mtimecmp_rv64_wr
    // norm: mtime_enc_img
    #[test]
    fn mtime_counts_ticks_from_where_it_was_set() {
        let mut a = Aclint::new(1);
        assert_eq!(a.read(0xbff8, 8, Ticks(7)), Ok(7));
        write(&mut a, 0xbff8, 8, 0x1_0000_0000, 10);
        assert_eq!(a.read(0xbff8, 8, Ticks(12)), Ok(0x1_0000_0002));
        assert_eq!(a.read(0xbffc, 4, Ticks(12)), Ok(1));
        write(&mut a, 0xbffc, 4, 0, 12);
        assert_eq!(a.mtime(Ticks(12)), 2);
        write(&mut a, 0x4000, 8, 5, 12);
        assert_eq!(a.timer_deadline(0, Ticks(12)), Some(Ticks(15)));
    }

    #[test]
    fn harts_that_do_not_exist_read_0_and_ignore_writes() {
        let mut a = Aclint::new(1);
        write(&mut a, 4, 4, 1, 0);
        write(&mut a, 0x4008, 8, 0, 0);
        write(&mut a, 0xbff0, 8, 0, 0);
        assert_eq!(a.read(4, 4, Ticks(0)), Ok(0));
        assert_eq!(a.read(0x4008, 8, Ticks(0)), Ok(0));
        assert!(!a.msip(1) && !a.mtip(1, Ticks(9)));
    }

    #[test]
    fn unsuitable_accesses_fault() {
        let mut a = Aclint::new(1);
        assert!(a.read(0, 8, Ticks(0)).is_err());
        assert!(a.read(0x4000, 2, Ticks(0)).is_err());
        assert!(a.read(0x4004, 8, Ticks(0)).is_err());
        assert!(a.read(0x1_0000, 4, Ticks(0)).is_err());
    }

    #[test]
    fn a_timer_beyond_all_time_never_rings() {
        let mut a = Aclint::new(1);
        write(&mut a, 0xbff8, 8, 0, 1000);
        assert_eq!(a.timer_deadline(0, Ticks(1000)), None);
    }
}
