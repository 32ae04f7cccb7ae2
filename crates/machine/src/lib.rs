//! A board: wires, loads, boots and runs harts and devices
