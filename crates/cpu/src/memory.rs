//! Data accesses: the native TLB first, then the architectural path, devices, misaligned pieces;
//! and how a failed translation becomes a trap. What follows a miss is kept out of line: inlined, it would take
//! native registers from the loop over operations.

use isa::{Exception, Mode, Pa, Privilege, Va};
use mmu::{Access, Erratum, Fault, ImplicitAccess, Kind, Scalar, Target};

use crate::core::Core;
use crate::platform::Platform;
use crate::trap::Trap;
use crate::watch::Touch;
use crate::witness::Writer;

/// A data access that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataFault {
    pub(crate) trap: Trap,
    /// For an explicit access, the faulting address minus the instruction's own: what
    /// `htinst`/`mtinst` put in place of rs1. `None` where no transformed instruction is due.
    pub(crate) offset: Option<u64>,
}

impl DataFault {
    pub(crate) const fn plain(exception: Exception, tval: u64) -> Self {
        Self { trap: Trap::new(exception, tval), offset: None }
    }
}

/// The causes of the three ways in which a kind of access can fail.
struct Causes {
    page: Exception,
    guest_page: Exception,
    access: Exception,
    misaligned: Exception,
}

const fn causes(kind: Kind) -> Causes {
    match kind {
        Kind::Fetch => Causes {
            page: Exception::InstructionPage,
            guest_page: Exception::InstructionGuestPage,
            access: Exception::InstructionAccess,
            misaligned: Exception::InstructionMisaligned,
        },
        Kind::Load => Causes {
            page: Exception::LoadPage,
            guest_page: Exception::LoadGuestPage,
            access: Exception::LoadAccess,
            misaligned: Exception::LoadMisaligned,
        },
        Kind::Store | Kind::Amo => Causes {
            page: Exception::StorePage,
            guest_page: Exception::StoreGuestPage,
            access: Exception::StoreAccess,
            misaligned: Exception::StoreMisaligned,
        },
    }
}

/// `htinst`/`mtinst` for an implicit access of a VS-stage walk [hypervisor, "Transformed
/// Instruction or Pseudoinstruction"]: a 64-bit read or write.
const PSEUDO_READ: u64 = 0x3000;
const PSEUDO_WRITE: u64 = 0x3020;

/// Cause, tval, tval2, tinst and GVA of a failed translation of `va`.
pub(crate) fn trap_of(fault: &Fault, kind: Kind, va: Va, v: bool) -> Trap {
    let causes = causes(kind);
    match fault {
        Fault::Page { .. } => Trap { gva: v, ..Trap::new(causes.page, va.0) },
        Fault::Access { .. } => Trap { gva: v, ..Trap::new(causes.access, va.0) },
        Fault::GuestPage { gpa, implicit, .. } => Trap {
            exception: causes.guest_page,
            tval: va.0,
            tval2: gpa.0 >> 2,
            tinst: match implicit {
                None => 0,
                Some(ImplicitAccess::Read) => PSEUDO_READ,
                Some(ImplicitAccess::Write) => PSEUDO_WRITE,
            },
            gva: v,
        },
    }
}

/// How an explicit access is made: the usual way, or as HLV, HLVX and HSV do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Manner {
    pub(crate) privilege: Privilege,
    pub(crate) v: bool,
    pub(crate) hlvx: bool,
}

impl Core {
    /// The manner of an ordinary load or store.
    pub(crate) fn ordinary(&self) -> Manner {
        let (privilege, v) = self.data_privilege();
        Manner { privilege, v, hlvx: false }
    }

    fn access(&self, kind: Kind, size: u8, manner: Manner) -> Access {
        let Manner { privilege, v, hlvx } = manner;
        Access { kind, size, privilege, v, hlvx }
    }

