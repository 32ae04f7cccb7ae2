//! IEEE 754 arithmetic for RISC-V F, D, Zfh and Zfa, bit-exact with flags
