//! Configuration: layers and their precedence, the place of every value, and what is refused.

use std::time::Duration;

use skiff_schema::{
    Config, ConfigEntry, ConfigLayer, DockerMode, Faults, ImagePullPolicy, KubernetesConfig,
    Origin, ProvisionTimeout, TaskConfig, TaskFile, TaskOverrides,
};

fn layer(name: &str, text: &str) -> ConfigLayer {
    ConfigLayer::read(name, text).expect("a valid configuration")
}

fn flag(text: &str) -> ConfigLayer {
    ConfigLayer::from_flag(text).expect("a valid flag")
}

fn told(faults: &Faults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn refused(text: &str) -> Vec<String> {
    told(&ConfigLayer::read("c.yaml", text).expect_err("a wrong configuration"))
}

fn one(text: &str) -> KubernetesConfig {
    Config::merge([layer("c.yaml", text)]).for_context(None)
}

fn task_config(text: &str) -> TaskConfig {
    let file = TaskFile::read("task.yaml", text).expect("a valid task");
    let task = file.tasks()[0].resolve(&TaskOverrides::default());
    task.expect("a valid task").config
}

fn entry(config: &Config, context: Option<&str>, path: &str) -> ConfigEntry {
    let mut entries = config.entries(context).into_iter();
    let found = entries.find(|entry| entry.path == path);
    found.expect(path)
}

fn from(config: &Config, context: Option<&str>, path: &str) -> String {
    entry(config, context, path).origin.to_string()
}

#[test]
fn upper_layers_win_and_a_contexts_own_section_wins_over_all_files() {
    let config = Config::merge([
        layer(
            "low.yaml",
            "kubernetes: {namespace: low, images: {task: low/task, docker: low/docker}}",
        ),
        layer(
            "high.yaml",
            "kubernetes:
  namespace: high
  images: {docker: high/docker}
  context_configs:
    special: {namespace: own, provision_timeout: -1}
",
        ),
    ]);
    let plain = config.for_context(Some("other"));
    assert_eq!(plain.namespace.as_deref(), Some("high"));
    assert_eq!(plain.images.task, "low/task");
    assert_eq!(plain.images.docker, "high/docker");
    assert_eq!(plain.docker.mode, DockerMode::Off);
    let special = config.for_context(Some("special"));
    assert_eq!(special.namespace.as_deref(), Some("own"));
    assert_eq!(special.images.docker, "high/docker");
    assert_eq!(special.provision_timeout, Some(ProvisionTimeout::Forever));
}

#[test]
fn the_task_wins_over_files_and_flags_win_over_the_task() {
    let task =
        task_config("config: {kubernetes: {provision_timeout: 3, enable_docker: true}}\nrun: id");
    let files = || {
        layer(
            "c.yaml",
            "kubernetes: {provision_timeout: 1, context_configs: {here: {provision_timeout: 2}}}",
        )
    };
    let waited = |config: &Config, context: &str, task: &TaskConfig| {
        let timeout = config.for_task(Some(context), task).provision_timeout;
        match timeout.expect("it is written") {
            ProvisionTimeout::After(time) => time.as_secs(),
            ProvisionTimeout::Forever => u64::MAX,
        }
    };
    let none = TaskConfig::default();
    let config = Config::merge([files()]);
    assert_eq!(waited(&config, "there", &none), 1);
    assert_eq!(waited(&config, "here", &none), 2);
    assert_eq!(waited(&config, "here", &task), 3);
    let config = Config::merge([flag("kubernetes.provision_timeout=4"), files()]);
    assert_eq!(waited(&config, "here", &task), 4);
    let by_context = flag("kubernetes.context_configs.here.provision_timeout=5");
    let config = Config::merge([files(), flag("kubernetes.provision_timeout=4"), by_context]);
    assert_eq!(waited(&config, "here", &task), 5);
    assert_eq!(waited(&config, "there", &task), 4);
    let named = layer("f.yaml", "kubernetes: {provision_timeout: 6}").as_flag();
    let config = Config::merge([named, files()]);
    assert_eq!(waited(&config, "here", &task), 6);
    let config = config.for_task(Some("here"), &task);
    assert_eq!(config.docker.mode, DockerMode::All);
}

#[test]
fn every_value_keeps_its_file_and_line() {
    let config = Config::merge([
        layer(
            "/home/me/.sky/config.yaml",
            "# mine\nkubernetes:\n  namespace: low\n  images:\n    task: low/task\n  custom_metadata:\n    labels: {team: a}\n",
        ),
        layer(
            ".sky.yaml",
            "kubernetes:\n  images: {docker: high/docker}\n  custom_metadata:\n    labels:\n      unit: b\n  \
             context_configs:\n    here:\n      namespace: own\n",
        ),
        flag("kubernetes.provision_timeout=7"),
    ]);
    let here = Some("here");
    for (context, path, origin) in [
        (None, "kubernetes.namespace", "/home/me/.sky/config.yaml:3"),
        (here, "kubernetes.namespace", ".sky.yaml:8"),
        (
            here,
            "kubernetes.images.task",
            "/home/me/.sky/config.yaml:5",
        ),
        (here, "kubernetes.images.docker", ".sky.yaml:2"),
        (here, "kubernetes.images.pause", "default"),
        (
            here,
            "kubernetes.custom_metadata.labels.team",
            "/home/me/.sky/config.yaml:7",
        ),
        (
            here,
            "kubernetes.custom_metadata.labels.unit",
            ".sky.yaml:5",
        ),
        (here, "kubernetes.provision_timeout", "--config"),
        (
            None,
            "kubernetes.context_configs.here.namespace",
            ".sky.yaml:8",
        ),
    ] {
        assert_eq!(from(&config, context, path), origin, "{path}");
    }
    let pause = entry(&config, here, "kubernetes.images.pause");
    assert_eq!(pause.value, "registry.k8s.io/pause:3.10.1");
    let docker = entry(&config, here, "kubernetes.enable_docker");
    assert_eq!((docker.value, docker.default), (false.into(), None));
    let identity = entry(&config, here, "kubernetes.remote_identity");
    assert_eq!(identity.value, serde_json::Value::Null);
    assert_eq!(identity.default, Some("no token"));
}

#[test]
fn the_keys_that_act_are_listed_even_where_nobody_wrote_one() {
    let entries = Config::default().entries(None);
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "kubernetes.allowed_contexts",
            "kubernetes.namespace",
            "kubernetes.images.task",
            "kubernetes.images.task_gpu",
            "kubernetes.images.docker",
            "kubernetes.images.buildkit",
            "kubernetes.images.pause",
            "kubernetes.image_pull_policy",
            "kubernetes.enable_docker",
            "kubernetes.provision_timeout",
            "kubernetes.pod_config",
            "kubernetes.custom_metadata",
            "kubernetes.set_pod_resource_limits",
            "kubernetes.remote_identity",
            "kubernetes.allowed_nodes.label_selector",
            "kubernetes.allowed_nodes.names",
            "kubernetes.allowed_nodes.ips",
            "kubernetes.home_volume.size",
            "kubernetes.home_volume.storage_class",
            "kubernetes.home_volume.mount_path",
            "kubernetes.agent.image",
        ]
    );
    assert!(entries.iter().all(|entry| entry.origin == Origin::Default));
}

