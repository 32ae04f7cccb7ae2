//! Memory as a debugger sees it: through the translation of a hart, or physical. RAM alone: a device
//! would notice that it is read.

use cpu::Hart;
use isa::{PAGE_BYTES, Pa, Va};
use mmu::Target;

/// Which addresses the client means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Space {
    /// Virtual addresses of a hart, in the mode it is in, whatever its page tables permit.
    #[default]
    Virtual,
    /// Physical addresses.
    Physical,
}

impl Space {
    /// Where the byte at `address` is in RAM.
    fn pa(self, hart: &Hart, address: u64) -> Option<Pa> {
        match self {
            Self::Physical => Some(Pa(address)),
            Self::Virtual => {
                let (privilege, v) = (hart.mode().privilege(), hart.mode().v());
                let found = hart.mmu().locate(Va(address), privilege, v).ok()?;
                match found.target {
                    Target::Ram { pa } => Some(pa),
                    Target::Mmio { .. } => None,
                }
            }
        }
    }

    /// The pieces of RAM behind `length` bytes from `address` on, as far as they go.
    fn pieces(self, hart: &Hart, address: u64, length: usize) -> Vec<(Pa, usize)> {
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < length {
            let Some(at) = address.checked_add(done as u64) else { break };
            let to_page_end = (PAGE_BYTES - at % PAGE_BYTES) as usize;
            let bytes = to_page_end.min(length - done);
            match self.pa(hart, at) {
                Some(pa) if hart.ram().contains(pa, bytes as u64) => pieces.push((pa, bytes)),
                _ => break,
            }
            done += bytes;
        }
        pieces
    }

    /// Reads as much as there is, and says how much that was.
    pub(crate) fn read(self, hart: &Hart, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        for (pa, length) in self.pieces(hart, address, bytes.len()) {
            let Some(part) = bytes.get_mut(done..done + length) else { break };
            if hart.ram().read_bytes(pa, part).is_err() {
                break;
            }
            done += length;
        }
        done
    }

    /// Writes all of it or nothing; says whether it did.
    pub(crate) fn write(self, hart: &Hart, address: u64, bytes: &[u8]) -> bool {
        let pieces = self.pieces(hart, address, bytes.len());
        if pieces.iter().map(|(_, length)| length).sum::<usize>() != bytes.len() {
            return false;
        }
        let mut rest = bytes;
        pieces.into_iter().all(|(pa, length)| {
            let (part, behind) = rest.split_at(length);
            rest = behind;
            hart.ram().write_bytes(pa, part).is_ok()
        })
    }
}
