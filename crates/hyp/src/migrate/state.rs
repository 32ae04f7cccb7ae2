//! The state of a paused VM beside its memory, as bytes: vCPUs, clocks, console.
//!
//! Clocks are those that the guest sees: `htimedelta` says nothing on another machine.

use isa::csr;

use crate::port::Parts;
use crate::vcpu::{Context, Resume, Run, SWITCHED};
use crate::vm::Vm;

/// The most that a console's state takes, in bytes.
const CONSOLE_BYTES_MAX: usize = 1 << 16;

pub(super) fn encode(vm: &Vm, parts: &Parts<'_>, index: usize) -> Vec<u8> {
    let time = parts.harts.csr(0, csr::TIME);
    let mut words = Vec::new();
    for vcpu in &vm.vcpus {
        let Context { pc, supervisor, x, f, fcsr, csrs } = &vcpu.context;
        let (kind, resume) = match vcpu.run {
            Run::Stopped => (0, None),
            // A paused VM's vCPU is on no hart.
            Run::Ready | Run::On { .. } => (1, None),
            Run::Waiting { suspended: false, resume } => (2, resume),
            Run::Waiting { suspended: true, resume } => (3, resume),
        };
        words.extend([kind, u64::from(resume.is_some())]);
        let Resume { pc: resumed, opaque } = resume.unwrap_or(Resume { pc: 0, opaque: 0 });
        words.extend([resumed, opaque]);
        words.extend([u64::from(vcpu.timer.is_some()), vcpu.timer.unwrap_or(0)]);
        words.extend([*pc, u64::from(*supervisor), *fcsr]);
        words.extend(x);
        words.extend(f);
        for (value, number) in csrs.iter().zip(SWITCHED) {
            let clock = number == csr::HTIMEDELTA;
            words.push(if clock { value.wrapping_add(time) } else { *value });
        }
    }
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    let mut console = parts.io.console_state(index);
    console.truncate(CONSOLE_BYTES_MAX);
    bytes.extend(console);
    bytes
}

/// Takes the state over; returns the vCPUs that are ready. `None` where it is malformed, or gives the guest what this side
/// does not.
pub(super) fn decode(
    vm: &mut Vm,
    parts: &mut Parts<'_>,
    index: usize,
    bytes: &[u8],
) -> Option<Vec<usize>> {
    const WORDS: usize = 9 + 64 + SWITCHED.len();
    let time = parts.harts.csr(0, csr::TIME);
    let (vcpus, console) = bytes.split_at_checked(vm.vcpus.len() * WORDS * 8)?;
    let mut ready = Vec::new();
    for (number, bytes) in vcpus.chunks(WORDS * 8).enumerate() {
        let words: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let &[kind, resumes, resumed, opaque, rings, timer, pc, supervisor, fcsr, ref rest @ ..] =
            &words[..]
        else {
            return None;
        };
        let resume = (resumes != 0).then_some(Resume { pc: resumed, opaque });
        let run = match kind {
            0 => Run::Stopped,
            1 => {
                ready.push(number);
                Run::Ready
            }
            2 => Run::Waiting { suspended: false, resume },
            3 => Run::Waiting { suspended: true, resume },
            _ => return None,
        };
        let (x, rest) = rest.split_at_checked(32)?;
        let (f, csrs) = rest.split_at_checked(32)?;
        let mut context = Context {
            pc,
            supervisor: supervisor != 0,
            x: x.try_into().ok()?,
            f: f.try_into().ok()?,
            fcsr,
            csrs: csrs.try_into().ok()?,
        };
        let clock = context.csr(csr::HTIMEDELTA);
        context.set_csr(csr::HTIMEDELTA, clock.wrapping_sub(time));
        let vcpu = vm.vcpus.get_mut(number)?;
        // What the guest may do is for this side to say.
        let granted = |number| context.csr(number) & !vcpu.context.csr(number) == 0;
        if ![csr::HENVCFG, csr::HCOUNTEREN, csr::HSTATEEN0].into_iter().all(granted) {
            return None;
        }
        vcpu.context = context;
        vcpu.run = run;
        vcpu.timer = (rings != 0).then_some(timer);
        vcpu.must_fence = true;
        vcpu.must_fence_i = true;
    }
    parts.io.set_console_state(index, console)?;
    Some(ready)
}
