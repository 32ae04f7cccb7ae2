//! Commit logs as text: one line for each retired instruction, in Spike's format or in one of our
//! own that also tells guests apart and shows guest physical addresses.
//!
//! Spike's format (`--log-commits`, and `-l` for traps) is kept to the byte, oddities included, so
//! that tools which read it and `diff` work: registers stand in the order of their number, and among
//! equal numbers integer before floating-point before CSR; a mode is the digit of its privilege,
//! whatever V is.

use std::fmt::{self, Write};

use cpu::{Commit, Register, Touched, Trapped};
use isa::{Cause, Exception};

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// As Spike writes it.
    #[default]
    Spike,
    /// Modes by name (`VS`, `VU`), and `gpa` behind each address that a guest used.
    Guest,
}

impl LogFormat {
    /// Appends the line of a retired instruction, with its line break.
    pub fn commit(self, out: &mut String, commit: &Commit) {
        // Writing to a string cannot fail.
        let _ = self.write_commit(out, commit);
    }

    /// Appends the lines of a trap, with their line breaks.
    pub fn trap(self, out: &mut String, trap: &Trapped) {
        let _ = self.write_trap(out, trap);
    }

    fn write_commit(self, out: &mut String, commit: &Commit) -> fmt::Result {
        write!(out, "core{:4}: ", commit.hart)?;
        match self {
            Self::Spike => write!(out, "{}", commit.mode.privilege() as u8)?,
            Self::Guest => write!(out, "{:<2}", commit.mode)?,
        }
        write!(out, " {:#018x}", commit.pc.0)?;
        self.write_gpa(out, commit.pc_gpa.map(|gpa| gpa.0))?;
        let digits = 2 + 2 * usize::from(commit.len);
        write!(out, " ({:#0digits$x})", commit.bits)?;
        let mut written = commit.written.clone();
        written.sort_by_key(|&(register, _)| match register {
            Register::X(n) => (u16::from(n), 0),
            Register::F(n) => (u16::from(n), 1),
            Register::Csr(n) => (n, 4),
        });
        written.dedup_by_key(|&mut (register, _)| register);
        for (register, value) in written {
            match register {
                Register::X(n) => write!(out, " x{n:<2} {value:#018x}")?,
                Register::F(n) if commit.flen == 32 => {
                    write!(out, " f{n:<2} {:#010x}", value as u32)?;
                }
                Register::F(n) => write!(out, " f{n:<2} {value:#018x}")?,
                Register::Csr(n) => write!(out, " c{n}_{} {value:#018x}", csr_name(n))?,
            }
        }
        // All loads come before all stores.
        for touched in commit.touched.iter().filter(|touched| touched.stored.is_none()) {
            self.write_address(out, touched)?;
        }
        for touched in &commit.touched {
            if let Some(value) = touched.stored {
                self.write_address(out, touched)?;
                let digits = 2 + 2 * usize::from(touched.bytes);
                write!(out, " {value:#0digits$x}")?;
            }
        }
        out.write_char('\n')
    }

    fn write_address(self, out: &mut String, touched: &Touched) -> fmt::Result {
        write!(out, " mem {:#018x}", touched.va.0)?;
        self.write_gpa(out, touched.gpa.map(|gpa| gpa.0))
    }

    fn write_gpa(self, out: &mut String, gpa: Option<u64>) -> fmt::Result {
        match (self, gpa) {
            (Self::Guest, Some(gpa)) => write!(out, " gpa {gpa:#018x}"),
            _ => Ok(()),
        }
    }

    fn write_trap(self, out: &mut String, trap: &Trapped) -> fmt::Result {
        write!(out, "core{:4}: ", trap.hart)?;
        if self == Self::Guest {
            write!(out, "{:<2} ", trap.mode)?;
        }
        let double = trap.cause == Cause::Exception(Exception::DoubleTrap);
        // Spike names the trap that could not be taken, which `mtval2` then has.
        let unexpected = Cause::from_bits(trap.tval2).filter(|_| double && self == Self::Spike);
        let has_tval = match unexpected.unwrap_or(trap.cause) {
            Cause::Exception(exception) => {
                write!(out, "exception trap_{}", spike_name(exception))?;
                !is_ecall(exception)
            }
            Cause::Interrupt(interrupt) => {
                write!(out, "exception interrupt #{}", interrupt.code())?;
                false
            }
        };
        writeln!(out, ", epc {:#018x}", trap.pc.0)?;
        if has_tval {
            writeln!(out, "core{:4}:           tval {:#018x}", trap.hart, trap.tval)?;
        }
        if self == Self::Guest && trap.tval2 != 0 && !double {
            let gpa = trap.tval2 << 2;
            writeln!(out, "core{:4}:           gpa  {gpa:#018x}", trap.hart)?;
        }
        Ok(())
    }
}

/// The name in the CSR table. `mvip` is not in it, because it belongs to an extension that is not
/// built; Spike has it all the same and logs writes of `mip` under its name too.
fn csr_name(number: u16) -> &'static str {
    match number {
        0x309 => "mvip",
        _ => isa::csr::by_number(number).map_or("unknown-csr", |csr| csr.name),
    }
}

fn is_ecall(exception: Exception) -> bool {
    use Exception::*;
    matches!(exception, EcallU | EcallS | EcallVs | EcallM)
}

