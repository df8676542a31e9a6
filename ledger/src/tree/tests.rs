//! The tree against ct-merkle, an independent implementation, and against RFC 6962 as written.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::hash::TreeHash;
use crate::refusal::LedgerCode;

type Peer = MemoryBackedTree<Sha256, Vec<u8>>;

fn entry(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

fn peer(size: u64) -> Peer {
    let mut tree = Peer::new();
    (0..size).for_each(|index| tree.push(entry(index)));
    tree
}

fn peer_root(size: u64) -> TreeHash {
    TreeHash((*peer(size).root().as_bytes()).into())
}

/// The edge of a tree of this size, and all its tiles.
fn grow(size: u64) -> (Edge, BTreeMap<Tile, Vec<TreeHash>>) {
    let (mut edge, mut tiles) = (Edge::default(), BTreeMap::new());
    for index in 0..size {
        tiles.extend(
            edge.append(TreeHash::leaf(&entry(index))).into_iter().map(|full| (full.tile, full.hashes)),
        );
    }
    tiles.extend(edge.partials().into_iter().map(|partial| (partial.tile, partial.hashes)));
    (edge, tiles)
}

fn hashes(bytes: &[u8]) -> Vec<TreeHash> {
    bytes.chunks_exact(32).map(|hash| TreeHash(hash.try_into().unwrap())).collect()
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 1_u64..600, 1 => 65_530_u64..65_800]
}

#[test]
fn edge__should_have_the_root_of_an_independent_tree_at_every_size() {
    let (mut edge, mut tree) = (Edge::default(), Peer::new());
    assert_eq!(edge.root(), TreeHash::empty());
    for index in 0..1100 {
        edge.append(TreeHash::leaf(&entry(index)));
        tree.push(entry(index));
        assert_eq!(edge.root().0, <[u8; 32]>::from(*tree.root().as_bytes()), "{index}");
    }
}

#[test]
fn tiles__should_be_those_of_the_specifications_example() {
    let (edge, tiles) = grow(70_000);
    let of = |level| tiles.keys().filter(move |tile| tile.kind().level().number() == level);
    assert_eq!((of(0).count(), of(1).count(), of(2).count(), tiles.len()), (274, 2, 1, 277));
    let partials: Vec<String> = edge.partials().iter().map(|partial| partial.tile.to_string()).collect();
    assert_eq!(partials, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(grow(256).0.partials().len(), 1);
    assert_eq!(Tile::partial_bundle(70_000).unwrap().to_string(), "tile/entries/273.p/112");
    assert_eq!((Tile::partial_bundle(512), Tile::partial_bundle(0)), (None, None));
}

#[test]
fn edge__should_be_the_same_when_read_from_its_partial_tiles() {
    for size in [0, 1, 255, 256, 257, 65_536, 65_793] {
        let (edge, tiles) = grow(size);
        assert_eq!(Edge::read(size, &tiles).unwrap(), edge, "{size}");
        assert_eq!(Plan::root(size).unwrap().hashes(&tiles).unwrap(), [edge.root()], "{size}");
    }
}

#[test]
fn edge__should_refuse_missing_and_narrow_tiles() {
    let (_, mut tiles) = grow(300);
    let last = Tile::partials(300).next().unwrap();
    tiles.get_mut(&last).unwrap().pop();
    assert_eq!(Edge::read(300, &tiles).unwrap_err().code, LedgerCode::Tile);
    assert_eq!(Plan::inclusion(0, 300).unwrap().hashes(&tiles).unwrap_err().code, LedgerCode::Tile);
    tiles.remove(&last);
    assert_eq!(Edge::read(300, &tiles).unwrap_err().code, LedgerCode::LogFileMissing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn inclusion__should_be_that_of_an_independent_tree(size in sizes(), at in any::<prop::sample::Index>()) {
        let index = at.index(usize::try_from(size).unwrap());
        let (edge, tiles) = grow(size);
        let plan = Plan::inclusion(index as u64, size).unwrap();
        let needed: BTreeMap<_, _> = plan.tiles().into_iter().map(|tile| (tile, tiles[&tile].clone())).collect();
        let path = plan.hashes(&needed).unwrap();
        prop_assert_eq!(&path, &hashes(peer(size).prove_inclusion(index).as_bytes()));
        let leaf = TreeHash::leaf(&entry(index as u64));
        verify_inclusion(index as u64, size, leaf, &path, edge.root()).unwrap();
        for forged in forgeries(&path) {
            prop_assert!(verify_inclusion(index as u64, size, leaf, &forged, edge.root()).is_err());
        }
        prop_assert!(size == 1 || verify_inclusion(index as u64, size, edge.root(), &path, leaf).is_err());
        prop_assert!(verify_inclusion(size, size, leaf, &path, edge.root()).is_err());
    }

    #[test]
    fn consistency__should_be_that_of_an_independent_tree(new in sizes(), at in any::<prop::sample::Index>()) {
        let old = 1 + at.index(usize::try_from(new).unwrap()) as u64;
        let (edge, tiles) = grow(new);
        let plan = Plan::consistency(old, new).unwrap();
        let needed: BTreeMap<_, _> = plan.tiles().into_iter().map(|tile| (tile, tiles[&tile].clone())).collect();
        let path = plan.hashes(&needed).unwrap();
        let added = usize::try_from(new - old).unwrap();
        if added > 0 {
            prop_assert_eq!(&path, &hashes(peer(new).prove_consistency(added).as_bytes()));
        }
        let (old, new) = ((old, grow(old).0.root()), (new, edge.root()));
        verify_consistency(old, new, &path).unwrap();
        for forged in forgeries(&path) {
            prop_assert!(verify_consistency(old, new, &forged).is_err());
        }
        let other = TreeHash::leaf(b"another");
        prop_assert!(verify_consistency((old.0, other), new, &path).is_err());
        prop_assert!(verify_consistency(old, (new.0, other), &path).is_err());
        prop_assert!(verify_consistency((new.0 + 1, old.1), new, &path).is_err());
    }

    #[test]
    fn tile_path__should_read_back(level in 0_u8..8, index: u64, width in 1_u64..257, entries: bool) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(Level::new(level).unwrap()) };
        let index = index >> (8 * u32::from(kind.level().number())) >> 8;
        let tile = Tile::new(kind, index, Width::new(width).unwrap()).unwrap();
        prop_assert_eq!(tile.to_string().parse::<Tile>().unwrap(), tile);
    }

    #[test]
    fn bundle__should_read_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..40)) {
        let mut bytes = Vec::new();
        for entry in &entries {
            append_entry(&mut bytes, entry).unwrap();
        }
        let width = Width::new(entries.len() as u64).unwrap();
        prop_assert_eq!(decode_bundle(&bytes, width).unwrap(), entries);
        bytes.push(0);
        prop_assert_eq!(decode_bundle(&bytes, width).unwrap_err().code, LedgerCode::Tile);
        prop_assert_eq!(decode_bundle(&bytes[..bytes.len() - 2], width).unwrap_err().code, LedgerCode::Tile);
    }
}

