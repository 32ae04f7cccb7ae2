//! Where the manual's model and the hart meet: every deed in every mode under settings of the controls.

use std::sync::Arc;

use cpu::{Event, Hart, HartConfig};
use isa::asm::Program;
use isa::field::{hstatus, menvcfg, mseccfg, mstatus, stateen0};
use isa::{Cause, Exception, Ext, ExtSet, Mode, Pa, csr};
use mmu::{PmaMap, Ram};

use super::manual::{Controls, Deed, Manual, Ruling};
use crate::rig::{BASE, DATA, Empty};

/// The modes of a hart with these extensions.
fn modes(exts: &ExtSet) -> impl Iterator<Item = Mode> + use<> {
    let exts = *exts;
    let all = [
        (Mode::M, Ext::I),
        (Mode::U, Ext::U),
        (Mode::S, Ext::S),
        (Mode::VS, Ext::H),
        (Mode::VU, Ext::H),
    ];
    all.into_iter().filter(move |(_, ext)| exts.contains(*ext)).map(|(mode, _)| mode)
}

/// Some bits of a register, switched on and off together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toggle(pub(crate) u16, pub(crate) u64);

const ALL_COUNTERS: u64 = 0xffff_ffff;
const CBO: u64 = menvcfg::CBIE | menvcfg::CBCFE | menvcfg::CBZE;

/// Every control: what a sweep does not switch itself is all off in one half of it and all on in the other. Enables
/// of the machine come before those they gate.
const EVERYTHING: &[Toggle] = &[
    Toggle(csr::MSTATUS, mstatus::TVM),
    Toggle(csr::MSTATUS, mstatus::TW),
    Toggle(csr::MSTATUS, mstatus::TSR),
    Toggle(csr::MSTATUS, mstatus::FS),
    Toggle(csr::HSTATUS, hstatus::VTVM),
    Toggle(csr::HSTATUS, hstatus::VTW),
    Toggle(csr::HSTATUS, hstatus::VTSR),
    Toggle(csr::HSTATUS, hstatus::HU),
    Toggle(csr::HSTATUS, hstatus::SPVP),
    Toggle(csr::VSSTATUS, mstatus::FS),
    Toggle(csr::MENVCFG, menvcfg::STCE),
    Toggle(csr::MENVCFG, CBO),
    Toggle(csr::HENVCFG, menvcfg::STCE),
    Toggle(csr::HENVCFG, CBO),
    Toggle(csr::SENVCFG, CBO),
    Toggle(csr::MCOUNTEREN, ALL_COUNTERS),
    Toggle(csr::HCOUNTEREN, ALL_COUNTERS),
    Toggle(csr::SCOUNTEREN, ALL_COUNTERS),
    Toggle(csr::MSTATEEN0, stateen0::SE | stateen0::ENVCFG),
    Toggle(csr::MSTATEEN1, stateen0::SE),
    Toggle(csr::MSTATEEN2, stateen0::SE),
    Toggle(csr::MSTATEEN3, stateen0::SE),
    Toggle(csr::HSTATEEN0, stateen0::SE | stateen0::ENVCFG),
    Toggle(csr::HSTATEEN1, stateen0::SE),
    Toggle(csr::HSTATEEN2, stateen0::SE),
    Toggle(csr::HSTATEEN3, stateen0::SE),
    Toggle(csr::MSECCFG, mseccfg::SSEED),
    Toggle(csr::MSECCFG, mseccfg::USEED),
];

/// An instruction of the bench and where it lies.
struct Sample {
    deed: Deed,
    text: String,
    pc: u64,
}

/// A hart with one of each instruction in its memory.
pub(crate) struct Bench {
    exts: ExtSet,
    hart: Hart,
    samples: Vec<Sample>,
    wrong: Vec<String>,
    cells: u64,
}

impl Bench {
    /// With these instructions, in assembly, and these CSRs, each read in two ways and written in two.
    pub(crate) fn new(
        exts: ExtSet,
        instructions: &[(Deed, &str)],
        csrs: impl IntoIterator<Item = u16>,
    ) -> Self {
        let ram = Arc::new(Ram::new(Pa(BASE), 1 << 20).expect("memory"));
        let mut samples = Vec::new();
        let mut add = |deed, text: String, word: &[u8]| {
            // Away from `DATA`, which instructions write to.
            let pc = BASE + 0x1_0000 + 4 * samples.len() as u64;
            ram.write_bytes(Pa(pc), word).expect("room for the instruction");
            samples.push(Sample { deed, text, pc });
        };
        for &(deed, text) in instructions {
            let program = Program::assemble(BASE, text).expect(text);
            add(deed, text.to_owned(), &program.bytes);
        }
        // rd=a0; rs1=x0, or a1, which holds what `prepare` puts there.
        for number in csrs {
            let forms = [
                (false, 2, 0, "csrrs a0"),
                (false, 7, 0, "csrrci a0"),
                (true, 2, 11, "csrrs a0"),
                (true, 1, 11, "csrrw a0"),
            ];
            for (writes, funct3, rs1, text) in forms {
                let word = u32::from(number) << 20 | rs1 << 15 | funct3 << 12 | 10 << 7 | 0x73;
                let name = csr::by_number(number).map_or("?", |row| row.name);
                let text =
                    format!("{text}, {name} ({number:#x}), {}", ["x0", "a1"][usize::from(writes)]);
                add(Deed::Csr { number, writes }, text, &word.to_le_bytes());
            }
        }
        let config = HartConfig { geilen: 3, ..HartConfig::new(0, exts) };
        let mut hart = Hart::new(&config, ram, Arc::new(PmaMap::default()));
        hart.set_csr(csr::PMPADDR0, u64::MAX);
        hart.set_csr(csr::PMPCFG0, 0x1f);
        hart.set_csr(csr::MTVEC, BASE + 0x4000);
        hart.set_x(8, DATA);
        Self { exts, hart, samples, wrong: Vec::new(), cells: 0 }
    }

