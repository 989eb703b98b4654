//! `cargo xtask bench`: what Skiff must reach, measured against its reference in the same run.
//!
//! A name is one file here that implements [`Bench`], and one line in [`all`].

mod agent_rss;
mod agent_size;
mod build_context;
mod builder_image;
mod cache_second_build;
mod compile_1000;
mod docker_build;
mod docker_launch;
mod docker_limit;
mod docker_overhead;
mod docker_ready;
mod exec;
mod gang_start;
mod lab;
mod launch;
mod local_up;
mod log_follow;
mod measurement;
mod node_daemon;
mod queue_1000;
mod scp;
mod ssh_prompt;
mod status;
mod sync;
mod task_show;
mod test_time;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use crate::parallel;
use crate::project::Project;
use crate::{build, images, interrupt, kubernetes, report, setup};

use self::lab::Lab;
use self::measurement::{Measurement, Samples, Target, Unit};

/// Runs of each side when a measurement does not say otherwise; the result is the median.
const RUNS: usize = 7;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// What to measure; nothing means everything that takes minutes and not hours.
    names: Vec<String>,
    /// Write the results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One thing that is measured.
trait Bench {
    /// The name on the command line and in the results.
    fn name(&self) -> &'static str;

    /// What the value is, in one line.
    fn about(&self) -> &'static str;

    /// The unit of the value and of the reference.
    fn unit(&self) -> Unit {
        Unit::Seconds
    }

    /// What must be reached.
    fn target(&self) -> Target;

    /// How often each side is measured.
    fn runs(&self) -> usize {
        RUNS
    }

    /// True for what takes so long that it is measured only when it is named.
    fn only_when_named(&self) -> bool {
        false
    }

    /// Brings about, once and unmeasured, what the runs take for granted.
    fn prepare(&mut self, lab: &mut Lab) -> Result<()>;

    /// Measures Skiff once.
    fn value(&mut self, lab: &mut Lab) -> Result<f64>;

    /// Measures the reference once, if there is one.
    fn reference(&mut self, _lab: &mut Lab) -> Result<Option<f64>> {
        Ok(None)
    }
}

/// Every measurement, in the order in which they run.
fn all() -> Vec<Box<dyn Bench>> {
    vec![
        Box::new(agent_size::AgentSize),
        Box::new(launch::Launch::default()),
        Box::new(exec::Exec::default()),
        Box::new(status::Status),
        Box::new(docker_launch::DockerLaunch::default()),
        Box::new(docker_ready::DockerReady::of_daemon()),
        Box::new(docker_ready::DockerReady::of_builder()),
        Box::new(docker_overhead::DockerOverhead::default()),
        Box::new(docker_build::DockerBuild::default()),
        Box::new(cache_second_build::CacheSecondBuild::default()),
        Box::new(docker_limit::DockerLimit::default()),
        Box::new(agent_rss::AgentRss::default()),
        Box::new(queue_1000::Queue1000::default()),
        Box::new(queue_1000::Queue1000Table::default()),
        Box::new(sync::Sync::default()),
        Box::new(sync::SyncUnchanged::default()),
        Box::new(gang_start::GangStart::default()),
        Box::new(log_follow::LogFollow::default()),
        Box::new(log_follow::LogFollowTime::default()),
        Box::new(ssh_prompt::SshPrompt::default()),
        Box::new(scp::Scp::default()),
        Box::new(local_up::LocalUp),
        Box::new(task_show::TaskShow::default()),
        Box::new(task_show::TaskShowMany::default()),
        Box::new(compile_1000::Compile1000),
        Box::new(compile_1000::Compile1000Memory),
        Box::new(test_time::TestTime),
    ]
}

/// Measures what was named; a missed target is printed and is no failure.
pub(crate) fn run(project: &Project, args: &BenchArgs) -> Result<()> {
    let chosen = choose(&args.names)?;
    setup::run(project)?;
    parallel::run(vec![
        ("kubernetes", Box::new(|| kubernetes::ensure(project))),
        ("images", Box::new(|| images::ensure(project))),
        ("build", Box::new(|| build::release(project).map(drop))),
    ])?;
    let mut lab = Lab::new(project)?;
    let mut results = Map::new();
    let mut failed = Vec::new();
    let mut rows = Vec::new();
    for mut bench in chosen {
        let name = bench.name();
        report::step("bench", format!("{name}: {}", bench.about()));
        match measure(bench.as_mut(), &mut lab) {
            Ok(measurement) => {
                report::step("bench", format!("{name}: {}", measurement.summary()));
                results.insert(name.to_owned(), measurement.to_json());
                rows.push(measurement.row(name));
            }
            Err(error) => {
                interrupt::check()?;
                report::failure(&error);
                failed.push(name);
            }
        }
    }
    lab.close()?;
    report::line(measurement::table(&rows));
    if let Some(file) = &args.json {
        fs::write(file, format!("{:#}\n", Value::Object(results)))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<Box<dyn Bench>>> {
    let known = all();
    for name in names {
        if !known.iter().any(|bench| bench.name() == name) {
            let known: Vec<_> = known.iter().map(|bench| bench.name()).collect();
            bail!(
                "no measurement is called {name:?}; there are {}",
                known.join(", ")
            );
        }
    }
    let wanted = |bench: &dyn Bench| {
        if names.is_empty() {
            !bench.only_when_named()
        } else {
            names.iter().any(|name| bench.name() == name)
        }
    };
    Ok(known
        .into_iter()
        .filter(|bench| wanted(bench.as_ref()))
        .collect())
}

/// Runs both sides in turn, so that a slow moment of the machine hits both.
fn measure(bench: &mut dyn Bench, lab: &mut Lab) -> Result<Measurement> {
    bench.prepare(lab)?;
    let mut values = Samples::default();
    let mut references = Samples::default();
    for _ in 0..bench.runs() {
        interrupt::check()?;
        values.push(bench.value(lab)?);
        if let Some(reference) = bench.reference(lab)? {
            references.push(reference);
        }
    }
    let value = values.median().context("a measurement needs a run")?;
    Ok(Measurement {
        value,
        reference: references.median(),
        unit: bench.unit(),
        target: bench.target(),
        runs: bench.runs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[Box<dyn Bench>]) -> Vec<&'static str> {
        chosen.iter().map(|bench| bench.name()).collect()
    }

    #[test]
    fn naming_nothing_leaves_out_what_takes_long() -> Result<()> {
        let chosen = choose(&[])?;
        assert!(names(&chosen).contains(&"launch"));
        assert!(!names(&chosen).contains(&"test_time"));
        Ok(())
    }

    #[test]
    fn what_is_named_is_measured() -> Result<()> {
        assert_eq!(names(&choose(&["test_time".to_owned()])?), ["test_time"]);
        Ok(())
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = choose(&["lunch".to_owned()])
            .err()
            .expect("the name is unknown");
        assert!(error.to_string().contains("launch, exec, status"));
    }
}
