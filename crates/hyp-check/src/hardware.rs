//! The harts: real ones, which execute one instruction at a time, of a guest or of HS-mode.

use std::sync::Arc;

use cpu::{Hart, HartConfig, Platform, Wires};
use hyp::gstage::FenceInsn;
use isa::{Ext, ExtSet, Gpa, Mode, Pa, csr, pte};
use mmu::{Bus, BusFault, PmaMap, Ram};

use crate::Injected;
use crate::layout::{BASE, CODE, HARTS, HS_ROOT};
use crate::random::Random;
use crate::schedule::Setup;

/// What a guest can execute, at [`CODE`].
pub(crate) const GUEST_PROGRAM: [u32; 7] = [
    0x0005_b503, // ld a0, 0(a1)
    0x00a5_b023, // sd a0, 0(a1)
    0x00a5_b62f, // amoadd.d a2, a0, (a1)
    0x12c5_8073, // sfence.vma a1, a2
    0x1205_8073, // sfence.vma a1, x0
    0x12c0_0073, // sfence.vma x0, a2
    0x1200_0073, // sfence.vma x0, x0
];

/// What HS-mode can execute, at [`BASE`].
const HS_PROGRAM: [u32; 11] = [
    0x0000_006f, // j .
    0x62c5_8073, // hfence.gvma a1, a2
    0x62c0_0073, // hfence.gvma x0, a2
    0x6200_0073, // hfence.gvma x0, x0
    0x2200_0073, // hfence.vvma x0, x0
    0x1800_0073, // sfence.w.inval
    0x66c5_8073, // hinval.gvma a1, a2
    0x1810_0073, // sfence.inval.ir
    0x6c05_c573, // hlv.d a0, (a1)
    0x6835_c573, // hlvx.wu a0, (a1)
    0x0005_b503, // ld a0, 0(a1)
];

/// Instructions of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GuestInsn {
    Load,
    Store,
    Amo,
    FenceAddressAsid,
    FenceAddress,
    FenceAsid,
    FenceAll,
}

/// Instructions of HS-mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HsInsn {
    GvmaAddress = 1,
    GvmaVmid,
    GvmaAll,
    VvmaAll,
    WInval,
    HinvalGvma,
    InvalIr,
    Hlv,
    HlvxWord,
    Load,
}

/// A trap to HS-mode, as its CSRs tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trap {
    pub(crate) cause: u64,
    pub(crate) stval: u64,
    /// What `htval` and the low bits of `stval` say together.
    pub(crate) gpa: Gpa,
    pub(crate) htinst: u64,
}

/// Nothing but main memory.
struct NoDevices;

impl Bus for NoDevices {
    fn read(&mut self, _: Pa, _: u8) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: Pa, _: u8, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

impl Platform for NoDevices {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        Wires { lines: 0, guest_lines: 0, mtime_start: 0, deadline: u64::MAX, stop: false }
    }

    fn advance(&mut self, _: u64) {}
}

pub(crate) struct Harts {
    harts: Vec<Hart>,
    rubbish: Option<Random>,
    vmid_bits: u32,
}

impl Harts {
    pub(crate) fn new(setup: &Setup, ram: &Arc<Ram>, injected: Injected) -> Self {
        let write = |at: u64, word: u64| ram.write(Pa(at), word).unwrap_or(());
        for (index, word) in HS_PROGRAM.into_iter().enumerate() {
            ram.write(Pa(BASE + 4 * index as u64), word).unwrap_or(());
        }
        for index in 0..4u64 {
            let flags = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
            write(HS_ROOT + 8 * index, index << 28 | flags);
        }
        let mut exts = ExtSet::default_set();
        exts.insert(Ext::Svinval);
        exts.insert(Ext::Svnapot);
        exts.insert(Ext::Svadu);
        let harts = (0..HARTS as u64).map(|hartid| {
            let config = HartConfig {
                vmid_bits: setup.vmid_bits,
                pmp_entries: 0,
                shape: setup.shape(),
                errata: injected.errata(),
                ..HartConfig::new(hartid, exts)
            };
            let mut hart = Hart::new(&config, Arc::clone(ram), Arc::new(PmaMap::default()));
            let adue = |on: bool| u64::from(on) << 61;
            for (number, value) in [
                (csr::MEDELEG, u64::MAX),
                (csr::MENVCFG, adue(setup.gstage_adue())),
                (csr::HENVCFG, adue(setup.vs_adue)),
                (csr::STVEC, BASE),
                // HLV as VS, not as VU.
                (csr::HSTATUS, 1 << 8),
                (csr::SATP, 8 << 60 | HS_ROOT >> 12),
            ] {
                hart.set_csr(number, value);
            }
            hart
        });
        let rubbish = setup.rubbish.then(|| Random::new(setup.vmid_bits.into()));
        Self { harts: harts.collect(), rubbish, vmid_bits: setup.vmid_bits }
    }

