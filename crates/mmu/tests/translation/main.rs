//! What a translation does, seen from outside: against a naive walker written from the manual, and against itself
//! with and without a TLB.

mod chunks;
mod coherence;
mod fast_path;
mod fences;
mod kvm;
mod laws;
mod looking;
mod naive;
mod random_tables;
mod recall;
mod rig;
mod walks;
