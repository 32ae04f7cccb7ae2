//! A board: wires, loads, boots and runs harts and devices.

pub mod board;
pub mod config;
pub mod device_tree;
pub mod load;

pub use board::Board;
pub use device_tree::DeviceTree;