    fn translate(
        &mut self,
        va: u64,
        origin: u64,
        kind: Kind,
        size: u8,
        manner: Manner,
    ) -> Result<Target, DataFault> {
        let access = self.access(kind, size, manner);
        if let Some(pa) = self.mmu.recall(Va(va), access) {
            return Ok(Target::Ram { pa });
        }
        let translated = self.mmu.translate(Va(va), access);
        self.after_write(Writer::Walk);
        match translated {
            Ok(translated) => Ok(translated.target),
            Err(fault) => {
                self.why = Some(fault);
                let implicit = matches!(&fault, Fault::GuestPage { implicit: Some(_), .. });
                let offset = (!implicit).then(|| va.wrapping_sub(origin));
                let mut trap = trap_of(&fault, kind, Va(va), manner.v);
                if self.errata.has(Erratum::AmoFaultsAsLoad)
                    && kind == Kind::Amo
                    && trap.exception == Exception::StoreGuestPage
                {
                    trap.exception = Exception::LoadGuestPage;
                }
                let store = matches!(kind, Kind::Store | Kind::Amo);
                if self.errata.has(Erratum::PteReadReportedAsWrite) && implicit && store {
                    trap.tinst = PSEUDO_WRITE;
                }
                if self.errata.has(Erratum::PteWriteReportedAsRead) && implicit {
                    trap.tinst = PSEUDO_READ;
                }
                Err(DataFault { trap, offset })
            }
        }
    }

    fn bus_fault(&self, kind: Kind, va: u64, v: bool) -> DataFault {
        let trap = Trap { gva: v, ..Trap::new(causes(kind).access, va) };
        DataFault { trap, offset: Some(0) }
    }

    /// The part at `part` of an access to `va` is one that no device takes: misaligned. It is an access fault, lest
    /// software emulate it piece by piece [priv, "Idempotency PMAs", norm:pma_idp_misaligned_exc].
    fn device_refuses(&self, kind: Kind, part: u64, va: u64, v: bool) -> DataFault {
        DataFault { offset: Some(part.wrapping_sub(va)), ..self.bus_fault(kind, part, v) }
    }

    fn misaligned(&self, kind: Kind, va: u64, v: bool) -> DataFault {
        let trap = Trap { gva: v, ..Trap::new(causes(kind).misaligned, va) };
        DataFault { trap, offset: Some(0) }
    }

    fn touch_device(&mut self, port: &mut dyn Platform) {
        port.advance(self.cycle);
        self.device_accessed = true;
        self.recheck = true;
        // The device may write memory; the next SC must not miss that.
        self.reservation = None;
    }

    fn device_read(&mut self, port: &mut dyn Platform, pa: Pa, size: u8) -> Option<u64> {
        self.touch_device(port);
        let value = port.read(pa, size).ok();
        self.after_write(Writer::Device);
        value
    }

    fn device_write(&mut self, port: &mut dyn Platform, pa: Pa, size: u8, value: u64) -> bool {
        self.touch_device(port);
        let done = port.write(pa, size, value).is_ok();
        self.after_write(Writer::Device);
        done
    }

    /// An ordinary load that is misaligned or missed the native TLB, zero-extended.
    #[cold]
    #[inline(never)]
    pub(crate) fn load_missed(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        size: u8,
    ) -> Result<u64, DataFault> {
        if self.is_misaligned_in_page(va, size)
            && let Some(pa) = self.mmu.readable::<u8>(va)
            && let Some(value) = self.ram_read(pa, size)
        {
            return Ok(value);
        }
        self.load_slow(port, va, size, self.ordinary())
    }

    /// An ordinary store that is misaligned or missed the native TLB.
    #[cold]
    #[inline(never)]
    pub(crate) fn store_missed(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        size: u8,
        value: u64,
    ) -> Result<(), DataFault> {
        if self.is_misaligned_in_page(va, size)
            && let Some(pa) = self.mmu.writable::<u8>(va)
            && self.ram_write(pa, size, value).is_some()
        {
            return Ok(());
        }
        self.store_slow(port, va, size, value, self.ordinary())
    }

