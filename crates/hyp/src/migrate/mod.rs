//! Pre-copy migration of a running VM to another machine.
//!
//! The source sends all memory while the guest runs, then in rounds what the dirty log names, then, with the guest paused, the
//! rest, the state of its vCPUs and a hash of everything. The destination says whether it has the same. Only then does the source
//! give the guest up; until then anything that goes wrong ends in [`cancel`], and the guest runs on where it was.

mod state;
pub mod wire;

use std::io::{Read, Write};

use isa::{Gpa, PAGE_BYTES};

use crate::hypervisor::Hypervisor;
use crate::memory::MemoryError;
use crate::port::Parts;
use crate::vm::{End, NoSlot, Vm};
use wire::{Hello, Message, WireError, receive, send};

const PAGE: usize = PAGE_BYTES as usize;

/// Why a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The stream.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The dirty log.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The guest's memory.
    #[error(transparent)]
    NoSlot(#[from] NoSlot),
    /// The destination's guest has another shape.
    #[error("the guests of the two sides differ in {what}: {there} where it was, {here} here")]
    Shape {
        /// What it is.
        what: &'static str,
        /// What the source has.
        there: String,
        /// What the destination has.
        here: String,
    },
    /// The destination does not have what the source has.
    #[error("the destination did not get what the source sent")]
    Refused,
    /// A message at the wrong moment.
    #[error("a message came at the wrong moment")]
    Order,
    /// The VM or its slot is not there.
    #[error("there is no such VM, or no such slot of its memory")]
    NoVm,
    /// The state of vCPUs cannot be read.
    #[error("the state of the vCPUs is malformed")]
    State,
}

impl From<std::io::Error> for MigrateError {
    fn from(error: std::io::Error) -> Self {
        Self::Wire(error.into())
    }
}

/// The VM that is moved, and the slot of its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject {
    /// The VM's number.
    pub vm: usize,
    /// Its slot.
    pub slot: u32,
    /// The extensions that the guest finds.
    pub exts: isa::ExtSet,
}

/// The shape of a VM.
///
/// # Errors
/// It is not there.
pub fn shape(hypervisor: &Hypervisor, subject: Subject) -> Result<Hello, MigrateError> {
    hello(hypervisor.vms.get(subject.vm).ok_or(MigrateError::NoVm)?, subject)
}

fn hello(vm: &Vm, subject: Subject) -> Result<Hello, MigrateError> {
    let slot = vm.memory.slots().get(subject.slot).ok_or(MigrateError::NoVm)?;
    let vcpus = u32::try_from(vm.vcpus.len()).unwrap_or(u32::MAX);
    Ok(Hello { vcpus, base: slot.gpa, bytes: slot.bytes, isa: subject.exts.isa_string() })
}

/// Whether a guest of one shape fits a VM of another.
fn compare(there: &Hello, here: &Hello) -> Result<(), MigrateError> {
    let rows = [
        ("vCPUs", there.vcpus.to_string(), here.vcpus.to_string()),
        ("the address of memory", there.base.to_string(), here.base.to_string()),
        ("bytes of memory", there.bytes.to_string(), here.bytes.to_string()),
        ("extensions", there.isa.clone(), here.isa.clone()),
    ];
    match rows.into_iter().find(|(_, there, here)| there != here) {
        None => Ok(()),
        Some((what, there, here)) => Err(MigrateError::Shape { what, there, here }),
    }
}

fn send_page(vm: &Vm, parts: &Parts<'_>, gpa: Gpa, to: &mut dyn Write) -> Result<(), MigrateError> {
    let mut page = Box::new([0; PAGE]);
    vm.read(parts.memory, gpa, &mut page[..])?;
    let zero = page.iter().all(|byte| *byte == 0);
    let message = if zero { Message::Zero(gpa) } else { Message::Page(gpa, page) };
    Ok(send(to, &message)?)
}

