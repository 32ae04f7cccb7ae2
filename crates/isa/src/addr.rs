//! One type per address space, so that a guest-physical address cannot reach physical memory
//! without a G-stage translation. There is no `+`: a sum that may leave the space says so.

use std::fmt;

/// log2 of the base page size.
pub const PAGE_BITS: u32 = 12;
/// The base page size in bytes.
pub const PAGE_BYTES: u64 = 1 << PAGE_BITS;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The address `bytes` further on, or `None` where that leaves 64 bits.
            #[inline]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The first byte of the 4 KiB page that holds this address.
            #[inline]
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_BYTES - 1))
            }

            /// The offset within the 4 KiB page, in bytes.
            #[inline]
            pub const fn offset(self) -> u64 {
                self.0 & (PAGE_BYTES - 1)
            }

            /// The 4 KiB page number.
            #[inline]
            pub const fn page_number(self) -> u64 {
                self.0 >> PAGE_BITS
            }

            /// Whether the address is a multiple of `bytes`, a power of two.
            #[inline]
            pub const fn is_aligned(self, bytes: u64) -> bool {
                self.0 & (bytes - 1) == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, ":{:#x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

address! {
    /// A virtual address: what `satp` (V=0) or `vsatp` (V=1) translates.
    Va, "va"
}
address! {
    /// A guest physical address: the output of the VS-stage and the input of the G-stage.
    Gpa, "gpa"
}
address! {
    /// A supervisor physical address: what the bus, PMP and PMA see.
    Pa, "pa"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_space() {
        assert_eq!(Va(0x1000).to_string(), "va:0x1000");
        assert_eq!(Gpa(0x20).to_string(), "gpa:0x20");
        assert_eq!(format!("{:?}", Pa(0)), "pa:0x0");
    }

    #[test]
    fn a_sum_that_leaves_the_space_is_none() {
        assert_eq!(Pa(u64::MAX).checked_add(1), None);
        assert_eq!(Pa(0xfff).checked_add(1).map(Pa::page), Some(Pa(0x1000)));
    }
}
