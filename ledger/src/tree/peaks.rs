//! The perfect trees that a tree consists of: all that is needed to know its root after every few entries.
//!
//! The right edge ([`super::Edge`]) knows the root too, but folds up to 255 hashes of each level for it. This keeps one hash
//! for each one in the size's binary form, so that the journal can say with every batch which tree it continues. Called by
//! the store. Threat: none of its own; a wrong root here is refused wherever it is compared.

use crate::hash::TreeHash;

/// The roots of the perfect trees, from the left, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peaks {
    size: u64,
    roots: Vec<TreeHash>,
}

impl Peaks {
    /// The peaks of a tree of this size, whose perfect trees have these roots, from the left.
    pub(super) const fn new(size: u64, roots: Vec<TreeHash>) -> Self {
        Self { size, roots }
    }

    /// Appends an entry by its leaf hash.
    pub fn append(&mut self, leaf: TreeHash) {
        let mut hash = leaf;
        // Each perfect tree of the same height as what was just made is its left half.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = TreeHash::node(left, hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// How many entries the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let root = self.roots.iter().rev().copied().reduce(|right, left| TreeHash::node(left, right));
        root.unwrap_or_else(TreeHash::empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Edge;

    #[test]
    fn peaks__should_have_the_root_of_the_edge_at_every_size() {
        let (mut edge, mut peaks) = (Edge::default(), Peaks::default());
        for number in 0..1_100_u64 {
            assert_eq!((peaks.size(), peaks.root()), (edge.size(), edge.root()));
            assert_eq!(edge.peaks(), peaks, "{number}");
            let leaf = TreeHash::leaf(&number.to_be_bytes());
            edge.append(leaf);
            peaks.append(leaf);
        }
    }

    #[test]
    fn peaks__should_be_those_of_a_tree_with_four_levels_of_tiles() {
        let mut edge = Edge::default();
        let leaf = TreeHash::leaf(b"entry");
        (0..70_001).for_each(|_| drop(edge.append(leaf)));
        let mut peaks = edge.peaks();
        assert_eq!(peaks.root(), edge.root());
        peaks.append(leaf);
        edge.append(leaf);
        assert_eq!(peaks, edge.peaks());
    }
}
