//! Privilege modes, nominal privilege and the virtualization mode V [priv: hypervisor,
//! "Privilege Modes"].

use std::fmt;

/// Nominal privilege: what `mstatus.MPP` can name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Privilege {
    /// User.
    U = 0,
    /// Supervisor.
    S = 1,
    /// Machine.
    #[default]
    M = 3,
}

impl Privilege {
    /// The privilege with this two-bit encoding; `None` for the reserved 2.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match bits & 3 {
            0 => Some(Self::U),
            1 => Some(Self::S),
            3 => Some(Self::M),
            _ => None,
        }
    }
}

/// A privilege mode: nominal privilege and V together. S with V=0 is HS when the hart has H; it
/// prints as `S` all the same, as every table of modes does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mode {
    /// User, V=0.
    U,
    /// Supervisor (HS), V=0.
    S,
    /// Machine; V is always 0.
    #[default]
    M,
    /// Virtual supervisor, V=1.
    VS,
    /// Virtual user, V=1.
    VU,
}

impl Mode {
    /// The mode with this nominal privilege and V; V is ignored for M.
    #[inline]
    pub const fn new(privilege: Privilege, v: bool) -> Self {
        match (privilege, v) {
            (Privilege::M, _) => Self::M,
            (Privilege::S, false) => Self::S,
            (Privilege::S, true) => Self::VS,
            (Privilege::U, false) => Self::U,
            (Privilege::U, true) => Self::VU,
        }
    }

    /// The nominal privilege.
    #[inline]
    pub const fn privilege(self) -> Privilege {
        match self {
            Self::U | Self::VU => Privilege::U,
            Self::S | Self::VS => Privilege::S,
            Self::M => Privilege::M,
        }
    }

    /// The virtualization mode V: whether a guest runs.
    #[inline]
    pub const fn v(self) -> bool {
        matches!(self, Self::VS | Self::VU)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::U => "U",
            Self::S => "S",
            Self::M => "M",
            Self::VS => "VS",
            Self::VU => "VU",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_its_privilege_and_v() {
        for mode in [Mode::U, Mode::S, Mode::M, Mode::VS, Mode::VU] {
            assert_eq!(Mode::new(mode.privilege(), mode.v()), mode);
        }
        assert_eq!(Mode::new(Privilege::M, true), Mode::M);
        assert_eq!(format!("{:>3}", Mode::VS), " VS");
    }
}
