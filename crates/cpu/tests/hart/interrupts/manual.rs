//! Interrupt registers as the manual has them: which bits are the same bit, which of them can be written, which
//! interrupt is taken and by whom. Written from the text, without a look at the hart.

use isa::{Mode, Privilege, csr};

pub(super) const SSI: u64 = 1 << 1;
pub(super) const VSSI: u64 = 1 << 2;
pub(super) const MSI: u64 = 1 << 3;
pub(super) const STI: u64 = 1 << 5;
pub(super) const VSTI: u64 = 1 << 6;
pub(super) const MTI: u64 = 1 << 7;
pub(super) const SEI: u64 = 1 << 9;
pub(super) const VSEI: u64 = 1 << 10;
pub(super) const MEI: u64 = 1 << 11;
pub(super) const SGEI: u64 = 1 << 12;
pub(super) const LCOFI: u64 = 1 << 13;

const VSI: u64 = VSSI | VSTI | VSEI;
const STCE: u64 = 1 << 63;

/// Decreasing priority for M-mode and for HS-mode [hypervisor: hsint_priority; machine: intr_M_mode_pri]: code by code.
const PRIORITY: [u64; 11] = [11, 3, 7, 9, 1, 5, 12, 10, 2, 6, 13];
/// For VS-mode, by the codes it sees [supervisor: sip_sie_priority_bit_order].
const VS_PRIORITY: [u64; 4] = [9, 1, 5, 13];

/// Who takes an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taker {
    M,
    Hs,
    Vs,
}

/// The state of interrupts of one hart with H, Sstc and Sscofpmf.
#[derive(Clone, Debug, Default)]
pub(super) struct Manual {
    pub(super) geilen: u32,
    pub(super) shlcofideleg: bool,
    /// Now, as V=0 reads it.
    pub(super) time: u64,
    /// What the interrupt controllers drive: bits of `mip`.
    pub(super) lines: u64,
    /// What drives `hgeip`.
    pub(super) guest_lines: u64,
    /// The bits of `mip` that are software's.
    software: u64,
    hvip: u64,
    mie: u64,
    mideleg: u64,
    hideleg: u64,
    hgeie: u64,
    vgein: u64,
    menvcfg: u64,
    henvcfg: u64,
    stimecmp: u64,
    vstimecmp: u64,
    htimedelta: u64,
}

impl Manual {
    pub(super) fn new(geilen: u32, shlcofideleg: bool) -> Self {
        // Comparators far away, as the test sets them.
        Self { geilen, shlcofideleg, stimecmp: u64::MAX, vstimecmp: u64::MAX, ..Self::default() }
    }

    fn sgei(&self) -> u64 {
        if self.geilen == 0 { 0 } else { SGEI }
    }

    fn hgeip(&self) -> u64 {
        (1..=self.geilen).map(|line| 1 << line & self.guest_lines).sum()
    }

    fn mip(&self) -> u64 {
        let at = |yes: bool, bit: u64| if yes { bit } else { 0 };
        let stce = self.menvcfg & STCE != 0;
        let vs_stce = stce && self.henvcfg & STCE != 0;
        let guest_time = self.time.wrapping_add(self.htimedelta);
        let sti = if stce { self.time >= self.stimecmp } else { self.software & STI != 0 };
        self.lines & (MSI | MTI | MEI)
            | (self.lines | self.software) & SEI
            | self.software & (SSI | LCOFI)
            | at(sti, STI)
            | self.hvip & VSI
            | at(vs_stce && guest_time >= self.vstimecmp, VSTI)
            | at(self.vgein != 0 && self.hgeip() >> self.vgein & 1 != 0, VSEI)
            | at(self.hgeip() & self.hgeie != 0, SGEI)
    }

    fn mideleg(&self) -> u64 {
        self.mideleg | VSI | self.sgei()
    }

    /// Where a bit of `vsip` and `vsie` lies in `mip` and `mie`.
    fn place_in_vs(&self, bits: u64) -> u64 {
        let lcofi = if self.shlcofideleg { self.mideleg & LCOFI } else { 0 };
        (bits & self.hideleg & VSI) >> 1 | bits & self.hideleg & lcofi
    }

    fn place_out_of_vs(&self, bits: u64) -> u64 {
        let lcofi = if self.shlcofideleg { self.mideleg & LCOFI } else { 0 };
        bits << 1 & self.hideleg & VSI | bits & self.hideleg & lcofi
    }

