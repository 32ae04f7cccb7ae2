//! Walks that were made before, so that one is made again by comparing what it would read. Only of accesses that succeed: a walk is
//! a function of the PTEs that it reads, and so is the size of its page.

use isa::Pa;
use timing::{Context, Page, Walk};

use crate::core::Core;

/// Walks kept at most.
const PLACES: usize = 512;
/// PTEs of a walk that is kept.
const READS: usize = 15;

#[derive(Clone, Copy, Debug)]
struct Known {
    page: u64,
    context: Context,
    roots: [u64; 2],
    reads: [u64; READS],
    values: [u64; READS],
    count: usize,
    found: Page,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct KnownWalks {
    places: Vec<Option<Known>>,
}

fn place(page: u64, context: Context) -> usize {
    let space = u64::from(context.asid) ^ u64::from(context.vmid) << 3 ^ u64::from(context.v) << 8;
    (page ^ page >> 9 ^ space) as usize % PLACES
}

/// The registers that hold the roots of both stages.
fn roots(core: &Core, context: Context) -> [u64; 2] {
    let csrs = &core.csrs;
    if context.v { [csrs.vsatp, csrs.hgatp] } else { [csrs.satp, 0] }
}

impl KnownWalks {
    /// The walk of `va`, if it would read what it read.
    pub(super) fn find(&self, core: &Core, va: u64, context: Context) -> Option<Walk> {
        let page = va >> 12;
        let known = self.places.get(place(page, context))?.as_ref()?;
        if known.page != page || known.context != context || known.roots != roots(core, context) {
            return None;
        }
        let reads = known.reads.get(..known.count)?;
        let mut same = reads.iter().zip(&known.values);
        if !same.all(|(&pa, &value)| core.ram.read::<u64>(Pa(pa)) == Some(value)) {
            return None;
        }
        Some(Walk { reads: reads.to_vec(), page: known.found, failed: false })
    }

    /// Keeps a walk that was just made.
    pub(super) fn keep(&mut self, core: &Core, va: u64, context: Context, walk: &Walk) {
        if walk.failed || walk.page.bits == 0 || walk.reads.is_empty() || walk.reads.len() > READS {
            return;
        }
        let (mut reads, mut values) = ([0; READS], [0; READS]);
        for ((&pa, read), value) in walk.reads.iter().zip(&mut reads).zip(&mut values) {
            let Some(found) = core.ram.read::<u64>(Pa(pa)) else { return };
            (*read, *value) = (pa, found);
        }
        let page = va >> 12;
        self.places.resize(PLACES, None);
        let known = Known {
            page,
            context,
            roots: roots(core, context),
            reads,
            values,
            count: walk.reads.len(),
            found: walk.page,
        };
        self.places[place(page, context)] = Some(known);
    }
}
