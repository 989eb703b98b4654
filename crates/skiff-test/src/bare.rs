//! Pods, Services and claims of a test without Skiff: what the cluster itself can do.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{AttachParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::Namespace;

/// Makes an object of the test's namespace.
pub async fn make<K>(namespace: &Namespace, object: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let object: K = serde_json::from_value(object).expect("an object of this kind");
    let made = namespace
        .api::<K>()
        .create(&PostParams::default(), &object)
        .await;
    made.unwrap_or_else(|error| panic!("cannot make {}: {error}", object.name_any()))
}

/// A pod of one idle container in the image that tasks use; `changes` to the specification come on top.
pub fn idle(name: &str, changes: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{
            "name": "main",
            "image": "docker.io/skiff/base:0.1.0",
            "imagePullPolicy": "Never",
            "command": ["sleep", "100000"],
        }],
        // A token is made some time after the namespace, and refuses the pod until then.
        "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0},
    });
    merge(&mut pod, changes);
    pod
}

fn merge(target: &mut Value, changes: &Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(target.entry(key).or_insert(Value::Null), change);
            }
        }
        (Value::Array(target), Value::Array(changes)) => {
            for (target, change) in target.iter_mut().zip(changes) {
                merge(target, change);
            }
        }
        (target, change) => target.clone_from(change),
    }
}

/// Makes a pod and waits until it runs; ready or not.
pub async fn start(namespace: &Namespace, pod: Value) -> Pod {
    let made = Box::pin(make::<Pod>(namespace, pod));
    let name = made.await.name_any();
    let runs = |pod: Option<&Pod>| {
        let status = pod.and_then(|pod| pod.status.as_ref());
        status.and_then(|status| status.phase.as_deref()) == Some("Running")
    };
    let pod = Box::pin(namespace.wait_for_pod(&name, "start", runs)).await;
    pod.expect("a pod that runs is there")
}

/// Runs a shell script in a pod of [`idle`]; gives what it wrote, both streams together.
pub async fn ask(namespace: &Namespace, pod: &str, script: &str) -> String {
    let params = AttachParams::default().stdout(true).stderr(false);
    let command = ["/bin/sh", "-c", &format!("({script}) 2>&1")];
    let pods = namespace.api::<Pod>();
    let exec = Box::pin(pods.exec(pod, command, &params)).await;
    let mut process = exec.unwrap_or_else(|error| panic!("cannot run {script:?}: {error}"));
    let mut output = String::new();
    let stdout = process
        .stdout()
        .expect("it was asked for")
        .read_to_string(&mut output)
        .await;
    stdout.unwrap_or_else(|error| panic!("cannot read the output of {script:?}: {error}"));
    output.trim_end().to_owned()
}
