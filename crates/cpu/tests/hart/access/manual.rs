//! Who may do what, as the manual's text has it: a model in a few rules, written from that text alone.
//!
//! It knows nothing of the hart; both meet in `bench`. A ruling names its rule, so that a disagreement says
//! which sentence of the manual is at stake.

use isa::field::{henvcfg, hstatus, menvcfg, mseccfg, mstatus, senvcfg, stateen0};
use isa::{Exception, Ext, ExtSet, Mode, Privilege, csr};

/// The CSRs of the extensions that are built [priv: csrs, "CSR Listing"]: first and last number, and what they need.
const LISTED: &[(u16, u16, &[Ext])] = &[
    (0x001, 0x003, &[Ext::F]),
    (0x015, 0x015, &[Ext::Zkr]),
    (0xc00, 0xc02, &[Ext::Zicntr]),
    (0xc03, 0xc1f, &[Ext::Zihpm]),
    (0x100, 0x100, &[Ext::S]),
    (0x104, 0x106, &[Ext::S]),
    (0x10a, 0x10a, &[Ext::S]),
    (0x10c, 0x10f, &[Ext::Ssstateen]),
    (0x140, 0x144, &[Ext::S]),
    (0x14d, 0x14d, &[Ext::Sstc]),
    (0x180, 0x180, &[Ext::S]),
    (0xda0, 0xda0, &[Ext::Sscofpmf]),
    (0x600, 0x600, &[Ext::H]),
    (0x602, 0x607, &[Ext::H]),
    (0x60a, 0x60a, &[Ext::H]),
    (0x60c, 0x60f, &[Ext::H, Ext::Ssstateen]),
    (0x643, 0x645, &[Ext::H]),
    (0x64a, 0x64a, &[Ext::H]),
    (0x680, 0x680, &[Ext::H]),
    (0xe12, 0xe12, &[Ext::H]),
    (0x200, 0x200, &[Ext::H]),
    (0x204, 0x205, &[Ext::H]),
    (0x240, 0x244, &[Ext::H]),
    (0x24d, 0x24d, &[Ext::H, Ext::Sstc]),
    (0x280, 0x280, &[Ext::H]),
    (0xf11, 0xf15, &[]),
    (0x300, 0x301, &[]),
    (0x302, 0x303, &[Ext::S]),
    (0x304, 0x305, &[]),
    (0x306, 0x306, &[Ext::U]),
    (0x30a, 0x30a, &[Ext::U]),
    (0x30c, 0x30f, &[Ext::Smstateen]),
    (0x320, 0x320, &[]),
    (0x321, 0x322, &[Ext::Smcntrpmf]),
    (0x323, 0x33f, &[]),
    (0x340, 0x344, &[]),
    (0x34a, 0x34b, &[Ext::H]),
    (0x34b, 0x34b, &[Ext::Ssdbltrp]),
    (0x3b0, 0x3ef, &[]),
    (0x747, 0x747, &[Ext::Zkr]),
    (0x747, 0x747, &[Ext::Smepmp]),
    (0x7a0, 0x7a4, &[]),
    (0xb00, 0xb00, &[]),
    (0xb02, 0xb1f, &[]),
];

/// Something software attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    /// An access to a CSR.
    Csr {
        number: u16,
        writes: bool,
    },
    Mret,
    Sret,
    Wfi,
    /// WRS.NTO and WRS.STO.
    Wrs,
    /// SFENCE.VMA and SINVAL.VMA.
    SfenceVma,
    /// SFENCE.W.INVAL and SFENCE.INVAL.IR.
    SfenceOrder,
    /// HFENCE.VVMA and HINVAL.VVMA.
    HfenceVvma,
    /// HFENCE.GVMA and HINVAL.GVMA.
    HfenceGvma,
    /// HLV, HLVX, HSV.
    GuestAccess,
    CboInval,
    /// CBO.CLEAN and CBO.FLUSH.
    CboClean,
    CboZero,
    /// Anything that needs the `f` registers.
    Float,
    Ecall,
    /// An instruction of the base ISA.
    Plain,
}

/// The bits that grant and withhold, by register. A register that is not among them counts as zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Controls(Vec<(u16, u64)>);

impl Controls {
    pub(crate) fn of(&self, number: u16) -> u64 {
        self.0.iter().find(|(at, _)| *at == number).map_or(0, |(_, bits)| *bits)
    }

