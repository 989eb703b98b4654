//! Task files, read and shown: no cluster has a part in it.

use std::fmt::Write;

use anyhow::Result;

use super::Bench;
use super::lab::Lab;
use super::measurement::Target;

/// Tasks of the large file.
const MANY: usize = 10_000;

/// One task of 200 lines, the whole process measured.
#[derive(Default)]
pub(super) struct TaskShow {
    file: String,
}

/// A file of many tasks.
#[derive(Default)]
pub(super) struct TaskShowMany {
    file: String,
}

impl Bench for TaskShow {
    fn name(&self) -> &'static str {
        "task_show"
    }

    fn about(&self) -> &'static str {
        "`skiff task show` of a task of 200 lines, from start to end"
    }

    fn target(&self) -> Target {
        Target::AtMost(0.010)
    }

    fn runs(&self) -> usize {
        31
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.file = lab.write("task-show.yaml", &task_of_200_lines())?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.time_skiff(&["task", "show", &self.file, "-o", "json"])
    }
}

impl Bench for TaskShowMany {
    fn name(&self) -> &'static str {
        "task_show_many"
    }

    fn about(&self) -> &'static str {
        "`skiff task show` of a file of 10,000 tasks"
    }

    fn target(&self) -> Target {
        Target::AtMost(1.0)
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.file = lab.write("task-show-many.yaml", &many_tasks(MANY))?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        lab.time_skiff(&["task", "show", &self.file, "-o", "json"])
    }
}

/// A task as large ones are: many variables, candidates, a long script.
fn task_of_200_lines() -> String {
    let mut text = "\
name: train
workdir: .
resources:
  cpus: 8+
  memory: 32GB
  image_id: docker:python:3.12
  ports: [8080, 9000-9010]
  labels:
    team: vision
  autostop:
    idle_minutes: 30
    down: true
  any_of:
    - infra: k8s/one
    - infra: k8s/two
config:
  kubernetes:
    pod_config:
      spec:
        tolerations:
          - {key: gpu, operator: Exists}
        containers:
          - name: ray-node
            env:
              - {name: MODE, value: fast}
"
    .to_owned();
    text.push_str("envs:\n");
    for number in 0..70 {
        writeln!(text, "  VARIABLE_{number}: value of {number}")
            .expect("a String takes every write");
    }
    text.push_str("setup: |\n");
    for number in 0..20 {
        writeln!(text, "  pip install package-{number}").expect("a String takes every write");
    }
    text.push_str("run: |\n");
    while text.lines().count() < 200 {
        text.push_str("  python train.py --epochs 10 --data \"$VARIABLE_1\" || exit 1\n");
    }
    text
}

/// A pipeline of so many tasks.
fn many_tasks(count: usize) -> String {
    let mut text = "name: many\n".to_owned();
    for number in 0..count {
        write!(
            text,
            "---\nname: task-{number}\nresources:\n  cpus: 2\n  memory: 8\nenvs:\n  NUMBER: {number}\n\
             setup: pip install -r requirements.txt\nrun: |\n  python step.py --number $NUMBER\n"
        )
        .expect("a String takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_has_the_lines_that_it_is_measured_for() {
        assert_eq!(task_of_200_lines().lines().count(), 200);
    }

    #[test]
    fn the_large_file_has_a_document_for_each_task_behind_its_name() {
        assert_eq!(many_tasks(3).matches("---\n").count(), 3);
    }
}
