//! How many cycles an instruction of the hypervisor takes on a core, beside its PTEs and fences: what one of KVM's takes there.

use anyhow::{Result, ensure};
use machine::guests::Cpi;

use crate::cli::DirtyLogArgs;

/// The most that is taken.
const CPI_MAX: f64 = 1000.0;

/// What was measured on a core.
struct Measured {
    core: &'static str,
    /// Memory latencies, and what an instruction took there, the core's own latency first.
    at: &'static [(u64, Cpi)],
}

/// In thousandths of a cycle, from what `cargo xtask kvm split -- --core CORE --mem-latency N` prints of the hypervisor: its cycles
/// over its instructions without a split; and what a split adds to the one, less what its PTEs take here, over what it adds to the other, less
/// those PTEs. With an L2 that is no measure of anything, since KVM's table was in it and ours is in a new frame.
const MEASURED: &[Measured] = &[
    Measured {
        core: "cva6",
        at: &[
            (10, Cpi { other: 1948, splitting: 1867 }),
            (60, Cpi { other: 4662, splitting: 3479 }),
        ],
    },
    Measured {
        core: "cva6-stlb",
        at: &[
            (10, Cpi { other: 2037, splitting: 1883 }),
            (60, Cpi { other: 4744, splitting: 3524 }),
        ],
    },
    Measured { core: "generic-h", at: &[(100, Cpi { other: 1223, splitting: 1223 })] },
    Measured { core: "u74-h", at: &[(100, Cpi { other: 1033, splitting: 1033 })] },
];

/// What was measured on the core, if it was.
fn measured(args: &DirtyLogArgs) -> Option<&'static Measured> {
    let core = args.core.as_deref();
    MEASURED.iter().find(|measured| Some(measured.core) == core)
}

/// What an instruction takes.
///
/// # Errors
/// The option is no such number.
pub(super) fn of(args: &DirtyLogArgs) -> Result<Cpi> {
    if let Some(cpi) = args.hypervisor_cpi {
        ensure!((0.0..=CPI_MAX).contains(&cpi), "--hypervisor-cpi: from 0 to {CPI_MAX}");
        let each = (cpi * 1e3).round() as u64;
        return Ok(Cpi { splitting: each, other: each });
    }
    let Some(measured) = measured(args) else { return Ok(Cpi::ONE) };
    Ok(match (measured.at, args.mem_latency) {
        ([(x, from), (to_x, to), ..], Some(latency)) => {
            let line = |y, to_y| on_the_line([(*x, y), (*to_x, to_y)], latency.0);
            Cpi { splitting: line(from.splitting, to.splitting), other: line(from.other, to.other) }
        }
        ([(_, cpi), ..], _) => *cpi,
        ([], _) => Cpi::ONE,
    })
}

/// What [`of`] says, for the user.
pub(super) fn told(args: &DirtyLogArgs) -> String {
    let Cpi { splitting, other } = of(args).unwrap_or(Cpi::ONE);
    let [splitting, other] = [splitting, other].map(|each| each as f64 / 1e3);
    if measured(args).is_none() && args.hypervisor_cpi.is_none() {
        "of which an instruction of the hypervisor takes 1, which is not measured".to_owned()
    } else if splitting == other {
        format!("of which an instruction of the hypervisor takes {other}")
    } else {
        format!(
            "of which an instruction of the hypervisor takes {other}, and {splitting} where it splits"
        )
    }
}

/// The line through two points.
fn on_the_line([(x, y), (to_x, to_y)]: [(u64, u64); 2], at: u64) -> u64 {
    let slope = (to_y as f64 - y as f64) / (to_x as f64 - x as f64);
    (y as f64 + slope * (at as f64 - x as f64)).max(1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_that_was_not_measured_lies_on_the_line() {
        let points = [(10, 2000), (60, 4500)];
        assert_eq!(on_the_line(points, 10), 2000);
        assert_eq!(on_the_line(points, 60), 4500);
        assert_eq!(on_the_line(points, 30), 3000);
        // Never below a cycle.
        assert_eq!(on_the_line([(10, 1000), (60, 6000)], 0), 1000);
    }
}
