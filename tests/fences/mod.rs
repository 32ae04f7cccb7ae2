//! Fences for other harts, with four of them: what one hart changed in a page table shows on the harts that were fenced, once the
//! fence is executed there, and with the adversarial TLB on no other and not before.

mod script;

use std::path::PathBuf;

use crate::guest::elf_at;
use crate::{ended, nestwalk};
use script::{
    Do::{self, AnswerIpi, Call, Enter, HsSees, Run, Sees, Store},
    GPA, HARTS, HS_VA, Level, PAGE, Step, VA,
};

/// Data pages that a load may find: what was there before, what is there now, either.
const OLD: &[u64] = &[0];
const NEW: &[u64] = &[1];

/// How exact a run is: whether what was not fenced must still be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exact {
    /// The TLB keeps everything: no more changes than was fenced.
    Yes,
    /// A TLB may keep less.
    No,
}

/// Old values, as far as they must be seen.
fn lenient(steps: Vec<Step>, exact: Exact) -> Vec<Step> {
    let either: &[u64] = &[0, 1];
    let relax = |what: Do| match what {
        Sees(page, OLD) if exact == Exact::No => Sees(page, either),
        HsSees(page, OLD) if exact == Exact::No => HsSees(page, either),
        other => other,
    };
    steps.into_iter().map(|(hart, what)| (hart, relax(what))).collect()
}

/// Runs a script with every shape of TLB.
fn play(level: Level, firmware: Option<&str>, steps: impl Fn() -> Vec<Step>) {
    for (shape, exact) in [("none", Exact::No), ("default", Exact::No), ("adversarial", Exact::Yes)]
    {
        let steps = lenient(steps(), exact);
        let guest = elf_at(script::BASE, &script::program(level, &steps));
        let mut command = nestwalk();
        command.args(["run", "--harts", "4", "--max-insns", "4e7", "--tlb", shape]);
        match level {
            Level::Machine => command.arg(guest.path()),
            Level::Supervisor => command
                .args(["--bios", firmware.unwrap_or("builtin"), "--kernel"])
                .arg(guest.path()),
        };
        let ended = ended(command.output().expect("nestwalk starts"));
        let step = ended.code.unwrap_or(0) - 1;
        assert_eq!(ended.code, Some(0), "{shape}: step {step} of the script: {}", ended.stderr);
    }
}

/// The same on the built-in firmware and on OpenSBI, if that is at hand.
fn play_on_firmware(steps: impl Fn() -> Vec<Step>) {
    play(Level::Supervisor, None, &steps);
    match opensbi() {
        Some(path) => play(Level::Supervisor, path.to_str(), &steps),
        None => println!("skipped: OpenSBI's fw_dynamic.bin is not below target/inputs"),
    }
}

/// What `cargo xtask linux` or `cargo xtask test` got.
fn opensbi() -> Option<PathBuf> {
    let inputs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/inputs");
    let mut found: Vec<PathBuf> = std::fs::read_dir(inputs)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("fw_dynamic.bin")))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.into_iter().next()
}

fn all(what: impl Fn() -> Do) -> Vec<Step> {
    (0..HARTS).map(|hart| (hart, what())).collect()
}

fn some(harts: &[usize], what: impl Fn() -> Do) -> Vec<Step> {
    harts.iter().map(|&hart| (hart, what())).collect()
}

/// HFENCE.GVMA for guest page `page` and a VMID.
fn gvma(page: u64, vmid: u64) -> Do {
    Run(format!("li t0, {}\nli t1, {vmid}\nhfence.gvma t0, t1", (GPA + page * PAGE) >> 2))
}

fn run(text: &str) -> Do {
    Run(text.to_owned())
}

/// msip of a hart, in the CLINT.
fn msip(hart: u64) -> Do {
    Run(format!("li t0, {}\nli t1, 1\nsw t1, 0(t0)", 0x200_0000 + 4 * hart))
}

