//! Entries, needs and heads come back as they were, and no bytes bring their readers down.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use skiff_proto::tree::{ContentHead, Entry, EntryKind, Need, path_order};

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        any::<u32>().prop_map(|mode| EntryKind::Folder { mode }),
        (any::<u32>(), any::<u64>(), any::<i64>(), any::<[u8; 32]>()).prop_map(
            |(mode, size, modified, hash)| EntryKind::File {
                mode,
                size,
                modified,
                hash
            }
        ),
        vec(any::<u8>(), 0..50).prop_map(|target| EntryKind::Link { target }),
    ];
    (any::<u16>(), vec(any::<u8>(), 0..50), kind).prop_map(|(root, path, kind)| Entry {
        root,
        path,
        kind,
    })
}

proptest! {
    #[test]
    fn an_entry_comes_back_as_it_was(entry in entry()) {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        let (length, body) = bytes.split_first_chunk::<4>().expect("a length");
        assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
        assert_eq!(Entry::decode(body), Ok(entry));
    }

    #[test]
    fn needs_come_back_as_they_were(numbers in vec((any::<u32>(), any::<u64>()), 0..50)) {
        let mut needs: Vec<Need> =
            numbers.into_iter().map(|(entry, offset)| Need { entry, offset }).collect();
        needs.sort_unstable();
        assert_eq!(Need::decode_all(&Need::encode_all(&needs)), Ok(needs));
    }

    #[test]
    fn no_bytes_bring_the_readers_down(bytes in vec(any::<u8>(), 0..100)) {
        let _ = (Entry::decode(&bytes), Need::decode_all(&bytes));
    }

    #[test]
    fn a_cut_entry_is_none(entry in entry(), at in any::<proptest::sample::Index>()) {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        let body = &bytes[4..];
        assert!(Entry::decode(&body[..at.index(body.len())]).is_err());
    }
}

#[test]
fn the_head_of_a_content_comes_back_and_the_end_is_told_from_it() {
    let head = ContentHead {
        entry: 7,
        offset: 1 << 40,
        length: 5,
    };
    assert_eq!(ContentHead::decode(&head.encode()), Some(head));
    assert_eq!(ContentHead::decode(&ContentHead::end()), None);
}

#[test]
fn a_folder_stands_right_before_what_is_in_it() {
    let mut paths: Vec<&[u8]> = vec![b"a-b", b"a/b", b"a", b"a/b/c", b"a/b-c", b"a!", b"b"];
    paths.sort_by(|one, other| path_order(one, other));
    let expected: Vec<&[u8]> = vec![b"a", b"a/b", b"a/b/c", b"a/b-c", b"a!", b"a-b", b"b"];
    assert_eq!(paths, expected);
}
