//! A board: wires, loads, boots and runs harts and devices.

pub mod board;
pub mod device_tree;

pub use board::Board;
pub use device_tree::DeviceTree;
