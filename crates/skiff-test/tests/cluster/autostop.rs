//! Clusters that end by themselves, and the hooks that run before any end.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod, Secret, Service};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams};
use kube::config::{AuthInfo, KubeConfigOptions};
use serde_json::Value;
use skiff_proto::{
    Autostop, Farewell, Frame, Hello, Left, OwnerAccess, PROTOCOL_VERSION, Request, WaitFor,
};
use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

/// Sets a policy past the command line, which counts in minutes.
pub(crate) async fn set(namespace: &Namespace, cluster: &str, autostop: Autostop) {
    set_with(namespace, cluster, autostop, None).await;
}

/// The same, with what the agent may delete the cluster with.
async fn set_with(
    namespace: &Namespace,
    cluster: &str,
    autostop: Autostop,
    owner: Option<Box<OwnerAccess>>,
) {
    let mut frames = Vec::new();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        build: "test".to_owned(),
        boot: String::new(),
    };
    Frame::Hello(hello).encode(&mut frames);
    let autostop = Some(autostop);
    Frame::Request(1, Request::SetAutostop { autostop, owner }).encode(&mut frames);
    let octal = frames.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:03o}");
        text
    });
    let script = format!("(printf '{octal}'; sleep 1) | /skiff/bin/task connect | wc -c");
    namespace.inside(cluster, &script).await;
}

const SOON: Autostop = Autostop {
    idle_ms: 500,
    down: true,
    wait_for: WaitFor::JobsAndSsh,
};

fn ended(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let mut tasks = containers.iter().filter(|one| one.name == "task");
    tasks.next()?.state.as_ref()?.terminated.as_ref()
}

pub(crate) async fn wait_ended(namespace: &Namespace, pod: &str) -> ContainerStateTerminated {
    let pod = namespace
        .wait_for_pod(pod, "end of its task", |pod| pod.and_then(ended).is_some())
        .await;
    pod.as_ref().and_then(ended).expect("it has ended").clone()
}

pub(crate) async fn row(namespace: &Namespace, cluster: &str) -> Option<Value> {
    let status = namespace
        .skiff()
        .run(&["status", "-o", "json"])
        .await
        .code(0);
    let clusters = status.json();
    let mut rows = clusters.as_array().expect("a list").iter();
    rows.find(|row| row["name"] == cluster).cloned()
}

#[tokio::test]
async fn an_idle_cluster_ends_and_the_next_command_removes_what_is_left() {
    with_namespace(async |namespace| {
        namespace
            .launch("idle", &["-i", "30", "--down", "echo hi"])
            .await
            .code(0);
        let autostop = row(namespace, "idle").await.expect("it is there")["autostop"].clone();
        assert_eq!(autostop["idle_minutes"], 30, "{autostop}");
        namespace
            .skiff()
            .run(&["status"])
            .await
            .code(0)
            .says("30m (down)");
        set(namespace, "idle", SOON).await;
        let end = wait_ended(namespace, &namespace.head_name("idle")).await;
        assert_eq!(end.exit_code, 0);
        let farewell = end.message.as_deref().and_then(Farewell::parse);
        assert_eq!(farewell.map(|farewell| farewell.left), Some(Left::Idle));
        let status = namespace.skiff().run(&["status"]).await.code(0);
        status
            .says("DOWN")
            .notes("autostop took it down")
            .notes("note: autostop took down idle; what was left of it is removed");
        namespace.assert_nothing_left().await;
        assert!(row(namespace, "idle").await.is_none());
    })
    .await;
}

/// The client that holds the token of a cluster's agent.
async fn client_of(namespace: &Namespace, access: &OwnerAccess) -> kube::Client {
    let mut kubeconfig = namespace
        .kubernetes
        .kubeconfig_for(&namespace.name)
        .expect("the kubeconfig is complete");
    for named in &mut kubeconfig.auth_infos {
        named.auth_info = Some(AuthInfo {
            token: Some(access.token.clone().into()),
            ..AuthInfo::default()
        });
    }
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    kube::Client::try_from(config.expect("the kubeconfig is complete")).expect("a client")
}