    /// Misaligned, but no harder than aligned: what one byte may do, its page may.
    fn is_misaligned_in_page(&self, va: u64, size: u8) -> bool {
        let size = u64::from(size);
        va & (size - 1) != 0 && (va & 0xfff) + size <= 0x1000 && !self.misaligned_traps
    }

    /// A misaligned load within a page that the native TLB serves; `None` if there is more to it.
    #[inline(never)]
    pub(crate) fn load_misaligned<T: Scalar>(&self, va: u64) -> Option<T> {
        let pa = self.mmu.readable::<u8>(va)?;
        self.is_misaligned_in_page(va, T::BYTES as u8).then(|| self.ram.read::<T>(pa)).flatten()
    }

    /// A misaligned store to such a page, which nobody watches; says whether it is done.
    #[inline(never)]
    pub(crate) fn store_misaligned<T: Scalar>(&mut self, va: u64, value: T) -> bool {
        let Some(pa) = self.mmu.writable::<u8>(va) else { return false };
        self.is_misaligned_in_page(va, T::BYTES as u8) && self.ram.write::<T>(pa, value).is_some()
    }

    /// A load that missed the native TLB, zero-extended.
    #[inline(never)]
    pub(crate) fn load_slow(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        size: u8,
        manner: Manner,
    ) -> Result<u64, DataFault> {
        #[cfg(feature = "faults")]
        let manner = self.leaked(manner);
        let va = self.masked(va, manner);
        let value = self.load_anywhere(port, va, size, manner)?;
        self.note_access(va, size, Touch::Load);
        Ok(value)
    }

    /// How a load is made where HLV's override leaks into the next one.
    #[cfg(feature = "faults")]
    fn leaked(&mut self, manner: Manner) -> Manner {
        if !self.errata.has(Erratum::HlvOverrideLeaks) || self.mode.v() {
            return manner;
        }
        let leaks = std::mem::replace(&mut self.after_hlv, manner.v);
        if leaks && !manner.v { self.guest_manner(false) } else { manner }
    }

    fn load_anywhere(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        size: u8,
        manner: Manner,
    ) -> Result<u64, DataFault> {
        let aligned = va & (u64::from(size) - 1) == 0;
        if !aligned && self.misaligned_traps {
            return Err(self.misaligned(Kind::Load, va, manner.v));
        }
        let to_page_end = 0x1000 - (va & 0xfff);
        if to_page_end >= u64::from(size) {
            return self.load_piece(port, va, va, size, manner, aligned);
        }
        // Crossing a page: the bytes of either side, low part first.
        let low = to_page_end as u8;
        let first = self.load_bytes(va, va, low, manner)?;
        let second = self.load_bytes(va.wrapping_add(to_page_end), va, size - low, manner)?;
        Ok(first | second << (8 * u32::from(low)))
    }

    fn load_piece(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        origin: u64,
        size: u8,
        manner: Manner,
        aligned: bool,
    ) -> Result<u64, DataFault> {
        match self.translate(va, origin, Kind::Load, size, manner)? {
            Target::Ram { pa } => {
                self.ram_read(pa, size).ok_or_else(|| self.bus_fault(Kind::Load, va, manner.v))
            }
            Target::Mmio { .. } if !aligned => {
                Err(self.device_refuses(Kind::Load, va, va, manner.v))
            }
            Target::Mmio { pa } => self
                .device_read(port, pa, size)
                .ok_or_else(|| self.bus_fault(Kind::Load, va, manner.v)),
        }
    }

    fn load_bytes(
        &mut self,
        va: u64,
        origin: u64,
        count: u8,
        manner: Manner,
    ) -> Result<u64, DataFault> {
        let mut value = 0;
        for i in 0..count {
            let at = va.wrapping_add(u64::from(i));
            let Target::Ram { pa } = self.translate(at, origin, Kind::Load, 1, manner)? else {
                return Err(self.device_refuses(Kind::Load, at, origin, manner.v));
            };
            let byte = self.ram.read::<u8>(pa);
            let byte = byte.ok_or_else(|| self.bus_fault(Kind::Load, at, manner.v))?;
            value |= u64::from(byte) << (8 * u32::from(i));
        }
        Ok(value)
    }

