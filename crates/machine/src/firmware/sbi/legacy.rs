//! The calls of version 0.1 that old kernels and boot loaders still use [SBI: "Legacy Extensions"].
//! Those that pass a list of harts by virtual address have successors everywhere and are absent.

use super::{Call, time};
use crate::firmware::{End, Outcome};
use isa::{Interrupt, csr};

pub(super) fn set_timer(call: &mut Call<'_>) -> (u64, Outcome) {
    time::set_timer(call);
    (0, Outcome::Return)
}

pub(super) fn console_putchar(call: &mut Call<'_>) -> (u64, Outcome) {
    call.port.console_write(&[call.args[0] as u8]);
    (0, Outcome::Return)
}

pub(super) fn console_getchar(call: &mut Call<'_>) -> (u64, Outcome) {
    let mut byte = [0];
    let result = match call.port.console_read(&mut byte) {
        0 => u64::MAX,
        _ => u64::from(byte[0]),
    };
    (result, Outcome::Return)
}

pub(super) fn clear_ipi(call: &mut Call<'_>) -> (u64, Outcome) {
    let ipi = Interrupt::SupervisorSoftware;
    let was_pending = call.port.csr(call.hart, csr::MIP) & ipi.bit() != 0;
    call.port.set_pending(call.hart, ipi, false);
    (u64::from(was_pending), Outcome::Return)
}

pub(super) fn shutdown(_: &mut Call<'_>) -> (u64, Outcome) {
    (0, Outcome::End(End::Shutdown))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;
    use crate::firmware::Port;

    #[test]
    fn only_a0_changes() {
        let mut bench = Bench::new(1);
        assert_eq!(bench.call(0x01, 0xbad, &[0x41, 77]), (0, 77));
        assert_eq!(bench.port.printed, b"A");
        assert_eq!(bench.call(0x00, 0xbad, &[123, 77]), (0, 77));
        assert_eq!(bench.port.csr(0, csr::STIMECMP), 123);
    }

    #[test]
    fn input_comes_byte_by_byte_and_none_is_minus_one() {
        let mut bench = Bench::new(1);
        bench.port.typed.push_back(0xff);
        assert_eq!(bench.call(0x02, 0, &[]).0, 0xff);
        assert_eq!(bench.call(0x02, 0, &[]).0, -1);
    }

    #[test]
    fn the_rest_does_what_its_name_says() {
        let mut bench = Bench::new(1);
        bench.port.set_csr(0, csr::MIP, 2);
        assert_eq!(bench.call(0x03, 0, &[]).0, 1);
        assert_eq!(bench.call(0x03, 0, &[]).0, 0);
        assert_eq!(bench.call_on(0, 0x08, 0, &[]).2, Outcome::End(End::Shutdown));
    }
}