#[test]
fn lists_that_several_files_wrote_are_listed_by_item() {
    let toleration = |key: &str| {
        format!("kubernetes:\n  pod_config:\n    spec:\n      tolerations:\n      - key: {key}\n")
    };
    let config = Config::merge([
        layer("a.yaml", &toleration("a")),
        layer("b.yaml", &toleration("b")),
        layer("c.yaml", "kubernetes: {allowed_nodes: {names: [n1, n2]}}"),
    ]);
    let path = |index: u8| format!("kubernetes.pod_config.spec.tolerations[{index}].key");
    assert_eq!(from(&config, None, &path(0)), "a.yaml:5");
    assert_eq!(from(&config, None, &path(1)), "b.yaml:5");
    let names = entry(&config, None, "kubernetes.allowed_nodes.names");
    assert_eq!(names.value, serde_json::json!(["n1", "n2"]));
}

#[test]
fn secrets_are_never_listed() {
    let config = layer(
        "c.yaml",
        "db: postgresql://me:geheim@db/sky
api_server: {endpoint: https://sky, service_account_token: sky_geheim}
jobs: {controller: {resources: {_docker_login_config: {username: me, password: geheim}}}}
",
    );
    let pod = "kubernetes: {pod_config: {spec: {containers: [{env: [
        {name: AWS_SECRET_ACCESS_KEY, value: geheim}, {name: PLAIN, value: shown}]}]}}}";
    let config = Config::merge([config, layer("d.yaml", pod)]);
    let entries = config.entries(None);
    assert!(!format!("{entries:?}").contains("geheim"), "{entries:?}");
    let plain = "kubernetes.pod_config.spec.containers[0].env[1].value";
    assert_eq!(entry(&config, None, plain).value, "shown");
    let token = entry(&config, None, "api_server.service_account_token");
    assert_eq!(token.value, "<hidden>");
    assert_eq!(token.origin.to_string(), "c.yaml:2");
    assert_eq!(
        entry(&config, None, "api_server.endpoint").value,
        "https://sky"
    );
}

