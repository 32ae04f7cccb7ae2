//! What the MMU of a hart is built like, and the registers that steer it.

use isa::field::{hgatp, satp};
use isa::{Ext, ExtSet, field};

use crate::errata::Errata;
use crate::shape::Shape;
use crate::stage::PteFormats;

/// The choices fixed when a hart is built.
#[derive(Clone, Debug)]
pub struct MmuConfig {
    /// The deepest tree supported by every stage: 0 (Bare only), 3, 4 or 5 levels.
    levels: u8,
    /// ASIDLEN, at most 16.
    asid_bits: u32,
    /// VMIDLEN, at most 14.
    vmid_bits: u32,
    /// PMP entries: 0, 16 or 64.
    pub(crate) pmp_entries: usize,
    pub(crate) formats: PteFormats,
    pub(crate) svpbmt: bool,
    pub(crate) svadu: bool,
    /// The architectural TLB.
    pub(crate) shape: Shape,
    pub(crate) errata: Errata,
}

impl MmuConfig {
    /// An MMU for a hart with these extensions. ASIDLEN above 16 and VMIDLEN above 14 become these; see
    /// [`crate::Pmp::new`] for the number of PMP entries.
    pub fn new(
        exts: &ExtSet,
        asid_bits: u32,
        vmid_bits: u32,
        pmp_entries: usize,
        shape: Shape,
    ) -> Self {
        let levels = [(Ext::Sv57, 5), (Ext::Sv48, 4), (Ext::Sv39, 3)]
            .into_iter()
            .find_map(|(ext, levels)| exts.contains(ext).then_some(levels));
        Self {
            levels: levels.unwrap_or(0),
            asid_bits: asid_bits.min(16),
            vmid_bits: vmid_bits.min(14),
            pmp_entries,
            formats: PteFormats { svnapot: exts.contains(Ext::Svnapot) },
            svpbmt: exts.contains(Ext::Svpbmt),
            svadu: exts.contains(Ext::Svadu),
            shape,
            errata: Errata::NONE,
        }
    }

    /// The same with errata.
    #[must_use]
    pub fn with_errata(self, errata: Errata) -> Self {
        Self { errata, ..self }
    }

    /// The bits of an ASID that exist.
    pub(crate) fn asid_mask(&self) -> u16 {
        ((1u32 << self.asid_bits) - 1) as u16
    }

    /// The bits of a VMID that exist.
    pub(crate) fn vmid_mask(&self) -> u16 {
        ((1u32 << self.vmid_bits) - 1) as u16
    }

    fn supports(&self, mode: u64) -> bool {
        match mode {
            satp::BARE => true,
            satp::SV39 => self.levels >= 3,
            satp::SV48 => self.levels >= 4,
            satp::SV57 => self.levels >= 5,
            _ => false,
        }
    }

    /// What a write of `value` to `satp` or `vsatp` stores; `None` if its MODE is not supported, and so the whole
    /// write is ignored. With MODE=Bare the other fields are kept as written.
    pub fn legal_atp(&self, value: u64) -> Option<u64> {
        let asid = field::get(value, satp::ASID) & u64::from(self.asid_mask());
        self.supports(field::get(value, satp::MODE)).then(|| field::set(value, satp::ASID, asid))
    }

    /// What a write of `value` to `hgatp` stores over `old`: an unsupported MODE leaves the old one, the other
    /// fields are written all the same; PPN bits 1–0 are zero.
    pub fn legal_hgatp(&self, old: u64, value: u64) -> u64 {
        let mode = field::get(value, hgatp::MODE);
        let mode = if self.supports(mode) { mode } else { field::get(old, hgatp::MODE) };
        let vmid = field::get(value, hgatp::VMID) & u64::from(self.vmid_mask());
        let ppn = field::get(value, hgatp::PPN) & !3;
        let fields = field::set(field::set(0, hgatp::MODE, mode), hgatp::VMID, vmid);
        field::set(fields, hgatp::PPN, ppn)
    }
}

/// What the hart's CSRs say about translation. The hart hands it over whenever one of them changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TranslationCsrs {
    /// `satp`.
    pub satp: u64,
    /// `vsatp`.
    pub vsatp: u64,
    /// `hgatp`.
    pub hgatp: u64,
    /// `mstatus.MXR`: at V=1 for both stages.
    pub mxr: bool,
    /// `mstatus.SUM`, for V=0.
    pub sum: bool,
    /// `vsstatus.MXR`, for the VS-stage.
    pub vs_mxr: bool,
    /// `vsstatus.SUM`, for V=1.
    pub vs_sum: bool,
    /// `menvcfg.ADUE`: S-stage and G-stage set A and D.
    pub adue: bool,
    /// `henvcfg.ADUE`: the VS-stage sets A and D.
    pub vs_adue: bool,
    /// `menvcfg.PBMTE`: S-stage and G-stage know memory types.
    pub pbmte: bool,
    /// `henvcfg.PBMTE`: the VS-stage knows memory types.
    pub vs_pbmte: bool,
}

impl TranslationCsrs {
    pub(crate) fn asid(&self) -> u16 {
        field::get(self.satp, satp::ASID) as u16
    }

    pub(crate) fn vs_asid(&self) -> u16 {
        field::get(self.vsatp, satp::ASID) as u16
    }

    /// `vsatp.PPN`.
    pub(crate) fn vs_root(&self) -> u64 {
        self.vsatp & satp::PPN
    }

    pub(crate) fn vmid(&self) -> u16 {
        field::get(self.hgatp, hgatp::VMID) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(exts: &[Ext]) -> MmuConfig {
        MmuConfig::new(&ExtSet::of(exts), 9, 7, 16, Shape::default())
    }

    // norm: satp_mode_op_unsupported, asidlen
    #[test]
    fn an_unsupported_mode_is_no_write_to_satp() {
        let config = config(&[Ext::S, Ext::Sv39, Ext::Sv48]);
        assert_eq!(config.legal_atp(8 << 60 | 0xffff << 44 | 5), Some(8 << 60 | 0x1ff << 44 | 5));
        assert_eq!(config.legal_atp(9 << 60), Some(9 << 60));
        assert_eq!(config.legal_atp(10 << 60), None);
        assert_eq!(config.legal_atp(1 << 60), None);
        assert_eq!(config.legal_atp(0), Some(0));
    }

    // norm: hgatp_mode_warl, hgatp_ppn_op, hgatp_vmid_lsbs
    #[test]
    fn an_unsupported_mode_leaves_the_one_of_hgatp() {
        let config = config(&[Ext::S, Ext::Sv39]);
        let old = 8 << 60 | 1 << 44 | 4;
        // Bits 59–58 do not exist, and the root is aligned to 16 KiB.
        assert_eq!(config.legal_hgatp(old, 9 << 60 | 0xffff << 44 | 11), 8 << 60 | 0x7f << 44 | 8);
        assert_eq!(config.legal_hgatp(old, 3 << 44), 3 << 44);
    }
}
