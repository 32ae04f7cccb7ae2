//! Base: versions, and which extensions are there [SBI: "Base Extension"].

use super::{Answer, Call, Done, SbiError, find};
use isa::csr;

/// The version of the specification: major in bits 30:24, minor in 23:0.
const SPEC_VERSION: u64 = 3 << 24;
/// Our number as an implementation. It is not registered; those of the registry are small.
const IMPLEMENTATION_ID: u64 = 0x4e_574b;
const IMPLEMENTATION_VERSION: u64 = 1;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    let csr = |number| call.port.csr(call.hart, number);
    Ok(Done::value(match call.function {
        0 => SPEC_VERSION,
        1 => IMPLEMENTATION_ID,
        2 => IMPLEMENTATION_VERSION,
        3 => u64::from(find(call.args[0]).is_some()),
        4 => csr(csr::MVENDORID),
        5 => csr(csr::MARCHID),
        6 => csr(csr::MIMPID),
        _ => return Err(SbiError::NotSupported),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use crate::firmware::Port;
    use isa::csr;

    #[test]
    fn the_version_is_3_0() {
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(0x10, 0, &[]), (0, 0x0300_0000));
    }

    #[test]
    fn probing_finds_what_is_there() {
        let mut bench = Bench::new(1);
        let mut probe = |id| bench.call(0x10, 3, &[id]);
        assert_eq!(probe(0x10), (0, 1));
        assert_eq!(probe(0x5246_4e43), (0, 1));
        assert_eq!(probe(0x01), (0, 1));
        assert_eq!(probe(0x04), (0, 0));
        // Nested acceleration.
        assert_eq!(probe(0x4e41_434c), (0, 0));
    }

    #[test]
    fn the_machines_numbers_are_the_harts() {
        let mut bench = Bench::new(1);
        bench.port.set_csr(0, csr::MARCHID, 42);
        assert_eq!(bench.call(0x10, 5, &[]), (0, 42));
    }
}
