//! The hart: registers, CSRs, traps, semantics, block cache
