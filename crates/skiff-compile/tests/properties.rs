//! What holds for every plan, whatever the task and the nodes.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use proptest::prelude::*;
use skiff_compile::{
    AgentBuild, Amounts, ClusterFacts, CompileError, Ids, Input, NodeFacts, Plan, Version, compile,
};
use skiff_proto::ClusterKey;
use skiff_schema::{
    KubernetesConfig, ResolvedResources, ResolvedTask, Secrets, TaskFile, TaskOverrides,
};

fn task(asked: Amounts) -> ResolvedTask {
    let task = TaskFile::from_command("id").tasks()[0]
        .resolve(&TaskOverrides::default())
        .expect("valid");
    ResolvedTask {
        resources: vec![ResolvedResources {
            milli_cpu: asked.milli_cpu,
            memory_bytes: asked.bytes,
            ..ResolvedResources::default()
        }],
        ..task
    }
}

fn plan(
    cluster: &str,
    user: &str,
    asked: Amounts,
    facts: &ClusterFacts,
) -> Result<Plan, CompileError> {
    compile_task(cluster, user, &task(asked), facts)
}

fn compile_task(
    cluster: &str,
    user: &str,
    task: &ResolvedTask,
    facts: &ClusterFacts,
) -> Result<Plan, CompileError> {
    compile(&Input {
        task,
        resources: task.first(),
        config: &KubernetesConfig::default(),
        facts,
        ids: &Ids {
            cluster: cluster.to_owned(),
            user: user.to_owned(),
            user_hash: "0123abcd".to_owned(),
            namespace: "default".to_owned(),
            context: "test".to_owned(),
            launching: None,
            command: String::new(),
            key: ClusterKey::new([0; 32]),
        },
        agent: &AgentBuild::of(b"agent", &["amd64"]),
    })
}

prop_compose! {
    fn amounts()(milli_cpu in 100..200_000_u64, bytes in 10_000_000..1_000_000_000_000_u64) -> Amounts {
        Amounts { milli_cpu, bytes }
    }
}

prop_compose! {
    fn node()(capacity in amounts(), cpu in 30..=100_u64, memory in 30..=100_u64) -> NodeFacts {
        let allocatable = Amounts {
            milli_cpu: capacity.milli_cpu * cpu / 100,
            bytes: capacity.bytes / 100 * memory,
        };
        NodeFacts {
            name: "node".to_owned(),
            ready: true,
            schedulable: true,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            kubelet: Version { major: 1, minor: 30 },
            user_namespaces: false,
            capacity,
            allocatable,
            labels: BTreeMap::new(),
            addresses: Vec::new(),
        }
    }
}

/// A request as the scheduler reads it.
fn requested(plan: &Plan) -> Amounts {
    let pod = plan.nodes.pods("uid").next().expect("a head");
    let container = &pod.spec.as_ref().expect("a spec").containers[0];
    let requests = container
        .resources
        .as_ref()
        .and_then(|r| r.requests.as_ref())
        .expect("requests");
    let number = |name: &str, units: &[(&str, u64)]| {
        let text = &requests[name].0;
        let (digits, unit) = units
            .iter()
            .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
            .unwrap_or((text, units[0].1));
        digits.parse::<u64>().expect("a number") * unit
    };
    Amounts {
        milli_cpu: requests["cpu"].0.strip_suffix('m').map_or_else(
            || number("cpu", &[("", 1000)]),
            |milli| milli.parse().expect("a number"),
        ),
        bytes: number(
            "memory",
            &[
                ("G", 1_000_000_000),
                ("M", 1_000_000),
                ("k", 1_000),
                ("", 1),
            ],
        ),
    }
}

