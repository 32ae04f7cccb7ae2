//! The state that M-mode software leaves behind when S-mode starts. Where the SBI specification and
//! the manual leave a choice it is OpenSBI's, so that kernels see what they are used to, except that
//! everything a hart handles by itself or S-mode can handle is delegated: this firmware emulates
//! nothing.

use super::Port;
use isa::field::{cbie, context_status, menvcfg, mip, mseccfg, mstatus, set, stateen0};
use isa::{Exception, Ext, Pa, Privilege, csr};
use mmu::Fence;

/// Exceptions that S-mode takes itself. Left are calls from S-mode, which are for us, calls from
/// M-mode, and what says that a hart is broken (double trap, hardware error).
const DELEGATED: [Exception; 18] = [
    Exception::InstructionMisaligned,
    Exception::InstructionAccess,
    Exception::IllegalInstruction,
    Exception::Breakpoint,
    Exception::LoadMisaligned,
    Exception::LoadAccess,
    Exception::StoreMisaligned,
    Exception::StoreAccess,
    Exception::EcallU,
    Exception::EcallVs,
    Exception::InstructionPage,
    Exception::LoadPage,
    Exception::StorePage,
    Exception::SoftwareCheck,
    Exception::InstructionGuestPage,
    Exception::LoadGuestPage,
    Exception::VirtualInstruction,
    Exception::StoreGuestPage,
];

/// Address matching by naturally aligned power of two, with all rights [priv: machine, PMP].
const PMP_NAPOT_RWX: u64 = 0b11 << 3 | 0b111;
/// The programmable counters stand still until somebody asks for one.
const PROGRAMMABLE_COUNTERS: u64 = 0xffff_fff8;
/// The counters that are not programmable.
const FIXED_COUNTERS: u64 = 7;

/// What M-mode sets once, after power-on and each time a hart starts again.
pub(super) fn power_on(port: &mut dyn Port, hart: usize) {
    let exts = *port.exts();
    let has = |ext| exts.contains(ext);

    let exceptions = DELEGATED.iter().fold(0, |bits, exception| bits | exception.bit());
    port.set_csr(hart, csr::MEDELEG, exceptions);
    port.set_csr(hart, csr::MIDELEG, mip::SSIP | mip::STIP | mip::SEIP | mip::LCOFIP);
    port.set_csr(hart, csr::MIE, 0);
    port.set_csr(hart, csr::PMPADDR0, u64::MAX);
    port.set_csr(hart, csr::PMPCFG0, PMP_NAPOT_RWX);

    port.set_csr(hart, csr::MCOUNTEREN, u64::from(u32::MAX));
    port.set_csr(hart, csr::SCOUNTEREN, FIXED_COUNTERS);
    port.set_csr(hart, csr::MCOUNTINHIBIT, PROGRAMMABLE_COUNTERS);

    let environment = [
        (has(Ext::Zicboz), menvcfg::CBZE),
        (has(Ext::Zicbom), menvcfg::CBCFE | cbie::INVALIDATE << menvcfg::CBIE_SHIFT),
        (has(Ext::Svpbmt), menvcfg::PBMTE),
        (has(Ext::Sstc), menvcfg::STCE),
        (exts.updates_ad_at_reset(), menvcfg::ADUE),
    ];
    let enabled = environment.iter().filter(|(on, _)| *on).fold(0, |bits, (_, bit)| bits | bit);
    port.set_csr(hart, csr::MENVCFG, enabled);
    if has(Ext::Zkr) {
        port.set_csr(hart, csr::MSECCFG, mseccfg::SSEED);
    }
    if has(Ext::Smstateen) {
        let open = stateen0::SE | stateen0::ENVCFG | stateen0::CONTEXT;
        port.set_csr(hart, csr::MSTATEEN0, open);
        for number in [csr::MSTATEEN1, csr::MSTATEEN2, csr::MSTATEEN3] {
            port.set_csr(hart, number, stateen0::SE);
        }
    }
    if has(Ext::Sstc) {
        port.set_csr(hart, csr::STIMECMP, u64::MAX);
    }
    port.set_timer(hart, u64::MAX);

    let mut status = set(port.csr(hart, csr::MSTATUS), mstatus::FS, 0);
    if has(Ext::F) {
        status = set(status, mstatus::FS, context_status::INITIAL);
    }
    port.set_csr(hart, csr::MSTATUS, status);
}

