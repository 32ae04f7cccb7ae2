//! Debug console [SBI: "Debug Console Extension"].

use super::{Answer, Call, Done, SbiError};

/// How much one call moves at most, in bytes; the caller sees how much it was and calls again.
const BYTES_MAX: u64 = 0x1_0000;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    let [first, low, high, ..] = call.args;
    match call.function {
        0 => {
            let from = call.shared_memory(first, low, high).ok_or(SbiError::InvalidParam)?;
            let mut bytes = vec![0; first.min(BYTES_MAX) as usize];
            call.port.memory().read_bytes(from, &mut bytes).map_err(|_| SbiError::Failed)?;
            call.port.console_write(&bytes);
            Ok(Done::value(bytes.len() as u64))
        }
        1 => {
            let to = call.shared_memory(first, low, high).ok_or(SbiError::InvalidParam)?;
            let mut bytes = vec![0; first.min(BYTES_MAX) as usize];
            let n = call.port.console_read(&mut bytes).min(bytes.len());
            call.port.memory().write_bytes(to, &bytes[..n]).map_err(|_| SbiError::Failed)?;
            Ok(Done::value(n as u64))
        }
        2 => {
            call.port.console_write(&[first as u8]);
            Ok(Done::OK)
        }
        _ => Err(SbiError::NotSupported),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use crate::firmware::Port;
    use crate::firmware::fake::{RAM_BASE, RAM_BYTES};
    use isa::Pa;

    const DBCN: u64 = id(b"DBCN");

    #[test]
    fn memory_is_printed() {
        let mut bench = Bench::new(1);
        bench.port.memory().write_bytes(Pa(RAM_BASE + 1), b"hello").unwrap();
        assert_eq!(bench.call(DBCN, 0, &[5, RAM_BASE + 1, 0]), (0, 5));
        assert_eq!(bench.call(DBCN, 2, &[0x121]), (0, 0));
        assert_eq!(bench.port.printed, b"hello!");
    }

    #[test]
    fn input_is_stored_as_far_as_there_is_any() {
        let mut bench = Bench::new(1);
        bench.port.typed.extend(b"abc");
        assert_eq!(bench.call(DBCN, 1, &[2, RAM_BASE, 0]), (0, 2));
        assert_eq!(bench.call(DBCN, 1, &[9, RAM_BASE + 2, 0]), (0, 1));
        assert_eq!(bench.call(DBCN, 1, &[9, RAM_BASE + 3, 0]), (0, 0));
        let mut bytes = [0; 4];
        bench.port.memory().read_bytes(Pa(RAM_BASE), &mut bytes).unwrap();
        assert_eq!(&bytes, b"abc\0");
    }

    #[test]
    fn a_range_outside_memory_is_refused() {
        let mut bench = Bench::new(1);
        for function in [0, 1] {
            for args in [
                [1, RAM_BASE - 1, 0],
                [2, RAM_BASE + RAM_BYTES - 1, 0],
                [u64::MAX, RAM_BASE, 0],
                [1, RAM_BASE, 1],
            ] {
                assert_eq!(bench.call(DBCN, function, &args).0, -3, "{args:x?}");
            }
        }
        assert!(bench.port.printed.is_empty());
    }
}