/// Begins: logs writes, and sends all memory. Returns how many pages that were.
///
/// # Errors
/// See [`MigrateError`]; call [`cancel`].
pub fn begin(
    hypervisor: &mut Hypervisor,
    parts: &mut Parts<'_>,
    subject: Subject,
    to: &mut dyn Write,
) -> Result<u64, MigrateError> {
    hypervisor
        .with_memory(parts, subject.vm, None, |memory, env| memory.enable_log(env, subject.slot))?;
    let vm = &hypervisor.vms[subject.vm];
    let hello = hello(vm, subject)?;
    let (base, pages) = (hello.base, hello.bytes / PAGE_BYTES);
    send(to, &Message::Hello(hello))?;
    for page in 0..pages {
        send_page(vm, parts, Gpa(base.0 + page * PAGE_BYTES), to)?;
    }
    Ok(pages)
}

/// Sends what was written since the last round. Returns how many pages that were.
///
/// # Errors
/// See [`MigrateError`]; call [`cancel`].
pub fn round(
    hypervisor: &mut Hypervisor,
    parts: &mut Parts<'_>,
    subject: Subject,
    to: &mut dyn Write,
) -> Result<u64, MigrateError> {
    let log = hypervisor
        .with_memory(parts, subject.vm, None, |memory, env| memory.get_log(env, subject.slot))?;
    let vm = &hypervisor.vms[subject.vm];
    let base = hello(vm, subject)?.base;
    for page in (0..log.pages()).filter(|&page| log.contains(page)) {
        send_page(vm, parts, Gpa(base.0 + page * PAGE_BYTES), to)?;
    }
    Ok(log.count())
}

/// Sends the rest of a VM that is paused and on no hart. Returns its hash.
///
/// # Errors
/// See [`MigrateError`]; call [`cancel`], and the guest runs on.
pub fn finish(
    hypervisor: &mut Hypervisor,
    parts: &mut Parts<'_>,
    subject: Subject,
    to: &mut dyn Write,
) -> Result<u64, MigrateError> {
    if !hypervisor.is_quiet(subject.vm) {
        return Err(MigrateError::Order);
    }
    round(hypervisor, parts, subject, to)?;
    let state = state::encode(&hypervisor.vms[subject.vm], parts, subject.vm);
    let hash = hash(&hypervisor.vms[subject.vm], parts, subject, &state)?;
    send(to, &Message::State(state))?;
    send(to, &Message::Hash(hash))?;
    to.flush()?;
    Ok(hash)
}

/// Gives the guest up if the destination says that it has the same.
///
/// # Errors
/// See [`MigrateError`]; call [`cancel`], and the guest runs on.
pub fn commit(
    hypervisor: &mut Hypervisor,
    parts: &mut Parts<'_>,
    subject: Subject,
    stream: &mut (impl Read + Write),
) -> Result<(), MigrateError> {
    match receive(stream)? {
        Message::Accept => {}
        Message::Refuse => return Err(MigrateError::Refused),
        _ => return Err(MigrateError::Order),
    }
    send(stream, &Message::Commit)?;
    stream.flush()?;
    hypervisor.end(parts, subject.vm, End::Moved);
    Ok(())
}

/// Gives a migration up: logging ends, and the guest runs on.
///
/// # Errors
/// The log cannot be switched off; the guest runs on all the same.
pub fn cancel(
    hypervisor: &mut Hypervisor,
    parts: &mut Parts<'_>,
    subject: Subject,
) -> Result<(), MigrateError> {
    let off = hypervisor
        .with_memory(parts, subject.vm, None, |memory, env| memory.disable_log(env, subject.slot));
    hypervisor.resume(parts, subject.vm);
    Ok(off?)
}

/// A VM on its way: what has been received of it.
#[derive(Clone, Debug)]
pub struct Incoming {
    hello: Hello,
    memory: Vec<u8>,
    state: Vec<u8>,
    hash: u64,
}

