//! What is known of a test's namespace when the test has failed: pods, events, logs.
//!
//! Everything that cannot be read is passed over: the failure itself must stay the news.

use std::fmt::Write;
use std::fs;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{AttachParams, ListParams, LogParams};
use tokio::io::AsyncReadExt;

use crate::Namespace;

/// The agent's files that tell most, and the processes, as far as the image has the tools.
const LOOK: &str = "for f in /skiff/docker/report.json /skiff/docker/daemon.log; do \
                    [ -f $f ] && { echo \"== $f\"; tail -n 40 $f; }; done; \
                    for f in /skiff/sky_logs/*/run.log; do [ -f $f ] && { echo \"== $f\"; tail -n 20 $f; }; done; \
                    echo '== /skiff'; ls -laR /skiff/run /skiff/jobs 2>/dev/null | head -n 60";
/// Lines of a container's log.
const TAIL: i64 = 60;

/// Prints all that.
pub async fn dump(namespace: &Namespace) {
    let mut text = String::new();
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await;
    for pod in pods.map(|list| list.items).unwrap_or_default() {
        describe(namespace, &pod, &mut text).await;
    }
    if let Ok(events) = namespace.api::<Event>().list(&ListParams::default()).await {
        for event in events.items {
            let object = event.involved_object.name.unwrap_or_default();
            let (reason, message) = (
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            );
            let _ = writeln!(text, "event {object} {reason}: {message}");
        }
    }
    println!("\n##### namespace {}\n{text}#####", namespace.name);
}

async fn describe(namespace: &Namespace, pod: &Pod, text: &mut String) {
    let name = pod.name_any();
    let mut plain = pod.clone();
    plain.metadata.managed_fields = None;
    // Behind a file's name, a failed CI run keeps the whole; here is what fits a screen.
    let status = serde_json::to_string_pretty(&plain.status).unwrap_or_default();
    let _ = writeln!(text, "pod {name}\n{status}");
    keep(namespace, &name, &plain);
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.unwrap_or_default();
    for container in init.iter().chain(&spec.containers) {
        let params = LogParams {
            container: Some(container.name.clone()),
            tail_lines: Some(TAIL),
            ..Default::default()
        };
        if let Ok(log) = namespace.api::<Pod>().logs(&name, &params).await {
            let _ = writeln!(text, "log of {name}, container {}\n{log}", container.name);
        }
    }
    if let Some(seen) = look(namespace, &name).await {
        let _ = writeln!(text, "inside {name}\n{seen}");
    }
}

async fn look(namespace: &Namespace, pod: &str) -> Option<String> {
    let params = AttachParams::default()
        .container("task")
        .stdout(true)
        .stderr(false);
    let mut process = namespace
        .api::<Pod>()
        .exec(pod, ["/bin/sh", "-c", LOOK], &params)
        .await
        .ok()?;
    let mut seen = String::new();
    process.stdout()?.read_to_string(&mut seen).await.ok()?;
    Some(seen)
}

/// Leaves the whole pod in a file, where the run is to keep its remains.
fn keep(namespace: &Namespace, name: &str, pod: &Pod) {
    let Some(folder) = std::env::var_os("SKIFF_TEST_REMAINS").map(std::path::PathBuf::from) else {
        return;
    };
    let folder = folder.join(&namespace.name);
    let Ok(json) = serde_json::to_vec_pretty(pod) else {
        return;
    };
    let _ = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join(format!("{name}.json")), json));
}
