//! Interrupts: registers that show the same bits, what is pending, what is taken by whom, what ends WFI; against a
//! model written from the manual's text. And time: comparators that fire at their tick.

mod manual;
mod switches;
mod timers;

use std::sync::Arc;

use cpu::{Event, Exit, Hart, HartConfig, Platform, Target, Trapped, Wires};
use isa::field::mstatus;
use isa::{Ext, ExtSet, Mode, Pa, csr};
use mmu::{Bus, BusFault, PmaMap, Ram};

use crate::rig::BASE;
use manual::*;

/// A machine that is nothing but wires.
pub(super) struct Lines(pub(super) Wires);

impl Lines {
    pub(super) fn none() -> Self {
        Self(Wires { lines: 0, guest_lines: 0, mtime_start: 0, deadline: u64::MAX, stop: false })
    }
}

impl Bus for Lines {
    fn read(&mut self, _: Pa, _: u8) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: Pa, _: u8, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

impl Platform for Lines {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        self.0
    }

    fn advance(&mut self, _: u64) {}
}

/// A hart in M-mode with open PMP, this many guest external interrupt lines, and nothing else.
pub(super) fn hart(exts: ExtSet, geilen: u32) -> Hart {
    let ram = Arc::new(Ram::new(Pa(BASE), 8 << 20).expect("memory"));
    let config = HartConfig { geilen, ..HartConfig::new(0, exts) };
    let mut hart = Hart::new(&config, ram, Arc::new(PmaMap::default()));
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    hart
}

/// xorshift64: the same sequence each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }
}

/// What software writes. After each write all of them are compared, and `hgeip`.
const WRITTEN: [u16; 18] = [
    csr::MIP,
    csr::MIE,
    csr::MIDELEG,
    csr::SIP,
    csr::SIE,
    csr::HIP,
    csr::HIE,
    csr::HVIP,
    csr::HIDELEG,
    csr::HGEIE,
    csr::VSIP,
    csr::VSIE,
    csr::HSTATUS,
    csr::MENVCFG,
    csr::HENVCFG,
    csr::STIMECMP,
    csr::VSTIMECMP,
    csr::HTIMEDELTA,
];

/// Ticks that have passed when a story begins.
const NOW: u64 = 1_000;
/// Where the instructions that write CSRs lie, three for each register.
const WRITES: u64 = BASE + 0x1000;
const NOP: u64 = BASE + 0x2000;
const WFI: u64 = BASE + 0x3000;

/// A hart and the model beside it.
struct Story {
    hart: Hart,
    manual: Manual,
    lines: Lines,
    random: Random,
    done: Vec<String>,
}

impl Story {
    fn new(exts: ExtSet, geilen: u32, seed: u64) -> Self {
        let mut hart = hart(exts, geilen);
        for (row, number) in WRITTEN.iter().enumerate() {
            // CSRRW, CSRRS and CSRRC of a1, with the old value in a0.
            for funct3 in 1..=3u32 {
                let word = u32::from(*number) << 20 | 11 << 15 | funct3 << 12 | 10 << 7 | 0x73;
                let at = WRITES + 16 * row as u64 + 4 * u64::from(funct3);
                hart.ram().write(Pa(at), word).expect("RAM");
            }
        }
        for at in 0..16 {
            hart.ram().write(Pa(NOP + 4 * at), 0x13u32).expect("RAM");
        }
        hart.ram().write(Pa(WFI), 0x1050_0073u32).expect("RAM");
        hart.ram().write(Pa(WFI + 4), 0x13u32).expect("RAM");
        hart.set_csr(csr::MTVEC, BASE + 0x4001);
        hart.set_csr(csr::STVEC, BASE + 0x5001);
        hart.set_csr(csr::VSTVEC, BASE + 0x6001);
        let mut manual = Manual::new(geilen, exts.contains(Ext::Shlcofideleg));
        manual.time = NOW;
        Self { hart, manual, lines: Lines::none(), random: Random(seed), done: Vec::new() }
    }

    fn value_for(&mut self, number: u16) -> u64 {
        let random = self.random.next();
        match number {
            csr::HSTATUS => self.random.below(u64::from(self.manual.geilen) + 1) << 12,
            csr::MENVCFG | csr::HENVCFG => random & 1 << 63,
            // Both sides of now, and the ends.
            csr::STIMECMP | csr::VSTIMECMP => {
                [0, NOW - 1, NOW, NOW + 1, 5, u64::MAX][self.random.below(6) as usize]
            }
            csr::HTIMEDELTA => {
                let small = [0, 1, NOW, 0u64.wrapping_sub(NOW), 0u64.wrapping_sub(NOW + 1), 5];
                small[self.random.below(6) as usize]
            }
            // Bits 0 to 15 and sometimes others, which do not exist.
            _ if random & 7 == 0 => random >> 3,
            _ => random >> 3 & 0xffff,
        }
    }

