//! The part of a hart that instructions act on: registers, CSRs, memory port, counters. The
//! engine around it (decoded code, run loop) stands in `hart`, `code`, `chain` and `thread`.

use std::sync::Arc;

use isa::field::menvcfg::{ADUE, PBMTE};
use isa::field::{hstatus, mstatus};
use isa::{Cause, Ext, ExtSet, Mode, Pa, Privilege};
use mmu::{Errata, Fault, Mmu, Pmp, Ram, TranslationCsrs};
use timing::Clock;

use crate::HartConfig;
use crate::counters::Counters;
use crate::csr::CsrMap;
use crate::csr::environment::henvcfg;
use crate::memory::DataFault;
use crate::state::{Csrs, X_SLOTS};
use crate::watch::Watches;
use crate::witness::{Notice, Witness};

/// The extensions that the hart asks about while it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Has {
    pub(crate) misa: u64,
    pub(crate) c: bool,
    pub(crate) f: bool,
    pub(crate) s: bool,
    pub(crate) u: bool,
    pub(crate) h: bool,
    /// A translation mode besides Bare.
    pub(crate) paging: bool,
    pub(crate) sstc: bool,
    pub(crate) sscofpmf: bool,
    pub(crate) shlcofideleg: bool,
    pub(crate) smstateen: bool,
    pub(crate) ssnpm: bool,
    pub(crate) ssstateen: bool,
    pub(crate) smepmp: bool,
    pub(crate) smmpm: bool,
    pub(crate) smnpm: bool,
    pub(crate) ssdbltrp: bool,
    pub(crate) smdbltrp: bool,
    pub(crate) svadu: bool,
    pub(crate) svpbmt: bool,
    pub(crate) updates_ad_at_reset: bool,
    pub(crate) zicbom: bool,
    pub(crate) zicboz: bool,
    pub(crate) zkr: bool,
}

impl Has {
    fn new(exts: &ExtSet) -> Self {
        let has = |ext| exts.contains(ext);
        Self {
            misa: exts.misa(),
            c: has(Ext::Zca),
            f: has(Ext::F),
            s: has(Ext::S),
            u: has(Ext::U),
            h: has(Ext::H),
            paging: has(Ext::Sv39),
            sstc: has(Ext::Sstc),
            sscofpmf: has(Ext::Sscofpmf),
            shlcofideleg: has(Ext::Shlcofideleg),
            smstateen: has(Ext::Smstateen),
            ssnpm: has(Ext::Ssnpm),
            ssstateen: has(Ext::Ssstateen),
            smepmp: has(Ext::Smepmp),
            smmpm: has(Ext::Smmpm),
            smnpm: has(Ext::Smnpm),
            ssdbltrp: has(Ext::Ssdbltrp),
            smdbltrp: has(Ext::Smdbltrp),
            svadu: has(Ext::Svadu),
            svpbmt: has(Ext::Svpbmt),
            updates_ad_at_reset: exts.updates_ad_at_reset(),
            zicbom: has(Ext::Zicbom),
            zicboz: has(Ext::Zicboz),
            zkr: has(Ext::Zkr),
        }
    }
}

/// See the module. The integer registers come first, so that they have the hart's own address.
#[repr(C)]
pub(crate) struct Core {
    /// `x0`–`x31`, and the sink that takes writes to `x0`.
    pub(crate) x: [u64; X_SLOTS],
    pub(crate) hartid: u64,
    pub(crate) has: Has,
    pub(crate) geilen: u32,
    pub(crate) csr_map: CsrMap,
    pub(crate) clock: Clock,
    pub(crate) misaligned_traps: bool,
    /// Some mode masks pointers.
    pub(crate) masks: bool,

    pub(crate) f: [u64; 32],
    pub(crate) pc: u64,
    pub(crate) mode: Mode,
    pub(crate) csrs: Csrs,
    pub(crate) mmu: Mmu,
    pub(crate) ram: Arc<Ram>,

    /// Instructions retired since power-on.
    pub(crate) retired: u64,
    /// The hart's place in virtual time, in cycles since power-on.
    pub(crate) cycle: u64,
    /// How many operations of those that `exec` runs are in both counters already.
    pub(crate) settled: usize,
    /// Where the page is kept in which a thread stopped last.
    pub(crate) slot: u32,
    /// What was left of the room of a thread when it stopped, as an address of links.
    pub(crate) limit: u64,
    pub(crate) counters: Counters,
    entropy: u64,

