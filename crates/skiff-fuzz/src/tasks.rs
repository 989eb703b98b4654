//! Tasks with variables in all the places where variables are replaced, and beside them.

use proptest::prelude::*;
use proptest::sample::select;

use crate::target::SECRET;

/// Lines of tasks; each `@` is a value.
const LINES: [&str; 11] = [
    "workdir: @",
    "workdir: {url: @, ref: @}",
    "file_mounts: {@: @, /b: @}",
    "file_mounts: {/a: {source: @, name: @, mode: @}}",
    "volumes: {@: @, /c: {name: @, sub_path: @}}",
    "service: {readiness_probe: @, replicas: @}\nresources: {ports: 80}",
    "service: {readiness_probe: {path: @, headers: {X: @}, post_data: @}, replicas: 2}",
    "envs: {A: @, B: }",
    "secrets: {S: , B: @}",
    "name: @",
    "run: echo @",
];
const TEMPLATES: [&str; 18] = [
    "$A", "${A}", "$B", "${S}", "${A}$B", "/$A/${S}", "$$A", "${", "$", "${A:-x}", "$9", "a$Ab",
    "'$A $S'", "/data", "./x", "s3://$A", "1", "~",
];
/// Values that break what puts them into a text instead of a tree.
const VALUES: [&str; 24] = [
    "",
    "a",
    "/data",
    "/data/",
    "./x",
    "~",
    "s3://b",
    "\"",
    "'",
    "\\n",
    "$A",
    "${B}",
    ": ",
    "- x",
    "{",
    "}",
    "#",
    "80",
    "é",
    "\u{1b}[31m",
    "[1, 2]",
    "null",
    "/",
    "..",
];
const SECRETS: [&str; 8] = ["", "/data/", "ftp://", "\"", "s3://", "1:", "${A}", ".."];

/// Tasks that are filled in.
pub(crate) fn task() -> BoxedStrategy<String> {
    let line = (
        select(&LINES[..]),
        prop::collection::vec(select(&TEMPLATES[..]), 3),
    )
        .prop_map(|(line, values)| filled(line, &values));
    prop::collection::vec(line, 1..4)
        .prop_map(|lines| lines.join("\n") + "\n")
        .boxed()
}

fn filled(line: &str, values: &[&str]) -> String {
    let mut values = values.iter().cycle();
    let part = |part: &str| [values.next().copied().unwrap_or_default(), part].concat();
    let (first, others) = line.split_once('@').unwrap_or((line, ""));
    [first.to_owned()]
        .into_iter()
        .chain(others.split('@').map(part))
        .collect()
}

/// Variables, one a line.
pub(crate) fn variables() -> BoxedStrategy<String> {
    lines(
        (
            select(vec!["A", "B", "C"]),
            select(&VALUES[..]),
            1..300_usize,
        )
            .prop_map(|(name, value, times)| match times {
                290.. => format!("{name}={}", value.repeat(times)),
                _ => format!("{name}={value}"),
            }),
    )
}

/// Secrets, one a line; every value can be recognised.
pub(crate) fn secrets() -> BoxedStrategy<String> {
    let parts = (
        select(vec!["B", "S"]),
        select(&SECRETS[..]),
        select(&SECRETS[..]),
    );
    lines(parts.prop_map(|(name, before, after)| format!("{name}={before}{SECRET}{after}")))
}

fn lines(line: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    prop::collection::vec(line, 0..4)
        .prop_map(|lines| lines.join("\n"))
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_of_a_line_is_filled() {
        assert_eq!(filled("a: {@: @}", &["1", "2"]), "a: {1: 2}");
        assert_eq!(filled("a: @", &["1"]), "a: 1");
    }
}
