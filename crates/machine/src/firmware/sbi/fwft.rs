//! Firmware features: what supervisor software may switch [SBI: "Firmware Features Extension"].

use super::{Answer, Call, Done, SbiError};
use isa::field::{get, menvcfg, pmm, set};
use isa::{Exception, Ext, csr};

const MISALIGNED_EXC_DELEG: u32 = 0;
const LANDING_PAD: u32 = 1;
const PTE_AD_HW_UPDATING: u32 = 4;
const POINTER_MASKING_PMLEN: u32 = 5;
const LOCK: u64 = 1;
/// The PMLEN that PMM=2 stands for.
const PMLEN: u64 = 7;
/// In `medeleg`.
const MISALIGNED: u64 = Exception::LoadMisaligned.bit() | Exception::StoreMisaligned.bit();

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    let feature = call.args[0] as u32;
    match (call.function, feature) {
        (0, MISALIGNED_EXC_DELEG) => set_misaligned_delegation(call),
        (1, MISALIGNED_EXC_DELEG) => {
            let delegated = call.port.csr(call.hart, csr::MEDELEG) & MISALIGNED != 0;
            Ok(Done::value(delegated.into()))
        }
        (0, PTE_AD_HW_UPDATING) => set_ad_updating(call),
        (1, PTE_AD_HW_UPDATING) => {
            call.needs_svadu()?;
            Ok(Done::value(get(call.port.csr(call.hart, csr::MENVCFG), menvcfg::ADUE)))
        }
        (0, POINTER_MASKING_PMLEN) => set_pointer_masking(call),
        (1, POINTER_MASKING_PMLEN) => {
            call.needs_smnpm()?;
            let on = get(call.port.csr(call.hart, csr::MENVCFG), menvcfg::PMM) == pmm::IGNORE_7;
            Ok(Done::value(if on { PMLEN } else { 0 }))
        }
        // The features whose extensions are not built.
        (0 | 1, LANDING_PAD..POINTER_MASKING_PMLEN) => Err(SbiError::NotSupported),
        (0 | 1, _) => Err(SbiError::Denied),
        _ => Err(SbiError::NotSupported),
    }
}

/// Whether misaligned accesses trap to the supervisor or to us. Nothing here emulates one: what a hart does not
/// perform itself comes to the supervisor either way, in the end from us.
fn set_misaligned_delegation(call: &mut Call<'_>) -> Answer {
    let (on, lock) = call.value_and_lock()?;
    let hart = call.hart;
    unlocked(&mut call.firmware.harts[hart].misaligned_locked, lock)?;
    let others = call.port.csr(hart, csr::MEDELEG) & !MISALIGNED;
    call.port.set_csr(hart, csr::MEDELEG, others | if on { MISALIGNED } else { 0 });
    Ok(Done::OK)
}

fn set_ad_updating(call: &mut Call<'_>) -> Answer {
    call.needs_svadu()?;
    let (on, lock) = call.value_and_lock()?;
    let hart = call.hart;
    unlocked(&mut call.firmware.harts[hart].ad_updating_locked, lock)?;
    let environment = call.port.csr(hart, csr::MENVCFG);
    call.port.set_csr(hart, csr::MENVCFG, set(environment, menvcfg::ADUE, u64::from(on)));
    Ok(Done::OK)
}

/// How many bits pointer masking ignores in S-mode: none, or as many as the hart offers.
fn set_pointer_masking(call: &mut Call<'_>) -> Answer {
    call.needs_smnpm()?;
    let field = match call.args[1] {
        0 => pmm::OFF,
        PMLEN => pmm::IGNORE_7,
        _ => return Err(SbiError::InvalidParam),
    };
    let lock = call.lock()?;
    let hart = call.hart;
    unlocked(&mut call.firmware.harts[hart].pointer_masking_locked, lock)?;
    let environment = call.port.csr(hart, csr::MENVCFG);
    call.port.set_csr(hart, csr::MENVCFG, set(environment, menvcfg::PMM, field));
    Ok(Done::OK)
}

/// A locked feature cannot be set, not even to what it is; else it is locked if that is asked for.
fn unlocked(locked: &mut bool, lock: bool) -> Result<(), SbiError> {
    if *locked {
        return Err(SbiError::DeniedLocked);
    }
    *locked = lock;
    Ok(())
}

