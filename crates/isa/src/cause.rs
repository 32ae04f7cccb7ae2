//! Trap causes as `mcause` numbers them [priv: machine, "mcause"; hypervisor, "Trap Cause Codes"].

use std::fmt;

macro_rules! causes {
    ($(#[$doc:meta])* $name:ident { $($code:literal $variant:ident $text:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name {
            $(#[doc = concat!("Code ", stringify!($code), ": ", $text, ".")] $variant = $code,)*
        }

        impl $name {
            /// All of them, by code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code in `mcause`, without the interrupt bit.
            #[inline]
            pub const fn code(self) -> u64 {
                self as u64
            }

            /// The bit of this code in a delegation, enable or pending register.
            #[inline]
            pub const fn bit(self) -> u64 {
                1 << self as u64
            }

            /// The cause with this code.
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name the manual uses.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.text())
            }
        }
    };
}

causes! {
    /// A synchronous exception.
    Exception {
        0 InstructionMisaligned "instruction address misaligned"
        1 InstructionAccess "instruction access fault"
        2 IllegalInstruction "illegal instruction"
        3 Breakpoint "breakpoint"
        4 LoadMisaligned "load address misaligned"
        5 LoadAccess "load access fault"
        6 StoreMisaligned "store/AMO address misaligned"
        7 StoreAccess "store/AMO access fault"
        8 EcallU "environment call from U-mode or VU-mode"
        9 EcallS "environment call from HS-mode"
        10 EcallVs "environment call from VS-mode"
        11 EcallM "environment call from M-mode"
        12 InstructionPage "instruction page fault"
        13 LoadPage "load page fault"
        15 StorePage "store/AMO page fault"
        16 DoubleTrap "double trap"
        18 SoftwareCheck "software check"
        19 HardwareError "hardware error"
        20 InstructionGuestPage "instruction guest-page fault"
        21 LoadGuestPage "load guest-page fault"
        22 VirtualInstruction "virtual instruction"
        23 StoreGuestPage "store/AMO guest-page fault"
    }
}

causes! {
    /// An interrupt.
    Interrupt {
        1 SupervisorSoftware "supervisor software interrupt"
        2 VsSoftware "virtual supervisor software interrupt"
        3 MachineSoftware "machine software interrupt"
        5 SupervisorTimer "supervisor timer interrupt"
        6 VsTimer "virtual supervisor timer interrupt"
        7 MachineTimer "machine timer interrupt"
        9 SupervisorExternal "supervisor external interrupt"
        10 VsExternal "virtual supervisor external interrupt"
        11 MachineExternal "machine external interrupt"
        12 SupervisorGuestExternal "supervisor guest external interrupt"
        13 CounterOverflow "counter overflow interrupt"
    }
}

/// Why a trap was taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// An exception.
    Exception(Exception),
    /// An interrupt.
    Interrupt(Interrupt),
}

impl Cause {
    /// The value of `mcause` on RV64.
    #[inline]
    pub const fn bits(self) -> u64 {
        match self {
            Self::Exception(exception) => exception.code(),
            Self::Interrupt(interrupt) => 1 << 63 | interrupt.code(),
        }
    }

    /// The cause that `mcause` holds as these bits.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let code = bits & !(1 << 63);
        if bits >> 63 == 0 {
            match Exception::from_code(code) {
                Some(exception) => Some(Self::Exception(exception)),
                None => None,
            }
        } else {
            match Interrupt::from_code(code) {
                Some(interrupt) => Some(Self::Interrupt(interrupt)),
                None => None,
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception(exception) => exception.fmt(f),
            Self::Interrupt(interrupt) => interrupt.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_their_own_inverse() {
        for &exception in Exception::ALL {
            assert_eq!(Exception::from_code(exception.code()), Some(exception));
        }
        for bits in [2, 23, 1 << 63 | 13] {
            assert_eq!(Cause::from_bits(bits).map(Cause::bits), Some(bits));
        }
        assert_eq!(Cause::from_bits(1 << 63), None);
        for &interrupt in Interrupt::ALL {
            assert_eq!(Interrupt::from_code(interrupt.code()), Some(interrupt));
        }
        assert_eq!(Exception::from_code(14), None);
        assert_eq!(Cause::Interrupt(Interrupt::MachineTimer).bits(), 1 << 63 | 7);
    }
}