    pub(crate) fn set(&mut self, number: u16, mask: u64, bits: u64) {
        match self.0.iter_mut().find(|(at, _)| *at == number) {
            Some((_, old)) => *old = *old & !mask | bits & mask,
            None => self.0.push((number, bits & mask)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().copied()
    }
}

/// What must happen, and which rule says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ruling {
    /// The exception; `None` where the deed is done.
    pub(crate) exception: Option<Exception>,
    pub(crate) rule: &'static str,
}

type Verdict = Result<(), Ruling>;

fn illegal(rule: &'static str) -> Ruling {
    Ruling { exception: Some(Exception::IllegalInstruction), rule }
}

fn virtual_instruction(rule: &'static str) -> Ruling {
    Ruling { exception: Some(Exception::VirtualInstruction), rule }
}

/// A hart as the manual sees it.
pub(crate) struct Manual<'a> {
    pub(crate) exts: &'a ExtSet,
    pub(crate) controls: &'a Controls,
}

impl Manual<'_> {
    /// What must happen when `deed` is attempted in `mode`.
    pub(crate) fn rule(&self, mode: Mode, deed: Deed) -> Ruling {
        match self.judge(mode, deed) {
            Err(ruling) => ruling,
            Ok(()) => Ruling { exception: None, rule: "nothing forbids it" },
        }
    }

    fn judge(&self, mode: Mode, deed: Deed) -> Verdict {
        if deed == Deed::Ecall {
            return Err(Ruling { exception: Some(ecall(mode)), rule: "ECALL" });
        }
        self.exists(deed)?;
        self.fp_is_on(mode, deed)?;
        if mode == Mode::M {
            return Ok(());
        }
        if mode.v() {
            // "HS-qualified": valid in HS-mode if TSR and TVM were zero. Else it is illegal in a guest too.
            self.judge_below_m(Mode::S, deed, false)?;
            return self.judge_guest(mode, deed);
        }
        self.judge_below_m(mode, deed, true)
    }

    fn exists(&self, deed: Deed) -> Verdict {
        let needed = match deed {
            Deed::Sret | Deed::SfenceVma | Deed::SfenceOrder => Ext::S,
            Deed::HfenceVvma | Deed::HfenceGvma | Deed::GuestAccess => Ext::H,
            _ => Ext::I,
        };
        if !self.exts.contains(needed) {
            return Err(illegal("an instruction of an extension that is not there"));
        }
        let Deed::Csr { number, writes } = deed else { return Ok(()) };
        let pmpcfg = (0x3a0..=0x3ae).contains(&number) && number % 2 == 0;
        let listed = LISTED.iter().any(|(first, last, needs)| {
            (*first..=*last).contains(&number) && needs.iter().all(|ext| self.exts.contains(*ext))
        });
        if !listed && !pmpcfg {
            return Err(illegal("no such CSR"));
        }
        if writes && number >> 10 == 3 {
            return Err(illegal("a read-only CSR cannot be written"));
        }
        // Reading an entropy source must not be possible without drawing from it.
        if number == csr::SEED && !writes {
            return Err(illegal("seed cannot be read without a write"));
        }
        Ok(())
    }

    /// FS off makes it illegal, never virtual.
    fn fp_is_on(&self, mode: Mode, deed: Deed) -> Verdict {
        let needs_fp = match deed {
            Deed::Float => true,
            Deed::Csr { number, .. } => number <= csr::FCSR,
            _ => false,
        };
        let off = |number| self.controls.of(number) & mstatus::FS == 0;
        if needs_fp && off(csr::MSTATUS) {
            return Err(illegal("sstatus.FS is off"));
        }
        if needs_fp && mode.v() && off(csr::VSSTATUS) {
            return Err(illegal("vsstatus.FS is off"));
        }
        Ok(())
    }

    fn on(&self, number: u16, bits: u64) -> bool {
        self.controls.of(number) & bits != 0
    }

    /// Whether a supervisor's register withholds something from U. Without S-mode there is none.
    fn supervisor_withholds(&self, number: u16, bits: u64) -> bool {
        self.exts.contains(Ext::S) && !self.on(number, bits)
    }

    /// HS and U, at V=0.
    fn judge_below_m(&self, mode: Mode, deed: Deed, tvm_and_tsr_count: bool) -> Verdict {
        let user = mode.privilege() == Privilege::U;
        let tvm = tvm_and_tsr_count && self.on(csr::MSTATUS, mstatus::TVM);
        let tsr = tvm_and_tsr_count && self.on(csr::MSTATUS, mstatus::TSR);
        let forbid = |yes: bool, rule| if yes { Err(illegal(rule)) } else { Ok(()) };
        match deed {
            Deed::Csr { number, .. } => self.judge_csr_below_m(user, number, tvm),
            Deed::Mret => Err(illegal("MRET is M-mode's")),
            Deed::Sret => {
                forbid(user, "SRET in U-mode")?;
                forbid(tsr, "TSR keeps HS-mode from SRET")
            }
            Deed::Wfi => {
                // Where it may or may not complete in bounded time, this hart never lets it.
                forbid(self.on(csr::MSTATUS, mstatus::TW), "TW")?;
                forbid(user && self.exts.contains(Ext::S), "WFI in U-mode, where S-mode exists")
            }
            // Completes in bounded time, so that TW has nothing to trap.
            Deed::Wrs | Deed::Plain => Ok(()),
            Deed::SfenceVma => {
                forbid(user, "fences in U-mode")?;
                forbid(tvm, "TVM keeps HS-mode from SFENCE.VMA and SINVAL.VMA")
            }
            Deed::SfenceOrder => forbid(user, "fences in U-mode"),
            Deed::HfenceVvma => forbid(user, "fences in U-mode"),
            Deed::HfenceGvma => {
                forbid(user, "fences in U-mode")?;
                forbid(tvm, "TVM keeps HS-mode from HFENCE.GVMA and HINVAL.GVMA")
            }
            Deed::GuestAccess => {
                forbid(user && !self.on(csr::HSTATUS, hstatus::HU), "HU keeps U-mode from HLV")
            }
            Deed::CboInval | Deed::CboClean | Deed::CboZero => {
                let (m, _, s) = cbo_fields(deed);
                forbid(!self.on(csr::MENVCFG, m), "menvcfg withholds the CBO")?;
                let below = user && self.supervisor_withholds(csr::SENVCFG, s);
                forbid(below, "senvcfg withholds the CBO from U-mode")
            }
            Deed::Float | Deed::Ecall => Ok(()),
        }
    }

    fn judge_csr_below_m(&self, user: bool, number: u16, tvm: bool) -> Verdict {
        let level = number >> 8 & 3;
        if level == 3 || user && level != 0 {
            return Err(illegal("the number's privilege is above the mode's"));
        }
        let forbid = |yes: bool, rule| if yes { Err(illegal(rule)) } else { Ok(()) };
        match number {
            csr::SATP => forbid(tvm, "TVM keeps HS-mode from satp"),
            csr::HGATP => forbid(tvm, "TVM keeps HS-mode from hgatp"),
            0xc00..=0xc1f => {
                let bit = 1 << (number & 0x1f);
                forbid(!self.on(csr::MCOUNTEREN, bit), "mcounteren withholds the counter")?;
                let below = user && self.supervisor_withholds(csr::SCOUNTEREN, bit);
                forbid(below, "scounteren withholds the counter from U-mode")
            }
            csr::STIMECMP | csr::VSTIMECMP => {
                forbid(!self.on(csr::MENVCFG, menvcfg::STCE), "menvcfg.STCE is off")?;
                forbid(!self.on(csr::MCOUNTEREN, 2), "mcounteren.TM withholds the comparators")
            }
            csr::SENVCFG | csr::HENVCFG => forbid(
                !self.state_is_enabled(csr::MSTATEEN0, stateen0::ENVCFG),
                "mstateen0.ENVCFG withholds senvcfg and henvcfg",
            ),
            0x10c..=0x10f | 0x60c..=0x60f => forbid(
                !self.state_is_enabled(csr::MSTATEEN0 + (number & 3), stateen0::SE),
                "mstateen.SE withholds sstateen and hstateen",
            ),
            csr::SEED if user => {
                forbid(!self.on(csr::MSECCFG, mseccfg::USEED), "USEED withholds seed from U-mode")
            }
            csr::SEED => {
                forbid(!self.on(csr::MSECCFG, mseccfg::SSEED), "SSEED withholds seed from HS-mode")
            }
            _ => Ok(()),
        }
    }

    /// Without Smstateen nothing is withheld by a register that does not exist.
    fn state_is_enabled(&self, number: u16, bit: u64) -> bool {
        let machine_level = number >> 8 == 3;
        machine_level && !self.exts.contains(Ext::Smstateen)
            || !self.exts.contains(Ext::Ssstateen)
            || self.on(number, bit)
    }

    /// VS and VU, for what HS-mode could do.
    fn judge_guest(&self, mode: Mode, deed: Deed) -> Verdict {
        let user = mode.privilege() == Privilege::U;
        let forbid = |yes: bool, rule| if yes { Err(virtual_instruction(rule)) } else { Ok(()) };
        let vtvm = self.on(csr::HSTATUS, hstatus::VTVM);
        match deed {
            Deed::Csr { number, .. } => self.judge_guest_csr(user, number, vtvm),
            Deed::Sret => {
                forbid(user, "SRET in VU-mode")?;
                forbid(self.on(csr::HSTATUS, hstatus::VTSR), "VTSR keeps VS-mode from SRET")
            }
            Deed::Wfi => {
                forbid(user, "WFI in VU-mode")?;
                forbid(self.on(csr::HSTATUS, hstatus::VTW), "VTW keeps VS-mode from WFI")
            }
            Deed::SfenceVma => {
                forbid(user, "fences in VU-mode")?;
                forbid(vtvm, "VTVM keeps VS-mode from SFENCE.VMA and SINVAL.VMA")
            }
            Deed::SfenceOrder => forbid(user, "fences in VU-mode"),
            Deed::HfenceVvma | Deed::HfenceGvma | Deed::GuestAccess => {
                forbid(true, "hypervisor instructions at V=1")
            }
            Deed::CboInval | Deed::CboClean | Deed::CboZero => {
                let (_, h, s) = cbo_fields(deed);
                forbid(!self.on(csr::HENVCFG, h), "henvcfg withholds the CBO")?;
                forbid(user && !self.on(csr::SENVCFG, s), "senvcfg withholds the CBO from VU-mode")
            }
            Deed::Mret | Deed::Wrs | Deed::Float | Deed::Ecall | Deed::Plain => Ok(()),
        }
    }

    fn judge_guest_csr(&self, user: bool, number: u16, vtvm: bool) -> Verdict {
        let forbid = |yes: bool, rule| if yes { Err(virtual_instruction(rule)) } else { Ok(()) };
        let level = number >> 8 & 3;
        forbid(level == 2, "hypervisor and VS CSRs at V=1")?;
        forbid(user && level == 1, "supervisor CSRs in VU-mode")?;
        match number {
            csr::SATP => forbid(vtvm, "VTVM keeps VS-mode from satp"),
            0xc00..=0xc1f => {
                let bit = 1 << (number & 0x1f);
                forbid(!self.on(csr::HCOUNTEREN, bit), "hcounteren withholds the counter")?;
                let below = user && !self.on(csr::SCOUNTEREN, bit);
                forbid(below, "scounteren withholds the counter from VU-mode")
            }
            csr::STIMECMP => {
                forbid(!self.on(csr::HENVCFG, henvcfg::STCE), "henvcfg.STCE is off")?;
                forbid(!self.on(csr::HCOUNTEREN, 2), "hcounteren.TM withholds vstimecmp")
            }
            csr::SENVCFG => forbid(
                !self.state_is_enabled(csr::HSTATEEN0, stateen0::ENVCFG),
                "hstateen0.ENVCFG withholds senvcfg",
            ),
            0x10c..=0x10f => forbid(
                !self.state_is_enabled(csr::HSTATEEN0 + (number & 3), stateen0::SE),
                "hstateen.SE withholds sstateen",
            ),
            csr::SEED => forbid(true, "seed at V=1"),
            _ => Ok(()),
        }
    }
}

fn ecall(mode: Mode) -> Exception {
    match mode {
        Mode::U | Mode::VU => Exception::EcallU,
        Mode::S => Exception::EcallS,
        Mode::VS => Exception::EcallVs,
        Mode::M => Exception::EcallM,
    }
}

/// What enables a CBO in `menvcfg`, `henvcfg` and `senvcfg`.
fn cbo_fields(deed: Deed) -> (u64, u64, u64) {
    match deed {
        Deed::CboInval => (menvcfg::CBIE, henvcfg::CBIE, senvcfg::CBIE),
        Deed::CboZero => (menvcfg::CBZE, henvcfg::CBZE, senvcfg::CBZE),
        _ => (menvcfg::CBCFE, henvcfg::CBCFE, senvcfg::CBCFE),
    }
}
