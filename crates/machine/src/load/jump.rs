//! OpenSBI's `fw_jump`: firmware whose next stage and device tree have fixed places, which it tells
//! nobody. They are read from its machine code, so that a kernel in the way is an error instead of
//! a machine that hangs without a word.

/// Part of the name of the copy of the device tree that `fw_jump` makes.
pub(super) const COPY: &str = "fw_jump's copy of the device tree";

/// The fixed places, from the beginning of the firmware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct JumpFirmware {
    /// Where it copies the device tree.
    pub(super) tree_offset: u64,
    /// Where it jumps.
    pub(super) next_offset: u64,
}

/// How far into the firmware its two functions are looked for, in bytes.
const SEARCHED: usize = 0x2000;

impl JumpFirmware {
    /// The places, if this is `fw_jump`: its code has two functions, first the one that returns
    /// the place of the device tree and then the one that returns the next stage, each the
    /// firmware's own address (pc-relative) plus a constant.
    pub(super) fn detect(firmware: &[u8]) -> Option<Self> {
        let code = &firmware[..firmware.len().min(SEARCHED)];
        let mut offsets = (0..code.len()).step_by(2).filter_map(|at| start_plus_constant(code, at));
        Some(Self { tree_offset: offsets.next()?, next_offset: offsets.next()? })
    }
}

/// The constant of `auipc a0, 0; addi a0, a0, -at; lui a1, constant; add a0, a0, a1; ret` at `at`.
fn start_plus_constant(code: &[u8], at: usize) -> Option<u64> {
    const AUIPC_A0_0: u32 = 0x0000_0517;
    const ADDI_A0_A0: u32 = 0x0005_0513;
    const LUI_A1: u32 = 0x0000_05b7;
    const ADD_RET: u32 = 0x8082_952e;
    let word = |index: usize| {
        let at = at + 4 * index;
        code.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
    };
    let (addi, lui) = (word(1)?, word(2)?);
    let found = word(0)? == AUIPC_A0_0
        && addi & 0xf_ffff == ADDI_A0_A0
        && i64::from(addi as i32 >> 20) == -(at as i64)
        && lui & 0xfff == LUI_A1
        && word(3)? == ADD_RET;
    found.then_some(u64::from(lui & !0xfff))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The two functions as Debian's OpenSBI 1.9 has them at 0x7b0, behind nothing but nops.
    pub(crate) fn firmware(tree: u32, next: u32) -> Vec<u8> {
        let mut code = [0x13, 0, 0, 0].repeat(0x7b0 / 4);
        for (at, constant) in [(0x7b0i32, tree), (0x7c0, next)] {
            for word in [0x517, (-at as u32) << 20 | 0x0005_0513, constant | 0x5b7, 0x8082_952e] {
                code.extend(word.to_le_bytes());
            }
        }
        code
    }

    #[test]
    fn the_places_are_read_from_the_code() {
        assert_eq!(firmware(0x220_0000, 0x20_0000)[0x7b4..0x7b8], [0x13, 0x05, 0x05, 0x85]);
        let found = JumpFirmware::detect(&firmware(0x220_0000, 0x20_0000));
        assert_eq!(found, Some(JumpFirmware { tree_offset: 0x220_0000, next_offset: 0x20_0000 }));
    }

    #[test]
    fn other_firmware_is_not_mistaken_for_it() {
        assert_eq!(JumpFirmware::detect(&[]), None);
        let mut moved = firmware(0x220_0000, 0x20_0000);
        moved.insert(0, 0);
        moved.insert(0, 0);
        assert_eq!(JumpFirmware::detect(&moved), None);
    }

    #[test]
    fn debians_firmware_is_told_apart() {
        let dir = std::path::Path::new("/usr/lib/riscv64-linux-gnu/opensbi/generic");
        let (Ok(jump), Ok(dynamic)) =
            (std::fs::read(dir.join("fw_jump.bin")), std::fs::read(dir.join("fw_dynamic.bin")))
        else {
            println!("SKIPPED: Debian's opensbi package is not installed");
            return;
        };
        let places = JumpFirmware { tree_offset: 0x220_0000, next_offset: 0x20_0000 };
        assert_eq!(JumpFirmware::detect(&jump), Some(places));
        assert_eq!(JumpFirmware::detect(&dynamic), None);
    }
}
