//! The machine as `gdbstub` sees it: harts are threads, numbered from 1.

use std::convert::Infallible;

use cpu::{Caught, Halt, Hart, Step};
use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadRangeStepping, MultiThreadRangeSteppingOps, MultiThreadResume,
    MultiThreadResumeOps, MultiThreadSchedulerLocking, MultiThreadSchedulerLockingOps,
    MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use machine::{HartState, Machine};
use mmu::WatchedRange;

use crate::arch::{CoreRegisters, RegisterNumber, Riscv64};
use crate::points::{Kind, Points, range};
use crate::registers::{PC, Register};
use crate::view::Space;
use crate::{description, monitor};

/// The client's words for "bad address" and "invalid argument".
const EFAULT: u8 = 14;
const EINVAL: u8 = 22;

/// What the client wants of a hart when the machine goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Action {
    /// What it wants of all that it does not name.
    #[default]
    Default,
    Continue,
    Step(Step),
}

/// A machine and what a client asked about it.
pub(crate) struct Debugged<'m> {
    pub(crate) machine: &'m mut Machine,
    pub(crate) points: Points,
    pub(crate) space: Space,
    /// The hart that the client looks at.
    pub(crate) selected: usize,
    /// What had happened on each hart when the client last asked, by the places of [`cpu::EVENTS`].
    pub(crate) counted: Vec<Vec<u64>>,
    actions: Vec<Action>,
    /// Harts that the client does not name stay where they are.
    locked: bool,
    description: String,
}

impl<'m> Debugged<'m> {
    /// A machine that no client has asked anything about.
    pub(crate) fn new(machine: &'m mut Machine) -> Self {
        let description = description::xml(machine.exts());
        let actions = vec![Action::default(); machine.harts().len()];
        let counts = |hart: &Hart| cpu::EVENTS.iter().map(|event| hart.count(event)).collect();
        let counted = machine.harts().iter().map(counts).collect();
        Self {
            machine,
            points: Points::default(),
            space: Space::default(),
            selected: 0,
            counted,
            actions,
            locked: false,
            description,
        }
    }

    /// Tells the harts what is asked of them, before the machine goes on.
    pub(crate) fn arm(&mut self) {
        let requests = self.points.requests();
        for (hart, action) in self.machine.harts_mut().iter_mut().zip(&self.actions) {
            hart.set_requests(Some(&requests));
            hart.set_step(match action {
                Action::Step(step) => Some(*step),
                Action::Default | Action::Continue => None,
            });
        }
        let (actions, locked) = (&self.actions, self.locked);
        self.machine.freeze(|hart| locked && actions.get(hart) == Some(&Action::Default));
    }

    /// Takes everything back that was asked of the harts.
    pub(crate) fn disarm(&mut self) {
        self.machine.freeze(|_| false);
        for hart in self.machine.harts_mut() {
            let _ = hart.take_halt();
            hart.set_requests(None);
        }
    }

    /// Why a hart halted, for the client; and the exception that was caught, if that is why.
    pub(crate) fn stop_reason(
        &mut self,
        hart: usize,
    ) -> (MultiThreadStopReason<u64>, Option<Caught>) {
        self.selected = hart;
        let tid = thread(hart);
        let trapped = MultiThreadStopReason::SignalWithThread { tid, signal: Signal::SIGTRAP };
        let Some(hart) = self.machine.harts_mut().get_mut(hart) else { return (trapped, None) };
        match hart.take_halt() {
            None | Some(Halt::Stepped) => (trapped, None),
            Some(Halt::Caught(caught)) => (trapped, Some(caught)),
            Some(Halt::Breakpoint) if self.points.has(Kind::Software, hart.pc()) => {
                (MultiThreadStopReason::SwBreak(tid), None)
            }
            Some(Halt::Breakpoint) => (MultiThreadStopReason::HwBreak(tid), None),
            Some(Halt::Watched(hit)) => {
                let kind = match (hit.range.loads, hit.range.stores) {
                    (true, true) => WatchKind::ReadWrite,
                    (true, false) => WatchKind::Read,
                    (false, _) => WatchKind::Write,
                };
                (MultiThreadStopReason::Watch { tid, kind, addr: hit.va.0 }, None)
            }
        }
    }

