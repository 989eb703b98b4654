//! Names inside a local cluster: of Services and pods, from every node, and outside.

use std::time::Instant;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::{ask, idle, make, start};
use skiff_test::namespace::with_namespace;
use tokio::time::timeout;

use crate::volumes::{PATIENCE, node_names};

/// Asks a name server without the search list: prints the addresses of a name, or the error's number.
const LOOK_UP: &str = r#"
import socket, sys
try:
    found = socket.getaddrinfo(sys.argv[1], None, type=socket.SOCK_STREAM)
    print(" ".join(sorted({entry[4][0] for entry in found})))
except socket.gaierror as error:
    print("error", error.errno)
"#;

async fn look_up(namespace: &Namespace, pod: &str, name: &str) -> String {
    ask(namespace, pod, &format!("python3 -c '{LOOK_UP}' {name}")).await
}

fn address(pod: &Pod) -> String {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    address.expect("a pod that runs has an address")
}

async fn service(namespace: &Namespace, name: &str, spec: Value) -> Service {
    make(namespace, json!({"metadata": {"name": name}, "spec": spec})).await
}

/// Waits until a Service leads to as many pods as it is to, ready or not.
async fn wait_for_pods_of(namespace: &Namespace, service: &str, ready: usize, pending: usize) {
    let leads = move |found: Option<&Endpoints>| {
        let subsets = found.and_then(|endpoints| endpoints.subsets.as_ref());
        let subsets = || subsets.into_iter().flatten();
        let all = subsets().flat_map(|subset| subset.addresses.iter().flatten());
        let not = subsets().flat_map(|subset| subset.not_ready_addresses.iter().flatten());
        all.count() == ready && not.count() == pending
    };
    let waiting = await_condition(namespace.api::<Endpoints>(), service, leads);
    let waited = timeout(PATIENCE, waiting).await;
    waited
        .expect("the Service leads to its pods in time")
        .expect("Endpoints can be watched");
}

/// A pod on the first and one on the last node, each with a hostname, below the Service `gang`.
async fn gang(namespace: &Namespace) -> (Pod, Pod) {
    let nodes = node_names(namespace).await;
    let member = |name: &str, node: &String, ready: &str| {
        let spec = json!({
            "nodeSelector": {"kubernetes.io/hostname": node},
            "hostname": name,
            "subdomain": "gang",
            "containers": [{"readinessProbe": {"exec": {"command": [ready]}, "periodSeconds": 1}}],
        });
        idle(
            name,
            &json!({"metadata": {"labels": {"app": "gang"}}, "spec": spec}),
        )
    };
    let (first, last) = (&nodes[0], &nodes[nodes.len() - 1]);
    tokio::join!(
        start(namespace, member("head", first, "true")),
        start(namespace, member("worker1", last, "false")),
    )
}

#[tokio::test]
async fn pods_of_a_headless_service_are_named_on_every_node_once_they_are_ready() {
    with_namespace(async |namespace| {
        let selector = json!({"app": "gang"});
        let headless = json!({"clusterIP": "None", "selector": selector});
        service(namespace, "ready", headless).await;
        let all = json!({
            "clusterIP": "None", "selector": selector, "publishNotReadyAddresses": true,
            "ports": [{"name": "ssh", "port": 22}],
        });
        service(namespace, "gang", all).await;
        let (head, worker) = Box::pin(gang(namespace)).await;
        wait_for_pods_of(namespace, "ready", 1, 1).await;
        wait_for_pods_of(namespace, "gang", 2, 0).await;
        let (head, worker) = (address(&head), address(&worker));

        let mut both = [head.clone(), worker.clone()];
        both.sort();
        let own = format!("{}.svc.cluster.local", namespace.name);
        let dashed = head.replace('.', "-");
        for pod in ["head", "worker1"] {
            for (name, expected) in [
                ("gang", both.join(" ")),
                (&*format!("gang.{own}."), both.join(" ")),
                (&*format!("gang.{}", namespace.name), both.join(" ")),
                ("worker1.gang", worker.clone()),
                ("head.gang", head.clone()),
                ("ready", head.clone()),
                (
                    &*format!("{dashed}.{}.pod.cluster.local", namespace.name),
                    head.clone(),
                ),
                ("nosuch.gang", "error -2".to_owned()),
            ] {
                assert_eq!(
                    look_up(namespace, pod, name).await,
                    expected,
                    "{name} in {pod}"
                );
            }
        }
        let full = ask(namespace, "worker1", "hostname -f").await;
        assert_eq!(full, format!("worker1.gang.{own}"));
        let back = ask(namespace, "head", &format!("getent hosts {worker}")).await;
        assert!(back.contains(&format!("worker1.gang.{own}")), "{back}");
    })
    .await;
}

#[tokio::test]
async fn a_service_and_an_alias_of_it_have_names_in_every_search_domain() {
    with_namespace(async |namespace| {
        let made = service(namespace, "web", json!({"ports": [{"port": 80}]})).await;
        let address = made.spec.and_then(|spec| spec.cluster_ip);
        let address = address.expect("a Service has an address");
        let target = format!("web.{}.svc.cluster.local", namespace.name);
        service(
            namespace,
            "alias",
            json!({"type": "ExternalName", "externalName": target}),
        )
        .await;
        start(namespace, idle("asker", &json!({}))).await;
        for name in [
            "web".to_owned(),
            format!("web.{}", namespace.name),
            format!("web.{}.svc", namespace.name),
            "alias".to_owned(),
        ] {
            assert_eq!(look_up(namespace, "asker", &name).await, address, "{name}");
        }
        let kubernetes = look_up(namespace, "asker", "kubernetes.default").await;
        assert!(kubernetes.ends_with(".64.1"), "{kubernetes}");
    })
    .await;
}

#[tokio::test]
async fn without_a_way_out_an_outside_name_fails_at_once() {
    with_namespace(async |namespace| {
        start(namespace, idle("asker", &json!({}))).await;
        let started = Instant::now();
        let found = look_up(namespace, "asker", "www.example.com").await;
        // The resolver would try for ten seconds; a name that does not exist ends that.
        assert_eq!(found, "error -2");
        assert!(started.elapsed().as_secs() < 4, "{:?}", started.elapsed());
    })
    .await;
}
