//! Whatever a file holds, reading it ends in a value or in faults that can be shown.

use miette::{GraphicalReportHandler, GraphicalTheme, NarratableReportHandler};
use proptest::prelude::*;
use skiff_schema::{ConfigLayer, Faults, TaskFile, TaskOverrides};

/// Pieces of task and configuration files, right and wrong, with all that is hard to show.
const PIECES: &str = r#"(name|resources|cpus|memory|image_id|infra|num_nodes|envs|workdir|setup|run|config|kubernetes|enable_docker|provision_timeout|images|context_configs|task|mode|docker|cpu|foo|: |:\n  |:\n    |\n|\r\n|\n  |  |- |\[|\]|\{|\}|, |&a |\*a|<<: |"|'|\||>|#|---\n|~|yes|1|0\.5|16GB|4x|k8s/ctx|aws|ALL|BUILD|a b|é|😀|\t|\x00|\x1b|\u{85}|\u{feff}|!!int |2024-13-01){0,40}"#;

fn show(faults: &Faults) {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .render_report(&mut text, faults)
        .expect("a String takes every write");
    NarratableReportHandler::new()
        .render_report(&mut text, faults)
        .expect("a String takes every write");
    assert!(faults.iter().count() > 0);
    for char in text.chars() {
        assert!(
            !char.is_control() || matches!(char, '\n' | '\t'),
            "{char:?} in {text}"
        );
    }
}

fn read_all(bytes: &[u8]) {
    match TaskFile::read_bytes("task.yaml", bytes) {
        Ok(file) => {
            for task in file.tasks() {
                if let Err(faults) = task.resolve(&TaskOverrides::default()) {
                    show(&faults);
                }
            }
        }
        Err(faults) => show(&faults),
    }
    if let Err(faults) = ConfigLayer::read_bytes("config.yaml", bytes) {
        show(&faults);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn texts_made_of_pieces_are_read_or_refused(text in PIECES) {
        read_all(text.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn a_valid_file_with_one_byte_changed_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let document = include_str!("../../../docs/task-yaml.md");
        let example = document.split("```").nth(1).unwrap_or_default().trim_start_matches("yaml\n");
        let mut bytes = example.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_all(&bytes);
    }
}