    /// The hart that the client looks at.
    pub(crate) fn hart_in_view(&self) -> &Hart {
        let harts = self.machine.harts();
        // A machine has a hart.
        harts.get(self.selected).unwrap_or(&harts[0])
    }

    /// The stop of a machine that was interrupted: no hart is to blame.
    pub(crate) fn interrupted(&self) -> MultiThreadStopReason<u64> {
        let signal = Signal::SIGINT;
        MultiThreadStopReason::SignalWithThread { tid: thread(self.selected), signal }
    }

    fn hart(&mut self, tid: Tid) -> Result<&mut Hart, TargetError<Infallible>> {
        self.machine.harts_mut().get_mut(tid.get() - 1).ok_or(TargetError::Errno(EINVAL))
    }

    fn set_action(&mut self, tid: Tid, action: Action) {
        // A thread that does not exist does nothing.
        if let Some(slot) = self.actions.get_mut(tid.get() - 1) {
            *slot = action;
        }
    }

    /// A client changed memory: like any other agent's stores, that ends reservations.
    fn memory_changed(&mut self) {
        for hart in self.machine.harts_mut() {
            hart.clear_reservation();
            hart.forget_caught();
        }
    }
}

/// The thread of a hart.
pub(crate) fn thread(hart: usize) -> Tid {
    Tid::MIN.saturating_add(hart)
}