#[test]
fn keys_without_effect_are_warned_about_with_their_place_and_reason() {
    let text = "
jobs: {bucket: 's3://mine'}
kubernetes:
  ports: ingress
  context_configs: {special: {kueue: {local_queue_name: q}, apt_mirrors: []}}
allowed_clouds:
";
    let layer = layer("config.yaml", text);
    let messages: Vec<&str> = layer.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "config.yaml:2: `jobs` is ignored: Skiff has no controller of that kind yet",
            "config.yaml:4: `kubernetes.ports` is ignored: this version of Skiff does not act on it",
            "config.yaml:5: `kubernetes.context_configs.special.kueue` is ignored: this version of Skiff does not act on it",
            "config.yaml:5: `kubernetes.context_configs.special.apt_mirrors` is ignored: Skiff installs no packages in pods",
        ]
    );
    let config = Config::merge([layer]);
    let jobs = entry(&config, None, "jobs.bucket");
    assert_eq!(
        jobs.ignored,
        Some("Skiff has no controller of that kind yet")
    );
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let text = "kubernets: {}
kubernetes:
  namespace: No Good
  namespase: x
  image_pull_policy: Sometimes
  enable_docker: {mode: MAYBE}
  provision_timeout: soon
  set_pod_resource_limits: 0.5
  remote_identity: 'Not A Name'
  allowed_nodes: {ips: [nowhere]}
  custom_metadata: {name: mine}
  context_configs: {a: {allowed_contexts: all}, b: []}
  auto_mounts: [{volume_name: v}]
aws: 3
";
    let faults = refused(text);
    let told = faults.join("\n");
    for (line, part) in [
        (1, "unknown field `kubernets`"),
        (3, "`No Good` is not the name of a namespace"),
        (4, "unknown field `kubernetes.namespase`"),
        (5, "`Sometimes` is not known here"),
        (6, "`MAYBE` is no Docker mode"),
        (7, "`kubernetes.provision_timeout` must be a whole number"),
        (8, "`0.5` must be from 1 to 1000"),
        (9, "`Not A Name` is not the name of a service account"),
        (10, "`nowhere` is not an IP address"),
        (11, "`kubernetes.custom_metadata.name`"),
        (
            12,
            "unknown field `kubernetes.context_configs.a.allowed_contexts`",
        ),
        (12, "`kubernetes.context_configs.b` must be a mapping"),
        (13, "`kubernetes.auto_mounts[0]` has no `mount_paths`"),
        (14, "`aws` must be a mapping"),
    ] {
        let is_it =
            |fault: &String| fault.starts_with(&format!("c.yaml:{line}:")) && fault.contains(part);
        assert!(faults.iter().any(is_it), "{line}: {part}\n{told}");
    }
    assert_eq!(faults.len(), 14, "{told}");
}

#[test]
fn the_word_that_was_meant_is_told() {
    let faults = ConfigLayer::read("c.yaml", "kubernetes: {namespase: x}").expect_err("wrong");
    let hint = faults.iter().next().and_then(skiff_schema::Fault::hint);
    assert_eq!(hint, Some("did you mean `namespace`?"));
}

