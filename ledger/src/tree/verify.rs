//! Checks proofs against roots: RFC 9162, 2.1.3.2 and 2.1.4.2.

use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The most hashes that a proof has: one for each level of the largest tree.
pub const MAX_PROOF_HASHES: usize = 63;

/// Checks that the entry with this leaf hash stands at `index` of the tree. Refused with `log-proof-invalid`.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: TreeHash,
    path: &[TreeHash],
    root: TreeHash,
) -> Result<(), LedgerRefusal> {
    let mut walk = Walk::new(index, size.checked_sub(1).filter(|last| index <= *last))?;
    let mut hash = leaf;
    for beside in path {
        hash = if walk.step()? { TreeHash::node(*beside, hash) } else { TreeHash::node(hash, *beside) };
    }
    walk.end()?;
    same(hash, root)
}

/// Checks that the tree of `new` entries continues the tree of `old` entries. Refused with `log-proof-invalid`.
pub fn verify_consistency(
    (old, old_root): (u64, TreeHash),
    (new, new_root): (u64, TreeHash),
    path: &[TreeHash],
) -> Result<(), LedgerRefusal> {
    if old == 0 || old == new {
        let same_root = if old == new { new_root } else { TreeHash::empty() };
        return if path.is_empty() {
            same(old_root, same_root)
        } else {
            Err(invalid("hashes that nothing needs"))
        };
    }
    // The root of a complete old tree is not repeated in the proof.
    let (first, rest) = match path.split_first() {
        _ if old.is_power_of_two() => (old_root, path),
        Some((first, rest)) => (*first, rest),
        None => return Err(invalid("no hashes")),
    };
    let mut walk = Walk::new(old - 1, new.checked_sub(1).filter(|last| old <= *last))?;
    walk.climb();
    let (mut old_hash, mut new_hash) = (first, first);
    for beside in rest {
        if walk.step()? {
            old_hash = TreeHash::node(*beside, old_hash);
            new_hash = TreeHash::node(*beside, new_hash);
        } else {
            new_hash = TreeHash::node(new_hash, *beside);
        }
    }
    walk.end()?;
    same(old_hash, old_root)?;
    same(new_hash, new_root)
}

/// The way from a node to the root: its index, and that of the last node, on the level reached.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    fn new(node: u64, last: Option<u64>) -> Result<Self, LedgerRefusal> {
        let last = last.ok_or_else(|| invalid("an index or size outside of the tree"))?;
        Ok(Self { node, last })
    }

    /// Goes up past levels where the node is a right child.
    const fn climb(&mut self) {
        while self.node & 1 == 1 {
            self.up();
        }
    }

    /// Goes up to where the next hash of the proof is taken in. Whether that hash stands to the left.
    fn step(&mut self) -> Result<bool, LedgerRefusal> {
        if self.last == 0 {
            return Err(invalid("hashes beyond the root"));
        }
        let left = self.node & 1 == 1 || self.node == self.last;
        // The last node has no right neighbour: its hash stays the same until it is a right child.
        while left && self.node & 1 == 0 && self.node != 0 {
            self.up();
        }
        self.up();
        Ok(left)
    }

    const fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    fn end(&self) -> Result<(), LedgerRefusal> {
        if self.last == 0 { Ok(()) } else { Err(invalid("hashes that end below the root")) }
    }
}

fn same(found: TreeHash, expected: TreeHash) -> Result<(), LedgerRefusal> {
    if found == expected { Ok(()) } else { Err(LedgerRefusal::new(LedgerCode::LogProof, found, expected)) }
}

fn invalid(found: &str) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogProof, found, "the hashes from the leaf to the root")
}
