//! The 16550's registers and bits, by the names of its data sheet.

/// Receiver buffer (read) and transmitter holding register (write); divisor low with DLAB.
pub const RBR_THR_DLL: u64 = 0;
/// Interrupt enable; divisor high with DLAB.
pub const IER_DLM: u64 = 1;
/// Interrupt identification (read) and FIFO control (write).
pub const IIR_FCR: u64 = 2;
/// Line control.
pub const LCR: u64 = 3;
/// Modem control.
pub const MCR: u64 = 4;
/// Line status.
pub const LSR: u64 = 5;
/// Modem status.
pub const MSR: u64 = 6;
/// Scratch.
pub const SCR: u64 = 7;

/// IER: received data available.
pub const IER_ERBFI: u8 = 0x01;
/// IER: transmitter holding register empty.
pub const IER_ETBEI: u8 = 0x02;
/// IER: receiver line status.
pub const IER_ELSI: u8 = 0x04;
/// IER: modem status.
pub const IER_EDSSI: u8 = 0x08;

/// IIR: nothing pending.
pub const IIR_NONE: u8 = 0x01;
/// IIR: modem status.
pub const IIR_MODEM: u8 = 0x00;
/// IIR: transmitter holding register empty.
pub const IIR_THRE: u8 = 0x02;
/// IIR: received data reached the trigger level.
pub const IIR_DATA: u8 = 0x04;
/// IIR: receiver line status.
pub const IIR_LINE: u8 = 0x06;
/// IIR: data below the trigger level has waited for four character times.
pub const IIR_TIMEOUT: u8 = 0x0c;
/// IIR: FIFOs are on.
pub const IIR_FIFOS: u8 = 0xc0;

/// FCR: FIFOs on.
pub const FCR_ENABLE: u8 = 0x01;
/// FCR: empty the receiver FIFO.
pub const FCR_CLEAR_RX: u8 = 0x02;

/// LCR: registers 0 and 1 are the divisor.
pub const LCR_DLAB: u8 = 0x80;

/// MCR: the bits that exist.
pub const MCR_MASK: u8 = 0x1f;
/// MCR: data terminal ready.
pub const MCR_DTR: u8 = 0x01;
/// MCR: request to send.
pub const MCR_RTS: u8 = 0x02;
/// MCR: output 1.
pub const MCR_OUT1: u8 = 0x04;
/// MCR: output 2.
pub const MCR_OUT2: u8 = 0x08;
/// MCR: loop the transmitter back to the receiver and the outputs to the modem inputs.
pub const MCR_LOOP: u8 = 0x10;

/// LSR: data ready.
pub const LSR_DR: u8 = 0x01;
/// LSR: a received character was lost.
pub const LSR_OE: u8 = 0x02;
/// LSR: the transmitter can take a character.
pub const LSR_THRE: u8 = 0x20;
/// LSR: the transmitter has sent everything.
pub const LSR_TEMT: u8 = 0x40;

/// MSR: the ring indicator fell.
pub const MSR_TERI: u8 = 0x04;
/// MSR: the four bits that say what changed.
pub const MSR_DELTA: u8 = 0x0f;
/// MSR: clear to send.
pub const MSR_CTS: u8 = 0x10;
/// MSR: data set ready.
pub const MSR_DSR: u8 = 0x20;
/// MSR: ring indicator.
pub const MSR_RI: u8 = 0x40;
/// MSR: carrier detect.
pub const MSR_DCD: u8 = 0x80;

/// The depth of the receiver FIFO.
pub const FIFO_BYTES: usize = 16;
