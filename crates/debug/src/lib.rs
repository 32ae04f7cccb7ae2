//! A debugger's view of a machine: a GDB stub, explanations of page-table walks, and the monitor
//! commands.
//!
//! [`run`] runs a machine as `Machine::run` does, while debuggers come and go through a [`Door`]. It
//! has no state of the machine of its own: what it shows it reads from harts and memory, and what it
//! explains is a walk of the MMU's one walker. Looking changes nothing that a guest can observe.

mod arch;
mod description;
mod frame;
mod monitor;
mod points;
mod registers;
mod session;
mod target;
mod tcp;
mod view;

pub use session::{Door, End, Line, LineClosed, Options, run};
pub use tcp::Server;