/// A G-stage leaf changes; each hart sees it after its own fence. An IPI alone does nothing: it is the fence in its handler that counts.
fn shootdown_of_a_guest_page(ipi: impl Fn(u64) -> Do) -> Vec<Step> {
    let mut steps = all(|| Sees(0, OLD));
    steps.push((0, Store(script::g_leaf(1, 0), script::g_data(1))));
    steps.extend(all(|| Sees(0, OLD)));
    steps.push((0, gvma(0, 1)));
    steps.push((0, Sees(0, NEW)));
    steps.extend(some(&[1, 2, 3], || Sees(0, OLD)));
    // Asked, and not yet answered.
    steps.push((0, ipi(2)));
    steps.extend(some(&[1, 2, 3], || Sees(0, OLD)));
    steps.push((2, AnswerIpi("gvma page 0")));
    steps.push((2, Sees(0, NEW)));
    steps.extend(some(&[1, 3], || Sees(0, OLD)));
    // Answered with the wrong fence, then with the right one.
    steps.push((2, ipi(1)));
    steps.push((1, AnswerIpi("vvma all")));
    steps.push((1, Sees(0, OLD)));
    steps.push((2, ipi(1)));
    steps.push((1, AnswerIpi("nothing")));
    steps.push((1, Sees(0, OLD)));
    steps.push((2, ipi(1)));
    steps.push((1, AnswerIpi("gvma all")));
    steps.push((1, Sees(0, NEW)));
    steps.push((3, Sees(0, OLD)));
    // Another page, another VMID: no.
    steps.push((3, gvma(1, 1)));
    steps.push((3, gvma(0, 2)));
    steps.push((3, Sees(0, OLD)));
    steps.push((3, gvma(0, 1)));
    steps.extend(all(|| Sees(0, NEW)));
    steps
}

// norm: hfence-gvma_op, hfence-gvma_vmid, hgatp_op_hfence_gvma, asid_hart_private, sfence_vma_ordering_semantics
#[test]
fn a_guest_page_changes_on_each_hart_with_its_own_fence_after_an_ipi() {
    play(Level::Machine, None, || shootdown_of_a_guest_page(msip));
    // SBI's IPI extension.
    let ipi = |hart: u64| Call(0x73_5049, 0, vec![1, hart]);
    play_on_firmware(|| shootdown_of_a_guest_page(ipi));
}

/// A VS-stage leaf changes in the machines of both VMIDs, which have equal ASIDs.
// norm: hfence-vvma_mode, hfence-vvma_limits, hfence-vvma_hfence-gvma_op, hgatp_vmid
#[test]
fn a_vs_stage_fence_is_for_the_vmid_loaded_on_the_hart_that_executes_it() {
    play(Level::Machine, None, || {
        let mut steps = all(|| Sees(0, OLD));
        for hart in 0..HARTS {
            steps.extend([(hart, Enter(2)), (hart, Sees(0, OLD)), (hart, Enter(1))]);
        }
        // Both now map virtual page 0 to guest page 1, which is the data of a new page.
        for vm in [1, 2] {
            steps.push((3, Store(script::vs_leaf(vm, 0), script::vs_page(1))));
            steps.push((3, Store(script::g_leaf(vm, 1), script::g_data(1))));
        }
        steps.extend(all(|| Sees(0, OLD)));
        // HFENCE.GVMA is not about the VS-stage.
        steps.push((1, run("hfence.gvma")));
        steps.push((1, Sees(0, OLD)));
        steps.push((1, run(&format!("li t0, {VA}\nli t1, 1\nhfence.vvma t0, t1"))));
        steps.push((1, Sees(0, NEW)));
        steps.extend([
            (1, Enter(2)),
            (1, Sees(0, OLD)),
            (1, run("hfence.vvma")),
            (1, Sees(0, NEW)),
        ]);
        // While the other machine is loaded it is that one's fence.
        steps.extend([(2, Enter(2)), (2, run("hfence.vvma")), (2, Sees(0, NEW))]);
        steps.extend([(2, Enter(1)), (2, Sees(0, OLD))]);
        // Another ASID, another page: no.
        steps.push((2, run(&format!("li t0, {VA}\nli t1, 2\nhfence.vvma t0, t1"))));
        steps.push((2, run(&format!("li t0, {}\nhfence.vvma t0, x0", VA + PAGE))));
        steps.push((2, Sees(0, OLD)));
        steps.push((2, run("li t1, 1\nhfence.vvma x0, t1")));
        steps.push((2, Sees(0, NEW)));
        steps.extend(some(&[0, 3], || Sees(0, OLD)));
        steps
    });
}