    pub(crate) fn hart(&self, hart: usize) -> &Hart {
        &self.harts[hart]
    }

    fn execute(
        &mut self,
        hart: usize,
        mode: Mode,
        pc: u64,
        operands: [u64; 3],
    ) -> Result<(), Trap> {
        let hart = &mut self.harts[hart];
        if hart.mode() != mode {
            hart.set_mode(mode);
        }
        hart.set_pc(pc);
        for (index, value) in operands.into_iter().enumerate() {
            hart.set_x(10 + index, value);
        }
        hart.run(&mut NoDevices, 1);
        if hart.pc() == pc + 4 && hart.mode() == mode {
            return Ok(());
        }
        let read = |number| hart.csr(number).unwrap_or(0);
        let stval = read(csr::STVAL);
        let gpa = Gpa(read(csr::HTVAL) << 2 | stval & 3);
        Err(Trap { cause: read(csr::SCAUSE), stval, gpa, htinst: read(csr::HTINST) })
    }

    /// One instruction of the guest that is there, with a0 and a1; returns a0 and a2.
    pub(crate) fn guest(
        &mut self,
        hart: usize,
        insn: GuestInsn,
        [a0, a1, a2]: [u64; 3],
    ) -> Result<(u64, u64), Trap> {
        self.execute(hart, Mode::VS, CODE + 4 * insn as u64, [a0, a1, a2])?;
        Ok((self.harts[hart].x(10), self.harts[hart].x(12)))
    }

    /// One instruction of HS-mode; returns a0.
    pub(crate) fn hs(&mut self, hart: usize, insn: HsInsn, a1: u64, a2: u64) -> Result<u64, Trap> {
        self.execute(hart, Mode::S, BASE + 4 * insn as u64, [0, a1, a2])?;
        Ok(self.harts[hart].x(10))
    }

    /// Sets `hgatp`; zero where no guest is.
    pub(crate) fn set_hgatp(&mut self, hart: usize, value: u64) {
        self.harts[hart].set_csr(csr::HGATP, value);
    }

    pub(crate) fn set_vsatp(&mut self, hart: usize, value: u64) {
        self.harts[hart].set_csr(csr::VSATP, value);
    }

    /// A VMID as rs2 of a fence. Bits that do not exist are reserved, and ignored by the hart.
    fn vmid_operand(&mut self, vmid: u16) -> u64 {
        let rubbish = self.rubbish.as_mut().map_or(0, Random::next);
        u64::from(vmid) | rubbish << self.vmid_bits
    }

    /// One instruction of a fence of the G-stage.
    pub(crate) fn fence(&mut self, hart: usize, insn: FenceInsn, vmid: u16) -> Result<(), Trap> {
        let a2 = self.vmid_operand(vmid);
        let done = match insn {
            FenceInsn::HfenceGvma(Some(gpa)) => self.hs(hart, HsInsn::GvmaAddress, gpa.0 >> 2, a2),
            FenceInsn::HfenceGvma(None) => self.hs(hart, HsInsn::GvmaVmid, 0, a2),
            FenceInsn::WInval => self.hs(hart, HsInsn::WInval, 0, 0),
            FenceInsn::HinvalGvma(gpa) => self.hs(hart, HsInsn::HinvalGvma, gpa.0 >> 2, a2),
            FenceInsn::InvalIr => self.hs(hart, HsInsn::InvalIr, 0, 0),
        };
        done.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_what_their_comments_say() {
        let lines = [
            "ld a0, 0(a1)",
            "sd a0, 0(a1)",
            "amoadd.d a2, a0, (a1)",
            "sfence.vma a1, a2",
            "sfence.vma a1, x0",
            "sfence.vma x0, a2",
            "sfence.vma x0, x0",
        ];
        assert_eq!(GUEST_PROGRAM.map(Some), lines.map(|line| isa::asm::assemble(line).ok()));
        let lines = [
            "jal x0, 0",
            "hfence.gvma a1, a2",
            "hfence.gvma x0, a2",
            "hfence.gvma x0, x0",
            "hfence.vvma x0, x0",
            "sfence.w.inval",
            "hinval.gvma a1, a2",
            "sfence.inval.ir",
            "hlv.d a0, (a1)",
            "hlvx.wu a0, (a1)",
            "ld a0, 0(a1)",
        ];
        assert_eq!(HS_PROGRAM.map(Some), lines.map(|line| isa::asm::assemble(line).ok()));
    }
}