    /// What a read gives.
    pub(super) fn read(&self, number: u16) -> u64 {
        match number {
            csr::MIP => self.mip(),
            csr::MIE => self.mie,
            csr::MIDELEG => self.mideleg(),
            csr::SIP => self.mip() & self.mideleg,
            csr::SIE => self.mie & self.mideleg,
            csr::HIP => self.mip() & (VSI | self.sgei()),
            csr::HIE => self.mie & (VSI | self.sgei()),
            csr::HVIP => self.hvip,
            csr::HIDELEG => self.hideleg & self.mideleg(),
            csr::HGEIE => self.hgeie,
            csr::HGEIP => self.hgeip(),
            csr::VSIP => self.place_in_vs(self.mip()),
            csr::VSIE => self.place_in_vs(self.mie),
            csr::HSTATUS => self.vgein << 12,
            csr::MENVCFG => self.menvcfg,
            csr::HENVCFG => self.henvcfg & self.menvcfg,
            csr::STIMECMP => self.stimecmp,
            csr::VSTIMECMP => self.vstimecmp,
            csr::HTIMEDELTA => self.htimedelta,
            _ => unreachable!("{number:#x}"),
        }
    }

    /// What CSRRS and CSRRC start from: of SEIP only the bit that is software's.
    pub(super) fn base(&self, number: u16) -> u64 {
        let read = self.read(number);
        if number == csr::MIP { read & !SEI | self.software & SEI } else { read }
    }

    pub(super) fn write(&mut self, number: u16, value: u64) {
        let put = |old: &mut u64, mask: u64, value: u64| *old = *old & !mask | value & mask;
        match number {
            csr::MIP => {
                let sti = if self.menvcfg & STCE != 0 { 0 } else { STI };
                put(&mut self.software, SSI | SEI | LCOFI | sti, value);
                put(&mut self.hvip, VSSI, value);
            }
            csr::MIE => {
                let all = MSI | MTI | MEI | SSI | STI | SEI | LCOFI | VSI | self.sgei();
                put(&mut self.mie, all, value);
            }
            csr::MIDELEG => self.mideleg = value & (SSI | STI | SEI | LCOFI),
            csr::SIP => put(&mut self.software, (SSI | LCOFI) & self.mideleg, value),
            csr::SIE => put(&mut self.mie, self.mideleg, value),
            csr::HIP => put(&mut self.hvip, VSSI, value),
            csr::HIE => {
                let mask = VSI | self.sgei();
                put(&mut self.mie, mask, value);
            }
            csr::HVIP => self.hvip = value & VSI,
            csr::HIDELEG => {
                let lcofi = if self.shlcofideleg { self.mideleg & LCOFI } else { 0 };
                put(&mut self.hideleg, VSI | lcofi, value);
            }
            csr::HGEIE => {
                self.hgeie = value & ((1..=self.geilen).map(|line| 1 << line).sum::<u64>())
            }
            csr::VSIP => {
                let (mask, value) = (self.place_out_of_vs(u64::MAX), self.place_out_of_vs(value));
                put(&mut self.hvip, VSSI & mask, value);
                put(&mut self.software, LCOFI & mask, value);
            }
            csr::VSIE => {
                let (mask, value) = (self.place_out_of_vs(u64::MAX), self.place_out_of_vs(value));
                put(&mut self.mie, mask, value);
            }
            // A WLRL field: the test writes lines that exist.
            csr::HSTATUS => self.vgein = value >> 12 & 0x3f,
            csr::MENVCFG => self.menvcfg = value & STCE,
            csr::HENVCFG => put(&mut self.henvcfg, self.menvcfg, value),
            csr::STIMECMP => self.stimecmp = value,
            csr::VSTIMECMP => self.vstimecmp = value,
            csr::HTIMEDELTA => self.htimedelta = value,
            _ => unreachable!("{number:#x}"),
        }
    }

    /// The interrupt that is taken in `mode` with these global enables: who takes it, and the code it writes to its
    /// cause register.
    pub(super) fn taken(
        &self,
        mode: Mode,
        mie: bool,
        sie: bool,
        vs_sie: bool,
    ) -> Option<(Taker, u64)> {
        let first =
            |order: &[u64], bits: u64| order.iter().copied().find(|code| bits >> code & 1 != 0);
        let ready = self.mip() & self.mie;
        if mode != Mode::M || mie {
            let m = ready & !self.mideleg();
            if let Some(code) = first(&PRIORITY, m) {
                return Some((Taker::M, code));
            }
        }
        if mode == Mode::M {
            return None;
        }
        let in_hs = mode == Mode::S;
        if !in_hs || sie {
            let either = self.read(csr::SIP) & self.read(csr::SIE)
                | self.read(csr::HIP) & self.read(csr::HIE);
            if let Some(code) = first(&PRIORITY, either & !self.read(csr::HIDELEG)) {
                return Some((Taker::Hs, code));
            }
        }
        let guest_open = mode.v() && (mode.privilege() == Privilege::U || vs_sie);
        let vs = self.read(csr::VSIP) & self.read(csr::VSIE);
        let code = first(&VS_PRIORITY, vs).filter(|_| guest_open)?;
        Some((Taker::Vs, code))
    }

    /// Whether WFI ends: an interrupt is pending and enabled by itself, whatever the global enables.
    pub(super) fn wakes(&self) -> bool {
        self.mip() & self.mie != 0
    }
}
