//! Fragments of pods: how they are merged, and how a pod takes them.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, PodSpec, PodTemplateSpec, Probe,
    ProjectedVolumeSource, ResourceRequirements, SecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::merge::merge;
use super::{CUSTOM_METADATA, POD_CONFIG, PodConfig, json as trees};
use crate::Path;
use crate::faults::Fault;
use crate::grammar::KubernetesType;
use crate::yaml::{self, Node};

/// A document of YAML.
fn tree(text: &str) -> Node {
    let mut faults = Vec::new();
    let documents = yaml::read(text, &mut faults).unwrap_or_default();
    assert!(faults.is_empty(), "{faults:?}");
    documents.into_iter().next().expect("a document")
}

fn merged(lower: &str, upper: &str) -> Json {
    trees::of(&merge(tree(lower), tree(upper)))
}

fn pod() -> Json {
    json!({
        "metadata": { "labels": { "skiff.dev/rank": "0" } },
        "spec": {
            "containers": [{
                "name": "task", "image": "debian", "command": ["/bin/sh"],
                "env": [{ "name": "A", "value": "1" }],
                "volumeMounts": [{ "name": "skiff", "mountPath": "/skiff" }],
            }],
            "initContainers": [{ "name": "docker", "image": "dind", "restartPolicy": "Always" }],
            "restartPolicy": "OnFailure",
            "tolerations": [{ "key": "a" }],
        },
    })
}

fn applied(fragment: &str) -> Json {
    PodConfig::new(tree(fragment)).apply(pod())
}

#[test]
fn mappings_are_merged_field_by_field_and_scalars_replaced() {
    let found = merged("{a: {x: 1, y: 2}, b: 1}", "{a: {y: 3, z: 4}, b: {c: 1}}");
    assert_eq!(
        found,
        json!({ "a": { "x": 1, "y": 3, "z": 4 }, "b": { "c": 1 } })
    );
}

#[test]
fn lists_are_merged_by_what_names_their_items() {
    for (list, key, one, two) in [
        ("initContainers", "name", "a", "b"),
        ("volumes", "name", "a", "b"),
        ("env", "name", "a", "b"),
        ("resourceClaims", "name", "a", "b"),
        ("claims", "name", "a", "b"),
        ("volumeMounts", "mountPath", "/a", "/b"),
        ("ports", "containerPort", "80", "81"),
        ("hostAliases", "ip", "10.0.0.1", "10.0.0.2"),
        ("topologySpreadConstraints", "topologyKey", "zone", "host"),
        ("volumeDevices", "devicePath", "/dev/a", "/dev/b"),
    ] {
        let lower = format!("{{{list}: [{{{key}: {one}, x: 1, y: 1}}]}}");
        let upper = format!("{{{list}: [{{{key}: {two}}}, {{{key}: {one}, y: 2}}]}}");
        let items = &merged(&lower, &upper)[list];
        assert_eq!(items.as_array().map(Vec::len), Some(2), "{list}");
        assert_eq!(
            (&items[0]["x"], &items[0]["y"]),
            (&json!(1), &json!(2)),
            "{list}"
        );
    }
}

#[test]
fn commands_and_pull_secrets_are_replaced_and_other_lists_appended() {
    for list in ["args", "command", "imagePullSecrets"] {
        let found = merged(&format!("{list}: [a, b]"), &format!("{list}: [c]"));
        assert_eq!(found[list], json!(["c"]));
    }
    let found = merged("tolerations: [{key: a}]", "tolerations: [{key: a}]");
    assert_eq!(
        found["tolerations"],
        json!([{ "key": "a" }, { "key": "a" }])
    );
}

#[test]
fn a_field_that_is_emptied_takes_away_what_a_lower_layer_says() {
    let found = merged(
        "spec: {nodeSelector: {a: b}, hostNetwork: true}",
        "spec: {nodeSelector: }",
    );
    assert_eq!(found, json!({ "spec": { "hostNetwork": true } }));
}

