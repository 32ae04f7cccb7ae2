//! What a guest wanted of a device: decoding the load or store that ended in a guest-page fault where no memory is.
//!
//! Hardware hands over the instruction in `htinst` if it can [priv: hypervisor, "Transformed Instruction or
//! Pseudoinstruction for mtinst or htinst"]; else the hypervisor reads it from the guest's memory at `sepc`.

use isa::{Decoder, Op};

/// A load or store of an integer register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceAccess {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Which way.
    pub way: Way,
    /// Bytes of the instruction: where the guest goes on.
    pub insn_bytes: u8,
}

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To a register.
    Load {
        /// The register's number; 0 for nowhere.
        rd: u8,
        /// Whether the value is extended with its sign.
        signed: bool,
    },
    /// From a register.
    Store {
        /// The register's number.
        rs2: u8,
    },
}

/// Why an access has no meaning for a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotDecoded {
    /// `htinst` is zero: the instruction must be read.
    #[error("htinst does not hold the instruction")]
    NotGiven,
    /// The VS-stage walk reached for a PTE there; a page table cannot lie in a device.
    #[error("a VS-stage page table lies where no memory is")]
    PageTable,
    /// Something other than a load or store of an integer register.
    #[error("the instruction {0:#x} is no integer load or store")]
    Unsupported(u32),
}

/// Bit 0 of `htinst`: it holds an instruction.
const IS_INSN: u64 = 1 << 0;
/// Bit 1: that instruction had 32 bits.
const IS_WIDE: u64 = 1 << 1;

/// Decodes what `htinst` holds.
///
/// # Errors
/// See [`NotDecoded`].
pub fn from_htinst(decoder: &Decoder, htinst: u64) -> Result<DeviceAccess, NotDecoded> {
    if htinst == 0 {
        return Err(NotDecoded::NotGiven);
    }
    if htinst & IS_INSN == 0 {
        return Err(NotDecoded::PageTable);
    }
    let insn_bytes = if htinst & IS_WIDE != 0 { 4 } else { 2 };
    // With bit 1 set it is the 32-bit form, its immediate cleared and the address offset in the place of rs1.
    let bits = (htinst | IS_WIDE) as u32;
    let access = from_insn(decoder, bits)?;
    Ok(DeviceAccess { insn_bytes, ..access })
}

/// Decodes an instruction as it was read from memory; a 16-bit one in the low half.
///
/// # Errors
/// [`NotDecoded::Unsupported`].
pub fn from_insn(decoder: &Decoder, bits: u32) -> Result<DeviceAccess, NotDecoded> {
    let unsupported = NotDecoded::Unsupported(bits);
    let insn = decoder.decode(bits).ok_or(unsupported)?;
    let load = |size, signed| (size, Way::Load { rd: insn.rd, signed });
    let store = |size| (size, Way::Store { rs2: insn.rs2 });
    let (size, way) = match insn.op {
        Op::Lb => load(1, true),
        Op::Lbu => load(1, false),
        Op::Lh => load(2, true),
        Op::Lhu => load(2, false),
        Op::Lw => load(4, true),
        Op::Lwu => load(4, false),
        Op::Ld => load(8, false),
        Op::Sb => store(1),
        Op::Sh => store(2),
        Op::Sw => store(4),
        Op::Sd => store(8),
        _ => return Err(unsupported),
    };
    Ok(DeviceAccess { size, way, insn_bytes: insn.len })
}

impl DeviceAccess {
    /// What a load puts into its register, from what the device gave.
    pub fn extend(&self, value: u64) -> u64 {
        let unused = 64 - 8 * u32::from(self.size);
        match self.way {
            Way::Load { signed: true, .. } => {
                (value.cast_signed() << unused >> unused).cast_unsigned()
            }
            _ => value << unused >> unused,
        }
    }
}

#[cfg(test)]
mod tests {
    use isa::ExtSet;
    use isa::asm::assemble;

    use super::*;

    fn decoder() -> Decoder {
        Decoder::new(&ExtSet::default_set())
    }

    /// The manual's transformation: the immediate goes, and the offset takes the place of rs1.
    fn transformed(text: &str, offset: u32, from_compressed: bool) -> u64 {
        let bits = assemble(text).unwrap();
        let is_store = bits & 0x7f == 0x23;
        let kept = if is_store { 0x01f0_707f } else { 0x0000_7fff };
        let wide = if from_compressed { 0 } else { 2 };
        u64::from(bits & kept & !(0x1f << 15) & !2 | offset << 15 | wide)
    }

    #[test]
    fn loads_and_stores_are_read_from_htinst() {
        for (text, size, way) in [
            ("lb a0, 5(a1)", 1, Way::Load { rd: 10, signed: true }),
            ("lhu t6, -2(a1)", 2, Way::Load { rd: 31, signed: false }),
            ("lw zero, 0(a1)", 4, Way::Load { rd: 0, signed: true }),
            ("sd s3, 2040(a1)", 8, Way::Store { rs2: 19 }),
            ("sb zero, 1(a1)", 1, Way::Store { rs2: 0 }),
        ] {
            for (compressed, insn_bytes) in [(false, 4), (true, 2)] {
                let htinst = transformed(text, 3, compressed);
                let expected = DeviceAccess { size, way, insn_bytes };
                assert_eq!(from_htinst(&decoder(), htinst), Ok(expected), "{text}");
            }
        }
    }

    #[test]
    fn pseudoinstructions_are_no_device_accesses() {
        for htinst in [0x2000, 0x2020, 0x3000, 0x3020] {
            assert_eq!(from_htinst(&decoder(), htinst), Err(NotDecoded::PageTable));
        }
        assert_eq!(from_htinst(&decoder(), 0), Err(NotDecoded::NotGiven));
    }

    #[test]
    fn atomics_floating_point_and_rubbish_are_refused() {
        for text in ["amoadd.w a0, a1, (a2)", "fld fa0, 0(a0)", "hlv.w a0, (a1)", "ecall"] {
            let bits = assemble(text).unwrap();
            assert_eq!(from_insn(&decoder(), bits), Err(NotDecoded::Unsupported(bits)));
        }
        assert!(from_htinst(&decoder(), u64::MAX).is_err());
    }

    #[test]
    fn compressed_instructions_are_read_from_memory() {
        // c.lw a0, 4(a1) and c.sdsp ra, 8(sp), encoded by hand from the C chapter.
        let load = DeviceAccess { size: 4, way: Way::Load { rd: 10, signed: true }, insn_bytes: 2 };
        assert_eq!(from_insn(&decoder(), 0x41c8), Ok(load));
        let store = DeviceAccess { size: 8, way: Way::Store { rs2: 1 }, insn_bytes: 2 };
        assert_eq!(from_insn(&decoder(), 0xe406), Ok(store));
    }

    #[test]
    fn a_loaded_value_is_extended_as_the_instruction_says() {
        let access =
            |size, signed| DeviceAccess { size, way: Way::Load { rd: 1, signed }, insn_bytes: 4 };
        assert_eq!(access(1, true).extend(0x1_0080), 0xffff_ffff_ffff_ff80);
        assert_eq!(access(4, false).extend(0xdead_beef_8000_0001), 0x8000_0001);
        assert_eq!(access(8, false).extend(u64::MAX), u64::MAX);
    }
}
