//! Tries random inputs for a time, within a limit of memory.
//!
//! `cargo xtask fuzz` runs it. There is no feedback from the code that an input reaches, as
//! `cargo fuzz` has: that needs a nightly compiler, and the tables of the language say well what
//! a reader looks at.
#![expect(clippy::print_stdout, reason = "a program of the terminal")]

mod watch;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use skiff_fuzz::{Corpus, Generator, Input, Target, Verdict};

use crate::watch::Watch;

#[derive(Parser)]
#[command(about = "Tries random inputs on what reads task files and configurations")]
struct Arguments {
    /// What to try: reader, substitution or `pod_config`.
    #[arg(value_parser = target)]
    target: Target,
    /// Try this input only, as an earlier run has kept it.
    file: Option<PathBuf>,
    /// How long to go on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Another seed makes other inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Address space that the process may have, in MiB.
    #[arg(long, default_value_t = 1024)]
    memory: u64,
    /// Where failing inputs are kept.
    #[arg(long, default_value = "target/fuzz")]
    output: PathBuf,
}

fn target(name: &str) -> Result<Target, String> {
    let known = Target::ALL.into_iter().find(|target| target.name() == name);
    known.ok_or_else(|| Target::ALL.map(Target::name).join(", "))
}

/// What a run has seen.
#[derive(Default)]
struct Tally {
    inputs: u64,
    read: u64,
    slowest: Duration,
    slowest_length: usize,
    panics: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let limit = Rlimit {
        current: Some(arguments.memory << 20),
        ..getrlimit(Resource::As)
    };
    setrlimit(Resource::As, limit).context("cannot limit the memory")?;
    if let Some(file) = &arguments.file {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        println!("{:?}", arguments.target.run(&Input::from_bytes(&bytes)));
        return Ok(());
    }
    let name = arguments.target.name();
    fs::create_dir_all(&arguments.output)?;
    let current = arguments.output.join(format!("{name}.current"));
    let watch = Watch::new(current);
    let tally = run(&arguments, &watch)?;
    watch.end()?;
    println!(
        "{name}: {} inputs, {} read without faults, slowest {:.1} ms ({} bytes), peak {} MiB, {} panics",
        tally.inputs,
        tally.read,
        tally.slowest.as_secs_f64() * 1000.0,
        tally.slowest_length,
        watch::peak_memory()? >> 20,
        tally.panics,
    );
    if tally.panics > 0 {
        bail!("{name}: {} inputs made it panic", tally.panics);
    }
    Ok(())
}

fn run(arguments: &Arguments, watch: &Watch) -> Result<Tally> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpus = Corpus::of_repository(&root).context("cannot read the corpus")?;
    let mut generator = Generator::new(arguments.target, corpus, arguments.seed);
    let mut tally = Tally::default();
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    while Instant::now() < end {
        let input = generator.next_input();
        let bytes = input.to_bytes();
        let attempt = || panic::catch_unwind(AssertUnwindSafe(|| arguments.target.run(&input)));
        let (result, took) = watch.around(&bytes, attempt)?;
        tally.inputs += 1;
        tally.read += u64::from(matches!(result, Ok(Verdict::Read)));
        if took > tally.slowest {
            tally.slowest = took;
            tally.slowest_length = bytes.len();
        }
        if result.is_err() {
            tally.panics += 1;
            let name = arguments.target.name();
            let file = format!("{name}.panic.{}.{}", arguments.seed, tally.inputs);
            let file = arguments.output.join(file);
            fs::write(&file, &bytes)?;
            println!("{name} panics: {}", file.display());
        }
        if tally.panics >= 10 {
            break;
        }
    }
    Ok(tally)
}
