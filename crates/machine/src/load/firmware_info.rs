//! What OpenSBI's `fw_dynamic` is told through `a2` [OpenSBI, docs/firmware/fw_dynamic.md].

use isa::Pa;

const MAGIC: u64 = 0x4942_534f;
const VERSION: u64 = 2;
const NEXT_MODE_S: u64 = 1;

/// The information block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FirmwareInfo {
    next: Pa,
}

impl FirmwareInfo {
    /// Go on in S-mode at `next`, on hart 0.
    pub(super) fn next(next: Pa) -> Self {
        Self { next }
    }

    /// The block as it lies in memory.
    pub(super) fn bytes(self) -> Vec<u8> {
        let (options, boot_hart) = (0, 0);
        [MAGIC, VERSION, self.next.0, NEXT_MODE_S, options, boot_hart]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_has_six_words_in_openbsis_order() {
        let bytes = FirmwareInfo::next(Pa(0x8020_0000)).bytes();
        assert_eq!(&bytes[..4], b"OSBI");
        let words: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        assert_eq!(words, [0x4942_534f, 2, 0x8020_0000, 1, 0, 0]);
    }
}
