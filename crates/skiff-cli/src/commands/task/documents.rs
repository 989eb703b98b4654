//! Tasks as text: one as it is, several as a list or as a stream of documents.

use serde_json::Value;

/// One object, or a list of them.
pub(super) fn json(mut tasks: impl ExactSizeIterator<Item = Value>) -> String {
    let text = match (tasks.len(), tasks.next()) {
        (1, Some(task)) => serde_json::to_string_pretty(&task),
        (_, first) => {
            let all: Vec<Value> = first.into_iter().chain(tasks).collect();
            serde_json::to_string_pretty(&all)
        }
    };
    text.expect("values are always valid JSON") + "\n"
}

/// One document a task.
pub(super) fn yaml(tasks: impl Iterator<Item = Value>) -> String {
    let mut text = String::new();
    for (number, task) in tasks.enumerate() {
        if number > 0 {
            text.push_str("---\n");
        }
        let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
        serde_saphyr::to_fmt_writer_with_options(&mut text, &task, options)
            .expect("values are always valid YAML");
    }
    text
}