    /// Writes a register with one of the three instructions, or moves a line.
    fn act(&mut self) {
        if self.random.below(4) == 0 {
            self.lines.0.lines = self.random.next() >> 8 & (MSI | MTI | MEI | SEI);
            self.lines.0.guest_lines = self.random.next() >> 8;
            self.manual.lines = self.lines.0.lines;
            self.manual.guest_lines = self.lines.0.guest_lines;
            // The hart looks at its wires.
            self.hart.wakes(&mut self.lines);
            self.done.push(format!("lines {:#x}", self.lines.0.lines));
            return;
        }
        let row = self.random.below(WRITTEN.len() as u64) as usize;
        let number = WRITTEN[row];
        // The comparators and WLRL fields are written as a whole.
        let whole =
            matches!(number, csr::HSTATUS | csr::STIMECMP | csr::VSTIMECMP | csr::HTIMEDELTA);
        let form = if whole { 0 } else { self.random.below(3) };
        let value = self.value_for(number);
        let base = self.manual.base(number);
        let read = self.manual.read(number);
        self.manual.write(number, [value, base | value, base & !value][form as usize]);
        self.hart.set_mode(Mode::M);
        self.hart.set_csr(csr::MSTATUS, 0);
        self.hart.set_x(11, value);
        self.hart.set_pc(WRITES + 16 * row as u64 + 4 * (form + 1));
        self.set_now();
        self.hart.step_logged(&mut self.lines, &mut |event| {
            assert!(matches!(event, Event::Commit(_)), "{event:?}");
        });
        let name = csr::by_number(number).expect("a CSR").name;
        self.done
            .push(format!("{} {name}, {value:#x}", ["csrrw", "csrrs", "csrrc"][form as usize]));
        let mask = if number == csr::HSTATUS { 0x3_f000 } else { u64::MAX };
        assert_eq!(self.hart.x(10) & mask, read, "{name} before {:?}", self.done);
    }

    fn set_now(&mut self) {
        // 100 cycles a tick; in the middle of one, so that a step stays in it.
        self.hart.set_cycle(NOW * 100 + 50);
    }

    fn compare(&mut self) {
        for number in WRITTEN.into_iter().chain([csr::HGEIP]) {
            let mask = match number {
                csr::HSTATUS => 0x3_f000,
                _ => u64::MAX,
            };
            assert_eq!(
                self.hart.csr(number).expect("it exists") & mask,
                self.manual.read(number),
                "{} after {:?}",
                csr::by_number(number).expect("a CSR").name,
                self.done
            );
        }
    }

    /// One instruction in a mode with random global enables: the interrupt that must be taken before it.
    fn step_somewhere(&mut self) {
        let mode = [Mode::M, Mode::S, Mode::U, Mode::VS, Mode::VU][self.random.below(5) as usize];
        let [mie, sie, vs_sie] = [(); 3].map(|()| self.random.below(2) != 0);
        let at = |yes: bool, bits: u64| if yes { bits } else { 0 };
        self.hart.set_csr(csr::MSTATUS, at(mie, mstatus::MIE) | at(sie, mstatus::SIE));
        self.hart.set_csr(csr::VSSTATUS, at(vs_sie, mstatus::SIE));
        self.hart.set_mode(mode);
        self.hart.set_pc(NOP);
        self.set_now();
        let expected = self.manual.taken(mode, mie, sie, vs_sie);
        let mut taken: Option<Trapped> = None;
        self.hart.step_logged(&mut self.lines, &mut |event| {
            if let Event::Trap(trap) = event {
                taken = Some(trap);
            }
        });
        let done = taken.map(|trap| {
            let (taker, cause, epc, base) = match trap.target {
                Target::M => (Taker::M, csr::MCAUSE, csr::MEPC, BASE + 0x4000),
                Target::Hs => (Taker::Hs, csr::SCAUSE, csr::SEPC, BASE + 0x5000),
                Target::Vs => (Taker::Vs, csr::VSCAUSE, csr::VSEPC, BASE + 0x6000),
            };
            let cause = self.hart.csr(cause).expect("a cause");
            assert_eq!(cause >> 63, 1);
            assert_eq!(self.hart.csr(epc), Some(NOP));
            let code = cause & !(1 << 63);
            // Vectored, by the code that the taker sees.
            assert_eq!(self.hart.pc(), base + 4 * code);
            let to = match taker {
                Taker::M => Mode::M,
                Taker::Hs => Mode::S,
                Taker::Vs => Mode::VS,
            };
            assert_eq!(self.hart.mode(), to);
            assert_eq!((trap.tval, trap.tval2, trap.tinst), (0, 0, 0));
            (taker, code)
        });
        assert_eq!(
            done, expected,
            "in {mode}, MIE={mie} SIE={sie} vsstatus.SIE={vs_sie}, after {:?}",
            self.done
        );
    }