#[test]
fn every_name_of_the_task_container_means_the_same_one() {
    for name in ["", "name: ray-node, ", "name: task, ", "name: , "] {
        let found = applied(&format!("spec: {{containers: [{{{name}image: x}}]}}"));
        let containers = found["spec"]["containers"].as_array().expect("a list");
        assert_eq!(containers.len(), 1, "{name}");
        assert_eq!(
            (&containers[0]["name"], &containers[0]["image"]),
            (&json!("task"), &json!("x"))
        );
        assert_eq!(containers[0]["volumeMounts"][0]["name"], "skiff");
    }
    let layers = merged(
        "containers: [{name: logs}, {name: ray-node, image: a}]",
        "containers: [{workingDir: /x}]",
    );
    assert_eq!(layers["containers"][1]["workingDir"], "/x");
    assert!(layers["containers"][0].get("workingDir").is_none());
}

#[test]
fn the_docker_daemon_is_found_wherever_the_pod_has_it() {
    for (list, name) in [
        ("containers", "docker"),
        ("initContainers", "docker"),
        ("containers", "dind"),
    ] {
        let text =
            format!("spec: {{{list}: [{{name: {name}, imagePullPolicy: Never}}, {{name: logs}}]}}");
        let found = applied(&text);
        let daemon = &found["spec"]["initContainers"][0];
        assert_eq!(
            (&daemon["name"], &daemon["image"]),
            (&json!("docker"), &json!("dind"))
        );
        assert_eq!(daemon["imagePullPolicy"], "Never");
        assert_eq!(found["spec"][list][1]["name"], "logs", "{list}");
    }
}