#[tokio::test]
async fn an_idle_cluster_of_who_may_create_roles_vanishes_wholly() {
    with_namespace(async |namespace| {
        let task = ["--num-nodes", "2", "-i", "30", "--down", "echo hi"];
        namespace.launch("gone", &task).await.code(0);
        let kept = namespace.inside("gone", "cat /skiff/autostop.json").await;
        let kept: Value = serde_json::from_slice(&kept).expect("the agent writes JSON");
        let access = serde_json::from_value::<OwnerAccess>(kept["owner"].clone());
        let access = access.expect("the agent was given the right");

        let client = client_of(namespace, &access).await;
        let secrets = kube::Api::<Secret>::namespaced(client.clone(), &namespace.name);
        let pods = kube::Api::<Pod>::namespaced(client, &namespace.name);
        let refused = |result: Result<(), kube::Error>| match result {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
            other => panic!("it is no right of the agent's: {other:?}"),
        };
        let now = DeleteParams::default();
        let (head, token) = (
            namespace.head_name("gone"),
            format!("{}-autostop", access.secret),
        );
        refused(secrets.get(&access.secret).await.map(drop));
        refused(secrets.delete(&token, &now).await.map(drop));
        refused(pods.delete(&head, &now).await.map(drop));
        refused(pods.list(&ListParams::default()).await.map(drop));

        set_with(namespace, "gone", SOON, Some(Box::new(access))).await;
        let worker = head.replace("-head", "-worker1");
        for pod in [&head, &worker] {
            namespace
                .wait_for_pod(pod, "end", |pod| pod.is_none())
                .await;
        }
        namespace.wait_for_none::<Role>().await;
        namespace.wait_for_none::<RoleBinding>().await;
        namespace.wait_for_none::<Service>().await;
        assert!(row(namespace, "gone").await.is_none());
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_autostop_keeps_the_cluster() {
    with_namespace(async |namespace| {
        namespace
            .launch("kept", &["-d", "sleep 100000"])
            .await
            .code(0);
        let skiff = namespace.skiff();
        skiff
            .run(&[
                "autostop",
                "kept",
                "-i",
                "7",
                "--down",
                "--wait-for",
                "none",
            ])
            .await
            .code(0)
            .notes("kept is taken down in 7m");
        let autostop = row(namespace, "kept").await.expect("it is there")["autostop"].clone();
        assert_eq!(
            (&autostop["wait_for"], &autostop["down"]),
            (&"none".into(), &true.into())
        );
        skiff
            .run(&["autostop", "kept", "--cancel"])
            .await
            .code(0)
            .notes("kept stays");
        let row = row(namespace, "kept").await.expect("it is there");
        assert_eq!(row["autostop"], Value::Null);
        skiff
            .run(&["autostop", "kept", "-i", "7"])
            .await
            .code(1)
            .one_error()
            .notes("cannot be stopped")
            .notes("--down");
        skiff
            .run(&["autostop", "nobody", "--down"])
            .await
            .code(1)
            .one_error()
            .notes("there is no cluster `nobody`");
        skiff.run(&["down", "-y", "kept"]).await.code(0);
    })
    .await;
}

#[tokio::test]
async fn a_launch_of_the_same_name_replaces_a_cluster_that_took_itself_down() {
    with_namespace(async |namespace| {
        namespace.launch("again", &["echo first"]).await.code(0);
        set(namespace, "again", SOON).await;
        wait_ended(namespace, &namespace.head_name("again")).await;
        namespace
            .launch("again", &["echo second"])
            .await
            .code(0)
            .says(") second");
        let row = row(namespace, "again").await.expect("it is there");
        assert_eq!(
            (&row["status"], &row["autostop"]),
            (&"UP".into(), &Value::Null)
        );
        namespace
            .skiff()
            .run(&["down", "-y", "again"])
            .await
            .code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

const HOOKS: &str = "
num_nodes: 2
envs: {WHERE: here}
config:
  hooks:
    - {run: 'echo \"hook of $SKYPILOT_HOOK_EVENT at $SKYPILOT_NODE_RANK $WHERE\"; sleep 2', timeout: 30}
run: sleep 100000
";

#[tokio::test]
async fn hooks_run_on_every_node_before_it_goes() {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", HOOKS);
        let launch = async || {
            namespace
                .launch("hooked", &["-d", "task.yaml"])
                .await
                .code(0);
        };
        launch().await;
        let head = namespace.head("hooked").await;
        let grace = head
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        assert_eq!(grace, Some(60), "30 s for jobs, 30 for hooks of preemption");
        let head = namespace.head_name("hooked");
        let worker = head.replace("-head", "-worker1");
        let log = follow_log(namespace, &worker);
        let pods = namespace.api::<Pod>();
        pods.delete(&worker, &DeleteParams::default())
            .await
            .expect("the administrator may");
        let log = log.await.expect("the log is read");
        assert!(log.contains("hook of preemption at 1 here"), "{log}");

        launch().await;
        let logs = [follow_log(namespace, &head), follow_log(namespace, &worker)];
        let down = namespace
            .skiff()
            .run(&["down", "-y", "hooked"])
            .await
            .code(0);
        down.notes("Running the hooks of hooked (for 30s at most)");
        for (rank, log) in logs.into_iter().enumerate() {
            let log = log.await.expect("the log is read");
            let line = format!("hook of down at {rank} here");
            assert!(log.contains(&line), "{log}");
        }
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn the_example_saves_what_it_has_made_before_it_goes() {
    with_namespace(async |namespace| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let skiff = namespace.skiff().inside(root);
        skiff
            .run(&["launch", "-y", "-c", "idle", "examples/autostop.yaml"])
            .await
            .code(0)
            .says("nothing more to do");
        let autostop = row(namespace, "idle").await.expect("it is there")["autostop"].clone();
        let policy = (&autostop["idle_minutes"], &autostop["down"]);
        assert_eq!(policy, (&10.into(), &true.into()));
        let log = follow_log(namespace, &namespace.head_name("idle"));
        skiff.run(&["down", "-y", "idle"]).await.code(0);
        let log = log.await.expect("the log is read");
        assert!(log.contains("down, saving 42"), "{log}");
        namespace.assert_nothing_left().await;
    })
    .await;
}

/// The log of a pod's task container, from now to its end.
fn follow_log(namespace: &Namespace, pod: &str) -> tokio::task::JoinHandle<String> {
    let (pods, pod) = (namespace.api::<Pod>(), pod.to_owned());
    tokio::spawn(async move {
        use futures::AsyncReadExt;
        let params = kube::api::LogParams {
            container: Some("task".to_owned()),
            follow: true,
            ..Default::default()
        };
        let stream = pods.log_stream(&pod, &params).await.expect("a log");
        let mut bytes = Vec::new();
        let mut stream = Box::pin(stream);
        // It ends with the container.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
