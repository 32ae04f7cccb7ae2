//! What `mtinst` and `htinst` hold behind a trap of a load, a store or an atomic, worked out from the
//! instruction alone [priv: hypervisor, "Transformed Instruction or Pseudoinstruction for mtinst or
//! htinst"]. Spike leaves them zero, so that this is what our values are compared with.

use isa::{Exception, expand};

/// A transformed instruction but for the offset of the address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transformed {
    word: u32,
    /// The address that the instruction has computed.
    address: u64,
}

impl Transformed {
    /// The value where the trap value is `tval`.
    pub(crate) fn at(self, tval: u64) -> u64 {
        let offset = tval.wrapping_sub(self.address) as u32 & 0x1f;
        u64::from(self.word | offset << 15)
    }
}

/// Whether the manual has anything but zero for an exception, implicit accesses aside.
pub(crate) fn may_be_transformed(exception: Exception) -> bool {
    use Exception::*;
    matches!(
        exception,
        LoadMisaligned
            | LoadAccess
            | StoreMisaligned
            | StoreAccess
            | LoadPage
            | StorePage
            | LoadGuestPage
            | StoreGuestPage
    )
}

/// The transformed form of an instruction that may be; `x` are the registers before it.
pub(crate) fn transformed(bits: u32, x: impl FnOnce(usize) -> u64) -> Option<Transformed> {
    const RS1: u32 = 0x1f << 15;
    let is_short = bits & 3 != 3;
    let word = expand(bits);
    let of_load = (word as i32 >> 20) as i64;
    let of_store = i64::from(word as i32 >> 25) << 5 | i64::from(word >> 7 & 0x1f);
    let (kept, immediate) = match (word & 0x7f, word >> 12 & 7) {
        // LOAD, LOAD-FP: all but rs1 and the immediate.
        (0x03 | 0x07, _) => (word & 0x000f_ffff & !RS1, of_load),
        // STORE, STORE-FP: so, too.
        (0x23 | 0x27, _) => (word & 0x01ff_f07f & !RS1, of_store),
        // AMO; HLV, HLVX and HSV.
        (0x2f, _) | (0x73, 4) => (word & !RS1, 0),
        _ => return None,
    };
    let base = x((word >> 15 & 0x1f) as usize);
    // Bit 1 tells that the instruction was a compressed one.
    let word = if is_short { kept & !2 } else { kept };
    Some(Transformed { word, address: base.wrapping_add_signed(immediate) })
}
