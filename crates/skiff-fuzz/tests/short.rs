//! A few inputs of each target; `cargo xtask fuzz` tries millions.

use std::path::Path;

use skiff_fuzz::{Corpus, Generator, Target, Verdict};

/// Inputs that each target gets.
const INPUTS: usize = 500;

fn try_some(target: Target) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpus = Corpus::of_repository(&root).expect("the repository's files");
    assert!(corpus.len() > 300, "only {} files", corpus.len());
    let mut generator = Generator::new(target, corpus, 3);
    let mut read = 0;
    for _ in 0..INPUTS {
        let input = generator.next_input();
        read += usize::from(target.run(&input) == Verdict::Read);
    }
    // Inputs that are all refused at the door would try nothing behind it.
    assert!(
        read > INPUTS / 50,
        "only {read} of {INPUTS} inputs were read"
    );
}

#[test]
fn whatever_a_file_holds_it_is_read_or_its_faults_are_shown() {
    try_some(Target::Reader);
}

#[test]
fn whatever_variables_hold_no_secret_is_told_in_a_fault() {
    try_some(Target::Substitution);
}

#[test]
fn whatever_a_fragment_holds_it_is_refused_or_the_pod_stays_one() {
    try_some(Target::PodConfig);
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let inputs = |seed| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let corpus = Corpus::of_repository(&root).expect("the repository's files");
        let mut generator = Generator::new(Target::Reader, corpus, seed);
        (0..20).map(|_| generator.next_input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}
