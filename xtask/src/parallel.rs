//! Independent steps at the same time: their waits for network, disk and linkers overlap.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// A step with its name; it runs on a thread of its own.
pub(crate) type Step<'s> = (&'static str, Box<dyn FnOnce() -> Result<()> + Send + 's>);

/// Runs all steps at once, waits for all, and returns how long each took or the first failure.
pub(crate) fn run(steps: Vec<Step<'_>>) -> Result<Vec<(&'static str, Duration)>> {
    thread::scope(|scope| {
        let started: Vec<_> = steps
            .into_iter()
            .map(|(name, step)| (name, scope.spawn(move || timed(step))))
            .collect();
        // Every step is waited for before the first failure is returned: none is left behind.
        let ended: Vec<_> = started
            .into_iter()
            .map(|(name, step)| (name, step.join()))
            .collect();
        ended
            .into_iter()
            .map(|(name, result)| match result {
                Ok(Ok(took)) => Ok((name, took)),
                Ok(Err(error)) => Err(error.context(format!("{name} failed"))),
                Err(_) => Err(anyhow!("{name} panicked")),
            })
            .collect()
    })
}

/// Runs one step and returns how long it took.
pub(crate) fn timed(step: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    step()?;
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_timed_in_the_order_given() -> Result<()> {
        let times = run(vec![
            ("one", Box::new(|| Ok(()))),
            ("two", Box::new(|| Ok(()))),
        ])?;
        assert_eq!(
            times.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["one", "two"]
        );
        Ok(())
    }

    #[test]
    fn a_failure_names_its_step() {
        let failure = run(vec![("bad", Box::new(|| Err(anyhow!("no disk"))))]);
        assert_eq!(
            format!("{:#}", failure.expect_err("the step fails")),
            "bad failed: no disk"
        );
    }
}
