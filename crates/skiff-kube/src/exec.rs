//! Commands in containers, over the API server's WebSocket.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{ApiError, Cluster};

/// Bytes that may wait in each direction: enough for a few of the largest frames on the way.
const PIPE: usize = 256 << 10;
/// What is kept of the command's error output.
const STDERR: u64 = 8 << 10;

/// A command that runs in a container.
pub struct ExecStream {
    /// Its input.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves to how it ended, once its output has ended.
    pub end: ExecEnd,
}

/// How a command ended, when asked after its output has ended.
pub struct ExecEnd {
    process: AttachedProcess,
    stderr: Box<dyn AsyncRead + Send + Unpin>,
}

impl ExecEnd {
    /// The command's last words on its error output, or the API server's reason; empty where there is none.
    pub async fn reason(mut self) -> String {
        let mut text = Vec::new();
        let _ = self.stderr.take(STDERR).read_to_end(&mut text).await;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if !text.is_empty() {
            return text;
        }
        let Some(status) = self.process.take_status() else {
            return String::new();
        };
        status
            .await
            .and_then(|status| status.message)
            .unwrap_or_default()
    }
}

impl Cluster {
    /// Runs a command in a container.
    pub async fn exec(
        &self,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<ExecStream, ApiError> {
        let params = AttachParams::default()
            .container(container)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .max_stdin_buf_size(PIPE)
            .max_stdout_buf_size(PIPE)
            .max_stderr_buf_size(PIPE);
        let mut process = self
            .api::<Pod>()
            .exec(pod, command.iter().copied(), &params)
            .await
            .map_err(|error| self.failed("open a stream to", self.object::<Pod>(pod), &error))?;
        let asked_for = "the stream was asked for";
        Ok(ExecStream {
            stdin: Box::new(process.stdin().expect(asked_for)),
            stdout: Box::new(process.stdout().expect(asked_for)),
            end: ExecEnd {
                stderr: Box::new(process.stderr().expect(asked_for)),
                process,
            },
        })
    }
}
