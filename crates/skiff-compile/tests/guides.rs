//! The guides: the tasks and configurations that they show are read and become pods.

#![allow(
    clippy::disallowed_methods,
    reason = "the guides lie in files; the crate itself is pure"
)]

use std::fs;
use std::path::Path;

use skiff_compile::{AgentBuild, ClusterFacts, Ids, Input, Plan, Version, compile};
use skiff_proto::ClusterKey;
use skiff_schema::{Config, ConfigLayer, TaskFile, TaskOverrides};

/// The blocks of YAML of a guide that begin with this comment.
fn blocks(guide: &str, comment: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(guide);
    let text = fs::read_to_string(path).expect("the guide");
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let wanted = blocks.filter(|block| block.starts_with(comment));
    wanted.map(str::to_owned).collect()
}

fn plan(config: &str, task: &str) -> Plan {
    let config = ConfigLayer::read("config.yaml", config).expect("a configuration");
    let config = Config::merge([config]);
    let overrides = TaskOverrides {
        secrets: vec![(
            "SKYPILOT_DOCKER_PASSWORD".to_owned(),
            "open-sesame".to_owned(),
        )],
        ..TaskOverrides::default()
    };
    let file = TaskFile::read("task.yaml", task).expect("a task");
    let task = file.tasks()[0].resolve(&overrides).expect("a task");
    compile(&Input {
        task: &task,
        resources: task.first(),
        config: &config.for_task(None, &task.config),
        facts: &ClusterFacts::new(Version::v1(34), None),
        ids: &Ids {
            cluster: "dev".to_owned(),
            user: "ada".to_owned(),
            user_hash: "0123abcd".to_owned(),
            namespace: "default".to_owned(),
            context: "kind-dev".to_owned(),
            launching: None,
            command: String::new(),
            key: ClusterKey::new([0; 32]),
        },
        agent: &AgentBuild::of(b"agent", &["amd64"]),
    })
    .expect("a plan")
}

#[test]
fn the_logins_of_the_guide_to_registries_become_pull_secrets() {
    let config = blocks("registries.md", "# ~/.skiff/config.yaml");
    let tasks = blocks("registries.md", "# task.yaml");
    assert_eq!((config.len(), tasks.len()), (1, 2));
    for (task, server) in tasks
        .iter()
        .zip(["registry.example.com", "123456789012.dkr.ecr"])
    {
        let plan = plan(&config[0], task);
        let pod = plan.nodes.pods("uid").next().expect("a head");
        let spec = pod.spec.expect("a pod");
        let image = spec.containers[0].image.as_deref().expect("an image");
        assert!(image.starts_with(server), "{image}");
        let pull = spec.image_pull_secrets.expect("logins");
        let pull: Vec<&str> = pull.iter().map(|secret| secret.name.as_str()).collect();
        assert_eq!(pull, ["our-registry", "dev-0123abcd-registry"]);
        let secret = &plan.secrets("uid")[0];
        assert_eq!(
            secret.metadata.name.as_deref(),
            Some("dev-0123abcd-registry")
        );
        let login = &secret.string_data.as_ref().expect("a login")[".dockerconfigjson"];
        assert!(login.contains("open-sesame") && login.contains(server));
    }
}
