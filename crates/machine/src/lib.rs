//! A board: wires, loads, boots and runs harts and devices.

mod assembly;
pub mod board;
mod bus;
pub mod clock;
mod commit_log;
pub mod config;
pub mod device_tree;
pub mod events;
pub mod firmware;
pub mod guests;
pub mod load;
mod machine;
mod sbi_port;
mod turns;

pub use assembly::Extra;
pub use board::Board;
pub use clock::Follow;
pub use commit_log::LogFormat;
pub use device_tree::DeviceTree;
pub use machine::{BuildError, Input, Leg, Limits, Machine, NoInput, Setup, Stop};
pub use turns::{Log, State as HartState};