/// The path with one byte changed in each hash, one hash more, and one less.
fn forgeries(path: &[TreeHash]) -> Vec<Vec<TreeHash>> {
    let mut forged: Vec<Vec<TreeHash>> = (0..path.len())
        .map(|at| {
            let mut path = path.to_vec();
            path[at].0[at] ^= 1;
            path
        })
        .collect();
    forged.push([path, &[TreeHash::empty()]].concat());
    forged.extend(path.split_last().map(|(_, shorter)| shorter.to_vec()));
    forged
}

#[test]
fn consistency__should_begin_at_an_empty_tree() {
    let root = grow(5).0.root();
    assert_eq!(Plan::consistency(0, 5).unwrap().hashes(&BTreeMap::new()).unwrap(), []);
    verify_consistency((0, TreeHash::empty()), (5, root), &[]).unwrap();
    verify_consistency((0, TreeHash::empty()), (0, TreeHash::empty()), &[]).unwrap();
    verify_consistency((0, TreeHash::empty()), (5, root), &[root]).unwrap_err();
    verify_consistency((0, root), (5, root), &[]).unwrap_err();
    verify_consistency((5, root), (4, root), &[root]).unwrap_err();
}

#[test]
fn plan__should_refuse_what_the_log_does_not_have() {
    let refused = [
        Plan::inclusion(5, 5),
        Plan::inclusion(0, 0),
        Plan::inclusion(0, u64::MAX),
        Plan::consistency(6, 5),
        Plan::consistency(1, u64::MAX),
        Plan::root(u64::MAX),
    ];
    for plan in refused {
        assert_eq!(plan.unwrap_err().code, LedgerCode::LogRange);
    }
    let largest = Plan::inclusion(MAX_TREE_SIZE - 1, MAX_TREE_SIZE).unwrap();
    assert!(largest.tiles().len() >= Level::COUNT);
}

#[test]
fn peer_root__should_be_that_of_the_edge_at_a_large_size() {
    assert_eq!(grow(65_793).0.root(), peer_root(65_793));
}

#[test]
fn tile_path__should_have_one_form_only() {
    let tile: Tile = "tile/0/x001/x234/067".parse().unwrap();
    assert_eq!((tile.index(), tile.width(), tile.start()), (1_234_067, Width::FULL, 1_234_067 * 256));
    for path in [
        "tile/8/000",
        "tile/00/000",
        "tile/+1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0//000",
        "tile/0/../000",
        "tile/entries/000.p/1.p/1",
        "tile/7/001",
        "",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/Entries/000",
        "tile/0/00\u{661}",
        "tile/0/ 00",
        "tile",
    ] {
        assert_eq!(path.parse::<Tile>().unwrap_err().code, LedgerCode::TilePath, "{path}");
    }
}

#[test]
fn tile__should_be_refused_unless_it_is_as_long_as_it_is_wide() {
    let width = Width::new(2).unwrap();
    assert_eq!(decode_hashes(&[7; 64], width).unwrap(), [TreeHash([7; 32]); 2]);
    for len in [0, 32, 63, 65, 96] {
        assert_eq!(decode_hashes(&vec![7; len], width).unwrap_err().code, LedgerCode::Tile);
    }
    assert_eq!(append_entry(&mut Vec::new(), &vec![0; 65_536]).unwrap_err().code, LedgerCode::RecordTooLarge);
    append_entry(&mut Vec::new(), &vec![0; 65_535]).unwrap();
}