    fn wait_somewhere(&mut self) {
        // Global enables off, in the mode that such a WFI is for: nothing is taken below M's own.
        self.hart.set_csr(csr::MSTATUS, 0);
        self.hart.set_mode(Mode::M);
        self.hart.set_pc(WFI);
        self.set_now();
        let exit = self.hart.run(&mut self.lines, 2);
        let expected = if self.manual.wakes() { Exit::Budget } else { Exit::Wfi };
        assert_eq!(exit, expected, "after {:?}", self.done);
        assert_eq!(self.hart.pc(), if self.manual.wakes() { WFI + 8 } else { WFI + 4 });
        self.hart.set_waiting(false);
    }
}

/// A few hundred stories of some dozens of acts, with LCOFI for guests and without, and with lines for them and
/// without.
fn tell(check: impl Fn(&mut Story)) {
    let mut without = ExtSet::default_set();
    without.remove(Ext::Shlcofideleg);
    for exts in [ExtSet::default_set(), without] {
        for geilen in [0, 3] {
            tell_of(exts, geilen, &check);
        }
    }
}

fn tell_of(exts: ExtSet, geilen: u32, check: &impl Fn(&mut Story)) {
    for seed in 1..200u64 {
        let mut story = Story::new(exts, geilen, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // From reset on, but for what the model has at zero.
        for number in WRITTEN {
            story.hart.set_csr(number, story.manual.read(number));
        }
        for _ in 0..60 {
            story.act();
            check(&mut story);
        }
    }
}

// norm: mip_sz_acc, mip_bits_wr_op, mip_meip_rdonly, mip_mtip_rdonly, mip_msip_rdonly, mip_seip_acc, mip_seip_rdcsr
// norm: mip_seip_wrcsr, intr_sei_op, mip_ssip_acc, mip_stip_stimecmp_acc, mip_stip_no_stimecmp_acc, mip_lcofip_acc
// norm: mip_stip_stimecmp_op2, mip_mie_vs, mip_mie_alias, mideleg_acc_h, mideleg_hroz
// norm: sip_sie, sip_acc, sip_op, sie_acc, sip_seip_sie_seie, sip_stip_sie_stie, sip_ssip_sie_ssie, sip_sie_Sscofpmf
// norm: sip_sie_warl, sie_hip_hie_mutex, hip_op, hie_op, hip_acc, hip_vseip_vseie_op, hip_vstip_vstie_acc_op
// norm: hip_vssip_vssie_op, hip_sgeip_sgeie_acc_op, hgeip_hgeie_fields, hgeie_op, hstatus_vgein_op
// norm: vsip_vsie_sz_acc_op, vsip_vsie_lcofi, vsip_vsie_sei, vsip_vsie_sti, vsip_vsie_ssi, hip_vstip_op
// norm: mip_enc_img, mip_std_enc_img, hip_img, vsip_img, vsie_img, mip_stip_mie_stie_op, mip_ssip_mie_ssie_op
// norm: mip_stip_no_stimecmp_op2
#[test]
fn views_of_one_interrupt_bit_agree_after_any_writes() {
    tell(Story::compare);
}

// norm: intr_mip_mie_op, intr_M_mode_highest_pri, intr_M_mode_pri, trap_del_intr_priv_lvl, mstatus_xie_intr_en_dis
// norm: mstatus_mie_sie_op2, sie_sip_supervisor_strap, s_interrupt_priority, sip_sie_priority_bit_order
// norm: sstatus_sie, hideleg_op, hideleg_trans, hideleg_hs, hsint_priority, H_trap_deleg, H_trap_xtinst_interrupt
// norm: hip_vstip_enable, H_cause, mtvec_mode_vectored_op, mcause_intr_op, scause_interrupt
// norm: mip_meip_mie_meie_op, mip_seip_mie_seie_op, mstatus_mie_sie_op1
#[test]
fn the_interrupt_of_highest_priority_is_taken_by_whom_it_is_delegated_to() {
    tell(|story| {
        for _ in 0..4 {
            story.step_somewhere();
        }
    });
}

// norm: wfi_resume_reason, wfi_op, wfi_unaffected_conditions, wfi_intr_dis, wfi_no_intr_pc
#[test]
fn waiting_ends_by_what_is_pending_and_enabled_by_itself() {
    tell(Story::wait_somewhere);
}