    /// A store that missed the native TLB.
    #[inline(never)]
    pub(crate) fn store_slow(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        size: u8,
        value: u64,
        manner: Manner,
    ) -> Result<(), DataFault> {
        let va = self.masked(va, manner);
        self.store_anywhere(port, va, size, value, manner)?;
        self.note_access(va, size, Touch::Store);
        Ok(())
    }

    fn store_anywhere(
        &mut self,
        port: &mut dyn Platform,
        va: u64,
        size: u8,
        value: u64,
        manner: Manner,
    ) -> Result<(), DataFault> {
        let aligned = va & (u64::from(size) - 1) == 0;
        if !aligned && self.misaligned_traps {
            return Err(self.misaligned(Kind::Store, va, manner.v));
        }
        let to_page_end = 0x1000 - (va & 0xfff);
        if to_page_end >= u64::from(size) {
            return match self.translate(va, va, Kind::Store, size, manner)? {
                Target::Ram { pa } => self
                    .ram_write(pa, size, value)
                    .ok_or_else(|| self.bus_fault(Kind::Store, va, manner.v)),
                Target::Mmio { .. } if !aligned => {
                    Err(self.device_refuses(Kind::Store, va, va, manner.v))
                }
                Target::Mmio { pa } => {
                    if self.device_write(port, pa, size, value) {
                        Ok(())
                    } else {
                        Err(self.bus_fault(Kind::Store, va, manner.v))
                    }
                }
            };
        }
        // Crossing a page: both sides must be writable before either is written.
        let next = va.wrapping_add(to_page_end);
        let targets = [
            self.translate(va, va, Kind::Store, 1, manner)?,
            self.translate(next, va, Kind::Store, 1, manner)?,
        ];
        let (low, high) = match targets {
            [Target::Ram { pa: low }, Target::Ram { pa: high }] => (low, high),
            [Target::Mmio { .. }, _] => {
                return Err(self.device_refuses(Kind::Store, va, va, manner.v));
            }
            [_, Target::Mmio { .. }] => {
                return Err(self.device_refuses(Kind::Store, next, va, manner.v));
            }
        };
        for i in 0..u64::from(size) {
            let pa = if i < to_page_end { low.0 + i } else { high.0 + (i - to_page_end) };
            self.ram_write(Pa(pa), 1, value >> (8 * i))
                .ok_or_else(|| self.bus_fault(Kind::Store, va, manner.v))?;
        }
        Ok(())
    }

    fn ram_read(&self, pa: Pa, size: u8) -> Option<u64> {
        match size {
            1 => self.ram.read::<u8>(pa).map(u64::from),
            2 => self.ram.read::<u16>(pa).map(u64::from),
            4 => self.ram.read::<u32>(pa).map(u64::from),
            _ => self.ram.read::<u64>(pa),
        }
    }

    /// A store to decoded code ends the run, so that it does not matter where runs end.
    fn ram_write(&mut self, pa: Pa, size: u8, value: u64) -> Option<()> {
        let page_events = self.ram.page_events();
        let done = match size {
            1 => self.ram.write(pa, value as u8),
            2 => self.ram.write(pa, value as u16),
            4 => self.ram.write(pa, value as u32),
            _ => self.ram.write(pa, value),
        };
        self.after_write(Writer::Store);
        self.recheck |= self.ram.page_events() != page_events;
        done
    }