/// SFENCE.VMA of HS is about satp's tables and no guest's; a guest's fences are not about satp's.
// norm: sfence_vma_v0, sfence_vma_all_asid_va, hfence-vvma_hfence-gvma_op
#[test]
fn hs_and_its_guests_are_fenced_apart_on_every_hart() {
    play(Level::Supervisor, None, || {
        let mut steps = all(|| Sees(0, OLD));
        steps.extend(all(|| HsSees(0, OLD)));
        steps.push((0, Store(script::g_leaf(1, 0), script::g_data(1))));
        steps.push((0, Store(script::hs_leaf(0), script::hs_data(1))));
        steps.push((1, run("sfence.vma")));
        steps.extend([(1, HsSees(0, NEW)), (1, Sees(0, OLD))]);
        steps.push((2, run("hfence.vvma\nhfence.gvma")));
        steps.extend([(2, HsSees(0, OLD)), (2, Sees(0, NEW))]);
        steps.extend([(3, HsSees(0, OLD)), (3, Sees(0, OLD))]);
        steps.push((
            3,
            run("sfence.w.inval\nsinval.vma x0, x0\nhinval.gvma x0, x0\nsfence.inval.ir"),
        ));
        steps.extend([(3, HsSees(0, NEW)), (3, Sees(0, NEW))]);
        steps.extend([(0, HsSees(0, OLD)), (0, Sees(0, OLD))]);
        steps
    });
}

/// Between SFENCE.W.INVAL and SFENCE.INVAL.IR nothing is promised yet; another hart's bracket is another hart's.
// norm: Svinval_sequence_reads_writes_before, Svinval_sequence_reads_writes_after, Svinval_sequence_rs1_rs2
// norm: Svinval_hinval_vvma_gvma, Svinval_hinval_gvma_uses_vmid, Svinval_sinval_vma_invalidates_same_as_sfence_vma
#[test]
fn an_invalidation_counts_from_the_end_of_its_bracket() {
    play(Level::Supervisor, None, || {
        let mut steps = all(|| Sees(0, OLD));
        steps.extend(all(|| HsSees(0, OLD)));
        steps.push((0, Store(script::g_leaf(1, 0), script::g_data(1))));
        steps.push((0, Store(script::hs_leaf(0), script::hs_data(1))));
        let gvma = format!("li t0, {}\nli t1, 1\nhinval.gvma t0, t1", GPA >> 2);
        steps.push((0, Run(format!("sfence.w.inval\n{gvma}"))));
        steps.push((0, Sees(0, OLD)));
        steps.push((1, run("sfence.w.inval\nsfence.inval.ir")));
        steps.extend([(1, Sees(0, OLD)), (0, Sees(0, OLD))]);
        steps.push((0, run("sfence.inval.ir")));
        steps.extend([(0, Sees(0, NEW)), (0, HsSees(0, OLD))]);
        steps
            .push((0, Run(format!("sfence.w.inval\nli t0, {HS_VA}\nli t1, 1\nsinval.vma t0, t1"))));
        steps.push((0, HsSees(0, OLD)));
        steps.push((0, run("sfence.inval.ir")));
        steps.push((0, HsSees(0, NEW)));
        // Wrong operands invalidate nothing.
        steps.push((
            2,
            run("sfence.w.inval\nli t1, 2\nhinval.gvma x0, t1\nsinval.vma x0, t1\nsfence.inval.ir"),
        ));
        steps.extend([(2, Sees(0, OLD)), (2, HsSees(0, OLD))]);
        steps.extend([(3, Sees(0, OLD)), (3, HsSees(0, OLD))]);
        steps
    });
}

const RFENCE: u64 = 0x5246_4e43;

