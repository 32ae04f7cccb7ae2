//! Performance events as the kernel counts them: `vmm pmu` (`riscv-tests/kvm/pmu.c`) has it count around work whose numbers are known, in
//! user mode and in a guest.

use anyhow::ensure;

use super::report::Report;
use super::session::{Machine, Session};
use super::{Kit, Shape, breakdown};

const SCRIPT: &str = "vmm pmu --modelled 1\n";

/// Extensions beyond what a core has, so that its counters can leave modes out and say that they overflowed.
const ISA: [&str; 2] = ["--isa", "rv64"];

/// Plays it.
pub fn run(kit: &Kit<'_>, shape: Shape, report: &mut Report) {
    let mut extra = breakdown::with_core(&kit.extra);
    extra.extend(ISA.map(str::to_owned));
    let name = format!("performance events, {}, {}", shape.machine(), extra.join(" "));
    let machine = [Machine::Nestwalk(kit.nestwalk.to_owned())];
    report.play(&name, &machine, |machine| {
        let files = [kit.vmm.clone()];
        let session = Session { extra: &extra, ..kit.session(shape, &files, SCRIPT) };
        let ended = session.run(machine)?;
        ensure!(ended.after("PMU ").count() >= 10, "too little was counted");
        Ok(ended)
    });
}