    /// Reads and rewrites one naturally aligned cell. Returns the old value; `change` may decline
    /// to write (a compare-and-swap that compares unequal).
    #[cold]
    #[inline(never)]
    pub(crate) fn amo(
        &mut self,
        va: u64,
        size: u8,
        change: &mut dyn FnMut(u64) -> Option<u64>,
    ) -> Result<u64, DataFault> {
        let manner = self.ordinary();
        let va = self.masked(va, manner);
        if va & (u64::from(size) - 1) != 0 {
            return Err(self.misaligned(Kind::Amo, va, manner.v));
        }
        let Target::Ram { pa } = self.translate(va, va, Kind::Amo, size, manner)? else {
            // AMOs are for main memory: the devices' PMA does not support them.
            return Err(self.bus_fault(Kind::Amo, va, manner.v));
        };
        let old = self.ram_read(pa, size).ok_or_else(|| self.bus_fault(Kind::Amo, va, manner.v))?;
        let touch = match change(old) {
            Some(new) => {
                self.ram_write(pa, size, new)
                    .ok_or_else(|| self.bus_fault(Kind::Amo, va, manner.v))?;
                Touch::Both
            }
            None => Touch::Load,
        };
        self.note_access(va, size, touch);
        Ok(old)
    }

    /// AMOCAS through the native TLB alone; `None` where that does not serve it.
    #[inline(always)]
    pub(crate) fn compare_and_swap<T: Scalar>(
        &mut self,
        va: u64,
        expected: T,
        new: T,
    ) -> Option<T> {
        let old = self.load::<T>(va)?;
        let served = if old == expected {
            self.store::<T>(va, new)
        } else {
            self.mmu.writable::<T>(va).is_some()
        };
        served.then_some(old)
    }

    /// LR: loads and reserves.
    #[inline(never)]
    pub(crate) fn load_reserved(&mut self, va: u64, size: u8) -> Result<u64, DataFault> {
        let manner = self.ordinary();
        let va = self.masked(va, manner);
        if va & (u64::from(size) - 1) != 0 {
            return Err(self.misaligned(Kind::Load, va, manner.v));
        }
        let pa = match self.mmu.readable::<u8>(va) {
            Some(pa) => pa,
            None => match self.translate(va, va, Kind::Load, size, manner)? {
                Target::Ram { pa } => pa,
                Target::Mmio { .. } => return Err(self.bus_fault(Kind::Load, va, manner.v)),
            },
        };
        let value =
            self.ram_read(pa, size).ok_or_else(|| self.bus_fault(Kind::Load, va, manner.v))?;
        self.reservation = Some((pa, size));
        self.note_access(va, size, Touch::Load);
        Ok(value)
    }

    /// LR through the native TLB alone; `None` where that does not serve it.
    #[inline(always)]
    pub(crate) fn load_reserved_quickly<T: Scalar>(&mut self, va: u64) -> Option<T> {
        let (pa, value) = self.mmu.readable::<T>(va).zip(self.load::<T>(va))?;
        self.reservation = Some((pa, T::BYTES as u8));
        Some(value)
    }

    /// SC in the same way: says whether it stored.
    #[inline(always)]
    pub(crate) fn store_conditional_quickly<T: Scalar>(
        &mut self,
        va: u64,
        value: T,
    ) -> Option<bool> {
        let pa = self.mmu.writable::<T>(va)?;
        let reserved = self.reservation.take();
        let covered = reserved.is_some_and(|(at, bytes)| at == pa && u64::from(bytes) >= T::BYTES);
        Some(covered && self.store::<T>(va, value))
    }

    /// SC: stores if the reservation covers the bytes; says whether it did. Any SC ends it.
    #[inline(never)]
    pub(crate) fn store_conditional(
        &mut self,
        va: u64,
        size: u8,
        value: u64,
    ) -> Result<bool, DataFault> {
        let manner = self.ordinary();
        let va = self.masked(va, manner);
        if va & (u64::from(size) - 1) != 0 {
            return Err(self.misaligned(Kind::Store, va, manner.v));
        }
        let pa = match self.mmu.writable::<u8>(va) {
            Some(pa) => pa,
            None => match self.translate(va, va, Kind::Store, size, manner)? {
                Target::Ram { pa } => pa,
                Target::Mmio { .. } => return Err(self.bus_fault(Kind::Store, va, manner.v)),
            },
        };
        let reserved = self.reservation.take();
        if !reserved.is_some_and(|(at, bytes)| at == pa && bytes >= size) {
            return Ok(false);
        }
        self.ram_write(pa, size, value).ok_or_else(|| self.bus_fault(Kind::Store, va, manner.v))?;
        self.note_access(va, size, Touch::Store);
        Ok(true)
    }