/// Lets the next MRET enter S-mode at `pc` as the SBI specification asks: translation and
/// interrupts off, the hart's number in `a0`, `opaque` in `a1`. Translations that the hart may
/// hold from an earlier life are dropped.
pub(super) fn enter_supervisor(port: &mut dyn Port, hart: usize, pc: Pa, opaque: u64) {
    let off =
        mstatus::SIE | mstatus::SPIE | mstatus::MPV | mstatus::MPRV | mstatus::SUM | mstatus::MXR;
    let status = port.csr(hart, csr::MSTATUS) & !off;
    port.set_csr(hart, csr::MSTATUS, set(status, mstatus::MPP, Privilege::S as u64));
    port.set_csr(hart, csr::MEPC, pc.0);
    port.set_csr(hart, csr::SATP, 0);
    port.fence(hart, Fence::Sfence { va: None, asid: None });
    if port.exts().contains(Ext::H) {
        port.set_csr(hart, csr::HSTATUS, 0);
        port.set_csr(hart, csr::HGATP, 0);
        port.fence(hart, Fence::Gvma { gpa: None, vmid: None });
    }
    port.set_x(hart, 10, hart as u64);
    port.set_x(hart, 11, opaque);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware::fake::Fake;
    use isa::ExtSet;

    #[test]
    fn delegation_is_at_least_what_linux_and_kvm_see_under_opensbi() {
        let mut port = Fake::new(1);
        power_on(&mut port, 0);
        // MEDELEG and MIDELEG of OpenSBI 1.9 on a hart with H and Sscofpmf; of the latter the VS
        // bits are read-only one in hardware.
        let (exceptions, interrupts) = (port.csr(0, csr::MEDELEG), port.csr(0, csr::MIDELEG));
        assert_eq!(exceptions & 0xf4_b509, 0xf4_b509);
        assert_eq!(interrupts | 0x1444, 0x3666);
        // Calls from S-mode and M-mode stay.
        assert_eq!(exceptions & 0xa00, 0);
    }

    #[test]
    fn s_mode_may_touch_all_of_memory() {
        let mut port = Fake::new(1);
        power_on(&mut port, 0);
        assert_eq!((port.csr(0, csr::PMPADDR0), port.csr(0, csr::PMPCFG0)), (u64::MAX, 0x1f));
    }

    #[test]
    fn what_the_hart_has_is_enabled_and_nothing_else() {
        let environment = |isa| {
            let mut port = Fake::with_exts(1, ExtSet::parse(isa).unwrap());
            power_on(&mut port, 0);
            port.csr(0, csr::MENVCFG)
        };
        assert_eq!(environment("rv64"), 1 << 63 | 1 << 62 | 1 << 7 | 1 << 6 | 0b11 << 4);
        assert_eq!(environment("rv64,svade=off") & 1 << 61, 1 << 61);
        assert_eq!(environment("rv64i"), 0);
    }

    #[test]
    fn supervisor_starts_with_translation_and_interrupts_off() {
        let mut port = Fake::new(2);
        port.set_csr(1, csr::SATP, 8 << 60);
        port.set_csr(1, csr::MSTATUS, mstatus::SIE | mstatus::SPIE | mstatus::MPV | mstatus::MPP);
        enter_supervisor(&mut port, 1, Pa(0x8000_1234), 77);
        assert_eq!(port.csr(1, csr::SATP), 0);
        assert_eq!(port.csr(1, csr::MSTATUS), 1 << mstatus::MPP_SHIFT);
        assert_eq!((port.x(1, 10), port.x(1, 11)), (1, 77));
        assert_eq!(port.fences[0], (1, Fence::Sfence { va: None, asid: None }));
        assert_eq!(port.fences[1], (1, Fence::Gvma { gpa: None, vmid: None }));
    }
}
