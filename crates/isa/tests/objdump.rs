//! The disassembler agrees with GNU objdump on every instruction that objdump knows.
//!
//! objdump is an oracle of others' making; where GNU binutils for RISC-V are not installed the test
//! says so and checks nothing (with CI=true it fails). It checks both what people read
//! (pseudo-instructions) and the exact names.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use isa::insn::{ALIASES, COMPRESSED, INSTRUCTIONS, Row};
use isa::{Decoder, ExtSet, Insn};

const AS: &str = "riscv64-linux-gnu-as";
const OBJDUMP: &str = "riscv64-linux-gnu-objdump";
/// What objdump is told the code may use. Extensions younger than binutils 2.40 are left out; what
/// is then unknown to objdump is listed, and must be no more than the extensions in `YOUNG`.
const ARCH: &str = "rv64imafdch_zicsr_zifencei_zihintpause_zicbom_zicbop_zicboz_zawrs_\
                    zba_zbb_zbc_zbs_zbkb_zbkc_zbkx_zfh_zfhmin_svinval";
const YOUNG: &[&str] = &["zfa", "zicond", "zacas", "zabha", "zcb", "zimop", "zcmop"];
const SAMPLES_PER_ROW: usize = 24;

/// A fixed sequence of numbers without pattern (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
}

/// Legal instructions of `row`, with various operands.
fn samples(row: &Row, decoder: &Decoder, numbers: &mut Numbers) -> Vec<Insn> {
    let all = if row.pattern.width == 16 { 0xffff } else { u32::MAX };
    let free = all & !row.pattern.mask & !row.pattern.ignored;
    let mut found = Vec::new();
    for _ in 0..SAMPLES_PER_ROW * 64 {
        let bits = row.pattern.value | numbers.next() & free;
        if row.pattern.extract(bits).is_some() {
            found.extend(decoder.decode(bits));
        }
        if found.len() == SAMPLES_PER_ROW {
            break;
        }
    }
    found
}

/// objdump's texts by address.
fn objdump(object: &Path, options: &[&str]) -> HashMap<u64, String> {
    let output =
        Command::new(OBJDUMP).args(["-d", "-z"]).args(options).arg(object).output().unwrap();
    let mut texts = HashMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut parts = line.splitn(3, '\t');
        let (Some(address), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if let Ok(address) = u64::from_str_radix(address.trim().trim_end_matches(':'), 16) {
            texts.insert(address, text.to_owned());
        }
    }
    texts
}

/// Without spaces, objdump's remarks and the prefix of targets.
fn plain(text: &str, row: &Row) -> String {
    let text = text.split(" #").next().unwrap_or_default();
    let text = text.split(" <").next().unwrap_or_default();
    let mnemonic = text.split_whitespace().next().unwrap_or_default();
    let operands: String = text[mnemonic.len()..].chars().filter(|c| !c.is_whitespace()).collect();
    let operands =
        if row.operands.contains("target") { operands.replace("0x", "") } else { operands };
    format!("{mnemonic} {operands}")
}

/// objdump's readable form drops the i of immediates: add, sllw and csrrw for addi, slliw and
/// csrrwi.
fn without_i(text: String) -> String {
    match text.split_once(' ') {
        Some((mnemonic, operands)) => {
            let word = mnemonic.strip_suffix("iw").map(|stem| format!("{stem}w"));
            format!("{} {operands}", word.as_deref().unwrap_or(mnemonic.trim_end_matches('i')))
        }
        None => text,
    }
}

/// Whether objdump has an excuse for not knowing the instruction: its extension is young, it is a
/// `fence` with a reserved fm, or an exact conversion with a rounding mode, which this objdump does
/// not accept.
fn excusable(row: &Row) -> bool {
    row.needs.iter().all(|set| set.iter().any(|ext| YOUNG.contains(&ext.name())))
        || row.name == "fence"
        || row.operands.ends_with("rm=rne")
}

/// CSRs that objdump names and we do not build, or the other way round, print as numbers on one
/// side.
fn names_a_csr_unknown_to_one_side(insn: &Insn) -> bool {
    format!("{insn:#}").starts_with("csrr") && isa::csr::by_number(insn.imm as u16).is_none()
}

#[test]
fn text_is_what_objdump_prints() {
    if [AS, OBJDUMP].iter().any(|tool| Command::new(tool).arg("--version").output().is_err()) {
        let why =
            format!("SKIPPED text_is_what_objdump_prints: {AS} and {OBJDUMP} are not installed");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        println!("{why}");
        return;
    }
    let decoder = Decoder::new(&ExtSet::default_set());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut source = format!(".attribute arch, \"{ARCH}\"\n");
    let (mut insns, mut pc) = (Vec::new(), 0);
    for row in INSTRUCTIONS.iter().chain(COMPRESSED).chain(ALIASES) {
        for insn in samples(row, &decoder, &mut numbers) {
            writeln!(source, ".insn {}, {:#x}", insn.len, insn.bits).unwrap();
            insns.push((pc, insn, row));
            pc += u64::from(insn.len);
        }
    }
    let stem = std::env::temp_dir().join(format!("nestwalk-objdump-{}", std::process::id()));
    let (assembly, object) = (stem.with_extension("s"), stem.with_extension("o"));
    std::fs::write(&assembly, source).unwrap();
    let assembled = Command::new(AS).arg("-o").arg(&object).arg(&assembly).output().unwrap();
    assert!(assembled.status.success(), "{}", String::from_utf8_lossy(&assembled.stderr));
    let readable = objdump(&object, &[]);
    let exact = objdump(&object, &["-M", "no-aliases"]);
    let _ = (std::fs::remove_file(&assembly), std::fs::remove_file(&object));

    let (mut compared, mut unknown, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for (pc, insn, row) in &insns {
        let (Some(readable), Some(exact)) = (readable.get(pc), exact.get(pc)) else {
            wrong.push(format!("{}: objdump has no line at {pc:#x}", row.name));
            continue;
        };
        if exact.starts_with('.') || exact.starts_with("0x") {
            unknown.insert(row.name);
            if !excusable(row) {
                wrong.push(format!(
                    "{}: {:#010x} {insn} is unknown to objdump",
                    row.name, insn.bits
                ));
            }
            continue;
        }
        compared += 1;
        if names_a_csr_unknown_to_one_side(insn) {
            continue;
        }
        let text = insn.display_at(*pc);
        let (ours, ours_exact) = (plain(&format!("{text}"), row), plain(&format!("{text:#}"), row));
        let (theirs, theirs_exact) = (plain(readable, row), plain(exact, row));
        // What objdump takes for an instruction where the manual has a pseudo-instruction, or
        // reversed.
        let exact_is_right =
            theirs_exact == ours_exact || theirs_exact == ours || row.name == "c.nop";
        let hint = row.name == "c.addi" && insn.rd == 0;
        let readable_is_right = without_i(ours.clone()) == without_i(theirs.clone())
            || without_i(ours_exact.clone()) == without_i(theirs.clone())
            || hint;
        if !exact_is_right || !readable_is_right {
            wrong.push(format!(
                "{}: {:#010x} ours {ours}, {ours_exact}; theirs {theirs}, {theirs_exact}",
                row.name, insn.bits
            ));
        }
    }
    println!("{compared} instructions compared; unknown to this objdump: {unknown:?}");
    assert!(wrong.is_empty(), "{}\n{} differ", wrong.join("\n"), wrong.len());
}