    /// Every instruction in every mode under every setting of `toggles`, once with every other control off and once
    /// with all of them on.
    pub(crate) fn sweep(&mut self, toggles: &[Toggle]) {
        for others in [false, true] {
            for setting in 0..1u32 << toggles.len() {
                let mut controls = Controls::default();
                for Toggle(number, bits) in EVERYTHING {
                    controls.set(*number, *bits, if others { *bits } else { 0 });
                }
                for (index, Toggle(number, bits)) in toggles.iter().enumerate() {
                    let on = setting >> index & 1 != 0;
                    controls.set(*number, *bits, if on { *bits } else { 0 });
                }
                self.try_all(&controls);
            }
        }
    }

    /// Every instruction in every mode under `count` random settings of all controls.
    pub(crate) fn scatter(&mut self, count: u32) {
        // xorshift64: any sequence will do, as long as it is the same each time.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..count {
            let mut controls = Controls::default();
            for Toggle(number, bits) in EVERYTHING {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                controls.set(*number, *bits, if state >> 40 & 1 != 0 { *bits } else { 0 });
            }
            self.try_all(&controls);
        }
    }

    fn try_all(&mut self, controls: &Controls) {
        self.prepare(controls);
        for mode in modes(&self.exts) {
            for index in 0..self.samples.len() {
                let deed = self.samples[index].deed;
                let ruling = Manual { exts: &self.exts, controls }.rule(mode, deed);
                let done = self.attempt(mode, index);
                self.cells += 1;
                if done != ruling.exception && self.wrong.len() < 20 {
                    let text = &self.samples[index].text;
                    self.wrong.push(complaint(text, mode, controls, ruling, done));
                }
                if done.is_none() {
                    // It may have changed anything: FS, V by SRET, a control by its own write.
                    self.prepare(controls);
                }
            }
        }
    }

    fn prepare(&mut self, controls: &Controls) {
        for (number, bits) in controls.iter() {
            self.hart.set_csr(number, bits);
        }
    }

    /// The exception that the instruction raises; `None` if it retires.
    fn attempt(&mut self, mode: Mode, index: usize) -> Option<Exception> {
        let Sample { deed, pc, .. } = self.samples[index];
        // A write changes nothing: CSRRW writes what stands there. At V=1 that may be another register's value, and
        // `prepare` follows.
        let value = match deed {
            Deed::Csr { number, .. } if self.samples[index].text.starts_with("csrrw") => {
                self.hart.csr(number).unwrap_or(0)
            }
            _ => 0,
        };
        self.hart.set_x(11, value);
        self.hart.set_mode(mode);
        self.hart.set_pc(pc);
        let mut cause = None;
        self.hart.step_logged(&mut Empty, &mut |event| {
            if let Event::Trap(trap) = event {
                cause = Some(trap.cause);
            }
        });
        self.hart.set_waiting(false);
        match cause {
            None => None,
            Some(Cause::Exception(exception)) => Some(exception),
            Some(Cause::Interrupt(interrupt)) => panic!("{interrupt}"),
        }
    }

    /// Fails if any cell did; says how many there were.
    pub(crate) fn finish(self) -> u64 {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong.join("\n"));
        self.cells
    }
}

fn complaint(
    text: &str,
    mode: Mode,
    controls: &Controls,
    ruling: Ruling,
    done: Option<Exception>,
) -> String {
    let say = |exception: Option<Exception>| match exception {
        None => "legal".to_owned(),
        Some(exception) => exception.to_string(),
    };
    let on: Vec<String> = controls
        .iter()
        .filter(|(_, bits)| *bits != 0)
        .map(|(number, bits)| {
            let name = csr::by_number(number).map_or("?", |row| row.name);
            format!("{name}={bits:#x}")
        })
        .collect();
    format!(
        "{text} in {mode}: {} (rule: {}), but here: {}; with {}",
        say(ruling.exception),
        ruling.rule,
        say(done),
        on.join(" ")
    )
}