#[test]
fn the_builder_is_found_wherever_the_pod_has_it() {
    let mut pod = pod();
    pod["spec"]["initContainers"][0]["name"] = json!("buildkit");
    let fragment = tree("spec: {containers: [{name: buildkit, imagePullPolicy: Never}]}");
    let found = PodConfig::new(fragment).apply(pod);
    let builder = &found["spec"]["initContainers"][0];
    assert_eq!(builder["imagePullPolicy"], "Never");
    assert_eq!(
        found["spec"]["containers"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn an_empty_runtime_class_is_none() {
    let mut with_class = pod();
    with_class["spec"]["runtimeClassName"] = json!("nvidia");
    let found = PodConfig::new(tree("spec: {runtimeClassName: ''}")).apply(with_class);
    assert!(found["spec"].get("runtimeClassName").is_none());
}

/// Messages and hints of what is wrong with a text.
fn faults(kind: &KubernetesType, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    (kind.check)(&tree(text), &Path::TOP.key("pod_config"), &mut faults);
    let told = |fault: &Fault| match fault.hint() {
        Some(hint) => format!("{} ({hint})", fault.message()),
        None => fault.message().to_owned(),
    };
    faults.iter().map(told).collect()
}

#[test]
fn every_fault_of_a_fragment_is_told_at_once() {
    let text = "
metadata: {labels: {a: 1, b: yes}}
spec:
  hostNetwork: 'yes'
  tolerations: {key: a}
  containers:
    - name: task
      resources: {limits: {cpu: lots, memory: 2Gi, gpu: 1.5}}
      ports: [{containerPort: 80, hostport: 8080}, {containerPort: 99999999999}]
      livenessProbe: {httpGet: {port: [80]}}
      securtyContext: {}
  xyzzy: 1
status: {}
";
    assert_eq!(
        faults(&POD_CONFIG, text),
        [
            "`pod_config.metadata.labels.a` must be a string, and this is a whole number (write it in quotes)",
            "`pod_config.metadata.labels.b` must be a string, and this is a boolean (write it in quotes)",
            "`pod_config.spec.hostNetwork` must be a boolean, and this is a string",
            "`pod_config.spec.tolerations` must be a list, and this is a mapping",
            "`pod_config.spec.containers[0].resources.limits.cpu`: `lots` is no amount (write a number with a unit of Kubernetes, as in `500m`, `2`, `512Mi` or `16G`)",
            "unknown field `pod_config.spec.containers[0].ports[0].hostport` (did you mean `hostPort`?)",
            "`pod_config.spec.containers[0].ports[1].containerPort` must be from -2147483648 to 2147483647, and this is 99999999999",
            "`pod_config.spec.containers[0].livenessProbe.httpGet.port` must be a string or a whole number, and this is a list",
            "unknown field `pod_config.spec.containers[0].securtyContext` (did you mean `securityContext`?)",
            "unknown field `pod_config.spec.xyzzy` (`kubectl explain pod.spec` lists what is known here)",
            "unknown field `pod_config.status` (known here: `metadata` and `spec`)",
        ]
    );
}

#[test]
fn items_that_kubernetes_tells_apart_have_what_tells_them_apart() {
    let text = "
spec:
  volumes: [{emptyDir: {}}]
  containers: [{env: [{value: a}], volumeMounts: [{name: a}, {name: b, mountPath: /b}]}]
";
    assert_eq!(
        faults(&POD_CONFIG, text),
        [
            "`pod_config.spec.volumes[0]` has no `name` (Kubernetes tells the items of `volumes` apart by it)",
            "`pod_config.spec.containers[0].env[0]` has no `name` (Kubernetes tells the items of `env` apart by it)",
            "`pod_config.spec.containers[0].volumeMounts[0]` has no `mountPath` (Kubernetes tells the items of `volumeMounts` apart by it)",
        ]
    );
}

#[test]
fn what_kubernetes_takes_is_no_fault() {
    for text in [
        "{}",
        "spec: ",
        "metadata: {annotations: {a: 'b'}, labels: }",
        "spec: {runtimeClassName: '', nodeSelector: {a: }, priority: 5}",
        "spec: {containers: [{resources: {limits: {cpu: 1, memory: 1e3, x: 0.5, y: -1.5Ki, z: 3n}}}]}",
        "spec: {containers: [{livenessProbe: {httpGet: {port: 80}}}, {livenessProbe: {tcpSocket: {port: http}}}]}",
        "spec: {volumes: [{name: a, emptyDir: {sizeLimit: 5Gi}}, {name: b, hostPath: {path: /x}}]}",
    ] {
        assert_eq!(faults(&POD_CONFIG, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_makes_the_pod_a_clusters_cannot_be_written() {
    let text = "
spec:
  restartPolicy: Always
  volumes: [{name: skiff}, {name: data}]
  containers:
    - command: [sleep]
      args: []
      volumeMounts: [{name: data, mountPath: /skiff/}, {name: data, mountPath: /skiffs}]
    - name: ray-node
      env: [{name: SKIFF_CPUS, value: '1'}, {name: A, value: '1'}]
    - {name: logs, image: a, command: [b], volumeMounts: [{name: data, mountPath: /skiff}]}
";
    let told = faults(&POD_CONFIG, text);
    let fields: Vec<&str> = told
        .iter()
        .filter_map(|told| told.split('`').nth(1))
        .collect();
    assert_eq!(
        fields,
        [
            "pod_config.spec.restartPolicy",
            "pod_config.spec.volumes[0].name",
            "pod_config.spec.containers[0].command",
            "pod_config.spec.containers[0].volumeMounts[0].mountPath",
            "pod_config.spec.containers[1].env[0].name",
        ]
    );
    assert!(
        told.iter()
            .all(|told| told.contains("is for Skiff to choose"))
    );
    assert!(faults(&POD_CONFIG, "spec: {restartPolicy: Never}").is_empty());
}

#[test]
fn what_skiff_decides_cannot_be_written() {
    let name = "`pod_config.metadata.name` is for Skiff to choose (write `labels` and `annotations` alone)";
    assert_eq!(faults(&POD_CONFIG, "metadata: {name: x}"), [name]);
    let namespace =
        "`pod_config.namespace` is for Skiff to choose (write `labels` and `annotations` alone)";
    assert_eq!(
        faults(&CUSTOM_METADATA, "{namespace: x, labels: {a: b}}"),
        [namespace]
    );
    let other = "unknown field `pod_config.finalizers` (known here: `labels` and `annotations`)";
    assert_eq!(faults(&CUSTOM_METADATA, "finalizers: []"), [other]);
    let own = "`pod_config.labels`: `skiff.dev/rank` is Skiff's own (Skiff finds its objects by the names under `skiff.dev/`: choose another)";
    assert_eq!(
        faults(&CUSTOM_METADATA, "labels: {skiff.dev/rank: '1'}"),
        [own]
    );
    let key = "a key of `pod_config.labels` must be a string, and this is a whole number (write it in quotes)";
    assert_eq!(faults(&CUSTOM_METADATA, "labels: {1: a}"), [key]);
}

/// Fragments as the merge may meet them, right and wrong.
fn fragment() -> impl Strategy<Value = Json> {
    let key = prop::sample::select(vec![
        "containers",
        "env",
        "name",
        "mountPath",
        "ports",
        "containerPort",
        "args",
        "spec",
        "tolerations",
        "volumes",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        prop::sample::select(vec!["", "task", "ray-node", "docker", "a"]).prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

/// The same without lists.
fn mappings() -> impl Strategy<Value = Json> {
    let leaf = any::<i64>().prop_map(Json::from);
    let key = "[a-e]";
    let mapping = move |inner| {
        prop::collection::btree_map(key, inner, 0..4)
            .prop_map(|fields| Json::Object(fields.into_iter().collect()))
    };
    mapping(leaf.prop_recursive(4, 30, 4, mapping).boxed())
}

prop_compose! {
    fn container()(
        name in "[a-z]{1,9}", port in any::<i32>(), named in "[a-z]{1,9}", cpu in 0..9999_u32,
        privileged in any::<bool>(), user in any::<i64>(), value in any::<String>(),
    ) -> Container {
        let probe = |port| Probe {
            http_get: Some(HTTPGetAction { port, ..HTTPGetAction::default() }),
            ..Probe::default()
        };
        let amount = |unit: &str| Quantity(format!("{cpu}{unit}"));
        Container {
            name,
            env: Some(vec![EnvVar { name: "A".to_owned(), value: Some(value), value_from: None }]),
            liveness_probe: Some(probe(IntOrString::Int(port))),
            readiness_probe: Some(probe(IntOrString::String(named))),
            ports: Some(vec![ContainerPort { container_port: port, ..ContainerPort::default() }]),
            resources: Some(ResourceRequirements {
                limits: Some([("cpu".to_owned(), amount("m")), ("memory".to_owned(), amount("Gi"))].into()),
                ..ResourceRequirements::default()
            }),
            security_context: Some(SecurityContext {
                privileged: Some(privileged), run_as_user: Some(user), ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }
}

prop_compose! {
    fn pod_template()(
        containers in prop::collection::vec(container(), 0..3),
        labels in prop::collection::btree_map("([a-z]{1,3}[.][a-z]{1,3}/)?[a-z]{1,4}", "[a-z]{0,9}", 0..3),
        seconds in any::<i64>(),
    ) -> PodTemplateSpec {
        PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
            spec: Some(PodSpec {
                containers,
                active_deadline_seconds: Some(seconds),
                volumes: Some(vec![Volume {
                    name: "a".to_owned(),
                    projected: Some(ProjectedVolumeSource {
                        default_mode: Some(0o444), ..ProjectedVolumeSource::default()
                    }),
                    ..Volume::default()
                }]),
                ..PodSpec::default()
            }),
        }
    }
}

proptest! {
    #[test]
    fn an_empty_fragment_changes_nothing(lower in fragment()) {
        let lower = json!({ "spec": lower });
        let found = trees::of(&merge(trees::node(lower.clone()), tree("{}")));
        prop_assert_eq!(found, trees::of(&trees::node(lower)));
    }

    #[test]
    fn a_fragment_of_mappings_laid_on_twice_is_laid_on_once(
        lower in mappings(), upper in mappings(),
    ) {
        let once = merge(trees::node(lower), trees::node(upper.clone()));
        let twice = merge(once.clone(), trees::node(upper));
        prop_assert_eq!(trees::of(&once), trees::of(&twice));
    }

    #[test]
    fn whatever_a_fragment_holds_a_pod_takes_it(one in fragment(), two in fragment()) {
        let layers = merge(trees::node(json!({ "spec": one })), trees::node(json!({ "spec": two })));
        let _ = PodConfig::new(layers).apply(pod());
    }

    #[test]
    fn no_fragment_stops_the_check(one in fragment()) {
        let mut faults = Vec::new();
        let tree = trees::node(json!({ "spec": one, "metadata": { "labels": one } }));
        (POD_CONFIG.check)(&tree, &Path::TOP, &mut faults);
    }

    #[test]
    fn what_kubernetes_types_write_is_no_fault(pod in pod_template()) {
        let json = serde_json::to_value(&pod).expect("an object of Kubernetes");
        let mut faults = Vec::new();
        (POD_CONFIG.check)(&trees::node(json), &Path::TOP, &mut faults);
        prop_assert!(faults.is_empty(), "{:?}", faults);
    }
}
