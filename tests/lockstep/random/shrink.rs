//! Makes a program that differs smaller: episodes and items are left out as long as it still does.
//!
//! What is left out may have been a fence that a later part owes, so that a small program may show a
//! choice of the TLB in place of the difference it came from; with `--tlb none` it cannot.

use super::episode::Episode;
use super::items::Item;
use super::program::Program;

/// How often a program may be tried.
const TRIES: u32 = 250;

/// The smallest program found that still `differs`, which is told at most [`TRIES`] others.
pub(super) fn shrink(program: &Program, mut differs: impl FnMut(&Program) -> bool) -> Program {
    let mut tries = TRIES;
    let mut differs = |program: &Program| match tries.checked_sub(1) {
        Some(left) => {
            tries = left;
            differs(program)
        }
        None => false,
    };
    let mut small = program.clone();
    // What comes behind the difference goes at once.
    let (mut fewer, mut enough) = (0, small.episodes.len());
    while fewer + 1 < enough {
        let middle = fewer + (enough - fewer) / 2;
        let cut = Program { episodes: small.episodes[..middle].to_vec(), ..small.clone() };
        if differs(&cut) {
            enough = middle;
        } else {
            fewer = middle;
        }
    }
    small.episodes.truncate(enough);
    small.episodes = reduce(&small.episodes, |episodes: &[Episode]| {
        differs(&Program { episodes: episodes.to_vec(), ..small.clone() })
    });
    for episode in 0..small.episodes.len() {
        let lists = small.episodes[episode].segments.len() + 1;
        for list in 0..lists {
            let items = items_of(&mut small, episode, list).clone();
            let fewer = reduce(&items, |items: &[Item]| {
                let mut other = small.clone();
                *items_of(&mut other, episode, list) = items.to_vec();
                differs(&other)
            });
            *items_of(&mut small, episode, list) = fewer;
        }
    }
    small
}

/// The items that set an episode up, and then those of its segments.
fn items_of(program: &mut Program, episode: usize, list: usize) -> &mut Vec<Item> {
    let episode = &mut program.episodes[episode];
    match list.checked_sub(1) {
        None => &mut episode.setup,
        Some(segment) => &mut episode.segments[segment].items,
    }
}

/// Leaves parts of `all` out, large ones first, as long as the rest still `differs`.
fn reduce<T: Clone>(all: &[T], mut differs: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut rest = all.to_vec();
    let mut size = rest.len();
    while size > 0 {
        let mut at = 0;
        while at < rest.len() {
            let mut without = rest.clone();
            without.drain(at..rest.len().min(at + size));
            if differs(&without) {
                rest = without;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::ExtSet;

    #[test]
    fn a_difference_shrinks_to_the_item_that_makes_it() {
        let program = Program::new(1, &ExtSet::default_set());
        let wanted = program.episodes[70].segments[1].items[9].clone();
        let has_it = |program: &Program| {
            let mut segments = program.episodes.iter().flat_map(|episode| &episode.segments);
            segments.any(|segment| segment.items.contains(&wanted))
        };
        let small = shrink(&program, has_it);
        assert_eq!(small.episodes.len(), 1);
        let segments = &small.episodes[0].segments;
        let left: Vec<&Item> = segments.iter().flat_map(|segment| &segment.items).collect();
        assert_eq!(left, [&wanted]);
        assert!(small.episodes[0].setup.is_empty());
    }

    #[test]
    fn a_program_is_its_seed() {
        let exts = ExtSet::default_set();
        let [first, again, other] = [7, 7, 8].map(|seed| Program::new(seed, &exts).executable());
        assert!(first == again && first != other);
    }
}
