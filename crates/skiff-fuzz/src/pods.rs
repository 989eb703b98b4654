//! Fragments of pods: mostly right, so that they are merged.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;

const METADATA: [&str; 6] = [
    "labels: {a: b, parent: other}",
    "annotations: {c: d}",
    "labels: ~",
    "name: other",
    "labels: {a: 1}",
    "label: {a: b}",
];
const SPEC: [&str; 24] = [
    "nodeSelector: {a: b}",
    "tolerations: [{key: a, operator: Exists}]",
    "tolerations: [{operator: Exists}, {key: b, tolerationSeconds: 10}]",
    "hostNetwork: true",
    "hostNetwork: 'yes'",
    "runtimeClassName: ''",
    "runtimeClassName: nvidia",
    "imagePullSecrets: [{name: a}]",
    "securityContext: {runAsUser: 1000, fsGroup: 2000, sysctls: [{name: a, value: '1'}]}",
    "volumes: [{name: skiff, hostPath: {path: /a}}]",
    "volumes: [{name: b, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]",
    "volumes: [{name: c, persistentVolumeClaim: {claimName: c}}, ~]",
    "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}}}",
    "topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]",
    "hostAliases: [{ip: 1.2.3.4, hostnames: [a]}]",
    "terminationGracePeriodSeconds: 30",
    "terminationGracePeriodSeconds: 1.5",
    "priority: 99999999999",
    "containers: []",
    "containers: ~",
    "restartPolicy: Never",
    "serviceAccountName: a",
    "overhead: {cpu: 1, memory: 1Gi}",
    "nodeSelectors: {}",
];
const CONTAINER: [&str; 22] = [
    "image: b",
    "env: [{name: A, value: '2'}, {name: B, value: x}]",
    "env: [{name: C, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
    "env: [{name: D, value: 4}]",
    "env: ~",
    "command: [a]",
    "args: [b, c]",
    "ports: [{containerPort: 8080, name: http}, {containerPort: 90}]",
    "ports: [{containerPort: '80'}]",
    "resources: {limits: {cpu: 500m, nvidia.com/gpu: 1}}",
    "resources: {requests: {memory: 1.5Gi}}",
    "resources: {requests: {memory: lots}}",
    "resources: {claims: [{name: a}]}",
    "volumeMounts: [{name: b, mountPath: /b}, {name: c, mountPath: /skiff}]",
    "volumeDevices: [{name: d, devicePath: /dev/x}]",
    "securityContext: {privileged: true, capabilities: {add: [IPC_LOCK]}}",
    "lifecycle: {preStop: {exec: {command: [a]}}}",
    "readinessProbe: {httpGet: {path: /, port: http}}",
    "readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 5}",
    "imagePullPolicy: Always",
    "imagePullPolicys: Always",
    "workingDir: ~",
];
const NAMES: [&str; 8] = [
    "name: ray-node, ",
    "name: task, ",
    "name: docker, ",
    "name: dind, ",
    "name: mine, ",
    "name: ~, ",
    "name: 1, ",
    "",
];

/// A fragment as YAML, in the flow style.
pub(crate) fn fragment() -> BoxedStrategy<String> {
    let metadata = some_of(&METADATA, 2).prop_map(|fields| format!("metadata: {{{fields}}}"));
    let lists = prop_oneof![3 => Just("containers"), 1 => Just("initContainers")];
    let containers = (lists, prop::collection::vec(container(), 0..3))
        .prop_map(|(list, items)| format!("{list}: [{}]", items.join(", ")));
    let fields = (some_of(&SPEC, 4), prop::option::of(containers)).prop_map(joined);
    let spec = fields.prop_map(|fields| format!("spec: {{{fields}}}"));
    let whole = (spec, prop::option::of(metadata)).prop_map(joined);
    let whole = whole.prop_map(|fields| format!("{{{fields}}}\n"));
    let odd = select(vec![
        "\n",
        "~\n",
        "[]\n",
        "{spec: ~}\n",
        "{spec: []}\n",
        "a\n",
    ]);
    Union::new_weighted(vec![
        (20, whole.boxed()),
        (1, odd.prop_map(str::to_owned).boxed()),
    ])
    .boxed()
}

fn container() -> impl Strategy<Value = String> {
    (select(&NAMES[..]), some_of(&CONTAINER, 4))
        .prop_map(|(name, fields)| format!("{{{name}{fields}}}"))
}

fn some_of(fields: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    subsequence(fields, 0..=most).prop_map(|fields| {
        // A key that is there twice is refused before anything else is looked at.
        let key = |field: &str| field.split(':').next().map(str::to_owned);
        let mut chosen: Vec<&str> = Vec::new();
        for field in fields {
            if chosen.iter().all(|other| key(other) != key(field)) {
                chosen.push(field);
            }
        }
        chosen.join(", ")
    })
}

fn joined((first, second): (String, Option<String>)) -> String {
    match second {
        Some(second) if first.is_empty() => second,
        Some(second) => format!("{first}, {second}"),
        None => first,
    }
}
