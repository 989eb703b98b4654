//! A shell on a node, on a terminal: from the command to the prompt.

use anyhow::Result;

use super::Bench;
use super::lab::{CONTEXT, Lab};
use super::measurement::Target;
use crate::command;

const CLUSTER: &str = "bench-idle";
/// What every prompt of root ends with.
const PROMPT: &str = "# ";

#[derive(Default)]
pub(super) struct SshPrompt {
    pod: String,
}

impl Bench for SshPrompt {
    fn name(&self) -> &'static str {
        "ssh_prompt"
    }

    fn about(&self) -> &'static str {
        "`ssh X` to the prompt beside `kubectl exec -it POD -- bash`"
    }

    fn target(&self) -> Target {
        Target::TimesReference(2.0)
    }

    fn runs(&self) -> usize {
        15
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        self.pod = lab.idle_pod(CLUSTER)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        let config = lab.ssh_config(CLUSTER)?;
        to_prompt(lab, &format!("ssh -F '{config}' {CLUSTER}"))
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        let pod = &self.pod;
        let line = format!("kubectl --context {CONTEXT} exec -it {pod} -c task -- bash");
        to_prompt(lab, &line).map(Some)
    }
}

/// The time from the start of a command to the prompt of the shell that it opens, in seconds.
fn to_prompt(lab: &Lab, line: &str) -> Result<f64> {
    // `script` is the terminal; `timeout` ends what does not come to a prompt.
    let words = ["--foreground", "60", "script", "-qec", line, "/dev/null"];
    let mut script = lab.program("timeout", &words);
    let taken = command::time_to_output(&mut script, PROMPT, b"exit\n")?;
    Ok(taken.as_secs_f64())
}
