//! The order in which a set gives up its ways: a tree of bits, as caches and TLBs have it.

/// A tree of bits over a number of ways that need not be a power of two.
#[derive(Clone, Debug)]
pub(crate) struct PseudoLru {
    ways: usize,
    /// Node 1 is the root; a set bit says that the upper half was used longer ago.
    bits: Vec<u64>,
    /// For each way of a tree that fits one word, the nodes that its use decides, and those that it sets.
    paths: Vec<(u64, u64)>,
}

impl PseudoLru {
    pub(crate) fn new(ways: usize) -> Self {
        let nodes = ways.next_power_of_two().max(2);
        let path = |way: usize| {
            let mut path = (0, 0);
            each_node(way, nodes, |node, upper| {
                path.0 |= 1 << node;
                path.1 |= u64::from(!upper) << node;
            });
            path
        };
        let paths = if nodes <= 64 { (0..nodes).map(path).collect() } else { Vec::new() };
        Self { ways, bits: vec![0; nodes.div_ceil(64)], paths }
    }

    /// The way was used.
    #[inline]
    pub(crate) fn touch(&mut self, way: usize) {
        let bits = self.bits.as_mut_slice();
        if let ([word], Some((nodes, set))) = (&mut *bits, self.paths.get(way)) {
            *word = *word & !nodes | set;
            return;
        }
        each_node(way, 64 * bits.len(), |node, upper| {
            if let Some(word) = bits.get_mut(node / 64) {
                *word = *word & !(1 << (node % 64)) | u64::from(!upper) << (node % 64);
            }
        });
    }

    /// The way that the tree gives up.
    pub(crate) fn victim(&self) -> usize {
        let nodes = self.ways.next_power_of_two().max(2);
        let (mut node, mut half, mut way) = (1, nodes / 2, 0);
        while half > 0 {
            // Where there is no upper half, the lower one.
            let bit = self.bits[node / 64] >> (node % 64) & 1 != 0;
            let upper = bit && way + half < self.ways;
            way += if upper { half } else { 0 };
            node = 2 * node + usize::from(upper);
            half /= 2;
        }
        way
    }
}

/// The nodes above a way, the root first, and whether it lies in the upper half of each.
fn each_node(way: usize, nodes: usize, mut each: impl FnMut(usize, bool)) {
    let (mut node, mut half) = (1, nodes / 2);
    while half > 0 {
        let upper = way & half != 0;
        each(node, upper);
        node = 2 * node + usize::from(upper);
        half /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_gives_up_what_was_not_used() {
        // A tree that fits a word, one that does not, and no power of two.
        for ways in [28, 64, 100, 512] {
            let mut tree = PseudoLru::new(ways);
            for way in 0..ways {
                tree.touch(way);
            }
            assert_eq!(tree.victim(), 0);
            let mut given = vec![false; ways];
            for _ in 0..2 * ways.next_power_of_two() {
                let way = tree.victim();
                given[way] = true;
                tree.touch(way);
            }
            assert!(given.iter().all(|&given| given), "{ways}: {given:?}");
        }
    }
}
