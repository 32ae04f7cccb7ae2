//! SBI calls: how they are passed, the table of extensions, and what several of them share [SBI
//! specification 3.0, "Binary Encoding"].

mod base;
mod dbcn;
mod fwft;
pub(super) mod hsm;
mod ipi;
mod legacy;
pub(super) mod pmu;
mod rfence;
mod srst;
pub(super) mod time;

use super::{Firmware, Outcome, Port};
use isa::{Pa, csr};

const A0: u8 = 10;
const A1: u8 = 11;
const A6: u8 = 16;
const A7: u8 = 17;
/// ECALL has no compressed form.
const ECALL_BYTES: u64 = 4;

/// The errors of the specification, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i64)]
pub(super) enum SbiError {
    Failed = -1,
    NotSupported = -2,
    InvalidParam = -3,
    Denied = -4,
    InvalidAddress = -5,
    AlreadyAvailable = -6,
    AlreadyStarted = -7,
    AlreadyStopped = -8,
    NoShmem = -9,
    DeniedLocked = -14,
}

/// A call that succeeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Done {
    /// What `a1` gets.
    value: u64,
    /// What the hart does then.
    then: Outcome,
}

impl Done {
    const OK: Self = Self { value: 0, then: Outcome::Return };

    fn value(value: u64) -> Self {
        Self { value, then: Outcome::Return }
    }

    fn then(then: Outcome) -> Self {
        Self { value: 0, then }
    }
}

type Answer = Result<Done, SbiError>;

/// A call in progress.
pub(super) struct Call<'a> {
    firmware: &'a mut Firmware,
    port: &'a mut dyn Port,
    /// The hart that calls.
    hart: usize,
    function: u64,
    args: [u64; 6],
}

/// How an extension is called.
enum Entry {
    /// By function number; error in `a0`, value in `a1`.
    Functions(fn(&mut Call<'_>) -> Answer),
    /// Version 0.1: no function number, one result in `a0`.
    Legacy(fn(&mut Call<'_>) -> (u64, Outcome)),
}

struct Extension {
    id: u64,
    entry: Entry,
}

/// What is offered. [`base`] probes this table.
#[rustfmt::skip]
static EXTENSIONS: &[Extension] = &[
    Extension { id: 0x00,        entry: Entry::Legacy(legacy::set_timer) },
    Extension { id: 0x01,        entry: Entry::Legacy(legacy::console_putchar) },
    Extension { id: 0x02,        entry: Entry::Legacy(legacy::console_getchar) },
    Extension { id: 0x03,        entry: Entry::Legacy(legacy::clear_ipi) },
    Extension { id: 0x08,        entry: Entry::Legacy(legacy::shutdown) },
    Extension { id: 0x10,        entry: Entry::Functions(base::call) },
    Extension { id: id(b"TIME"), entry: Entry::Functions(time::call) },
    Extension { id: id(b"sPI"),  entry: Entry::Functions(ipi::call) },
    Extension { id: id(b"RFNC"), entry: Entry::Functions(rfence::call) },
    Extension { id: id(b"HSM"),  entry: Entry::Functions(hsm::call) },
    Extension { id: id(b"SRST"), entry: Entry::Functions(srst::call) },
    Extension { id: id(b"PMU"),  entry: Entry::Functions(pmu::call) },
    Extension { id: id(b"DBCN"), entry: Entry::Functions(dbcn::call) },
    Extension { id: id(b"FWFT"), entry: Entry::Functions(fwft::call) },
];

/// An extension's number from its letters.
const fn id(letters: &[u8]) -> u64 {
    let mut number = 0;
    let mut i = 0;
    while i < letters.len() {
        number = number << 8 | letters[i] as u64;
        i += 1;
    }
    number
}

fn find(id: u64) -> Option<&'static Extension> {
    EXTENSIONS.iter().find(|extension| extension.id == id)
}

/// The hart has executed ECALL in S-mode.
pub(super) fn call(firmware: &mut Firmware, port: &mut dyn Port, hart: usize) -> Outcome {
    // Before the call, because a call may set where the hart goes on.
    let after = port.csr(hart, csr::MEPC).wrapping_add(ECALL_BYTES);
    port.set_csr(hart, csr::MEPC, after);
    let args = std::array::from_fn(|index| port.x(hart, A0 + index as u8));
    let (extension, function) = (port.x(hart, A7), port.x(hart, A6));
    let mut call = Call { firmware, port, hart, function, args };
    let (outcome, a0, a1) = match find(extension).map(|extension| &extension.entry) {
        None => (Outcome::Return, SbiError::NotSupported as i64 as u64, Some(0)),
        Some(Entry::Legacy(entry)) => {
            let (result, outcome) = entry(&mut call);
            (outcome, result, None)
        }
        Some(Entry::Functions(entry)) => match entry(&mut call) {
            Ok(Done { value, then }) => (then, 0, Some(value)),
            Err(error) => (Outcome::Return, error as i64 as u64, Some(0)),
        },
    };
    tracing::trace!(hart, extension, function, a0, "SBI call");
    port.set_x(hart, A0, a0);
    if let Some(a1) = a1 {
        port.set_x(hart, A1, a1);
    }
    outcome
}

/// A set of harts, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Harts(u64);

impl Harts {
    fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |hart| self.0 >> hart & 1 != 0)
    }
}

impl Call<'_> {
    /// The harts of a mask and its base in two arguments; all for a base of -1.
    fn harts(&self, mask: u64, base: u64) -> Result<Harts, SbiError> {
        let all = u64::MAX >> (64 - self.port.harts().clamp(1, 64));
        if base == u64::MAX {
            return Ok(Harts(all));
        }
        if mask == 0 {
            return Ok(Harts(0));
        }
        let reach = u64::from(mask.leading_zeros());
        if base > reach || mask << base & !all != 0 {
            return Err(SbiError::InvalidParam);
        }
        Ok(Harts(mask << base))
    }

