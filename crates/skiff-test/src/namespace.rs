//! One test's own corner: a namespace, a home folder, a kubeconfig, and a user.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Pod, Secret, ServiceAccount};
use kube::api::{AttachParams, DeleteParams, ListParams, LogParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore};
use tokio::time::timeout;

use crate::dump::dump;
use crate::{Finished, Kubernetes, Program};

/// Tests at a time: each is mostly waiting, and a node of two CPUs starts this many pods without queues.
const AT_A_TIME: usize = 6;
/// How long a condition of the cluster is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// The user that tests are.
pub const USER: &str = "tester";
/// What stands for the user in names of objects.
pub const USER_ID: &str = "7e57ab1e";

static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME);
/// Held for reading by ordinary tests, for writing by those that disturb all others.
static PEACE: RwLock<()> = RwLock::const_new(());

/// One test's namespace.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// The cluster.
    pub kubernetes: Kubernetes,
    /// A client with the administrator's rights.
    pub client: Client,
    home: TempDir,
}

/// Who else may use the cluster meanwhile.
enum Turn {
    Shared {
        _peace: RwLockReadGuard<'static, ()>,
        _place: tokio::sync::SemaphorePermit<'static>,
    },
    Alone {
        _peace: RwLockWriteGuard<'static, ()>,
    },
}

/// Runs a test in a namespace of its own. When it fails, the namespace's pods, events and logs are printed.
pub async fn with_namespace(test: impl AsyncFnOnce(&Namespace)) {
    let place = PLACES
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let turn = Turn::Shared {
        _peace: PEACE.read().await,
        _place: place,
    };
    run(turn, test).await;
}

/// Runs a test like [`with_namespace`], while no other test of this process runs.
pub async fn alone(test: impl AsyncFnOnce(&Namespace)) {
    let turn = Turn::Alone {
        _peace: PEACE.write().await,
    };
    run(turn, test).await;
}

