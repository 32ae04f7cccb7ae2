//! Signatures of architecture tests: the memory between a program's symbols `begin_signature` and `end_signature` when
//! the run has ended, as text that is compared with that of another model.
//!
//! A line is a number of some bytes in hexadecimal, the byte with the highest address first, as Spike and the models of
//! riscv-arch-test write it; the last line is filled up with zeros.

use anyhow::{Context, Result, bail, ensure};
use isa::Pa;
use machine::Machine;
use machine::load::SignatureArea;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Bytes of a signature at most; those of real tests have some thousands.
const BYTES_MAX: u64 = 64 << 20;
/// Bytes of a line at most.
const LINE_BYTES_MAX: u8 = 64;
/// Bytes of a line unless something else is asked for.
pub(crate) const LINE_BYTES: u8 = 4;

/// A signature that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature<'a> {
    file: &'a Path,
    area: SignatureArea,
    line_bytes: u8,
}

impl<'a> Signature<'a> {
    /// That of the program on `machine`, for `file`; before the run, so that what is wrong is said early.
    ///
    /// # Errors
    /// The program has none, or one that is not in main memory or too large; the lines are too long.
    pub(crate) fn of(machine: &Machine, file: &'a Path, line_bytes: Option<u8>) -> Result<Self> {
        let line_bytes = line_bytes.unwrap_or(LINE_BYTES);
        ensure!(
            (1..=LINE_BYTES_MAX).contains(&line_bytes),
            "--signature-granularity {line_bytes}: lines have 1 to {LINE_BYTES_MAX} bytes"
        );
        let Some(area) = machine.signature() else {
            bail!(
                "--signature: the program has no symbols begin_signature and end_signature, in this order"
            );
        };
        let SignatureArea { start, bytes } = area;
        ensure!(
            bytes <= BYTES_MAX && machine.ram().contains(start, bytes),
            "--signature: the {bytes} bytes from {start} on are not in main memory, or more than {BYTES_MAX}"
        );
        Ok(Self { file, area, line_bytes })
    }

    /// Writes it, as memory is now.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, machine: &Machine) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut to = BufWriter::new(File::create(self.file)?);
            let mut line = vec![0; usize::from(self.line_bytes)];
            let mut text = String::new();
            for at in (0..self.area.bytes).step_by(line.len()) {
                line.fill(0);
                let count = (line.len() as u64).min(self.area.bytes - at) as usize;
                // It was there when the run began, and memory does not shrink.
                let _ = machine.ram().read_bytes(Pa(self.area.start.0 + at), &mut line[..count]);
                text.clear();
                // Writing to a string cannot fail.
                let _ = line.iter().rev().try_for_each(|byte| write!(text, "{byte:02x}"));
                text.push('\n');
                to.write_all(text.as_bytes())?;
            }
            to.flush()
        };
        write().with_context(|| format!("--signature {}", self.file.display()))
    }
}
