//! Laws of the 16550's data sheet, and what boot loaders and kernels probe for.

use super::*;
use std::sync::mpsc::{Receiver, channel};

struct Port {
    uart: Uart,
    out: Receiver<u8>,
}

impl Port {
    fn new() -> Self {
        let (tx, out) = channel();
        let sink = move |bytes: &[u8]| bytes.iter().for_each(|&b| tx.send(b).unwrap());
        Self { uart: Uart::new(Box::new(sink)), out }
    }

    fn read(&mut self, offset: u64) -> u8 {
        self.uart.read(offset, 1, Ticks(0)).unwrap() as u8
    }

    fn write(&mut self, offset: u64, value: u8) {
        self.uart.write(offset, 1, value.into(), Ticks(0)).unwrap();
    }

    fn push(&mut self, bytes: &[u8]) -> usize {
        self.uart.push(bytes, Ticks(0))
    }

    fn output(&self) -> Vec<u8> {
        self.out.try_iter().collect()
    }
}

#[test]
fn what_is_written_comes_out_and_the_transmitter_is_empty_again() {
    let mut p = Port::new();
    for b in b"ok\n" {
        assert_eq!(p.read(LSR), LSR_THRE | LSR_TEMT);
        p.write(RBR_THR_DLL, *b);
    }
    assert_eq!(p.output(), b"ok\n");
    assert!(!p.uart.irq());
}

#[test]
fn dlab_shows_the_divisor_and_hides_data_and_ier() {
    let mut p = Port::new();
    p.write(IER_DLM, 0x05);
    p.write(LCR, LCR_DLAB | 3);
    p.write(RBR_THR_DLL, 0x0c);
    p.write(IER_DLM, 0x01);
    assert_eq!((p.read(RBR_THR_DLL), p.read(IER_DLM)), (0x0c, 0x01));
    p.write(LCR, 3);
    assert_eq!(p.read(IER_DLM), 0x05);
    assert_eq!(p.read(RBR_THR_DLL), 0);
    assert_eq!(p.output(), b"");
}

#[test]
fn input_sets_data_ready_and_interrupts_until_read() {
    let mut p = Port::new();
    assert_eq!(p.push(b"xy"), 2);
    assert!(!p.uart.irq());
    p.write(IER_DLM, IER_ERBFI);
    assert!(p.uart.irq());
    assert_eq!(p.read(IIR_FCR), IIR_DATA);
    assert_eq!(p.read(LSR) & LSR_DR, LSR_DR);
    assert_eq!(p.read(RBR_THR_DLL), b'x');
    assert_eq!(p.read(RBR_THR_DLL), b'y');
    assert_eq!(p.read(LSR) & LSR_DR, 0);
    assert!(!p.uart.irq());
}

#[test]
fn below_the_trigger_level_data_is_reported_as_timeout() {
    let mut p = Port::new();
    p.write(IER_DLM, IER_ERBFI);
    p.write(IIR_FCR, 0xc1); // trigger at 14
    p.push(&[1; 13]);
    assert_eq!(p.read(IIR_FCR), IIR_FIFOS | IIR_TIMEOUT);
    p.push(&[1]);
    assert_eq!(p.read(IIR_FCR), IIR_FIFOS | IIR_DATA);
    for (fcr, level) in [(0x01, 1), (0x41, 4), (0x81, 8)] {
        p.write(IIR_FCR, fcr | FCR_CLEAR_RX);
        p.push(&vec![0; level - 1]);
        assert_ne!(p.read(IIR_FCR), IIR_FIFOS | IIR_DATA);
        p.push(&[0]);
        assert_eq!(p.read(IIR_FCR), IIR_FIFOS | IIR_DATA);
    }
}

#[test]
fn enabling_the_transmit_interrupt_on_an_idle_port_raises_it() {
    let mut p = Port::new();
    p.write(IER_DLM, IER_ETBEI);
    assert!(p.uart.irq());
    assert_eq!(p.read(IIR_FCR), IIR_THRE);
    assert!(!p.uart.irq()); // reading IIR told it
    assert_eq!(p.read(IIR_FCR), IIR_NONE);
    p.write(IER_DLM, IER_ETBEI); // no change, no interrupt
    assert!(!p.uart.irq());
    p.write(IER_DLM, 0);
    p.write(IER_DLM, IER_ETBEI);
    assert!(p.uart.irq());
}

#[test]
fn each_sent_character_raises_the_transmit_interrupt_again() {
    let mut p = Port::new();
    p.write(IER_DLM, IER_ETBEI);
    p.read(IIR_FCR);
    p.write(RBR_THR_DLL, b'a');
    assert_eq!(p.read(IIR_FCR), IIR_THRE);
    assert_eq!(p.read(IIR_FCR), IIR_NONE);
}

#[test]
fn reading_iir_for_another_reason_keeps_the_transmit_interrupt() {
    let mut p = Port::new();
    p.write(IER_DLM, IER_ETBEI | IER_ERBFI);
    p.push(b"z");
    assert_eq!(p.read(IIR_FCR), IIR_DATA);
    assert_eq!(p.read(RBR_THR_DLL), b'z');
    assert_eq!(p.read(IIR_FCR), IIR_THRE);
}

