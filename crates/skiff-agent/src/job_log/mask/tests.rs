use proptest::prelude::*;
use skiff_proto::SecretVariables;

use super::{Mask, Masked};

fn mask(values: &[&str]) -> Option<Mask> {
    let named = values
        .iter()
        .enumerate()
        .map(|(at, value)| (format!("SECRET_{at}"), (*value).to_owned()));
    Mask::new(&named.collect::<SecretVariables>())
}

fn masked(values: &[&str], pieces: &[&str]) -> String {
    let mask = mask(values).expect("something to mask");
    let mut stream = Masked::default();
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(&mask, piece.as_bytes(), &mut out);
    }
    out.extend(stream.finish(&mask));
    String::from_utf8(out).expect("text")
}

#[test]
fn values_are_masked_wherever_they_stand() {
    assert_eq!(
        masked(&["s3cret"], &["s3cret is s3cret\ns3crets3cret"]),
        "***** is *****\n**********"
    );
}

#[test]
fn a_value_that_arrives_in_pieces_is_masked() {
    assert_eq!(masked(&["s3cret"], &["a s3", "c", "ret b"]), "a ***** b");
    assert_eq!(masked(&["s3cret"], &["a s3", "x"]), "a s3x");
}

#[test]
fn the_longest_of_several_values_is_masked() {
    assert_eq!(
        masked(&["abcd", "abcdef"], &["abcd", "ef abcdx"]),
        "***** *****x"
    );
}

#[test]
fn a_value_at_the_end_is_masked_though_a_longer_one_begins_like_it() {
    assert_eq!(masked(&["baaa", "baaaa"], &["baaa"]), "*****");
    assert_eq!(masked(&["baaa", "baaaa"], &["x ba", "aa"]), "x *****");
}

#[test]
fn other_output_is_not_held_back() {
    let one = mask(&["s3cret"]).expect("a value");
    let (mut stream, mut out) = (Masked::default(), Vec::new());
    stream.push(&one, b"name? ", &mut out);
    assert_eq!(out, b"name? ");
    stream.push(&one, b"it is s", &mut out);
    assert_eq!(out, b"name? it is ");
    // Nor what follows a value that ends like the beginning of another.
    let two = mask(&["s3cret", "tx-value"]).expect("values");
    let (mut stream, mut out) = (Masked::default(), Vec::new());
    stream.push(&two, b"s3cretx", &mut out);
    assert_eq!(out, b"*****x");
}

#[test]
fn short_values_are_left_alone() {
    assert!(mask(&["1", "abc", "   x  "]).is_none());
    assert_eq!(masked(&["1", "abcd"], &["1 abcd"]), "1 *****");
}

#[test]
fn known_spellings_are_masked() {
    let value = "pass/word+1?";
    assert_eq!(
        masked(
            &[value],
            &["cGFzcy93b3JkKzE/ cGFzcy93b3JkKzE_ pass%2Fword%2B1%3F"]
        ),
        "***** ***** *****"
    );
}

#[test]
fn each_longer_line_of_a_value_is_masked() {
    let key = "-----BEGIN KEY-----\nAAAABBBBCCCC\n}\n-----END KEY-----\n";
    assert_eq!(
        masked(&[key], &["(a) AAAABBBBCCCC\n(b) }\n"]),
        "(a) *****\n(b) }\n"
    );
    assert_eq!(masked(&[key], &[key]), "*****\n");
}

proptest! {
    /// However the stream is cut, the result is that of the whole: compared with a search that tries every place.
    #[test]
    fn cuts_change_nothing(
        values in proptest::collection::vec("[ab]{4,9}", 1..5),
        text in "[abc]{0,80}",
        cuts in proptest::collection::vec(0_usize..80, 0..12),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let whole = mask(&values).expect("values");
        let mut expected = String::new();
        let mut at = 0;
        while at < text.len() {
            let longest = whole.values.iter().find(|value| text.as_bytes()[at..].starts_with(value));
            if let Some(value) = longest {
                expected.push_str("*****");
                at += value.len();
            } else {
                expected.push_str(&text[at..=at]);
                at += 1;
            }
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&text[from..cut]);
            from = cut;
        }
        pieces.push(&text[from..]);
        prop_assert_eq!(masked(&values, &pieces), expected);
    }
}
