//! Clusters that end by themselves, and the hooks that run before any end.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::api::DeleteParams;
use serde_json::Value;
use skiff_proto::{Autostop, Farewell, Frame, Hello, Left, PROTOCOL_VERSION, Request, WaitFor};
use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

/// Sets a policy past the command line, which counts in minutes.
async fn set(namespace: &Namespace, cluster: &str, autostop: Autostop) {
    let mut frames = Vec::new();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        build: "test".to_owned(),
        boot: String::new(),
    };
    Frame::Hello(hello).encode(&mut frames);
    let autostop = Some(autostop);
    Frame::Request(1, Request::SetAutostop { autostop }).encode(&mut frames);
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

async fn wait_ended(namespace: &Namespace, pod: &str) -> ContainerStateTerminated {
    let pod = namespace
        .wait_for_pod(pod, "end of its task", |pod| pod.and_then(ended).is_some())
        .await;
    pod.as_ref().and_then(ended).expect("it has ended").clone()
}

async fn row(namespace: &Namespace, cluster: &str) -> Option<Value> {
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
num_nodes: NODES
envs: {WHERE: here}
config:
  hooks:
    - {run: 'echo \"hook of $SKYPILOT_HOOK_EVENT at $SKYPILOT_NODE_RANK $WHERE\"; sleep 2', timeout: 30}
run: sleep 100000
";

#[tokio::test]
async fn hooks_run_when_a_pod_is_deleted_and_when_a_cluster_goes_down() {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", &HOOKS.replace("NODES", "1"));
        namespace
            .launch("hooked", &["-d", "task.yaml"])
            .await
            .code(0);
        let head = namespace.head("hooked").await;
        let grace = head
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        assert_eq!(grace, Some(60), "30 s for jobs, 30 for hooks of preemption");
        let name = namespace.head_name("hooked");
        let log = follow_log(namespace, &name);
        let pods = namespace.api::<Pod>();
        pods.delete(&name, &DeleteParams::default())
            .await
            .expect("the administrator may");
        let log = log.await.expect("the log is read");
        assert!(log.contains("hook of preemption at 0 here"), "{log}");

        namespace
            .launch("hooked", &["-d", "task.yaml"])
            .await
            .code(0);
        let log = follow_log(namespace, &name);
        let down = namespace
            .skiff()
            .run(&["down", "-y", "hooked"])
            .await
            .code(0);
        down.notes("its hooks run first, for 30s at most");
        let log = log.await.expect("the log is read");
        assert!(log.contains("hook of down at 0 here"), "{log}");
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
