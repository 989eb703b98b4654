//! `skiff task check`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use skiff_proto::ExitStatus;
use skiff_schema::{Faults, FileKind, Task, TaskFile, TaskOverrides};

use crate::commands::queue::Output;
use crate::error::CommandError;
use crate::files::{self, Found};
use crate::printer::Printer;
use crate::table::table;

#[derive(Debug, Args)]
#[command(
    after_help = "Of a folder, every .yaml and .yml in it is read, those in hidden folders left out. Other programs' \
                  files in it are passed over; a file that is named must be a task."
)]
pub(crate) struct CheckArgs {
    /// Files, and folders of files
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is known of one file.
struct Checked {
    file: String,
    verdict: Verdict,
}

enum Verdict {
    /// It is a task file without a fault.
    Right(TaskFile),
    /// It is a task file with faults.
    Wrong(Box<Faults>),
    /// It is something else.
    NoTask { is_wanted: bool },
    /// It cannot be read.
    Unreadable(String),
}

pub(crate) fn run(args: &CheckArgs, printer: Printer) -> Result<ExitStatus, CommandError> {
    let checked: Vec<Checked> = files::find(&args.paths)?.iter().map(check).collect();
    if args.output == Output::Json {
        let all: Vec<Value> = checked.iter().map(Checked::to_json).collect();
        printer.data(&format!("{:#}\n", Value::Array(all)));
    } else {
        let rows = checked.iter().map(Checked::row);
        printer.data(&table(&["FILE", "STATUS", "DETAILS"], rows));
        for checked in &checked {
            if let Verdict::Wrong(faults) = &checked.verdict {
                let error = CommandError::Faults(faults.clone());
                printer.error(&format!("\n{}", error.render().unwrap_or_default()));
            }
        }
    }
    Ok(if checked.iter().any(Checked::is_wrong) {
        ExitStatus::Failure
    } else {
        ExitStatus::Success
    })
}

fn check(found: &Found) -> Checked {
    let file = found.path.display().to_string();
    let verdict = match files::try_read(&found.path) {
        Err(error) => Verdict::Unreadable(error.to_string()),
        Ok(bytes) => match read(&file, &bytes) {
            Ok(file) => Verdict::Right(file),
            Err(_) if !is_like_a_task(&bytes) => Verdict::NoTask {
                is_wanted: found.is_named,
            },
            Err(faults) => Verdict::Wrong(Box::new(faults)),
        },
    };
    Checked { file, verdict }
}

/// Reads a file and resolves its tasks, with something for each variable that flags are to give.
fn read(name: &str, bytes: &[u8]) -> Result<TaskFile, Faults> {
    let file = TaskFile::read_bytes(name, bytes)?;
    for task in file.tasks() {
        task.resolve(&stand_ins(task))?;
    }
    Ok(file)
}

fn stand_ins(task: &Task) -> TaskOverrides {
    let stand_in = |name: String| {
        let value = name.to_lowercase();
        (name, value)
    };
    TaskOverrides {
        envs: task.open_variables().map(stand_in).collect(),
        ..TaskOverrides::default()
    }
}

/// Whether a text that is wrong as a task may be meant as one: its keys are the language's more than not.
fn is_like_a_task(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let (mut known, mut unknown) = (0, 0);
    for line in text.lines() {
        let Some((key, _)) = line.split_once(':') else {
            continue;
        };
        let is_key = |char: char| char.is_ascii_alphanumeric() || "_-.".contains(char);
        if key.is_empty() || key.starts_with('-') || !key.chars().all(is_key) {
            continue;
        }
        match key {
            // Many other languages have these too.
            "name" | "volumes" | "secrets" | "config" => {}
            key if skiff_schema::TASK.field(key).is_some() => known += 1,
            _ => unknown += 1,
        }
    }
    known > 0 && known >= unknown
}

impl Checked {
    fn is_wrong(&self) -> bool {
        match self.verdict {
            Verdict::Wrong(_) | Verdict::Unreadable(_) => true,
            Verdict::NoTask { is_wanted } => is_wanted,
            Verdict::Right(_) => false,
        }
    }

    fn status(&self) -> &'static str {
        match self.verdict {
            Verdict::Right(_) => "OK",
            Verdict::Wrong(_) => "WRONG",
            Verdict::NoTask { .. } => "NO TASK",
            Verdict::Unreadable(_) => "UNREADABLE",
        }
    }

    fn row(&self) -> Vec<String> {
        let details = match &self.verdict {
            Verdict::Right(file) => kind(file),
            Verdict::Wrong(faults) if faults.iter().len() == 1 => "one fault".to_owned(),
            Verdict::Wrong(faults) => format!("{} faults", faults.iter().len()),
            Verdict::NoTask { .. } => "another program's file".to_owned(),
            Verdict::Unreadable(why) => why.clone(),
        };
        vec![self.file.clone(), self.status().to_owned(), details]
    }

    fn to_json(&self) -> Value {
        let mut json = json!({
            "file": self.file,
            "status": self.status().to_lowercase().replace(' ', "_"),
        });
        match &self.verdict {
            Verdict::Right(file) => {
                json["kind"] = json!(word(file));
                json["tasks"] = json!(file.tasks().len());
            }
            Verdict::Wrong(faults) => json["faults"] = faults.iter().map(fault).collect(),
            Verdict::Unreadable(why) => json["error"] = json!(why),
            Verdict::NoTask { .. } => {}
        }
        json
    }
}

fn fault(fault: &skiff_schema::Fault) -> Value {
    let (line, column) = fault.position().unzip();
    json!({ "message": fault.message(), "help": fault.hint(), "line": line, "column": column })
}

fn kind(file: &TaskFile) -> String {
    match file.tasks() {
        [_] => word(file).to_owned(),
        tasks => format!("{} of {} tasks", word(file), tasks.len()),
    }
}

fn word(file: &TaskFile) -> &'static str {
    match file.kind() {
        FileKind::Single => "task",
        FileKind::Pipeline { .. } => "pipeline",
        FileKind::JobGroup(_) => "job group",
    }
}

#[cfg(test)]
mod tests {
    use super::is_like_a_task;

    #[test]
    fn other_programs_files_are_told_from_tasks_with_faults() {
        for task in [
            "nmae: x\nrun: echo\n",
            "resources: {cpu: 2}\nrun: |\n  apiVersion: v1\n",
            "name: x\n---\nname: y\nrun: [1]\n",
        ] {
            assert!(is_like_a_task(task.as_bytes()), "{task}");
        }
        for other in [
            "",
            "- a\n- b\n",
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
            "services:\n  web: {}\nvolumes: {}\n",
            "name: ci\non: push\njobs: {}\nenv: {}\n",
            "name: data\ntype: k8s-pvc\nsize: 10Gi\n",
            "kubernetes:\n  namespace: x\n",
        ] {
            assert!(!is_like_a_task(other.as_bytes()), "{other}");
        }
    }
}
