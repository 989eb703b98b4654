//! The reader against results recorded from `PyYAML`, and against hostile texts.

use proptest::prelude::*;

use super::{Node, Value, read};

/// `[scalar, type, str()]` of `PyYAML` 6.0.3, one a line; type `error` where it raises `ValueError`.
const RECORDED: &str = include_str!("pyyaml.jsonl");

fn only(text: &str) -> Result<Node, String> {
    let mut faults = Vec::new();
    let documents = read(text, &mut faults);
    if let Some(first) = faults.first() {
        return Err(first.message().to_owned());
    }
    let mut documents = documents.expect("what is not wrong is read");
    assert_eq!(documents.len(), 1, "{text}");
    Ok(documents.remove(0))
}

fn value_of(text: &str) -> Result<Value, String> {
    let Value::Mapping(mut entries) = only(text)?.value else {
        panic!("no mapping: {text}")
    };
    Ok(entries.remove(0).value.value)
}

#[test]
fn scalars_are_what_pyyaml_makes_of_them() {
    let mut wrong = Vec::new();
    for line in RECORDED.lines() {
        let [text, kind, string]: [String; 3] = serde_json::from_str(line).expect("three strings");
        let (found, found_string) = match value_of(&format!("k: {text}\n")) {
            Ok(value) => (value.kind().to_owned(), value.to_python_string()),
            Err(_) => ("error".to_owned(), String::new()),
        };
        if (&found, &found_string) != (&kind, &string) {
            wrong.push(format!(
                "{text:?}: {kind} {string:?}, not {found} {found_string:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_merge_gives_way_to_own_keys_and_the_first_of_a_list_wins() {
    let text = "
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
k:
  <<: [*base, *other]
  a: own
";
    let Value::Mapping(entries) = only(text).expect("valid").value else {
        panic!("no mapping")
    };
    let merged = entries.last().expect("three keys");
    assert_eq!(
        merged.value.value.to_python_string(),
        "{'b': 2, 'c': 4, 'a': 'own'}"
    );
}

#[test]
fn aliases_are_expanded_and_bounded() {
    assert_eq!(
        value_of("k: [&x [1, 2], *x]")
            .expect("valid")
            .to_python_string(),
        "[[1, 2], [1, 2]]"
    );
    let laughs: String = (1..10).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, level| {
            let alias = format!("*a{}", level - 1);
            let list = [alias.as_str(); 9].join(", ");
            text + &format!("a{level}: &a{level} [{list}]\n")
        },
    );
    assert!(
        only(&laughs)
            .expect_err("too many")
            .contains("aliases grow")
    );
    assert!(
        only("a: &a [*a]")
            .expect_err("endless")
            .contains("the value that holds it")
    );
}

#[test]
fn depth_is_bounded() {
    assert!(only(&"[".repeat(5000)).is_err());
    assert!(only(&"- ".repeat(5000)).is_err());
    let stairs = (1..300).fold(String::new(), |text, depth| {
        text + &" ".repeat(depth) + "a:\n"
    });
    assert!(only(&stairs).is_err());
}

#[test]
fn spans_count_bytes_whatever_the_characters() {
    let text = "ключ: значение\nb: 😀x\n";
    let Value::Mapping(entries) = only(text).expect("valid").value else {
        panic!("no mapping")
    };
    let slices: Vec<&str> = entries
        .iter()
        .flat_map(|entry| [entry.key.span, entry.value.span])
        .map(|span| &text[span.start as usize..span.end as usize])
        .collect();
    assert_eq!(slices, ["ключ", "значение", "b", "😀x"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn reading_arbitrary_text_does_not_panic(text in any::<String>()) {
        let _ = read(&text, &mut Vec::new());
    }

    #[test]
    fn reading_text_made_of_yaml_signs_does_not_panic(
        text in r#"([a-c]|: |- |\n|  |\[|\]|\{|\}|, |&a |\*a|"|'|\||>|#|!|%|\?|<<|---\n|\t|~|1|é){0,60}"#
    ) {
        let _ = read(&text, &mut Vec::new());
    }
}