impl Incoming {
    /// Receives all up to the moment at which the source waits for an answer. The guest must have the shape of the VM that
    /// waits for it; nothing is set aside for any other.
    ///
    /// # Errors
    /// See [`MigrateError`].
    pub fn receive(from: &mut dyn Read, wanted: &Hello) -> Result<Self, MigrateError> {
        let Message::Hello(hello) = receive(from)? else { return Err(MigrateError::Order) };
        compare(&hello, wanted)?;
        let bytes = usize::try_from(hello.bytes).map_err(|_| MigrateError::NoVm)?;
        let mut incoming = Self { hello, memory: vec![0; bytes], state: Vec::new(), hash: 0 };
        loop {
            match receive(from)? {
                Message::Page(gpa, page) => incoming.page(gpa)?.copy_from_slice(&page[..]),
                Message::Zero(gpa) => incoming.page(gpa)?.fill(0),
                Message::State(state) => incoming.state = state,
                Message::Hash(hash) => {
                    incoming.hash = hash;
                    return Ok(incoming);
                }
                _ => return Err(MigrateError::Order),
            }
        }
    }

    fn page(&mut self, gpa: Gpa) -> Result<&mut [u8], MigrateError> {
        let offset = gpa.0.checked_sub(self.hello.base.0).and_then(|at| usize::try_from(at).ok());
        let offset = offset.filter(|at| at % PAGE == 0).ok_or(MigrateError::Order)?;
        let end = offset.checked_add(PAGE).ok_or(MigrateError::Order)?;
        self.memory.get_mut(offset..end).ok_or(MigrateError::Order)
    }

    /// Puts it into a VM whose vCPUs are all stopped, and answers the source. The VM is paused until [`take_over`].
    /// Returns its hash.
    ///
    /// # Errors
    /// See [`MigrateError`]: then the source keeps the guest.
    pub fn settle(
        &self,
        hypervisor: &mut Hypervisor,
        parts: &mut Parts<'_>,
        subject: Subject,
        to: &mut dyn Write,
    ) -> Result<u64, MigrateError> {
        hypervisor.pause(parts, subject.vm);
        let settled = self.put(hypervisor, parts, subject);
        let same = settled.as_ref().is_ok_and(|hash| *hash == self.hash);
        send(to, if same { &Message::Accept } else { &Message::Refuse })?;
        to.flush()?;
        let hash = settled?;
        if same { Ok(hash) } else { Err(MigrateError::Refused) }
    }

    fn put(
        &self,
        hypervisor: &mut Hypervisor,
        parts: &mut Parts<'_>,
        subject: Subject,
    ) -> Result<u64, MigrateError> {
        compare(&self.hello, &shape(hypervisor, subject)?)?;
        hypervisor.vms[subject.vm].write(parts.memory, self.hello.base, &self.memory)?;
        let ready = state::decode(&mut hypervisor.vms[subject.vm], parts, subject.vm, &self.state)
            .ok_or(MigrateError::State)?;
        for vcpu in ready {
            let id = crate::hypervisor::VcpuId { vm: subject.vm, vcpu };
            hypervisor.make_ready(parts, id);
        }
        let state = state::encode(&hypervisor.vms[subject.vm], parts, subject.vm);
        hash(&hypervisor.vms[subject.vm], parts, subject, &state)
    }
}

/// Lets a guest run that has [settled](Incoming::settle), once the source has given it up.
///
/// # Errors
/// The source has not: the VM stays paused, and is not this side's.
pub fn take_over(
    hypervisor: &mut Hypervisor,
    parts: &mut Parts<'_>,
    subject: Subject,
    from: &mut dyn Read,
) -> Result<(), MigrateError> {
    match receive(from)? {
        Message::Commit => {}
        _ => return Err(MigrateError::Order),
    }
    hypervisor.resume(parts, subject.vm);
    Ok(())
}

/// A hash of a paused VM: its memory, and the state of vCPUs, clocks and console.
fn hash(vm: &Vm, parts: &Parts<'_>, subject: Subject, state: &[u8]) -> Result<u64, MigrateError> {
    let Hello { base, bytes, .. } = hello(vm, subject)?;
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(23);
    let mut page = [0; PAGE];
    for at in (0..bytes).step_by(PAGE) {
        vm.read(parts.memory, Gpa(base.0 + at), &mut page)?;
        page.as_chunks::<8>().0.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    }
    state.iter().for_each(|byte| add(u64::from(*byte)));
    Ok(sum)
}