    /// The reservation of the last LR: its address and size.
    pub(crate) reservation: Option<(Pa, u8)>,
    /// Interrupt lines into the hart, as `mip` bits.
    pub(crate) lines: u64,
    /// Guest external interrupt lines, as `hgeip` bits.
    pub(crate) guest_lines: u64,
    /// `mtime` at tick 0 of the clock.
    pub(crate) mtime_start: u64,
    /// The hart waits in WFI.
    pub(crate) waiting: bool,
    /// A device was accessed: meet the machine before the next instruction.
    pub(crate) device_accessed: bool,
    /// Interrupts, comparators or their enables changed: look again before the next instruction.
    pub(crate) recheck: bool,
    /// No interrupt that `mie` enables is pending, and none will be before something asks for attention.
    pub(crate) quiet: bool,
    /// The trap that M-mode could not take: the hart is in the critical-error state.
    pub(crate) critical: Option<Cause>,
    /// Where an instruction that trapped leaves the trap.
    pub(crate) fault: Option<DataFault>,
    /// Why the last translation failed, until the trap that follows is taken.
    pub(crate) why: Option<Fault>,
    /// Where the instruction that executes stands, counted from `pc`, wherever it can reach beyond the
    /// registers. It is set off the hot path only, where `pc` is not kept up.
    pub(crate) offset: i16,
    /// Who hears of what happens off the hot path.
    pub(crate) witness: Option<Box<dyn Witness>>,
    /// Memory that a debugger watches.
    pub(crate) watches: Watches,
    pub(crate) errata: Errata,
    /// HLV was the last access.
    #[cfg(feature = "faults")]
    pub(crate) after_hlv: bool,
}

impl Core {
    pub(crate) fn new(config: &HartConfig, ram: Arc<Ram>, mmu: Mmu) -> Self {
        let has = Has::new(&config.exts);
        let mut core = Self {
            hartid: config.hartid,
            has,
            geilen: if has.h { config.geilen.min(63) } else { 0 },
            csr_map: CsrMap::new(&config.exts),
            clock: config.clock,
            misaligned_traps: config.misaligned == crate::Misaligned::Trap,
            masks: false,
            x: [0; X_SLOTS],
            f: [0; 32],
            pc: config.reset_pc.0,
            mode: Mode::M,
            csrs: Csrs::default(),
            mmu,
            ram,
            retired: 0,
            cycle: 0,
            settled: 0,
            slot: 0,
            limit: 0,
            counters: Counters::default(),
            // Never zero, so that the xorshift generator moves.
            entropy: config.seed ^ config.hartid.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            reservation: None,
            lines: 0,
            guest_lines: 0,
            mtime_start: 0,
            waiting: false,
            device_accessed: false,
            recheck: true,
            quiet: false,
            fault: None,
            critical: None,
            why: None,
            offset: 0,
            witness: None,
            watches: Watches::default(),
            errata: config.errata,
            #[cfg(feature = "faults")]
            after_hlv: false,
        };
        core.reset(config.reset_pc.0);
        core
    }

    /// Reset [priv: machine, "Reset"]: M-mode, interrupts off, translation off, PMP entries off and
    /// unlocked. `menvcfg.ADUE` is what [`ExtSet::updates_ad_at_reset`] says.
    pub(crate) fn reset(&mut self, pc: u64) {
        if let Some(scene) = self.seen_at(self.pc) {
            self.tell(&scene, Notice::Reset);
        }
        self.pc = pc;
        self.mode = Mode::M;
        self.csrs = Csrs::default();
        self.csrs.mstatus = self.least_mpp();
        if self.has.smdbltrp {
            self.csrs.mstatus |= mstatus::MDT;
        }
        self.critical = None;
        self.csrs.stimecmp = u64::MAX;
        self.csrs.vstimecmp = u64::MAX;
        if self.has.updates_ad_at_reset {
            self.csrs.menvcfg = ADUE;
        }
        self.reset_counters();
        self.mmu.pmp = Pmp::new(self.mmu.pmp.entries());
        self.mmu.pmp_changed();
        self.reservation = None;
        self.waiting = false;
        self.recheck = true;
        self.masking_changed();
        self.translation_changed();
    }

    /// Brings the counters and the place to an operation of those that run, for what can observe them: the one
    /// after `index` others, `offset` bytes behind `pc`.
    #[cold]
    #[inline(never)]
    pub(crate) fn settle(&mut self, index: usize, offset: u16) {
        self.settle_block(index);
        self.settled = index;
        // A page has 4096 bytes.
        self.offset = offset as i16;
    }

    /// Brings the counters to where so many operations ran.
    #[inline]
    pub(crate) fn settle_block(&mut self, retired: usize) {
        let more = (retired - std::mem::take(&mut self.settled)) as u64;
        self.retired += more;
        self.cycle += more;
    }

    /// A register as an operand, or the sink.
    #[inline(always)]
    pub(crate) fn x(&self, r: u8) -> u64 {
        self.x[usize::from(r)]
    }

    /// Sets a register; decoding has put the sink in place of `x0`.
    #[inline(always)]
    pub(crate) fn set_x(&mut self, r: u8, value: u64) {
        self.x[usize::from(r)] = value;
    }