/// What Spike calls an exception.
const fn spike_name(exception: Exception) -> &'static str {
    use Exception::*;
    match exception {
        InstructionMisaligned => "instruction_address_misaligned",
        InstructionAccess => "instruction_access_fault",
        IllegalInstruction => "illegal_instruction",
        Breakpoint => "breakpoint",
        LoadMisaligned => "load_address_misaligned",
        LoadAccess => "load_access_fault",
        StoreMisaligned => "store_address_misaligned",
        StoreAccess => "store_access_fault",
        EcallU => "user_ecall",
        EcallS => "supervisor_ecall",
        EcallVs => "virtual_supervisor_ecall",
        EcallM => "machine_ecall",
        InstructionPage => "instruction_page_fault",
        LoadPage => "load_page_fault",
        StorePage => "store_page_fault",
        DoubleTrap => "double_trap",
        SoftwareCheck => "software_check",
        HardwareError => "hardware_error",
        InstructionGuestPage => "instruction_guest_page_fault",
        LoadGuestPage => "load_guest_page_fault",
        VirtualInstruction => "virtual_instruction",
        StoreGuestPage => "store_guest_page_fault",
    }
}

#[cfg(test)]
mod tests {
    use isa::{Gpa, Mode, Va};

    use super::*;

    fn line(format: LogFormat, commit: &Commit) -> String {
        let mut out = String::new();
        format.commit(&mut out, commit);
        out
    }

    /// The expected lines are Spike's own output for these instructions.
    #[test]
    fn a_line_is_spike_s_to_the_byte() {
        let load = Commit {
            pc: Va(0x100c),
            bits: 0x0182_b283,
            len: 4,
            flen: 64,
            mode: Mode::M,
            written: vec![(Register::X(5), 0x8000_0000)],
            touched: vec![Touched { va: Va(0x1018), gpa: None, bytes: 8, stored: None }],
            ..Commit::default()
        };
        assert_eq!(
            line(LogFormat::Spike, &load),
            "core   0: 3 0x000000000000100c (0x0182b283) x5  0x0000000080000000 mem 0x0000000000001018\n"
        );
        let csrs = Commit {
            pc: Va(0x8000_0734),
            bits: 0x3445_1073,
            written: vec![(Register::Csr(0x344), 2), (Register::Csr(0x309), 0)],
            touched: vec![],
            ..load
        };
        assert_eq!(
            line(LogFormat::Spike, &csrs),
            "core   0: 3 0x0000000080000734 (0x34451073) c777_mvip 0x0000000000000000 c836_mip 0x0000000000000002\n"
        );
    }

    #[test]
    fn an_integer_register_goes_before_a_csr_of_a_higher_number() {
        let commit = Commit {
            bits: 0x4501,
            len: 2,
            flen: 64,
            written: vec![
                (Register::Csr(1), 1),
                (Register::F(0), 0x3ff0_0000_0000_0000),
                (Register::Csr(0x300), 3),
            ],
            ..Commit::default()
        };
        assert_eq!(
            line(LogFormat::Spike, &commit),
            "core   0: 3 0x0000000000000000 (0x4501) f0  0x3ff0000000000000 \
             c1_fflags 0x0000000000000001 c768_mstatus 0x0000000000000003\n"
        );
    }

    #[test]
    fn a_guest_is_told_apart_and_its_addresses_are_shown() {
        let commit = Commit {
            hart: 12,
            pc: Va(0x1000),
            pc_gpa: Some(Gpa(0x8000_1000)),
            bits: 0x0005_0023,
            len: 4,
            mode: Mode::VS,
            touched: vec![Touched {
                va: Va(0x2003),
                gpa: Some(Gpa(0x8000_2003)),
                bytes: 1,
                stored: Some(0x7f),
            }],
            ..Commit::default()
        };
        assert_eq!(
            line(LogFormat::Spike, &commit),
            "core  12: 1 0x0000000000001000 (0x00050023) mem 0x0000000000002003 0x7f\n"
        );
        assert_eq!(
            line(LogFormat::Guest, &commit),
            "core  12: VS 0x0000000000001000 gpa 0x0000000080001000 (0x00050023) \
             mem 0x0000000000002003 gpa 0x0000000080002003 0x7f\n"
        );
    }

    #[test]
    fn a_trap_shows_tval_unless_it_is_an_environment_call() {
        let trap = Trapped {
            hart: 0,
            pc: Va(0x8000_03f8),
            mode: Mode::M,
            cause: Cause::Exception(Exception::EcallM),
            target: cpu::Target::M,
            tval: 0,
            tval2: 0,
            tinst: 0,
        };
        let mut out = String::new();
        LogFormat::Spike.trap(&mut out, &trap);
        assert_eq!(out, "core   0: exception trap_machine_ecall, epc 0x00000000800003f8\n");
        out.clear();
        let cause = Cause::Exception(Exception::IllegalInstruction);
        LogFormat::Spike.trap(&mut out, &Trapped { cause, tval: 0x10, ..trap });
        assert!(out.ends_with("core   0:           tval 0x0000000000000010\n"), "{out}");
    }

    #[test]
    fn a_double_trap_goes_by_the_name_of_the_second_trap_in_spike_s_format_alone() {
        let trap = Trapped {
            hart: 0,
            pc: Va(0x8000_0634),
            mode: Mode::S,
            cause: Cause::Exception(Exception::DoubleTrap),
            target: cpu::Target::M,
            tval: 0xb,
            tval2: 2,
            tinst: 0,
        };
        for (format, name) in [
            (LogFormat::Spike, "exception trap_illegal_instruction,"),
            (LogFormat::Guest, "exception trap_double_trap,"),
        ] {
            let mut out = String::new();
            format.trap(&mut out, &trap);
            // `mtval2` is no guest physical address here.
            assert!(out.contains(name) && !out.contains("gpa"), "{out}");
        }
    }
}