async fn run(turn: Turn, test: impl AsyncFnOnce(&Namespace)) {
    let namespace = Namespace::create().await;
    let result = AssertUnwindSafe(test(&namespace)).catch_unwind().await;
    if result.is_err() {
        // A test that has the cluster for itself may have failed in the midst of breaking it.
        if matches!(turn, Turn::Alone { .. }) {
            let _ = namespace.kubernetes.bring_up().await;
        }
        dump(&namespace).await;
    }
    namespace.delete().await;
    drop(turn);
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

impl Namespace {
    async fn create() -> Self {
        let kubernetes = Kubernetes::from_environment().expect("the environment names a cluster");
        let client = kubernetes
            .client()
            .await
            .expect("the kubeconfig is complete");
        let name = make(&client, PATIENCE).await;
        let home = TempDir::new().expect("a folder for the test");
        let namespace = Self {
            name,
            kubernetes,
            client,
            home,
        };
        namespace.furnish();
        namespace
    }

    /// Waits until the cluster's controllers serve new namespaces, by making one.
    pub async fn wait_for_a_new_one(&self, patience: Duration) {
        let name = make(&self.client, patience).await;
        let api = Api::<KubernetesNamespace>::all(self.client.clone());
        let deleted = api.delete(&name, &DeleteParams::background()).await;
        deleted.expect("the administrator may delete namespaces");
    }

    /// The home folder: a kubeconfig, and what a local cluster configures for its context.
    fn furnish(&self) {
        let kubeconfig = self
            .kubernetes
            .kubeconfig_for(&self.name)
            .expect("the kubeconfig is complete");
        write_kubeconfig(&self.kubeconfig_path(), &kubeconfig);
        let Ok(folder) = self.kubernetes.local_folder() else {
            return;
        };
        let name = self.kubernetes.local_name().expect("it is a local cluster");
        let own = self.home.path().join(".skiff/local").join(name);
        fs::create_dir_all(&own).expect("a folder in the test's home");
        fs::copy(folder.join("config.yaml"), own.join("config.yaml"))
            .expect("a local cluster has a configuration");
    }

    /// The test's home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The kubeconfig that [`Namespace::skiff`] uses.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.home.path().join("kubeconfig")
    }

    /// The program under test, in this namespace.
    pub fn skiff(&self) -> Program {
        let work = self.home.path().join("work");
        fs::create_dir_all(&work).expect("a folder in the test's home");
        Program::new(&self.kubernetes.skiff, work)
            .with("HOME", self.home.path())
            .with("USER", USER)
            .with("SKYPILOT_USER_ID", USER_ID)
            .with("KUBECONFIG", self.kubeconfig_path())
    }

    /// The program with another kubeconfig than the administrator's.
    pub fn skiff_as(&self, name: &str, kubeconfig: &Kubeconfig) -> Program {
        let path = self.home.path().join(name);
        write_kubeconfig(&path, kubeconfig);
        self.skiff().with("KUBECONFIG", path)
    }

    /// Launches a small task and waits for it: what `rest` says is added to the command line.
    pub async fn launch(&self, cluster: &str, rest: &[&str]) -> Finished {
        self.skiff().run(&small(cluster, rest)).await
    }

    /// Writes a file into the folder that [`Namespace::skiff`] is started in.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.skiff().folder().join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder"))
            .expect("a folder in the test's home");
        fs::write(&path, text).expect("a file in the test's home");
        path
    }

    /// One kind of this namespace's objects.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The pods that are there.
    pub async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>()
            .list(&ListParams::default())
            .await
            .expect("pods can be listed")
            .items
    }

    /// The head pod of the test user's cluster of this name.
    pub async fn head(&self, cluster: &str) -> Pod {
        self.node(cluster, "head").await
    }

    /// The pod of a node of that cluster: `head`, `worker1`.
    pub async fn node(&self, cluster: &str, node: &str) -> Pod {
        let name = self.node_name(cluster, node);
        self.api::<Pod>()
            .get(&name)
            .await
            .unwrap_or_else(|error| panic!("there is no pod {name}: {error}"))
    }

    /// The name of the head pod.
    pub fn head_name(&self, cluster: &str) -> String {
        self.node_name(cluster, "head")
    }

    /// The name of a node's pod.
    pub fn node_name(&self, cluster: &str, node: &str) -> String {
        format!("{cluster}-{USER_ID}-{node}")
    }

    /// Runs a shell script in the task container of a cluster, past Skiff, and gives its output.
    pub async fn inside(&self, cluster: &str, script: &str) -> Vec<u8> {
        self.inside_of(cluster, "task", script).await
    }

    /// The same in another container of the head.
    pub async fn inside_of(&self, cluster: &str, container: &str, script: &str) -> Vec<u8> {
        let params = AttachParams::default()
            .container(container)
            .stdout(true)
            .stderr(false);
        let command = ["/bin/sh", "-c", script];
        let exec = self
            .api::<Pod>()
            .exec(&self.head_name(cluster), command, &params)
            .await;
        let mut process =
            exec.unwrap_or_else(|error| panic!("cannot run {script:?} in {cluster}: {error}"));
        let mut output = Vec::new();
        let stdout = process
            .stdout()
            .expect("it was asked for")
            .read_to_end(&mut output)
            .await;
        stdout.unwrap_or_else(|error| panic!("cannot read the output of {script:?}: {error}"));
        output
    }

    /// What a container of the head has written to its own log.
    pub async fn log_of(&self, cluster: &str, container: &str) -> String {
        let params = LogParams {
            container: Some(container.to_owned()),
            ..LogParams::default()
        };
        let pod = self.head_name(cluster);
        let log = self.api::<Pod>().logs(&pod, &params).await;
        log.unwrap_or_else(|error| panic!("cannot read the log of {container} in {pod}: {error}"))
    }

    /// Waits until a pod meets a condition; None is a pod that is not there.
    pub async fn wait_for_pod(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(Option<&Pod>) -> bool,
    ) -> Option<Pod> {
        let waiting = await_condition(self.api::<Pod>(), name, condition);
        match timeout(PATIENCE, waiting).await {
            Ok(pod) => pod.expect("pods can be watched"),
            Err(late) => panic!("pod {name}: no {what}: {late}"),
        }
    }

    /// Waits until the namespace has no object of a kind.
    pub async fn wait_for_none<K>(&self)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let watching = watcher(self.api::<K>(), watcher::Config::default());
        let mut watching = Box::pin(watching.default_backoff());
        let mut there = BTreeSet::new();
        let none = async {
            while let Some(event) = watching.next().await {
                match event {
                    Ok(watcher::Event::Init) => there.clear(),
                    Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                        there.insert(object.name_any());
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        there.remove(&object.name_any());
                        if there.is_empty() {
                            return;
                        }
                    }
                    Ok(watcher::Event::InitDone) if there.is_empty() => return,
                    Ok(watcher::Event::InitDone) | Err(_) => {}
                }
            }
        };
        let in_time = timeout(PATIENCE, none).await.is_ok();
        assert!(in_time, "there still is a {}: {there:?}", K::kind(&()));
    }

    /// The owner Secrets of clusters.
    pub async fn owners(&self) -> Vec<Secret> {
        let all = self
            .api::<Secret>()
            .list(&ListParams::default().labels("skiff.dev/cluster"))
            .await;
        all.expect("Secrets can be listed").items
    }

    /// Makes sure that no cluster is left: no owner Secret, no pod that is not already on its way out.
    pub async fn assert_nothing_left(&self) {
        let owners: Vec<String> = self
            .owners()
            .await
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        assert!(owners.is_empty(), "owner Secrets are left: {owners:?}");
        let pods = self.pods().await;
        let left: Vec<String> = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .map(ResourceExt::name_any)
            .collect();
        assert!(left.is_empty(), "pods are left: {left:?}");
    }

    /// Ends what runs at once, and lets Kubernetes remove the rest in its own time.
    async fn delete(&self) {
        let at_once = DeleteParams::default().grace_period(0);
        let _ = self
            .api::<Pod>()
            .delete_collection(&at_once, &ListParams::default())
            .await;
        let api = Api::<KubernetesNamespace>::all(self.client.clone());
        let _ = api.delete(&self.name, &DeleteParams::background()).await;
    }
}

/// Makes a namespace and waits until pods are admitted there; gives its name.
async fn make(client: &Client, patience: Duration) -> String {
    let api = Api::<KubernetesNamespace>::all(client.clone());
    let new = KubernetesNamespace {
        metadata: ObjectMeta {
            generate_name: Some("skiff-test-".to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    let made = api.create(&PostParams::default(), &new).await;
    let name = made
        .expect("the administrator may create namespaces")
        .name_any();
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &name);
    let is_there = |account: Option<&ServiceAccount>| account.is_some();
    let waiting = await_condition(accounts, "default", is_there);
    let account = timeout(patience, waiting)
        .await
        .expect("a namespace gets a service account in time");
    account.expect("service accounts can be watched");
    name
}

/// The command line of a launch that leaves room for other tests' pods.
pub fn small<'a>(cluster: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            "launch", "-y", "-c", cluster, "--cpus", "0.1", "--memory", "0.2",
        ],
        rest,
    ]
    .concat()
}

/// JSON is YAML.
fn write_kubeconfig(path: &Path, kubeconfig: &Kubeconfig) {
    let text = serde_json::to_string(kubeconfig).expect("a kubeconfig is plain data");
    fs::write(path, text).expect("a file in the test's home");
}