    /// FP instructions are illegal: FS is off, at V=1 in either register.
    #[inline]
    pub(crate) fn fp_is_off(&self) -> bool {
        self.csrs.mstatus & mstatus::FS == 0
            || self.mode.v() && self.csrs.vsstatus & mstatus::FS == 0
    }

    /// A status register changed: enables of interrupts, MPRV, SUM, MXR.
    pub(crate) fn status_changed(&mut self) {
        self.interrupts_changed();
        self.translation_changed();
    }

    /// The mode changed, and the status register with it; by an instruction that retires, or by none.
    pub(crate) fn mode_changed(&mut self, retires: bool) {
        self.status_changed();
        self.filter_counters(retires);
    }

    /// Something that decides whether an interrupt is taken changed.
    pub(crate) fn interrupts_changed(&mut self) {
        self.recheck = true;
    }

    /// Something that decides a translation changed: tell the MMU.
    pub(crate) fn translation_changed(&mut self) {
        let csrs = &self.csrs;
        let henvcfg = henvcfg(self);
        self.mmu.set_csrs(&TranslationCsrs {
            satp: csrs.satp,
            vsatp: csrs.vsatp,
            hgatp: csrs.hgatp,
            mxr: csrs.mstatus & mstatus::MXR != 0,
            sum: csrs.mstatus & mstatus::SUM != 0,
            vs_mxr: csrs.vsstatus & mstatus::MXR != 0,
            vs_sum: csrs.vsstatus & mstatus::SUM != 0,
            adue: csrs.menvcfg & ADUE != 0,
            vs_adue: henvcfg & ADUE != 0,
            pbmte: csrs.menvcfg & PBMTE != 0,
            vs_pbmte: henvcfg & PBMTE != 0,
        });
        let fetch = (self.mode.privilege(), self.mode.v());
        self.mmu.set_effective(fetch, self.data_privilege());
    }

    /// The privilege and V of explicit loads and stores: MPRV takes them from MPP and MPV.
    pub(crate) fn data_privilege(&self) -> (Privilege, bool) {
        if self.csrs.mstatus & mstatus::MPRV == 0 {
            return (self.mode.privilege(), self.mode.v());
        }
        let mpp = self.mpp();
        (mpp, mpp != Privilege::M && self.csrs.mstatus & mstatus::MPV != 0)
    }

    /// MPP of the least privilege there is, in place.
    pub(crate) fn least_mpp(&self) -> u64 {
        if self.has.u { 0 } else { mstatus::MPP }
    }

    pub(crate) fn mpp(&self) -> Privilege {
        let bits = (self.csrs.mstatus & mstatus::MPP) >> mstatus::MPP_SHIFT;
        // A write of what the hart does not have never lands.
        Privilege::from_bits(bits).unwrap_or(Privilege::U)
    }

    /// What a write to `satp` or `vsatp` stores; `None` where its MODE is not supported.
    pub(crate) fn atp(&self, value: u64) -> Option<u64> {
        self.mmu.config().legal_atp(value)
    }

    /// What a write to `hgatp` stores.
    pub(crate) fn hgatp(&self, value: u64) -> u64 {
        self.mmu.config().legal_hgatp(self.csrs.hgatp, value)
    }

    /// The bits of `hgeie` and `hgeip`: 1 to GEILEN.
    pub(crate) fn guest_external_lines(&self) -> u64 {
        (1u64 << self.geilen << 1).wrapping_sub(2)
    }

    pub(crate) fn hgeip(&self) -> u64 {
        self.guest_lines & self.guest_external_lines()
    }

    /// The guest external line that `hstatus.VGEIN` selects.
    pub(crate) fn selected_guest_line(&self) -> bool {
        let vgein = (self.csrs.hstatus & hstatus::VGEIN) >> hstatus::VGEIN_SHIFT;
        vgein != 0 && self.hgeip() >> vgein & 1 != 0
    }

    /// `time` as V=0 sees it, which is `mtime`; at V=1 the reader adds `htimedelta`.
    pub(crate) fn time(&self) -> u64 {
        self.clock.ticks(self.cycle).wrapping_add(self.mtime_start)
    }

    /// `time` as the current mode reads it.
    pub(crate) fn virtual_time(&self) -> u64 {
        let time = self.time();
        if self.mode.v() { time.wrapping_add(self.csrs.htimedelta) } else { time }
    }

    /// What `seed` reads: OPST=ES16 and sixteen bits of a seeded generator, so that runs repeat.
    pub(crate) fn entropy(&self) -> u64 {
        const ES16: u64 = 2 << 30;
        ES16 | self.entropy.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 48
    }

    /// The next sixteen bits (xorshift64*).
    pub(crate) fn advance_entropy(&mut self) {
        self.entropy ^= self.entropy >> 12;
        self.entropy ^= self.entropy << 25;
        self.entropy ^= self.entropy >> 27;
    }
}
