//! What the RISC-V manuals say: address spaces, modes, causes, PTE bits, instructions, CSRs,
//! extensions. Every fact has one row in one table; everything else is derived from it.
//!
//! This crate has no behaviour and no state: it never executes, translates or stores anything.

mod addr;
pub mod asm;
mod cause;
pub mod csr;
pub mod ext;
pub mod field;
pub mod insn;
mod isa_string;
mod mode;
mod nearest;
pub mod pte;

pub use addr::{Gpa, PAGE_BITS, PAGE_BYTES, Pa, Va};
pub use cause::{Cause, Exception, Interrupt};
pub use ext::{Ext, ExtSet};
pub use insn::{Decoder, Insn, Op, expand};
pub use isa_string::IsaError;
pub use mode::{Mode, Privilege};
pub use nearest::nearest;
