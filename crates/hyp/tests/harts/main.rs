//! The hypervisor on harts that only hold registers: what it does to them, call by call.

mod notes;
mod switch;
mod world;