proptest! {
    #[test]
    fn a_request_never_exceeds_what_was_asked_and_fits_some_node(
        asked in amounts(),
        nodes in prop::collection::vec(node(), 1..5),
    ) {
        let facts =
            ClusterFacts::new(Version::v1(30), Some(nodes.clone()));
        let fits = |amounts: Amounts, of: fn(&NodeFacts) -> Amounts| nodes.iter().any(|node| {
            amounts.milli_cpu <= of(node).milli_cpu && amounts.bytes <= of(node).bytes
        });
        match plan("dev", "me", asked, &facts) {
            Ok(plan) => {
                let requested = requested(&plan);
                prop_assert!(requested.milli_cpu <= asked.milli_cpu);
                prop_assert!(requested.bytes <= asked.bytes);
                prop_assert!(fits(requested, |node| node.allocatable));
                prop_assert_eq!(plan.notes.is_empty(), requested == asked);
            }
            Err(error) => {
                let is_too_large = matches!(error, CompileError::TooLarge { .. });
                prop_assert!(is_too_large, "{}", error);
                prop_assert!(!fits(asked, |node| node.capacity));
            }
        }
    }

    #[test]
    fn names_and_labels_are_what_kubernetes_accepts(
        cluster in "[a-zA-Z]([-_.a-zA-Z0-9]{0,80}[a-zA-Z0-9])?",
        user in any::<String>(),
    ) {
        let facts = ClusterFacts::new(Version::v1(30), None);
        let asked = Amounts { milli_cpu: 100, bytes: 1_000_000 };
        let plan = plan(&cluster, &user, asked, &facts).expect("a valid name");
        let metadata = plan.nodes.pods("uid").next().expect("a head").metadata;
        let name = metadata.name.as_deref().expect("a name");
        prop_assert!(name.len() <= 63 && plan.cluster.as_str().len() <= 42);
        prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
        for value in metadata.labels.as_ref().expect("labels").values() {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
            let bytes = value.as_bytes();
            prop_assert!(bytes.len() <= 63 && bytes.iter().copied().all(inner), "{}", value);
            prop_assert!(ends(bytes.first()) && ends(bytes.last()), "{}", value);
        }
    }

    #[test]
    fn no_secret_is_shown_by_what_is_rendered_or_debugged(
        values in prop::collection::vec("[!-~]{8,40}", 1..4), login in any::<bool>(),
        by_envs in any::<bool>(),
    ) {
        // Told apart from whatever else a plan says.
        let hidden = |value: &String| format!("{value}~{value}");
        let mut secrets: IndexMap<String, String> = values
            .iter()
            .enumerate()
            .map(|(number, value)| (format!("SECRET_{number}"), hidden(value)))
            .collect();
        let mut task = task(Amounts { milli_cpu: 100, bytes: 1_000_000 });
        if login {
            let place = if by_envs { &mut task.envs } else { &mut secrets };
            place.insert("SKYPILOT_DOCKER_USERNAME".to_owned(), "ada".to_owned());
            place.insert("SKYPILOT_DOCKER_PASSWORD".to_owned(), hidden(&values[0]));
            place.insert("SKYPILOT_DOCKER_SERVER".to_owned(), "ghcr.io".to_owned());
        }
        task.secrets = Secrets::new(secrets);
        let facts = ClusterFacts::new(Version::v1(30), None);
        let plan = compile_task("dev", "me", &task, &facts).expect("a valid task");
        let delivered = plan.secrets("uid").len();
        prop_assert_eq!(delivered, usize::from(login));
        let shown = format!("{}{plan:?}{plan:#?}", plan.to_yaml());
        for value in &values {
            let value = hidden(value);
            let quoted = format!("{value:?}");
            prop_assert!(!shown.contains(&value), "{}", value);
            prop_assert!(!shown.contains(quoted.trim_matches('"')), "{}", value);
        }
    }

    #[test]
    fn whatever_users_write_skiff_finds_its_pods(
        labels in prop::collection::btree_map("[a-z]{1,3}|parent|ray-node-type", "[a-z]{1,5}", 0..5),
        nodes in 1..5_u32,
    ) {
        let mut task = task(Amounts { milli_cpu: 100, bytes: 1_000_000 });
        task.num_nodes = nodes;
        task.resources[0].labels = labels.clone().into_iter().collect();
        let facts = ClusterFacts::new(Version::v1(30), None);
        let plan = compile_task("dev", "me", &task, &facts).expect("a valid task");
        let pods: Vec<_> = plan.nodes.pods("uid").collect();
        prop_assert_eq!(pods.len(), nodes as usize);
        for (rank, (pod, name)) in pods.iter().zip(plan.nodes.pod_names()).enumerate() {
            let found = pod.metadata.labels.as_ref().expect("labels");
            prop_assert_eq!(pod.metadata.name.as_deref(), Some(name.as_str()));
            prop_assert_eq!(&found["skiff.dev/rank"], &rank.to_string());
            prop_assert_eq!(&found["skiff.dev/cluster"], plan.cluster.as_str());
            let own = |key: &str| matches!(key, "parent" | "ray-node-type");
            prop_assert!(labels.iter().all(|(key, value)| own(key) || found[key] == *value));
        }
    }
}
