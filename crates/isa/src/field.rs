//! Fields of CSRs: masks, the lowest bit of fields wider than one bit, and the encodings they hold.
//!
//! Each module is one register; [`Field`] rows let debuggers and documentation name what they show.
//! Fields of extensions that are not built are absent.

/// A field of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name in the manual.
    pub name: &'static str,
    /// Its bits, in place.
    pub mask: u64,
    /// What it says, in a line.
    pub doc: &'static str,
}

/// The field under `mask` in `value`, moved down to bit 0.
#[inline]
pub const fn get(value: u64, mask: u64) -> u64 {
    (value & mask) >> mask.trailing_zeros()
}

/// `value` with the field under `mask` replaced; bits of `field` that do not fit are lost.
#[inline]
pub const fn set(value: u64, mask: u64, field: u64) -> u64 {
    value & !mask | field << mask.trailing_zeros() & mask
}

/// Bits `high` to `low` set.
const fn span(high: u32, low: u32) -> u64 {
    u64::MAX >> (63 - high) & u64::MAX << low
}

macro_rules! register {
    ($(#[$module_doc:meta])* $module:ident {
        $($name:ident $high:literal $(.. $low:literal $shift:ident)? $doc:literal)*
    } $({ $($extra:item)* })?) => {
        $(#[$module_doc])*
        pub mod $module {
            $(register!(@field $name $high $(.. $low $shift)? $doc);)*

            /// Every field, as declared.
            pub const FIELDS: &[super::Field] = &[
                $(super::Field { name: stringify!($name), mask: $name, doc: $doc }),*
            ];
            $($($extra)*)?
        }
    };
    (@field $name:ident $bit:literal $doc:literal) => {
        #[doc = concat!($doc, ".")]
        pub const $name: u64 = 1 << $bit;
    };
    (@field $name:ident $high:literal .. $low:literal $shift:ident $doc:literal) => {
        #[doc = concat!($doc, ".")]
        pub const $name: u64 = super::span($high, $low);
        #[doc = concat!("The lowest bit of ", stringify!($name), ".")]
        pub const $shift: u32 = $low;
    };
}

register! {
    /// `mstatus` [priv: machine, "Machine Status"; hypervisor].
    mstatus {
        SIE  1                  "S-mode interrupts are enabled"
        MIE  3                  "M-mode interrupts are enabled"
        SPIE 5                  "SIE before the trap to S"
        UBE  6                  "U-mode data is big-endian"
        MPIE 7                  "MIE before the trap to M"
        SPP  8                  "Privilege before the trap to S: 1 is S"
        VS   10 .. 9  VS_SHIFT  "State of the vector unit"
        MPP  12 .. 11 MPP_SHIFT "Privilege before the trap to M"
        FS   14 .. 13 FS_SHIFT  "State of the floating-point unit"
        XS   16 .. 15 XS_SHIFT  "State of further user extensions"
        MPRV 17                 "M-mode loads and stores act as privilege MPP, V as MPV"
        SUM  18                 "S-mode may load from and store to user pages"
        MXR  19                 "Loads from executable pages are permitted"
        TVM  20                 "satp, hgatp, SFENCE.VMA and HFENCE.GVMA trap in S-mode"
        TW   21                 "WFI below M traps when it would wait"
        TSR  22                 "SRET traps in S-mode"
        SDT  24                 "A trap to S-mode would be a double trap"
        UXL  33 .. 32 UXL_SHIFT "XLEN of U-mode"
        SXL  35 .. 34 SXL_SHIFT "XLEN of S-mode"
        SBE  36                 "S-mode data is big-endian"
        MBE  37                 "M-mode data is big-endian"
        GVA  38                 "mtval holds a guest virtual address"
        MPV  39                 "V before the trap to M"
        MDT  42                 "A trap to M-mode would be a double trap"
        SD   63                 "FS, VS or XS says dirty"
    }
}

/// `sstatus`: what S-mode sees of `mstatus` [priv: supervisor, "Supervisor Status"].
pub mod sstatus {
    pub use super::mstatus::{
        FS, FS_SHIFT, MXR, SD, SDT, SIE, SPIE, SPP, SUM, UBE, UXL, UXL_SHIFT, VS, VS_SHIFT, XS,
        XS_SHIFT,
    };
}

/// `vsstatus`: the `sstatus` of VS-mode, with the same fields [priv: hypervisor].
pub mod vsstatus {
    pub use super::sstatus::*;
}

/// What FS, VS and XS say [priv: machine, "Extension Context Status"].
pub mod context_status {
    /// The unit is off: its instructions are illegal.
    pub const OFF: u64 = 0;
    /// The unit has its initial state.
    pub const INITIAL: u64 = 1;
    /// The unit's state is as it was last saved.
    pub const CLEAN: u64 = 2;
    /// The unit's state may differ from what was last saved.
    pub const DIRTY: u64 = 3;
}

/// MXL, SXL, UXL and VSXL.
pub mod xlen {
    /// 32 bits.
    pub const X32: u64 = 1;
    /// 64 bits.
    pub const X64: u64 = 2;
}

register! {
    /// `hstatus` [priv: hypervisor, "Hypervisor Status"].
    hstatus {
        VSBE  5                    "VS-mode data is big-endian"
        GVA   6                    "stval holds a guest virtual address"
        SPV   7                    "V before the trap to HS"
        SPVP  8                    "Nominal privilege before the trap from V=1; that of HLV and HSV"
        HU    9                    "HLV, HLVX and HSV are permitted in U-mode"
        VGEIN 17 .. 12 VGEIN_SHIFT "Guest external interrupt source of VS-level external interrupts"
        VTVM  20                   "satp, SFENCE.VMA and SINVAL.VMA trap in VS-mode"
        VTW   21                   "WFI in VS-mode traps when it would wait"
        VTSR  22                   "SRET traps in VS-mode"
        VSXL  33 .. 32 VSXL_SHIFT  "XLEN of VS-mode"
        HUPMM 49 .. 48 HUPMM_SHIFT "Pointer masking of HLV and HSV in U-mode, as though in VU-mode"
    }
}

register! {
    /// `menvcfg` [priv: machine, "Machine Environment Configuration"].
    menvcfg {
        FIOM  0                 "Fences of I/O order memory too, below M"
        CBIE  5 .. 4 CBIE_SHIFT "What CBO.INVAL does below M"
        CBCFE 6                 "CBO.CLEAN and CBO.FLUSH are enabled below M"
        CBZE  7                 "CBO.ZERO is enabled below M"
        PMM   33 .. 32 PMM_SHIFT "Pointer masking in S-mode, or in U-mode without S"
        DTE   59                "Double traps of S-mode and of guests are told from others"
        ADUE  61                "Hardware updates A and D, in S-mode and G-stage translation"
        PBMTE 62                "Page-based memory types are on, in S-mode and G-stage translation"
        STCE  63                "stimecmp is enabled below M"
    }
}

register! {
    /// `henvcfg` [priv: hypervisor, "Hypervisor Environment Configuration"].
    henvcfg {
        FIOM  0                 "Fences of I/O order memory too, at V=1"
        CBIE  5 .. 4 CBIE_SHIFT "What CBO.INVAL does at V=1"
        CBCFE 6                 "CBO.CLEAN and CBO.FLUSH are enabled at V=1"
        CBZE  7                 "CBO.ZERO is enabled at V=1"
        PMM   33 .. 32 PMM_SHIFT "Pointer masking in VS-mode"
        DTE   59                "Double traps of VS-mode are told from others"
        ADUE  61                "Hardware updates A and D in VS-stage translation"
        PBMTE 62                "Page-based memory types are enabled in VS-stage translation"
        STCE  63                "vstimecmp is enabled"
    }
}

register! {
    /// `senvcfg` [priv: supervisor, "Supervisor Environment Configuration"].
    senvcfg {
        FIOM  0                 "Fences of I/O order memory too, in U-mode"
        CBIE  5 .. 4 CBIE_SHIFT "What CBO.INVAL does in U-mode"
        CBCFE 6                 "CBO.CLEAN and CBO.FLUSH are enabled in U-mode"
        CBZE  7                 "CBO.ZERO is enabled in U-mode"
        PMM   33 .. 32 PMM_SHIFT "Pointer masking in U-mode and VU-mode"
    }
}

/// What the PMM fields and HUPMM say [priv: pointer masking]. PMLEN=16 (3) is not offered, and 1 is reserved.
pub mod pmm {
    /// Addresses are taken as they are.
    pub const OFF: u64 = 0;
    /// PMLEN is 7: the upper 7 bits of an address are ignored.
    pub const IGNORE_7: u64 = 2;
}

/// What the CBIE fields say [unpriv: cache-block management].
pub mod cbie {
    /// CBO.INVAL traps.
    pub const ILLEGAL: u64 = 0;
    /// CBO.INVAL flushes.
    pub const FLUSH: u64 = 1;
    /// CBO.INVAL invalidates.
    pub const INVALIDATE: u64 = 3;
}

register! {
    /// `mseccfg` [priv: machine, "Machine Security Configuration"; Smepmp; unpriv: Zkr].
    mseccfg {
        MML   0                  "Machine-mode lockdown: locked PMP rules are for M alone"
        MMWP  1                  "M-mode accesses that match no PMP rule are denied"
        RLB   2                  "Locked PMP rules may be changed"
        USEED 8                  "seed is accessible in U-mode"
        SSEED 9                  "seed is accessible in S-mode"
        PMM   33 .. 32 PMM_SHIFT "Pointer masking in M-mode"
    }
}

register! {
    /// `satp` and `vsatp` [priv: supervisor, "Supervisor Address Translation and Protection"].
    satp {
        PPN  43 .. 0  PPN_SHIFT  "Page number of the root table"
        ASID 59 .. 44 ASID_SHIFT "Address-space identifier"
        MODE 63 .. 60 MODE_SHIFT "Translation mode"
    } {
        /// No translation.
        pub const BARE: u64 = 0;
        /// 39-bit virtual addresses.
        pub const SV39: u64 = 8;
        /// 48-bit virtual addresses.
        pub const SV48: u64 = 9;
        /// 57-bit virtual addresses.
        pub const SV57: u64 = 10;
    }
}

register! {
    /// `hgatp` [priv: hypervisor, "Hypervisor Guest Address Translation and Protection"].
    hgatp {
        PPN  43 .. 0  PPN_SHIFT  "Page number of the root table; its two lowest bits are 0"
        VMID 57 .. 44 VMID_SHIFT "Virtual machine identifier"
        MODE 63 .. 60 MODE_SHIFT "Translation mode"
    } {
        /// No translation.
        pub const BARE: u64 = 0;
        /// 41-bit guest physical addresses.
        pub const SV39X4: u64 = 8;
        /// 50-bit guest physical addresses.
        pub const SV48X4: u64 = 9;
        /// 59-bit guest physical addresses.
        pub const SV57X4: u64 = 10;
    }
}

/// `mip`, `mie`, `mideleg` and their views: the bit of an interrupt is [`crate::Interrupt::bit`].
pub mod mip {
    use crate::Interrupt;

    macro_rules! pending {
        ($($name:ident $interrupt:ident)*) => {
            $(
                #[doc = concat!("The bit of [`Interrupt::", stringify!($interrupt), "`].")]
                pub const $name: u64 = Interrupt::$interrupt.bit();
            )*
        };
    }

    pending! {
        SSIP SupervisorSoftware
        VSSIP VsSoftware
        MSIP MachineSoftware
        STIP SupervisorTimer
        VSTIP VsTimer
        MTIP MachineTimer
        SEIP SupervisorExternal
        VSEIP VsExternal
        MEIP MachineExternal
        SGEIP SupervisorGuestExternal
        LCOFIP CounterOverflow
    }
}

register! {
    /// `mcounteren`, `hcounteren`, `scounteren`; of `mcountinhibit` CY and IR. Bit n from 3 on is
    /// hpmcountern's.
    counteren {
        CY 0 "The counter cycle"
        TM 1 "The counter time, and stimecmp"
        IR 2 "The counter instret"
    }
}

register! {
    /// `mhpmevent3` to `mhpmevent31` with Sscofpmf; `mcyclecfg` and `minstretcfg` without OF [priv:
    /// Smcntrpmf].
    mhpmevent {
        VUINH 58 "Not counted in VU-mode"
        VSINH 59 "Not counted in VS-mode"
        UINH  60 "Not counted in U-mode"
        SINH  61 "Not counted in S-mode"
        MINH  62 "Not counted in M-mode"
        OF    63 "The counter has overflowed since this was cleared"
    }
}

register! {
    /// `mstateen0`, `hstateen0`, and below bit 32 `sstateen0` [priv: Smstateen].
    stateen0 {
        C       0  "Access to custom state"
        FCSR    1  "Access to fcsr where floating point is in x registers"
        JVT     2  "Access to jvt"
        P1P13   56 "Access to hedelegh"
        CONTEXT 57 "Access to scontext and hcontext"
        IMSIC   58 "Access to the IMSIC"
        AIA     59 "Access to further state of Ssaia"
        CSRIND  60 "Access to siselect and sireg"
        ENVCFG  62 "Access to henvcfg and senvcfg"
        SE      63 "Access to hstateen and sstateen of the same number"
    }
}

/// `mtvec`, `stvec`, `vstvec` [priv: machine, "Machine Trap-Vector Base-Address"].
pub mod tvec {
    /// The two bits of the mode; the base is the rest, in place.
    pub const MODE: u64 = 3;
    /// All traps go to the base.
    pub const DIRECT: u64 = 0;
    /// Interrupts go to the base plus four times the cause.
    pub const VECTORED: u64 = 1;
}

register! {
    /// `fcsr`; `fflags` and `frm` are its fields [unpriv: F].
    fcsr {
        NX     0 "Inexact"
        UF     1 "Underflow"
        OF     2 "Overflow"
        DZ     3 "Division by zero"
        NV     4 "Invalid operation"
        FFLAGS 4 .. 0 FFLAGS_SHIFT "Accrued exceptions"
        FRM    7 .. 5 FRM_SHIFT "Dynamic rounding mode"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_and_written_in_place() {
        let value = set(u64::MAX, mstatus::MPP, 1);
        assert_eq!(get(value, mstatus::MPP), 1);
        assert_eq!(value, !(1 << 12));
        assert_eq!(set(0, satp::MODE, 0x1f), 0xf << 60);
        assert_eq!(get(8 << 60 | 7 << 44 | 5, satp::ASID), 7);
        assert_eq!(satp::PPN, 0xfff_ffff_ffff);
    }

    #[test]
    fn fields_of_a_register_do_not_overlap() {
        for fields in [
            mstatus::FIELDS,
            hstatus::FIELDS,
            menvcfg::FIELDS,
            henvcfg::FIELDS,
            senvcfg::FIELDS,
            mseccfg::FIELDS,
            satp::FIELDS,
            hgatp::FIELDS,
            mhpmevent::FIELDS,
            stateen0::FIELDS,
        ] {
            let mut seen = 0;
            for field in fields {
                assert_ne!(field.mask, 0);
                assert_eq!(seen & field.mask, 0, "{}", field.name);
                seen |= field.mask;
            }
        }
    }

    #[test]
    fn positions_are_those_of_the_manual() {
        assert_eq!(mstatus::MPP, 0x1800);
        assert_eq!(mstatus::MPV, 1 << 39);
        assert_eq!(hstatus::VGEIN, 0x3_f000);
        assert_eq!(hgatp::VMID, 0x3fff << 44);
        assert_eq!(mip::LCOFIP, 1 << 13);
        assert_eq!(menvcfg::CBIE, 0x30);
    }
}