impl Call<'_> {
    /// The value of a feature that is on or off, and whether it is to be locked.
    fn value_and_lock(&self) -> Result<(bool, bool), SbiError> {
        match self.args[1] {
            value @ 0..=1 => Ok((value == 1, self.lock()?)),
            _ => Err(SbiError::InvalidParam),
        }
    }

    /// Whether the feature is to be locked.
    fn lock(&self) -> Result<bool, SbiError> {
        let flags = self.args[2];
        if flags & !LOCK == 0 { Ok(flags & LOCK != 0) } else { Err(SbiError::InvalidParam) }
    }

    /// Hardware updating can be switched where there is hardware for it, and Svade besides.
    fn needs_svadu(&self) -> Result<(), SbiError> {
        let there = self.port.exts().contains(Ext::Svadu);
        if there { Ok(()) } else { Err(SbiError::NotSupported) }
    }

    fn needs_smnpm(&self) -> Result<(), SbiError> {
        let there = self.port.exts().contains(Ext::Smnpm);
        if there { Ok(()) } else { Err(SbiError::NotSupported) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use super::*;
    use crate::firmware::Port;
    use crate::firmware::fake::Fake;
    use isa::ExtSet;

    const FWFT: u64 = id(b"FWFT");

    #[test]
    fn hardware_updating_is_switched_on_the_calling_hart() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.call(FWFT, 1, &[4]), (0, 0));
        assert_eq!(bench.call(FWFT, 0, &[4, 1, 0]), (0, 0));
        assert_eq!(bench.call(FWFT, 1, &[4]), (0, 1));
        assert_eq!(bench.port.csr(0, csr::MENVCFG) >> 61 & 1, 1);
        assert_eq!(bench.port.csr(1, csr::MENVCFG) >> 61 & 1, 0);
    }

    #[test]
    fn pointer_masking_takes_the_lengths_that_the_hart_offers() {
        let mut bench = Bench::new(2);
        let field = |bench: &mut Bench, hart| bench.port.csr(hart, csr::MENVCFG) >> 32 & 3;
        assert_eq!(bench.call(FWFT, 1, &[5]), (0, 0));
        assert_eq!(bench.call(FWFT, 0, &[5, 7, 0]), (0, 0));
        assert_eq!(bench.call(FWFT, 1, &[5]), (0, 7));
        assert_eq!((field(&mut bench, 0), field(&mut bench, 1)), (2, 0));
        for (value, flags) in [(1, 0), (16, 0), (0, 2)] {
            assert_eq!(bench.call(FWFT, 0, &[5, value, flags]).0, -3);
        }
        assert_eq!(bench.call(FWFT, 0, &[5, 0, 1]), (0, 0));
        assert_eq!(bench.call(FWFT, 0, &[5, 7, 0]).0, -14);
        assert_eq!(bench.call(FWFT, 1, &[5]), (0, 0));
        let exts = ExtSet::parse("rv64,smnpm=off").unwrap();
        let mut bench = Bench::with_port(Fake::with_exts(1, exts));
        assert_eq!(bench.call(FWFT, 0, &[5, 7, 0]).0, -2);
        assert_eq!(bench.call(FWFT, 1, &[5]).0, -2);
    }

    #[test]
    fn a_locked_feature_stays() {
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(FWFT, 0, &[4, 1, 1]), (0, 0));
        for (value, flags) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert_eq!(bench.call(FWFT, 0, &[4, value, flags]).0, -14);
        }
        assert_eq!(bench.call(FWFT, 1, &[4]), (0, 1));
    }

    #[test]
    fn misaligned_accesses_are_the_supervisors_until_it_gives_them_away() {
        let mut bench = Bench::new(2);
        let all = bench.port.csr(0, csr::MEDELEG);
        let delegated = |bench: &mut Bench| bench.call(FWFT, 1, &[0]);
        assert_eq!(delegated(&mut bench), (0, 1));
        assert_eq!(bench.call(FWFT, 0, &[0, 0, 0]), (0, 0));
        assert_eq!(delegated(&mut bench), (0, 0));
        // Load and store, on the calling hart.
        assert_eq!(bench.port.csr(0, csr::MEDELEG), all & !(1 << 4 | 1 << 6));
        assert_eq!(bench.port.csr(1, csr::MEDELEG), all);
        assert_eq!(bench.call(FWFT, 0, &[0, 1, 1]), (0, 0));
        assert_eq!(bench.call(FWFT, 0, &[0, 0, 0]).0, -14);
        assert_eq!(delegated(&mut bench), (0, 1));
        assert_eq!(bench.port.csr(0, csr::MEDELEG), all);
    }

    #[test]
    fn errors_are_told_apart() {
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(FWFT, 0, &[4, 2, 0]).0, -3);
        assert_eq!(bench.call(FWFT, 0, &[4, 1, 2]).0, -3);
        assert_eq!(bench.call(FWFT, 0, &[2, 1, 0]).0, -2);
        assert_eq!(bench.call(FWFT, 0, &[6, 1, 0]).0, -4);
        assert_eq!(bench.call(FWFT, 1, &[0xc000_0000]).0, -4);
        assert_eq!(bench.call(FWFT, 2, &[4]).0, -2);
        let exts = ExtSet::parse("rv64,svadu=off").unwrap();
        let mut bench = Bench::with_port(Fake::with_exts(1, exts));
        assert_eq!(bench.call(FWFT, 0, &[4, 1, 0]).0, -2);
    }
}
