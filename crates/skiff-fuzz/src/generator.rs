//! Makes inputs of a target, the same ones from the same seed.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use skiff_schema::{CONFIG, TASK};

use crate::corpus::Corpus;
use crate::documents::document;
use crate::input::Input;
use crate::mutation::{Change, apply, changes, pieces};
use crate::pods;
use crate::target::Target;
use crate::tasks;

/// Makes inputs of a target.
pub struct Generator {
    runner: TestRunner,
    plans: BoxedStrategy<Vec<Plan>>,
    corpus: Corpus,
}

/// How a part of an input is made.
#[derive(Clone, Debug)]
enum Plan {
    /// As it is.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// A file of the corpus, changed.
    Changed {
        file: usize,
        other: usize,
        changes: Vec<Change>,
    },
    /// A document, changed.
    ChangedText {
        text: String,
        other: usize,
        changes: Vec<Change>,
    },
}

impl Generator {
    /// A generator of a target's inputs.
    pub fn new(target: Target, corpus: Corpus, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            plans: plans(target),
            corpus,
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Input {
        let tree = self.plans.new_tree(&mut self.runner);
        let plans = tree.expect("no strategy rejects anything").current();
        Input::new(plans.into_iter().map(|plan| self.made(plan)))
    }

    fn made(&self, plan: Plan) -> Vec<u8> {
        match plan {
            Plan::Text(text) => text.into_bytes(),
            Plan::Bytes(bytes) => bytes,
            Plan::Changed {
                file,
                other,
                changes,
            } => apply(&changes, self.corpus.get(file), self.corpus.get(other)),
            Plan::ChangedText {
                text,
                other,
                changes,
            } => apply(&changes, text.as_bytes(), self.corpus.get(other)),
        }
    }
}

fn plans(target: Target) -> BoxedStrategy<Vec<Plan>> {
    match target {
        Target::Reader => prop_oneof![
            6 => file(),
            2 => prop_oneof![document(&TASK), document(&CONFIG)].prop_map(Plan::Text),
            2 => changed(prop_oneof![document(&TASK), document(&CONFIG)].boxed()),
            1 => pieces().prop_map(Plan::Bytes),
            1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Plan::Bytes),
        ]
        .prop_map(|plan| vec![plan])
        .boxed(),
        Target::Substitution => (
            prop_oneof![
                4 => tasks::task().prop_map(Plan::Text),
                2 => changed(tasks::task()),
                2 => document(&TASK).prop_map(Plan::Text),
                2 => file(),
            ],
            tasks::variables().prop_map(Plan::Text),
            tasks::secrets().prop_map(Plan::Text),
        )
            .prop_map(|(task, envs, secrets)| vec![task, envs, secrets])
            .boxed(),
        Target::PodConfig => (fragment(), fragment())
            .prop_map(|(one, two)| vec![one, two])
            .boxed(),
    }
}

fn file() -> BoxedStrategy<Plan> {
    (any::<usize>(), any::<usize>(), changes())
        .prop_map(|(file, other, changes)| Plan::Changed {
            file,
            other,
            changes,
        })
        .boxed()
}

fn changed(texts: BoxedStrategy<String>) -> BoxedStrategy<Plan> {
    (texts, any::<usize>(), changes())
        .prop_map(|(text, other, changes)| Plan::ChangedText {
            text,
            other,
            changes,
        })
        .boxed()
}

/// Fragments of pods.
fn fragment() -> BoxedStrategy<Plan> {
    let text = pods::fragment();
    prop_oneof![6 => text.clone().prop_map(Plan::Text), 2 => changed(text)].boxed()
}
