//! A task file: one task, or several that belong together.

use crate::faults::Fault;
use crate::source::Source;
use crate::yaml::{self, Node, Value};
use crate::{Faults, Task};

/// A task file as the user wrote it: read and checked, flags not yet applied.
#[derive(Clone, Debug)]
pub struct TaskFile {
    tasks: Vec<Task>,
    kind: FileKind,
}

/// How the tasks of a file belong together.
#[derive(Clone, Debug, PartialEq)]
pub enum FileKind {
    /// There is one.
    Single,
    /// They run one after the other.
    Pipeline {
        /// Its name.
        name: Option<String>,
    },
    /// They run at the same time.
    JobGroup(JobGroup),
}

/// What stands before the tasks of a job group.
#[derive(Clone, Debug, PartialEq)]
pub struct JobGroup {
    /// Its name.
    pub name: String,
    /// The tasks whose end ends the group; empty: all.
    pub primary_tasks: Vec<String>,
    /// Seconds that the other tasks are left after the primary ones.
    pub termination_delay: TerminationDelay,
    /// Whether the tasks reach each other by name.
    pub inter_connection: bool,
}

/// Seconds that a task of a job group is left when the primary tasks have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TerminationDelay {
    /// For tasks that are not named; None: none at all.
    pub default_seconds: Option<u64>,
    /// By the name of the task.
    pub seconds: indexmap::IndexMap<String, u64>,
}

impl TaskFile {
    /// Reads a task file's text; `file_name` is for messages only.
    pub fn read(file_name: &str, text: &str) -> Result<Self, Faults> {
        let source = || Source::new(file_name, yaml::counted(text));
        let mut faults = Vec::new();
        let Some(documents) = yaml::read(text, &mut faults) else {
            return Err(Faults::of(&source(), faults));
        };
        if documents
            .iter()
            .all(|document| document.value == Value::Null)
        {
            return Err(Faults::alone(file_name, no_task()));
        }
        let mut task = match only_task(&documents, &mut faults) {
            Some(entries) => Task::of(entries, &mut faults),
            None => Task::empty(),
        };
        if !faults.is_empty() {
            return Err(Faults::of(&source(), faults));
        }
        task.places.source = Some(source());
        Ok(Self::single(task))
    }

    /// Reads a task file's bytes, which may be no UTF-8 at all.
    pub fn read_bytes(file_name: &str, bytes: &[u8]) -> Result<Self, Faults> {
        let text = yaml::decode(bytes).map_err(|fault| Faults::alone(file_name, fault))?;
        Self::read(file_name, text)
    }

    /// One task that runs a bash command, named as `SkyPilot` names it.
    pub fn from_command(command: &str) -> Self {
        Self::single(Task {
            name: Some("sky-cmd".to_owned()),
            run: Some(command.to_owned()),
            ..Task::empty()
        })
    }

    fn single(task: Task) -> Self {
        Self {
            tasks: vec![task],
            kind: FileKind::Single,
        }
    }

    /// The tasks, in the order of the file; never empty.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// How they belong together.
    pub fn kind(&self) -> &FileKind {
        &self.kind
    }
}

fn no_task() -> Fault {
    Fault::new("the file is empty or contains no task definition")
        .help("a task needs at least `run: <command>`")
}

/// The mapping of the one document that holds a task.
fn only_task<'a>(documents: &'a [Node], faults: &mut Vec<Fault>) -> Option<&'a [yaml::Entry]> {
    let mut full = documents
        .iter()
        .filter(|document| document.value != Value::Null);
    let first = full.next()?;
    if let Some(second) = full.next() {
        let fault = Fault::new("the file holds several documents: a pipeline or job group");
        let help = "`launch` runs one task: put it into a file of its own";
        faults.push(fault.at(second.span, "the second one").help(help));
    }
    match &first.value {
        Value::Mapping(entries) => Some(entries),
        other => {
            let kind = other.kind();
            let fault = Fault::new(format!("a task must be a mapping, and this is {kind}"));
            faults.push(fault.at(first.span, "").help("begin with `run: <command>`"));
            None
        }
    }
}