    /// The beginning of a range of memory that is passed as length and two halves of an address.
    fn shared_memory(&self, bytes: u64, low: u64, high: u64) -> Option<Pa> {
        (high == 0 && self.port.memory().contains(Pa(low), bytes)).then_some(Pa(low))
    }

    /// Whether S-mode can execute at `address`.
    fn is_executable(&self, address: u64) -> bool {
        address.is_multiple_of(2) && self.port.memory().contains(Pa(address), 2)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::firmware::fake::{Fake, RAM_BASE};

    /// A machine whose harts have all been started.
    pub(crate) struct Bench {
        pub(crate) firmware: Firmware,
        pub(crate) port: Fake,
    }

    impl Bench {
        pub(crate) fn new(harts: usize) -> Self {
            Self::with_port(Fake::new(harts))
        }

        pub(crate) fn with_port(mut port: Fake) -> Self {
            let harts = port.harts();
            let mut firmware = Firmware::new(harts);
            firmware.boot(&mut port, Pa(RAM_BASE), Pa(0));
            for hart in 1..harts as u64 {
                let args = [hart, RAM_BASE, 0];
                let mut bench = Bench { firmware, port };
                assert_eq!(bench.call(id(b"HSM"), 0, &args), (0, 0));
                Bench { firmware, port } = bench;
            }
            port.fences.clear();
            Self { firmware, port }
        }

        /// Hart `hart` calls; what `a0` and `a1` hold then, and what it does next.
        pub(crate) fn call_on(
            &mut self,
            hart: usize,
            extension: u64,
            function: u64,
            args: &[u64],
        ) -> (i64, u64, Outcome) {
            for index in 0..6u8 {
                let value = args.get(usize::from(index)).copied().unwrap_or(0xbad);
                self.port.set_x(hart, A0 + index, value);
            }
            self.port.set_x(hart, A6, function);
            self.port.set_x(hart, A7, extension);
            self.port.set_csr(hart, csr::MCAUSE, 9);
            let outcome = self.firmware.trap(&mut self.port, hart);
            (self.port.x(hart, A0) as i64, self.port.x(hart, A1), outcome)
        }

        /// Hart 0 calls and goes on.
        pub(crate) fn call(&mut self, extension: u64, function: u64, args: &[u64]) -> (i64, u64) {
            let (a0, a1, outcome) = self.call_on(0, extension, function, args);
            assert_eq!(outcome, Outcome::Return);
            (a0, a1)
        }
    }

    #[test]
    fn numbers_of_extensions_are_those_of_the_specification() {
        for (letters, number) in [
            (b"TIME".as_slice(), 0x5449_4d45),
            (b"sPI", 0x73_5049),
            (b"RFNC", 0x5246_4e43),
            (b"HSM", 0x48_534d),
            (b"SRST", 0x5352_5354),
            (b"PMU", 0x50_4d55),
            (b"DBCN", 0x4442_434e),
            (b"FWFT", 0x4657_4654),
        ] {
            assert_eq!(id(letters), number);
            assert!(find(number).is_some());
        }
    }

    #[test]
    fn an_unknown_call_is_not_supported_and_execution_goes_on_behind_it() {
        let mut bench = Bench::new(1);
        bench.port.set_csr(0, csr::MEPC, 0x8000_1000);
        assert_eq!(bench.call(0x0a00_0000, 0, &[]).0, -2);
        assert_eq!(bench.port.csr(0, csr::MEPC), 0x8000_1004);
        assert_eq!(bench.call(0x10, 99, &[]).0, -2);
    }

    #[test]
    fn a_hart_mask_counts_from_its_base() {
        let mut bench = Bench::new(3);
        let mut harts = |mask, base| {
            let call = Call {
                firmware: &mut bench.firmware,
                port: &mut bench.port,
                hart: 0,
                function: 0,
                args: [0; 6],
            };
            call.harts(mask, base).map(|harts| harts.iter().collect::<Vec<_>>())
        };
        assert_eq!(harts(0b101, 0), Ok(vec![0, 2]));
        assert_eq!(harts(0b11, 1), Ok(vec![1, 2]));
        assert_eq!(harts(0, u64::MAX), Ok(vec![0, 1, 2]));
        assert_eq!(harts(0, 1000), Ok(vec![]));
        assert_eq!(harts(0b1000, 0), Err(SbiError::InvalidParam));
        assert_eq!(harts(1, 3), Err(SbiError::InvalidParam));
        assert_eq!(harts(1, 64), Err(SbiError::InvalidParam));
        assert_eq!(harts(1 << 63, 1), Err(SbiError::InvalidParam));
        assert_eq!(harts(1, u64::MAX - 1), Err(SbiError::InvalidParam));
    }
}