#[test]
fn flags_have_a_key_and_a_value_in_yaml() {
    let config = Config::merge([
        flag("kubernetes.namespace=a"),
        flag(
            "kubernetes.custom_metadata={labels: {a: b=c, d: \"\"}}"
                .replace("b=c", "bc")
                .as_str(),
        ),
        flag("kubernetes.allowed_nodes.names=[n1, n2]"),
        flag("kubernetes.enable_docker=build"),
        flag("kubernetes.namespace=b"),
    ]);
    let config = config.for_context(None);
    assert_eq!(config.namespace.as_deref(), Some("b"));
    assert_eq!(config.custom_metadata.labels["a"], "bc");
    assert_eq!(config.allowed_nodes.expect("named").names, ["n1", "n2"]);
    assert_eq!(config.docker.mode, DockerMode::Build);
}

#[test]
fn a_wrong_flag_is_told_with_flag_and_key() {
    let wrong = |text: &str| told(&ConfigLayer::from_flag(text).expect_err(text)).join("\n");
    for (text, message) in [
        (
            "kubernetes.namespase=x",
            "--config:1:12: unknown field `kubernetes.namespase`",
        ),
        (
            "kubernetes.namespace=N-",
            "--config:1:22: `kubernetes.namespace`: `N-`",
        ),
        ("kubernetes.namespace=[a", "--config:1:"),
        (
            "kubernetes=3",
            "--config:1:12: `kubernetes` must be a mapping",
        ),
        ("nothing", "`--config nothing` is no key with a value"),
        ("kubernetes.namespace=", "is no key with a value"),
        ("=x", "is no key with a value"),
        ("kubernetes..namespace=x", "is no key with a value"),
        ("", "is no key with a value"),
        ("kubernetes.namespace=a\n---\nb", "must be one document"),
    ] {
        let told = wrong(text);
        assert!(told.contains(message), "{text}: {told}");
    }
}

#[test]
fn limits_are_exact_multiples_of_the_requests() {
    let limits =
        |text: &str| one(&format!("kubernetes: {{set_pod_resource_limits: {text}}}")).limits_milli;
    assert_eq!(limits("false"), None);
    assert_eq!(limits("true"), Some(1000));
    assert_eq!(limits("1"), Some(1000));
    assert_eq!(limits("1.5"), Some(1500));
    assert_eq!(limits("1.0001"), Some(1001));
    assert_eq!(limits("1000"), Some(1_000_000));
    for wrong in ["0", "0.999", "-1", ".inf", ".nan", "1001", "'2'", "1e300"] {
        refused(&format!("kubernetes: {{set_pod_resource_limits: {wrong}}}"));
    }
}

#[test]
fn a_service_account_is_given_by_name_or_by_the_first_pattern_of_contexts() {
    let account = |identity: &str, context: Option<&str>| {
        let text = format!("kubernetes: {{remote_identity: {identity}}}");
        Config::merge([layer("c.yaml", &text)])
            .for_context(context)
            .service_account
    };
    for word in ["SERVICE_ACCOUNT", "LOCAL_CREDENTIALS", "NO_UPLOAD", "~"] {
        assert_eq!(account(word, None), None);
    }
    assert_eq!(account("trainer", None).as_deref(), Some("trainer"));
    let patterns = "{'prod-*': prod, 'prod-eu': eu, '*': NO_UPLOAD}";
    assert_eq!(account(patterns, Some("prod-eu")).as_deref(), Some("prod"));
    assert_eq!(account(patterns, Some("dev")), None);
    assert_eq!(account("{'?ev': dev}", Some("dev")).as_deref(), Some("dev"));
    assert_eq!(account("{'?ev': dev}", Some("prod")), None);
}