    /// The manner of HLV, HLVX and HSV: V=1 with the privilege that `hstatus.SPVP` names.
    pub(crate) fn guest_manner(&self, hlvx: bool) -> Manner {
        let spvp = self.csrs.hstatus & isa::field::hstatus::SPVP != 0;
        Manner { privilege: if spvp { Privilege::S } else { Privilege::U }, v: true, hlvx }
    }

    /// Whether the current mode may execute HLV, HLVX and HSV.
    pub(crate) fn may_access_guest(&self) -> Result<(), crate::csr::Denied> {
        use crate::csr::Denied;
        match self.mode {
            Mode::M | Mode::S => Ok(()),
            Mode::U if self.csrs.hstatus & isa::field::hstatus::HU != 0 => Ok(()),
            Mode::U => Err(Denied::Illegal),
            Mode::VS | Mode::VU => Err(Denied::Virtual),
        }
    }

    /// Lets the native TLB serve the page of an ordinary access that it did not, if it can be done quickly; says whether it may.
    #[inline(never)]
    pub(crate) fn recall(&mut self, va: u64, kind: Kind) -> bool {
        self.mmu.recall_data(va, kind)
    }

    /// An ordinary load, through the native TLB.
    #[inline(always)]
    pub(crate) fn load<T: Scalar>(&self, va: u64) -> Option<T> {
        self.mmu.load::<T>(va)
    }

    /// An ordinary store, through the native TLB.
    #[inline(always)]
    pub(crate) fn store<T: Scalar>(&mut self, va: u64, value: T) -> bool {
        self.mmu.store::<T>(va, value)
    }
}

impl Core {
    /// Translates for `kind` without accessing: what a cache-management operation does.
    pub(crate) fn probe(&mut self, va: u64, kind: Kind, manner: Manner) -> Result<(), DataFault> {
        let va = self.masked(va, manner);
        match self.translate(va, va, kind, 1, manner) {
            Ok(_) => Ok(()),
            Err(mut fault) => {
                // The transformation of a CBO is not defined, and it always reports as a store.
                fault.offset = None;
                fault.trap.exception = match fault.trap.exception {
                    Exception::LoadPage => Exception::StorePage,
                    Exception::LoadGuestPage => Exception::StoreGuestPage,
                    Exception::LoadAccess => Exception::StoreAccess,
                    other => other,
                };
                Err(fault)
            }
        }
    }

    /// Compares 16 naturally aligned bytes with `expected`, stores `new` if equal, returns the old
    /// ones (low half first).
    #[inline(never)]
    pub(crate) fn compare_and_swap_16(
        &mut self,
        va: u64,
        expected: (u64, u64),
        new: (u64, u64),
    ) -> Result<(u64, u64), DataFault> {
        let manner = self.ordinary();
        let va = self.masked(va, manner);
        if va & 15 != 0 {
            return Err(self.misaligned(Kind::Amo, va, manner.v));
        }
        let Target::Ram { pa } = self.translate(va, va, Kind::Amo, 16, manner)? else {
            return Err(self.bus_fault(Kind::Amo, va, manner.v));
        };
        let high = Pa(pa.0 | 8);
        let old = self.ram.read::<u64>(pa).zip(self.ram.read::<u64>(high));
        let old = old.ok_or_else(|| self.bus_fault(Kind::Amo, va, manner.v))?;
        if old == expected {
            self.ram_write(pa, 8, new.0)
                .and_then(|()| self.ram_write(high, 8, new.1))
                .ok_or_else(|| self.bus_fault(Kind::Amo, va, manner.v))?;
        }
        self.note_access(va, 16, if old == expected { Touch::Both } else { Touch::Load });
        Ok(old)
    }
}