impl Target for Debugged<'_> {
    type Arch = Riscv64;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, Riscv64, Infallible> {
        BaseOps::MultiThread(self)
    }

    fn use_rle(&self) -> bool {
        // The line is fast, and transcripts can be read.
        false
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Debugged<'_> {
    fn read_registers(&mut self, to: &mut CoreRegisters, tid: Tid) -> TargetResult<(), Self> {
        let hart = self.hart(tid)?;
        to.pc = hart.pc();
        to.x = std::array::from_fn(|index| hart.x(index));
        Ok(())
    }

    fn write_registers(&mut self, from: &CoreRegisters, tid: Tid) -> TargetResult<(), Self> {
        let hart = self.hart(tid)?;
        for (number, &value) in from.x.iter().chain([&from.pc]).enumerate() {
            let register = Register::from_number(number.min(PC)).ok_or(())?;
            register.write(hart, value).ok_or(())?;
        }
        Ok(())
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let space = self.space;
        match space.read(self.hart(tid)?, start, data) {
            0 if !data.is_empty() => Err(TargetError::Errno(EFAULT)),
            count => Ok(count),
        }
    }

    fn write_addrs(&mut self, start: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let space = self.space;
        if !space.write(self.hart(tid)?, start, data) {
            return Err(TargetError::Errno(EFAULT));
        }
        self.memory_changed();
        Ok(())
    }

    fn list_active_threads(&mut self, active: &mut dyn FnMut(Tid)) -> Result<(), Infallible> {
        (0..self.actions.len()).for_each(|hart| active(thread(hart)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for Debugged<'_> {
    fn read_register(
        &mut self,
        tid: Tid,
        number: RegisterNumber,
        to: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let register = Register::from_number(number.0).ok_or(TargetError::Errno(EINVAL))?;
        let bytes = description::bytes(self.machine.exts(), register);
        let value = register.read(self.hart(tid)?).ok_or(TargetError::Errno(EINVAL))?;
        let value = value.to_le_bytes();
        let (from, to) = value.get(..bytes).zip(to.get_mut(..bytes)).ok_or(())?;
        to.copy_from_slice(from);
        Ok(bytes)
    }

    fn write_register(
        &mut self,
        tid: Tid,
        number: RegisterNumber,
        from: &[u8],
    ) -> TargetResult<(), Self> {
        let register = Register::from_number(number.0).ok_or(TargetError::Errno(EINVAL))?;
        let bytes = description::bytes(self.machine.exts(), register);
        // A narrow floating-point value is boxed.
        let mut value = if bytes < 8 { [0xff; 8] } else { [0; 8] };
        let from = from.get(..bytes).ok_or(TargetError::Errno(EINVAL))?;
        value.get_mut(..bytes).ok_or(())?.copy_from_slice(from);
        let written = register.write(self.hart(tid)?, u64::from_le_bytes(value));
        written.ok_or(TargetError::Errno(EINVAL))
    }
}

impl ThreadExtraInfo for Debugged<'_> {
    fn thread_extra_info(&self, tid: Tid, to: &mut [u8]) -> Result<usize, Infallible> {
        let index = tid.get() - 1;
        let Some(hart) = self.machine.harts().get(index) else { return Ok(0) };
        let doing = match self.machine.hart_state(index) {
            HartState::Running if hart.waiting() => ", waits in WFI",
            HartState::Running => "",
            HartState::Suspended => ", suspended in the firmware",
            HartState::Stopped => ", not started",
        };
        let text = format!("hart {}, {}-mode{doing}", hart.id(), hart.mode());
        let count = text.len().min(to.len());
        to[..count].copy_from_slice(&text.as_bytes()[..count]);
        Ok(count)
    }
}

impl MultiThreadResume for Debugged<'_> {
    fn resume(&mut self) -> Result<(), Infallible> {
        self.arm();
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Infallible> {
        self.actions.fill(Action::Default);
        self.locked = false;
        Ok(())
    }

    fn set_resume_action_continue(
        &mut self,
        tid: Tid,
        _: Option<Signal>,
    ) -> Result<(), Infallible> {
        self.set_action(tid, Action::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Debugged<'_> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Infallible> {
        self.set_action(tid, Action::Step(Step::Once));
        Ok(())
    }
}

impl MultiThreadRangeStepping for Debugged<'_> {
    fn set_resume_action_range_step(
        &mut self,
        tid: Tid,
        start: u64,
        end: u64,
    ) -> Result<(), Infallible> {
        self.set_action(tid, Action::Step(Step::Within { start, end }));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Debugged<'_> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Infallible> {
        self.locked = true;
        Ok(())
    }
}

impl Breakpoints for Debugged<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Debugged<'_> {
    fn add_sw_breakpoint(&mut self, pc: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.points.add(Kind::Software, pc))
    }

    fn remove_sw_breakpoint(&mut self, pc: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.points.remove(Kind::Software, pc))
    }
}

impl HwBreakpoint for Debugged<'_> {
    fn add_hw_breakpoint(&mut self, pc: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.points.add(Kind::Hardware, pc))
    }

    fn remove_hw_breakpoint(&mut self, pc: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.points.remove(Kind::Hardware, pc))
    }
}

fn watched(start: u64, bytes: u64, kind: WatchKind) -> WatchedRange {
    range(start, bytes, kind != WatchKind::Write, kind != WatchKind::Read)
}

impl HwWatchpoint for Debugged<'_> {
    fn add_hw_watchpoint(
        &mut self,
        start: u64,
        bytes: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.points.watch(watched(start, bytes, kind)))
    }

    fn remove_hw_watchpoint(
        &mut self,
        start: u64,
        bytes: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.points.unwatch(watched(start, bytes, kind)))
    }
}

impl TargetDescriptionXmlOverride for Debugged<'_> {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        to: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::Errno(EINVAL));
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = self.description.as_bytes().get(offset..).unwrap_or_default();
        let count = from.len().min(length).min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

impl MonitorCmd for Debugged<'_> {
    fn handle_monitor_cmd(
        &mut self,
        command: &[u8],
        mut out: ConsoleOutput<'_>,
    ) -> Result<(), Infallible> {
        let text = String::from_utf8_lossy(command);
        // A packet a line, so that none gets long.
        for line in monitor::execute(self, &text).split_inclusive('\n') {
            out.write_raw(line.as_bytes());
            out.flush();
        }
        Ok(())
    }
}