#[test]
fn the_rest_of_the_section_is_read() {
    let config = one("
kubernetes:
  image_pull_policy: always
  provision_timeout: 60
  agent: {image: 'docker:busybox:1'}
  images: {task_gpu: gpu:1}
  custom_metadata: {labels: {team: a}, annotations: {note: 'b c'}}
  allowed_nodes: {label_selector: {pool: x}, ips: [10.0.0.7]}
");
    assert_eq!(config.image_pull_policy, Some(ImagePullPolicy::Always));
    let minute = ProvisionTimeout::After(Duration::from_mins(1));
    assert_eq!(config.provision_timeout, Some(minute));
    assert_eq!(config.agent_image.as_deref(), Some("busybox:1"));
    assert_eq!(config.images.task_gpu, "gpu:1");
    assert_eq!(config.custom_metadata.annotations["note"], "b c");
    let nodes = config.allowed_nodes.expect("they are named");
    assert_eq!(nodes.label_selector["pool"], "x");
    assert_eq!(nodes.ips, ["10.0.0.7"]);
    assert!(
        one("kubernetes: {allowed_nodes: {names: []}}")
            .allowed_nodes
            .is_none()
    );
}

#[test]
fn contexts_may_be_limited() {
    let allowed = |text: &str| Config::merge([layer("c.yaml", text)]).allowed_contexts();
    assert_eq!(allowed("kubernetes: {}"), None);
    assert_eq!(allowed("kubernetes: {allowed_contexts: all}"), None);
    let some = allowed("kubernetes:\n  allowed_contexts: [a, b]").expect("limited");
    assert_eq!(some.names, ["a", "b"]);
    assert_eq!(some.origin.to_string(), "c.yaml:2");
}

#[test]
fn a_contexts_mappings_are_merged_as_skypilot_merges_them() {
    let config = Config::merge([layer(
        "c.yaml",
        "kubernetes:
  images: {task: a, docker: b}
  allowed_nodes: {names: [n1]}
  remote_identity: one
  context_configs:
    here:
      images: {docker: c}
      allowed_nodes: {names: [n2]}
      remote_identity: {here: two}
",
    )]);
    let config = config.for_context(Some("here"));
    assert_eq!(
        (config.images.task.as_str(), config.images.docker.as_str()),
        ("a", "c")
    );
    assert_eq!(config.allowed_nodes.expect("named").names, ["n1", "n2"]);
    assert_eq!(config.service_account.as_deref(), Some("two"));
}

#[test]
fn what_holds_nothing_takes_nothing_away() {
    let config = Config::merge([
        layer("a.yaml", "kubernetes: {namespace: a, images: {task: b}}"),
        layer("b.yaml", "kubernetes: {namespace: ~, images: }"),
        layer("c.yaml", "kubernetes:"),
        layer("d.yaml", ""),
        layer("e.yaml", "# nothing\n---\n"),
    ]);
    let config = config.for_context(None);
    assert_eq!(config.namespace.as_deref(), Some("a"));
    assert_eq!(config.images.task, "b");
}

#[test]
fn a_tasks_own_changes_are_shown_as_written() {
    let task = task_config(
        "config: {kubernetes: {enable_docker: {mode: ALL}, provision_timeout: 3}}\nrun: id",
    );
    assert_eq!(
        task.to_json(),
        serde_json::json!({"kubernetes": {"enable_docker": {"mode": "ALL"}, "provision_timeout": 3}})
    );
    assert_eq!(TaskConfig::default().to_json(), serde_json::Value::Null);
}

#[test]
fn a_task_may_not_change_what_is_the_users_alone() {
    for (text, message) in [
        (
            "kubernetes: {namespace: x}",
            "unknown field `config.kubernetes.namespace`",
        ),
        (
            "kubernetes: {images: {task: x}}",
            "unknown field `config.kubernetes.images`",
        ),
        ("jobs: {}", "unknown field `config.jobs`"),
        (
            "hooks: [{events: [down]}]",
            "`config.hooks[0]` has no `run`",
        ),
        ("hooks: [{run: ''}]", "the script is empty"),
        ("hooks: [{run: a, events: [up]}]", "`up` is not known here"),
        ("hooks: [{run: a, timeout: 0}]", "must be at least 1"),
    ] {
        let text = format!("config: {{{text}}}\nrun: id\n");
        let faults = TaskFile::read("task.yaml", &text).expect_err("refused");
        assert!(
            told(&faults).join("\n").contains(message),
            "{text}\n{:?}",
            told(&faults)
        );
    }
    let hooks = |count: usize, script: &str| {
        let hooks = vec![format!("{{run: {script}}}"); count].join(", ");
        TaskFile::read(
            "task.yaml",
            &format!("config: {{hooks: [{hooks}]}}\nrun: id\n"),
        )
        .is_ok()
    };
    assert!(hooks(32, "a") && !hooks(33, "a"));
    assert!(hooks(1, &"a".repeat(16384)) && !hooks(1, &"a".repeat(16385)));
}
