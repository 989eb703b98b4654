//! A home folder, a working folder, and the program with an agent beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use skiff_test::fake_api::{Answer, FakeApi};
use skiff_test::{Finished, Program};
use tempfile::TempDir;

/// The surroundings of one test.
pub(crate) struct Sandbox {
    home: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let home = TempDir::new().expect("a folder for the test");
        fs::create_dir(home.path().join("work")).expect("a folder in it");
        Self { home }
    }

    /// `skiff` with no kubeconfig, no configuration and no agent but the fake one.
    pub(crate) fn skiff(&self) -> Program {
        Program::new(executable(), self.home.path().join("work"))
            .with("HOME", self.home.path())
            .with("USER", "tester")
    }

    /// Writes a file in the folder that `skiff` is started in.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join("work").join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&path, text).expect("a file in the test's folder");
        path
    }

    /// Writes a kubeconfig with one context `there` at this server.
    pub(crate) fn kubeconfig(&self, scheme: &str, server: SocketAddr) {
        self.write_kubeconfig(&format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: there\n\
             clusters: [{{name: there, cluster: {{server: '{scheme}://{server}'}}}}]\n\
             users: [{{name: me, user: {{token: abc}}}}]\n\
             contexts: [{{name: there, context: {{cluster: there, user: me, namespace: team}}}}]\n"
        ));
    }

    pub(crate) fn write_kubeconfig(&self, text: &str) {
        let folder = self.home.path().join(".kube");
        fs::create_dir_all(&folder).expect("a folder in the test's home");
        fs::write(folder.join("config"), text).expect("a file in the test's home");
    }
}

/// Runs a command against an API server that answers as it is told.
pub(crate) async fn against(answers: Vec<Answer>, command: &[&str]) -> Finished {
    let api = FakeApi::start(answers).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    sandbox.skiff().run(command).await
}

/// A list as an API server gives it.
pub(crate) fn list(kind: &str, items: &[Value]) -> Value {
    json!({ "kind": kind, "apiVersion": "v1", "metadata": {}, "items": items })
}

/// The program under test in a folder of its own, where its agent can lie beside it.
fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skiff-cli");
        fs::create_dir_all(&folder).expect("cargo gives tests a folder");
        let copy = folder.join("skiff");
        // Another run of these tests may be using the old one.
        let new = folder.join(format!("skiff.{}", std::process::id()));
        fs::copy(env!("CARGO_BIN_EXE_skiff"), &new).expect("cargo has built the program");
        fs::rename(&new, &copy).expect("both are in the same folder");
        fs::write(folder.join("skiff-agent-amd64"), "not a real agent").expect("a file");
        copy
    })
}

/// Compares how a program ended with the recorded snapshot.
macro_rules! assert_finished {
    ($finished:expr) => {{
        let finished = $finished;
        insta::with_settings!({ filters => [(r"127\.0\.0\.1:\d+", "SERVER")], omit_expression => true }, {
            insta::assert_snapshot!(finished);
        });
    }};
}
pub(crate) use assert_finished;
