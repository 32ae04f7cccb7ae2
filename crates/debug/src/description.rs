//! The target description: which registers a hart has, as GDB's XML. The CSRs are those of the CSR
//! table that the hart has built in.

use std::fmt::Write;

use isa::csr::{self, CsrRow};
use isa::insn::{F_NAMES, X_NAMES};
use isa::{Ext, ExtSet};

use crate::registers::{CSR0, F0, PC, PRIV, Register, VIRT};

/// The description of a hart with these extensions. It names no operating system, lest GDB make steps as it does under
/// Linux: with breakpoints behind the instruction, over any trap.
pub(crate) fn xml(exts: &ExtSet) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n\
         <architecture>riscv:rv64</architecture>\n\
         <osabi>none</osabi>\n",
    );
    // Writing to a string cannot fail.
    let _ = write(&mut out, exts);
    out
}

/// The size of a register in bytes, as described.
pub(crate) fn bytes(exts: &ExtSet, register: Register) -> usize {
    if matches!(register, Register::F(_)) && !exts.contains(Ext::D) { 4 } else { 8 }
}

fn write(out: &mut String, exts: &ExtSet) -> std::fmt::Result {
    writeln!(out, "<feature name=\"org.gnu.gdb.riscv.cpu\">")?;
    for (number, name) in X_NAMES.iter().enumerate() {
        let kind = match *name {
            "ra" => "code_ptr",
            "sp" | "gp" | "tp" | "s0" => "data_ptr",
            _ => "int",
        };
        // GDB calls s0 by its other name.
        let name = if *name == "s0" { "fp" } else { name };
        writeln!(out, "<reg name=\"{name}\" bitsize=\"64\" type=\"{kind}\" regnum=\"{number}\"/>")?;
    }
    writeln!(
        out,
        "<reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\" regnum=\"{PC}\"/>\n</feature>"
    )?;

    let has_f = exts.contains(Ext::F);
    if has_f {
        let has_d = exts.contains(Ext::D);
        writeln!(out, "<feature name=\"org.gnu.gdb.riscv.fpu\">")?;
        let (bits, kind) = if has_d { (64, "riscv_double") } else { (32, "ieee_single") };
        if has_d {
            writeln!(
                out,
                "<union id=\"riscv_double\"><field name=\"float\" type=\"ieee_single\"/>\
                 <field name=\"double\" type=\"ieee_double\"/></union>"
            )?;
        }
        for (index, name) in F_NAMES.iter().enumerate() {
            let number = F0 + index;
            writeln!(
                out,
                "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\" regnum=\"{number}\" group=\"float\"/>"
            )?;
        }
        for row in csr::all().filter(|row| is_float(row)) {
            csr_register(out, row, "float")?;
        }
        writeln!(out, "</feature>")?;
    }

    writeln!(out, "<feature name=\"org.gnu.gdb.riscv.csr\">")?;
    for row in csr::all().filter(|row| row.exists(exts) && !is_float(row)) {
        csr_register(out, row, "csr")?;
    }
    writeln!(out, "</feature>\n<feature name=\"org.gnu.gdb.riscv.virtual\">")?;
    writeln!(
        out,
        "<reg name=\"priv\" bitsize=\"64\" type=\"int\" regnum=\"{PRIV}\" group=\"general\"/>"
    )?;
    if exts.contains(Ext::H) {
        writeln!(
            out,
            "<reg name=\"virt\" bitsize=\"64\" type=\"int\" regnum=\"{VIRT}\" group=\"general\"/>"
        )?;
    }
    writeln!(out, "</feature>\n</target>")
}

fn csr_register(out: &mut String, row: &CsrRow, group: &str) -> std::fmt::Result {
    let number = CSR0 + usize::from(row.number);
    writeln!(
        out,
        "<reg name=\"{}\" bitsize=\"64\" type=\"int\" regnum=\"{number}\" group=\"{group}\" save-restore=\"no\"/>",
        row.name
    )
}

/// `fflags`, `frm` and `fcsr`, which GDB wants beside the `f` registers.
fn is_float(row: &CsrRow) -> bool {
    (csr::FFLAGS..=csr::FCSR).contains(&row.number)
}
