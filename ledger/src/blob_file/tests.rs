//! Files of blobs: what is written reads back, and nothing else does.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::noise;

type Files = BTreeMap<BlobId, Vec<u8>>;

fn write(files: &mut Files, blob: &Blob) {
    for (id, bytes) in shared_parts(blob) {
        files.insert(id, encode_whole(bytes));
    }
    files.insert(blob.id(), encode(blob).unwrap());
}

fn read(files: &Files, id: BlobId) -> Result<Vec<u8>, LedgerRefusal> {
    let file = BlobFile::decode(&files[&id])?;
    assert!(file.needs().iter().all(|id| files.contains_key(id)));
    file.assemble(id, |id| Ok(files[&id].clone()))
}

fn part() -> impl Strategy<Value = Part> {
    let bytes = prop::collection::vec(0_u8..3, 0..700);
    (bytes, any::<bool>())
        .prop_map(|(bytes, shared)| if shared { Part::shared(bytes) } else { Part::Own(bytes.into()) })
}

proptest! {
    #[test]
    fn blob_file__should_read_back(parts in prop::collection::vec(part(), 0..8)) {
        let blob = Blob::of_parts(parts);
        let mut files = Files::new();
        write(&mut files, &blob);
        let bytes: Vec<u8> = blob.parts().iter().flat_map(|part| part.bytes().to_vec()).collect();
        prop_assert_eq!(read(&files, blob.id()).unwrap(), bytes);
        prop_assert!(files.values().all(|file| file.len() <= MAX_BLOB_FILE_BYTES));
    }

    #[test]
    fn blob_file__should_never_give_other_bytes(parts in prop::collection::vec(part(), 1..6), at: prop::sample::Index) {
        let blob = Blob::of_parts(parts);
        let mut files = Files::new();
        write(&mut files, &blob);
        let expected = read(&files, blob.id()).unwrap();
        let mut file = encode(&blob).unwrap();
        let at = at.index(file.len());
        file[at] ^= 0x81;
        let result = BlobFile::decode(&file).and_then(|file| {
            file.assemble(blob.id(), |id| files.get(&id).cloned().ok_or_else(|| malformed("missing")))
        });
        prop_assert!(result.is_err() || result.as_ref() == Ok(&expected));
    }
}

#[test]
fn blob_file__should_be_compressed_only_where_that_helps() {
    assert_eq!(encode_whole(&[9; 4096]).first(), Some(&LZ4));
    assert!(encode_whole(&[9; 4096]).len() < 100);
    assert_eq!(encode_whole(&noise(4096)).first(), Some(&RAW));
    assert_eq!(encode_whole(&[]), [RAW]);
}

#[test]
fn blob_file__should_hold_a_shared_part_by_its_name() {
    let blob = Blob::of_parts(vec![
        Part::Own(vec![1].into()),
        Part::Own(vec![2].into()),
        Part::shared(noise(4096)),
        Part::shared(vec![3]),
    ]);
    let file = encode(&blob).unwrap();
    let id = BlobId::of(&noise(4096));
    let expected = [&[2, 0, 0, 0, 0, 2, 1, 2, 1][..], &id.0, &[0, 0, 0, 0, 1, 3]].concat();
    assert_eq!(file, expected);
    assert_eq!(BlobFile::decode(&file).unwrap().needs(), BTreeSet::from([id]));
    assert_eq!(shared_parts(&blob).map(|(id, _)| id).collect::<Vec<_>>(), [id]);
}

#[test]
fn blob_file__should_never_name_itself() {
    let blob = Blob::of_parts(vec![Part::Own(Vec::new().into()), Part::shared(noise(300))]);
    assert_eq!(shared_parts(&blob).count(), 0);
    assert!(is_whole(encode(&blob).unwrap()[0]));
}

#[test]
fn blob_file__should_refuse_parts_of_parts_and_other_blobs() {
    let inner = Blob::of_parts(vec![Part::Own(vec![1].into()), Part::shared(noise(300))]);
    let bytes: Vec<u8> = inner.parts().iter().flat_map(|part| part.bytes().to_vec()).collect();
    let outer = Blob::of_parts(vec![Part::Own(vec![2].into()), Part::shared(bytes.clone())]);
    let mut files = Files::new();
    write(&mut files, &outer);
    files.insert(inner.id(), encode(&inner).unwrap());
    assert_eq!(read(&files, outer.id()).unwrap_err().code, LedgerCode::Blob);
    files.insert(inner.id(), encode_whole(&noise(301)));
    assert_eq!(read(&files, outer.id()).unwrap_err().code, LedgerCode::BlobForeign);
    files.insert(inner.id(), encode_whole(&bytes));
    read(&files, outer.id()).unwrap();
}

#[test]
fn blob_file__should_be_bounded() {
    let bomb = [[LZ4].as_slice(), &u32::MAX.to_be_bytes(), &[0; 9]].concat();
    let short = [[LZ4].as_slice(), &9_u32.to_be_bytes(), &[0x10, 7]].concat();
    let long = [[LZ4].as_slice(), &1_u32.to_be_bytes(), &[0x30, 7, 7, 7]].concat();
    let parts = [[LIST].as_slice(), &[0, 0, 0, 0, 0].repeat(MAX_PARTS + 1)].concat();
    let refused =
        [vec![], vec![3], vec![LZ4], bomb, short, long, vec![LIST, 0, 0, 0, 0, 1], vec![LIST, 2], parts];
    for file in refused.into_iter().chain([vec![RAW; MAX_BLOB_FILE_BYTES + 1]]) {
        assert_eq!(BlobFile::decode(&file).unwrap_err().code, LedgerCode::Blob, "{:?}", file.get(..9));
    }
    let half = noise(MAX_BLOB_BYTES / 2 + 1);
    let id = BlobId::of(&half);
    let twice = [[LIST, SHARED].as_slice(), &id.0, &[SHARED], &id.0].concat();
    let joined = BlobFile::decode(&twice).unwrap().assemble(id, |_| Ok(encode_whole(&half)));
    assert_eq!(joined.unwrap_err().code, LedgerCode::Blob);
    assert_eq!(encode(&Blob::new(vec![0; MAX_BLOB_BYTES + 1])).unwrap_err().code, LedgerCode::Blob);
    encode(&Blob::new(noise(MAX_BLOB_BYTES))).unwrap();
}

#[test]
fn blob_path__should_have_one_form_only() {
    let id = BlobId::of(b"abc");
    let at = "blob/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((path(id).as_str(), parse_path(at).unwrap()), (at, id));
    for other in [
        at.to_uppercase(),
        at.replace("/ba/", "/bb/"),
        at[5..].to_owned(),
        format!("/{at}"),
        format!("{at}0"),
        "blob//".to_owned(),
    ] {
        assert_eq!(parse_path(&other).unwrap_err().code, LedgerCode::BlobPath, "{other}");
    }
}
