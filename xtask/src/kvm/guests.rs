//! Guests that show that KVM works: a bare one that prints a line, and Debian's kernel inside Debian's kernel.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::initramfs::{Extra, Plan};
use crate::linux;
use crate::process::say;

use super::report::Report;
use super::session::{Ended, Machine};
use super::{Kit, Shape};

/// What the bare guest prints (`riscv-tests/kvm/payload.S`).
const HELLO: &str = "hello from VS-mode";

/// What the Linux guest's script prints at its end.
pub const NESTED: &str = "nested-guest: ";

/// What the Linux guest runs in its user space. 3 MiB of zeros have this checksum: md5sum on another machine says so.
pub const NESTED_SCRIPT: &str = r#"
set -e
dd if=/dev/zero of=/tmp/zeros bs=1M count=3 2>/dev/null
sum=$(md5sum /tmp/zeros | cut -d ' ' -f 1)
echo "nested-guest: Linux $(uname -r), $(nproc) vCPUs, $(grep -m 1 isa /proc/cpuinfo | cut -d : -f 2 | cut -c 1-14)"
echo "nested-guest: md5 $sum"
"#;

/// md5 of 3 MiB of zeros.
pub const ZEROS_MD5: &str = "d1dd210d6b1312cb342b56d02bd5e651";

/// A guest without an operating system.
pub fn bare(kit: &Kit<'_>, shape: Shape, report: &mut Report) {
    let files = [kit.vmm.clone()];
    let name = format!("bare guest, {}", shape.machine());
    let session = kit.session(shape, &files, "say \"starting a bare guest\"\nvmm bare\n");
    report.play(&name, &kit.machines(), |machine| {
        let ended = session.run(machine)?;
        ensure!(
            ended.lines.iter().any(|line| line.text == HELLO),
            "the guest did not print its line"
        );
        Ok(ended)
    });
}

/// Linux in Linux.
pub fn linux(kit: &Kit<'_>, shape: Shape, report: &mut Report) {
    let vcpus = super::plural(shape.vcpus, "vCPU");
    let name = format!("Linux guest, {vcpus}, {}", shape.machine());
    let run = |machine: &Machine| -> Result<Ended> {
        let files = linux_files(kit, Some(NESTED_SCRIPT))?;
        // The guest reads no input, and gives up long before the session does.
        let script = format!("{}--limit 300 < /dev/null\n", vmm_linux(shape));
        let ended = kit.session(shape, &files, &script).run(machine)?;
        let said: Vec<&str> = ended.after(NESTED).collect();
        let system = said.first().context("the guest did not reach its script")?;
        say(&format!("the guest says: {system}"));
        ensure!(system.contains(&format!(", {} vCPUs", shape.vcpus)), "it does not have {vcpus}");
        let expect = format!("md5 {ZEROS_MD5}");
        ensure!(said.last() == Some(&expect.as_str()), "it computes a wrong checksum");
        Ok(ended)
    };
    report.play(&name, &kit.machines(), run);
}

/// A Linux guest whose shell is the user's.
pub fn shell(kit: &Kit<'_>, shape: Shape) -> Result<ExitCode> {
    let files = linux_files(kit, None)?;
    let mut kit_extra = vec!["--clock".to_owned(), "native".to_owned()];
    kit_extra.extend(kit.extra.iter().cloned());
    let script = vmm_linux(shape);
    let session = super::Session { extra: &kit_extra, ..kit.session(shape, &files, &script) };
    let status = session.run_with_terminal(kit.nestwalk)?;
    Ok(linux::exit_code(status))
}

/// The start of vmm's command line, to which more can be added.
pub fn vmm_linux(shape: Shape) -> String {
    format!(
        "say \"starting Linux as a guest\"\n\
         vmm linux --kernel /guest/Image --initrd /guest/initramfs.cpio --vcpus {} ",
        shape.vcpus
    )
}

/// vmm, the kernel once more, and the guest's own initramfs.
pub fn linux_files(kit: &Kit<'_>, script: Option<&str>) -> Result<Vec<Extra>> {
    let plan = Plan { inputs: kit.inputs, script, extra: &[], with_modules: false };
    Ok(vec![
        kit.vmm.clone(),
        Extra::copy("guest/Image", 0o644, &kit.inputs.image())?,
        Extra { path: "guest/initramfs.cpio".into(), permissions: 0o644, bytes: plan.build()? },
    ])
}
