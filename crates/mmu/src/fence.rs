//! Fences as values: what SFENCE.VMA, SINVAL.VMA, HFENCE.* and HINVAL.* order.

use isa::{Gpa, Va};

/// A memory-management fence [priv: supervisor, "Supervisor Memory-Management Fence Instruction"; hypervisor,
/// "Hypervisor Memory-Management Fence Instructions"]. `None` stands for `x0` as the operand. Bits of an ASID or
/// VMID above ASIDLEN or VMIDLEN are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fence {
    /// SFENCE.VMA at V=0: S-stage translations only.
    Sfence {
        /// Leaf PTEs of this address; all PTEs if `None`.
        va: Option<Va>,
        /// This address space without its global mappings; all if `None`.
        asid: Option<u16>,
    },
    /// HFENCE.VVMA, or SFENCE.VMA at V=1: VS-stage translations of one virtual machine.
    Vvma {
        /// Leaf PTEs of this address; all PTEs if `None`.
        va: Option<Va>,
        /// This address space without its global mappings; all if `None`.
        asid: Option<u16>,
        /// The virtual machine: `hgatp.VMID`.
        vmid: u16,
    },
    /// HFENCE.GVMA: G-stage translations, and everything derived from them.
    Gvma {
        /// Leaf PTEs of this address (rs1 shifted left by two); all PTEs if `None`.
        gpa: Option<Gpa>,
        /// This virtual machine; all if `None`.
        vmid: Option<u16>,
    },
}
