//! A task file: one task, or several that belong together.

mod header;

use std::collections::{BTreeSet, HashMap};

use crate::faults::Fault;
use crate::source::Source;
use crate::yaml::{self, Node, Value};
use crate::{Faults, Task};

pub use header::{JOB_GROUP, JobGroup, PIPELINE, TerminationDelay};

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

impl TaskFile {
    /// Reads a task file's text; `file_name` is for messages only.
    pub fn read(file_name: &str, text: &str) -> Result<Self, Faults> {
        let source = Source::new(file_name, yaml::counted(text));
        let mut faults = Vec::new();
        let Some(documents) = yaml::read(text, &mut faults) else {
            return Err(Faults::of(&source, faults));
        };
        let is_full = |document: &Node| document.value != Value::Null;
        let documents: Vec<Node> = documents.into_iter().filter(is_full).collect();
        let is_empty = |document: &Node| matches!(&document.value, Value::Mapping(entries) if entries.is_empty());
        if documents.iter().all(is_empty) {
            return Err(Faults::alone(file_name, no_task()));
        }
        let file = Self::of(documents, &source, &mut faults);
        if faults.is_empty() {
            Ok(file)
        } else {
            Err(Faults::of(&source, faults))
        }
    }

    /// Reads a task file's bytes, which may be no UTF-8 at all.
    pub fn read_bytes(file_name: &str, bytes: &[u8]) -> Result<Self, Faults> {
        let text = yaml::decode(bytes).map_err(|fault| Faults::alone(file_name, fault))?;
        Self::read(file_name, text)
    }

    /// One task that runs a bash command, named as `SkyPilot` names it.
    pub fn from_command(command: &str) -> Self {
        Self {
            tasks: vec![Task::from_command(command)],
            kind: FileKind::Single,
        }
    }

    /// One task that does nothing: flags say what nodes it has.
    pub fn without_commands() -> Self {
        Self {
            tasks: vec![Task::empty()],
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

    fn of(mut documents: Vec<Node>, source: &Source, faults: &mut Vec<Fault>) -> Self {
        let header = header::is_header(&documents).then(|| documents.remove(0));
        let mut tasks = Vec::with_capacity(documents.len());
        for document in documents {
            if let Value::Mapping(_) = document.value {
                tasks.push(Task::read(document, source.clone(), faults));
            } else {
                faults.push(no_mapping(&document));
            }
        }
        let kind = match header {
            Some(header) if header::is_parallel(&header) => {
                let names = check_names(&tasks, faults);
                FileKind::JobGroup(JobGroup::read(&header, &names, faults))
            }
            Some(header) => {
                let name = header::read_pipeline(&header, faults);
                match tasks.as_mut_slice() {
                    [only] => {
                        only.name_after(&header);
                        FileKind::Single
                    }
                    _ => FileKind::Pipeline { name },
                }
            }
            None if tasks.len() > 1 => FileKind::Pipeline { name: None },
            None => FileKind::Single,
        };
        Self { tasks, kind }
    }
}

fn no_task() -> Fault {
    Fault::new("the file is empty or contains no task definition")
        .help("a task needs at least `run: <command>`")
}

fn no_mapping(document: &Node) -> Fault {
    let kind = document.value.kind();
    Fault::new(format!("a task must be a mapping, and this is {kind}"))
        .at(document.span, "")
        .help("begin with `run: <command>`")
}

/// The names of the tasks of a job group, each of which needs one of its own.
fn check_names<'a>(tasks: &'a [Task], faults: &mut Vec<Fault>) -> BTreeSet<&'a str> {
    let mut places = HashMap::new();
    for task in tasks {
        let span = task.name_span();
        let Some(name) = task.name() else {
            let fault = Fault::new("a task of a job group has no `name`").at(span, "");
            faults.push(fault.help("the tasks of a group are told apart by their names"));
            continue;
        };
        if let Err(problem) = header::check_name(name) {
            faults.push(problem.of("name").at(span, ""));
        }
        if let Some(first) = places.insert(name, span) {
            let fault = Fault::new(format!("two tasks of the job group are called `{name}`"))
                .at(span, "again here")
                .at(first, "first here")
                .help("give each a name of its own");
            faults.push(fault);
        }
    }
    tasks.iter().filter_map(Task::name).collect()
}
