//! `ptw`: a walk explained.

use cpu::Hart;
use isa::insn::X_NAMES;
use isa::{Gpa, Mode, Va};
use mmu::Kind;

use super::words::{Words, number};
use super::{Usage, explain};
use crate::target::Debugged;

pub(super) fn run(debugged: &mut Debugged<'_>, words: &mut Words<'_>) -> Result<String, Usage> {
    let first = words.next().ok_or_else(|| Usage::new("which address?"))?;
    let (gpa, address) = match first {
        "gpa" => (true, words.next().ok_or_else(|| Usage::new("which address?"))?),
        _ => (false, first),
    };
    let address = value(debugged.hart_in_view(), address)?;
    let mut kind = Kind::Load;
    let mut mode = None;
    while let Some(word) = words.next() {
        match word {
            "r" => kind = Kind::Load,
            "w" => kind = Kind::Store,
            "x" => kind = Kind::Fetch,
            "as" if !gpa => mode = Some(named(words.next().unwrap_or_default())?),
            _ => return Err(Usage(format!("'{word}' is neither r, w nor x"))),
        }
    }
    let hart = debugged.hart_in_view();
    if gpa {
        let explained = hart.explain_gpa(Gpa(address), kind);
        return Ok(explain::text(hart, &explained, &Gpa(address).to_string()));
    }
    let mode = mode.unwrap_or(match kind {
        Kind::Fetch => hart.mode(),
        _ => hart.data_mode(),
    });
    let explained = hart.explain(Va(address), kind, mode);
    Ok(explain::text(hart, &explained, &format!("{} in {mode}-mode", Va(address))))
}

/// A number, or what a register holds: GDB hands `$pc` over as it stands.
fn value(hart: &Hart, word: &str) -> Result<u64, Usage> {
    let Some(name) = word.strip_prefix('$') else { return number(word) };
    if name == "pc" {
        return Ok(hart.pc());
    }
    if let Some(index) = X_NAMES.iter().position(|&known| known == name) {
        return Ok(hart.x(index));
    }
    let csr = isa::csr::by_name(name).and_then(|row| hart.csr(row.number));
    csr.ok_or_else(|| Usage(format!("there is no register '{word}'")))
}

fn named(word: &str) -> Result<Mode, Usage> {
    let modes = [Mode::U, Mode::S, Mode::M, Mode::VS, Mode::VU];
    let found = modes.into_iter().find(|mode| mode.to_string().eq_ignore_ascii_case(word));
    // HS is S with V=0.
    let hs = word.eq_ignore_ascii_case("hs").then_some(Mode::S);
    found.or(hs).ok_or_else(|| Usage(format!("'{word}' is none of U, S, HS, M, VS, VU")))
}