#[test]
fn iir_tells_a_16550a_by_two_fifo_bits() {
    let mut p = Port::new();
    assert_eq!(p.read(IIR_FCR), IIR_NONE);
    p.write(IIR_FCR, FCR_ENABLE);
    assert_eq!(p.read(IIR_FCR) >> 6, 3);
    p.write(IIR_FCR, 0);
    assert_eq!(p.read(IIR_FCR) >> 6, 0);
}

#[test]
fn ier_has_four_bits_and_scratch_has_eight() {
    let mut p = Port::new();
    p.write(IER_DLM, 0xff);
    p.write(SCR, 0xa5);
    assert_eq!((p.read(IER_DLM), p.read(SCR)), (0x0f, 0xa5));
    p.write(LSR, 0);
    p.write(MSR, 0);
    assert_eq!((p.read(LSR), p.read(MSR)), (LSR_THRE | LSR_TEMT, MSR_CTS | MSR_DSR | MSR_DCD));
}

#[test]
fn loopback_ties_outputs_to_modem_inputs() {
    let mut p = Port::new();
    assert_eq!(p.read(MSR) & 0xf0, MSR_CTS | MSR_DSR | MSR_DCD);
    p.write(MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
    assert_eq!(p.read(MSR) & 0xf0, MSR_DCD | MSR_CTS);
    p.write(MCR, MCR_LOOP | MCR_OUT1 | MCR_DTR);
    assert_eq!(p.read(MSR), MSR_RI | MSR_DSR | 0x08 | 0x02 | 0x01);
    p.write(MCR, MCR_LOOP);
    assert_eq!(p.read(MSR), MSR_TERI | 0x02);
    assert_eq!(p.read(MSR), 0);
}

#[test]
fn loopback_returns_characters_and_overruns_when_full() {
    let mut p = Port::new();
    p.write(IIR_FCR, FCR_ENABLE);
    p.write(MCR, MCR_LOOP);
    p.push(b"cut off");
    for n in 0..17 {
        p.write(RBR_THR_DLL, n);
    }
    p.write(IER_DLM, IER_ELSI);
    assert_eq!(p.read(IIR_FCR), IIR_FIFOS | IIR_LINE);
    assert_eq!(p.read(LSR) & LSR_OE, LSR_OE);
    assert_eq!(p.read(LSR) & LSR_OE, 0);
    assert_eq!((0..16).map(|_| p.read(RBR_THR_DLL)).collect::<Vec<_>>(), Vec::from_iter(0..16));
    assert_eq!(p.read(LSR) & LSR_DR, 0);
    assert_eq!(p.output(), b"");
    p.write(MCR, 0);
    assert_eq!(p.read(RBR_THR_DLL), b'c');
}

#[test]
fn a_change_of_modem_lines_interrupts_until_msr_is_read() {
    let mut p = Port::new();
    p.write(IER_DLM, IER_EDSSI);
    p.write(MCR, MCR_LOOP);
    assert!(p.uart.irq());
    assert_eq!(p.read(IIR_FCR), IIR_MODEM);
    p.read(MSR);
    assert!(!p.uart.irq());
}

#[test]
fn input_beyond_the_fifo_waits_and_is_bounded() {
    let mut p = Port::new();
    p.write(IIR_FCR, FCR_ENABLE);
    let taken = p.push(&vec![b'.'; BACKLOG_BYTES + 100]);
    assert_eq!(taken, BACKLOG_BYTES);
    let more = p.push(&[b'.'; 100]);
    assert_eq!(more, FIFO_BYTES);
    assert_eq!(p.uart.room(), 0);
    let mut seen = 0;
    while p.read(LSR) & LSR_DR != 0 {
        p.read(RBR_THR_DLL);
        seen += 1;
    }
    assert_eq!(seen, BACKLOG_BYTES + FIFO_BYTES);
}

#[test]
fn clearing_the_receiver_keeps_what_has_not_arrived() {
    let mut p = Port::new();
    p.write(IIR_FCR, FCR_ENABLE);
    p.push(&Vec::from_iter(0..20));
    p.write(IIR_FCR, FCR_ENABLE | FCR_CLEAR_RX);
    assert_eq!(p.read(RBR_THR_DLL), 16);
}

#[test]
fn reset_restores_registers_and_keeps_the_wire() {
    let mut p = Port::new();
    p.write(IIR_FCR, FCR_ENABLE);
    p.write(SCR, 0x5a);
    assert_eq!(p.read(SCR), 0x5a);
    p.push(&Vec::from_iter(0..20));
    p.uart.reset();
    assert_eq!((p.read(SCR), p.read(IER_DLM), p.read(IIR_FCR)), (0, 0, IIR_NONE));
    assert_eq!(p.read(RBR_THR_DLL), 16);
}

#[test]
fn no_access_faults_or_panics() {
    let mut p = Port::new();
    for offset in 0..0x100 {
        for size in [1, 2, 4, 8] {
            p.uart.write(offset, size, u64::MAX, Ticks(0)).unwrap();
            p.uart.read(offset, size, Ticks(0)).unwrap();
        }
    }
}