/// SBI's remote_hfence_gvma and remote_hfence_gvma_vmid.
// norm: hfence-gvma_op, hfence-gvma_vmid
#[test]
fn rfence_of_the_g_stage_reaches_the_harts_of_its_mask() {
    play_on_firmware(|| {
        let mut steps = all(|| Sees(0, OLD));
        steps.extend(all(|| Sees(1, OLD)));
        for page in [0, 1] {
            steps.push((1, Store(script::g_leaf(1, page), script::g_data(1))));
        }
        // Harts 2 and 3, one page.
        steps.push((1, Call(RFENCE, 4, vec![0b1100, 0, GPA, PAGE])));
        steps.extend(some(&[2, 3], || Sees(0, NEW)));
        steps.extend(some(&[2, 3], || Sees(1, OLD)));
        steps.extend(some(&[0, 1], || Sees(0, OLD)));
        // By VMID: another's, then this one's, on the caller's own hart too.
        steps.push((1, Call(RFENCE, 3, vec![0b0011, 0, GPA, PAGE, 2])));
        steps.extend(some(&[0, 1], || Sees(0, OLD)));
        steps.push((1, Call(RFENCE, 3, vec![0b0011, 0, GPA, PAGE, 1])));
        steps.extend(all(|| Sees(0, NEW)));
        steps.extend(all(|| Sees(1, OLD)));
        // All pages, all harts.
        steps.push((3, Call(RFENCE, 4, vec![0, u64::MAX, 0, u64::MAX])));
        steps.extend(all(|| Sees(1, NEW)));
        steps
    });
}

/// SBI's remote_hfence_vvma and remote_hfence_vvma_asid: for the VMID in the *caller's* hgatp, whatever its targets have loaded.
// norm: hfence-vvma_mode, hfence-vvma_limits
#[test]
fn rfence_of_the_vs_stage_is_for_the_callers_vmid() {
    play_on_firmware(|| {
        let mut steps = all(|| Sees(0, OLD));
        steps.extend([(2, Enter(2)), (2, Sees(0, OLD))]);
        for vm in [1, 2] {
            steps.push((0, Store(script::vs_leaf(vm, 0), script::vs_page(1))));
            steps.push((0, Store(script::g_leaf(vm, 1), script::g_data(1))));
        }
        // The caller has VMID 1; hart 2 has VMID 2 loaded and keeps that machine's entries.
        steps.push((0, Call(RFENCE, 6, vec![0b0110, 0, VA, PAGE])));
        steps.extend([(1, Sees(0, NEW)), (2, Sees(0, OLD)), (2, Enter(1)), (2, Sees(0, NEW))]);
        steps.extend(some(&[0, 3], || Sees(0, OLD)));
        // By ASID: another's, then this one's.
        steps.push((0, Call(RFENCE, 5, vec![0b1000, 0, VA, PAGE, 2])));
        steps.push((3, Sees(0, OLD)));
        steps.push((0, Call(RFENCE, 5, vec![0b1000, 0, VA, PAGE, 1])));
        steps.extend([(3, Sees(0, NEW)), (0, Sees(0, OLD))]);
        steps
    });
}

/// SBI's remote_sfence_vma and remote_sfence_vma_asid.
// norm: sfence_vma_v0, sfence_vma_va_asid, sfence_vma_va_all_asid
#[test]
fn rfence_of_hs_tables_leaves_guests_alone() {
    play_on_firmware(|| {
        let mut steps = all(|| HsSees(0, OLD));
        steps.extend(all(|| HsSees(1, OLD)));
        steps.extend(all(|| Sees(0, OLD)));
        for page in [0, 1] {
            steps.push((3, Store(script::hs_leaf(page), script::hs_data(1))));
        }
        steps.push((3, Store(script::g_leaf(1, 0), script::g_data(1))));
        steps.push((3, Call(RFENCE, 1, vec![0b0011, 0, HS_VA, PAGE])));
        steps.extend(some(&[0, 1], || HsSees(0, NEW)));
        steps.extend(some(&[0, 1], || HsSees(1, OLD)));
        steps.extend(some(&[2, 3], || HsSees(0, OLD)));
        steps.push((3, Call(RFENCE, 2, vec![0b0100, 0, HS_VA, 2 * PAGE, 2])));
        steps.push((2, HsSees(0, OLD)));
        steps.push((3, Call(RFENCE, 2, vec![0b0100, 0, HS_VA, 2 * PAGE, 1])));
        steps.extend([(2, HsSees(0, NEW)), (2, HsSees(1, NEW)), (3, HsSees(0, OLD))]);
        steps.extend(all(|| Sees(0, OLD)));
        steps
    });
}
