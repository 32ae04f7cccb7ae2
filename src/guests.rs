//! Guests under the embedded hypervisor: from options to what they are made of, and what is told of them at the end.

use crate::cli::{GuestOptions, RunOptions};
use anyhow::{Result, ensure};
use hyp::hypervisor::Hypervisor;
use hyp::memory::{Clearing, MemoryConfig};
use hyp::vm::{End, FenceCounts};
use isa::{Ext, PAGE_BYTES};
use machine::Setup;
use machine::guests::{Cpi, GuestSetup, ToggleCounts};
use std::fmt::Write;

/// Makes a machine one for guests: its memory becomes a guest's, and its own holds all of them.
///
/// # Errors
/// An option has a value that no guest can have.
pub(crate) fn set_up(setup: &mut Setup, options: &GuestOptions, run: &RunOptions) -> Result<()> {
    ensure!(
        run.disk.is_empty() && run.net.is_empty() && !run.virtio_console.unwrap_or(false),
        "guests have no disks, network devices and virtio consoles; give them an --initrd"
    );
    ensure!(
        setup.ram_bytes.is_multiple_of(PAGE_BYTES),
        "--memory: a guest's memory is made of pages of 4 KiB"
    );
    let second = setup.clock.timebase_hz();
    let slice = options.slice.0.as_nanos() * u128::from(second) / 1_000_000_000;
    let guests = GuestSetup {
        vms: usize::from(options.vms),
        vcpus: usize::from(options.vcpus),
        memory_bytes: setup.ram_bytes,
        mode: options.mode.into(),
        memory: MemoryConfig {
            policy: options.policy.0,
            largest: options.pages.into(),
            clearing: Clearing::AtGet,
            svvptc: setup.exts.contains(Ext::Svvptc),
        },
        sstc: setup.exts.contains(Ext::Sstc) && !options.no_guest_sstc,
        bare: false,
        toggle_cycles: options.dirty_log_every.map(|every| {
            let cycles = every.0.as_nanos() * u128::from(setup.clock.cpu_hz()) / 1_000_000_000;
            u64::try_from(cycles).unwrap_or(u64::MAX)
        }),
        cpi: Cpi::ONE,
        slice_ticks: u64::try_from(slice).unwrap_or(u64::MAX).max(1),
    };
    setup.ram_bytes = guests.ram_bytes();
    setup.guests = Some(guests);
    Ok(())
}

/// What happened under the hypervisor, for the user.
pub(crate) fn tell(hypervisor: &Hypervisor, toggled: Option<ToggleCounts>) -> String {
    let mut text = String::new();
    for (number, vm) in hypervisor.vms.iter().enumerate() {
        let end = match vm.end {
            None => "did not end".to_owned(),
            Some(End::Shutdown) => "powered off".to_owned(),
            Some(End::Failure) => "powered off: it has failed".to_owned(),
            Some(End::Reboot) => "asked to start again".to_owned(),
            Some(End::Moved) => "moved to another machine".to_owned(),
            Some(End::Broken(why)) => format!("broke: {why}"),
        };
        let (memory, tables) = (vm.memory.counts(), vm.memory.gstage().counts());
        let _ = writeln!(
            text,
            "vm{number} {end}: {} page faults, {} tables, {} splits, {} collapses",
            memory.faults, tables.tables, tables.splits, tables.collapses
        );
    }
    let counts = hypervisor.counts();
    let _ = write!(text, "exits: {}", counts.exits());
    for (code, count) in counts.exceptions.iter().enumerate().filter(|(_, count)| **count != 0) {
        let name = isa::Exception::from_code(code as u64).map(|exception| exception.to_string());
        let _ = write!(text, ", {} {count}", name.unwrap_or_else(|| format!("exception {code}")));
    }
    for (code, count) in counts.interrupts.iter().enumerate().filter(|(_, count)| **count != 0) {
        let _ = write!(text, ", interrupt {code} {count}");
    }
    let _ = write!(text, "\ncalls:");
    let names = hyp::sbi::EXTENSIONS.iter().map(|row| row.1).chain(["others"]);
    for (name, count) in names.zip(counts.calls).filter(|(_, count)| *count != 0) {
        let _ = write!(text, " {name} {count}");
    }
    let FenceCounts {
        gvma_local,
        gvma_remote,
        gvma_all_local,
        gvma_all_remote,
        gvma_placed,
        vvma_placed,
        vvma_asked,
        ipis,
    } = hypervisor.fences();
    let _ = write!(
        text,
        "\nswitches: {}, {} to another hart, {} kicks, {} VMID rollovers\n\
         fences: gvma by address {gvma_local} here {gvma_remote} on others, all {gvma_all_local} here \
         {gvma_all_remote} on others, all {gvma_placed} for vCPUs that came; vvma {vvma_placed} for vCPUs that came, {vvma_asked} for guests; {ipis} IPIs",
        counts.switches, counts.moves, counts.kicks, counts.rollovers
    );
    if let Some(ToggleCounts { switches, periods, named, not_changed, lost, failures }) = toggled {
        let _ = write!(
            text,
            "\ndirty logs: switched {switches} times, {periods} periods, {named} pages named, {not_changed} of them as they were, {lost} lost, \
             {failures} failures"
        );
    }
    text
}
