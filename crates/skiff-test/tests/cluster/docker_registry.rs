//! Docker in a pod and a real registry, with a password and without: Debian's, in a pod of the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::archive::Image;
use skiff_test::bare::start;
use skiff_test::namespace::with_namespace;

use crate::docker_network::BOX;

const IMAGE: &str = "docker.io/skiff-test/registry:1";
const PROGRAM: &str = "/usr/bin/docker-registry";
const USER: &str = "ann";
const PASSWORD: &str = "se:cret pass";
/// The user with the password, as `htpasswd -B` writes it.
const HTPASSWD: &str = "ann:$2b$05$abcdefghijklmnopqrstuubtCMTRMdGrgrfETHnYIiMxLA0/VPkOy\n";
/// Where the registry with the password listens, and where the one for all.
const PORTS: [u16; 2] = [5000, 5001];

/// An image of the registry with the libraries that it needs, as this machine has them.
fn image() -> Result<Image> {
    let listed = Command::new("ldd")
        .arg(PROGRAM)
        .output()
        .context("ldd is part of libc")?;
    let listed = String::from_utf8(listed.stdout)?;
    let words = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let mut files: BTreeSet<PathBuf> = words.map(PathBuf::from).collect();
    files.insert(PROGRAM.into());
    let mut image = Image::new(IMAGE)
        .folder("var/lib/registry", 0o700, 0)?
        .file("etc/htpasswd", 0o644, HTPASSWD.as_bytes())?;
    for file in files {
        let bytes = fs::read(&file).with_context(|| {
            format!(
                "cannot read {}: `cargo xtask setup` installs docker-registry",
                file.display()
            )
        })?;
        let path = file.strip_prefix("/")?.to_string_lossy().into_owned();
        image = image.file(&path, 0o755, &bytes)?;
    }
    for port in PORTS {
        let mut config = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": format!("/var/lib/registry/{port}")}},
            "http": {"addr": format!(":{port}")},
        });
        if port == PORTS[0] {
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": "/etc/htpasswd"}});
        }
        image = image.file(
            &format!("etc/{port}.yml"),
            0o644,
            config.to_string().as_bytes(),
        )?;
    }
    Ok(image)
}

/// Starts both registries in one pod; gives its address.
async fn serve(namespace: &Namespace) -> String {
    let file = image().and_then(|image| image.save(namespace.home()));
    let file = file.unwrap_or_else(|error| panic!("{error:#}"));
    let loaded = namespace.kubernetes.load(&file).await;
    loaded.expect("a local cluster");
    let containers = PORTS.map(|port| {
        json!({
            "name": format!("at-{port}"), "image": IMAGE, "imagePullPolicy": "Never",
            "command": [PROGRAM, "serve", format!("/etc/{port}.yml")],
            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        })
    });
    let pod = json!({
        "metadata": {"name": "registry"},
        "spec": {
            "containers": containers, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
        },
    });
    Box::pin(start(namespace, pod)).await;
    let is_ready = |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let pod = namespace
        .wait_for_pod("registry", "registry", is_ready)
        .await;
    let status = pod.and_then(|pod| pod.status);
    status
        .and_then(|status| status.pod_ip)
        .expect("a ready pod has an address")
}

/// A task with a login in its secrets, and Docker that knows both registries as they are.
fn task(address: &str) -> Value {
    let [locked, open] = PORTS.map(|port| format!("{address}:{port}"));
    json!({
        "resources": {"cpus": 0.1, "memory": 0.5},
        "secrets": {
            "SKYPILOT_DOCKER_USERNAME": USER, "SKYPILOT_DOCKER_PASSWORD": PASSWORD,
            "SKYPILOT_DOCKER_SERVER": locked,
        },
        "envs": {"LOCKED": locked, "OPEN": open},
        "config": {"kubernetes": {"enable_docker": {
            "mode": "ALL", "insecure_registries": [locked, open], "registry_mirrors": [format!("http://{open}")],
        }}},
        "setup": format!("{BOX}; docker tag box $LOCKED/box:1 && docker push -q $LOCKED/box:1"),
        "run": "docker rmi $LOCKED/box:1 && docker pull -q $LOCKED/box:1 && echo pulled back",
    })
}

/// Pushes to the registry that mirrors Docker Hub, and gets it by its short name.
const MIRROR: &str = "docker tag box $OPEN/library/mirrored:1 && docker push -q $OPEN/library/mirrored:1 || exit 1
    docker rmi $OPEN/library/mirrored:1; docker pull -q mirrored:1 && echo mirrored for pulls; docker rmi mirrored:1
    mkdir -p a && printf 'FROM mirrored:1\\nRUN [\"/busybox\", \"true\"]\\n' > a/Dockerfile
    docker build -q a && echo mirrored for builds";

/// Builds with a cache in the registry, and once more where only the registry has it.
const CACHE: &str = r#"mkdir -p b && printf 'FROM box\nRUN ["/busybox", "sh", "-c", "echo built > /made"]\n' > b/Dockerfile
    docker buildx build -q -t $LOCKED/app:1 --cache-to type=inline --push b || exit 1
    docker rmi -f $LOCKED/app:1; docker builder prune -af >/dev/null
    docker buildx build --progress plain --cache-from type=registry,ref=$LOCKED/app:1 b 2>&1"#;

#[tokio::test]
async fn c17_images_go_to_and_from_registries_with_the_tasks_login_and_through_mirrors() {
    with_namespace(async |namespace| {
        let address = serve(namespace).await;
        namespace.write("task.yaml", &task(&address).to_string());
        let skiff = namespace.skiff();
        let launched = skiff.run(&["launch", "-y", "-c", "c", "task.yaml"]).await;
        launched.code(0).says("pulled back").never_says(PASSWORD);

        // A job without variables of its own, and a session: the pod's pull Secret has the login too.
        let locked = format!("{address}:{}", PORTS[0]);
        let open = format!("{address}:{}", PORTS[1]);
        let pull = format!("docker pull -q {locked}/box:1 && echo pulled again");
        skiff.run(&["exec", "c", &pull]).await.code(0).says("pulled again");
        skiff.run(&["ssh", "c", "--", &pull]).await.code(0).says("pulled again");

        let with = |script: &str| format!("export LOCKED={locked} OPEN={open}\n{script}");
        let mirrored = skiff.run(&["exec", "c", &with(MIRROR)]).await.code(0);
        mirrored.says("mirrored for pulls").says("mirrored for builds");
        let cached = skiff.run(&["exec", "c", &with(CACHE)]).await.code(0);
        cached.says("CACHED");

        // Without the login nothing is pushed or pulled, and the job says what is missing.
        let without = |verb: &str| format!("DOCKER_CONFIG=/nowhere docker {verb} {locked}/box:1");
        let refused = skiff.run(&["exec", "c", &without("push")]).await.code(100);
        refused.says("no basic auth credentials");
        let refused = skiff.run(&["exec", "c", &without("pull")]).await.code(100);
        refused.says("Cause: ").says("SKYPILOT_DOCKER_USERNAME");

        // No password is anywhere but in the Secret and in the jobs' variables.
        let pod = serde_json::to_string(&namespace.head("c").await).expect("a pod is JSON");
        assert!(!pod.contains(PASSWORD), "{pod}");
        let search = format!("grep -rl '{PASSWORD}' ~/.docker /skiff/jobs /skiff/sky_logs /skiff/docker; cat ~/.docker/config.json");
        let found = String::from_utf8(namespace.inside("c", &search).await).expect("text");
        assert!(found.starts_with('{') && found.contains(&locked), "{found}");

        // The user's own configuration stays as it is, and counts.
        let own = format!("echo '{{\"auths\":{{}}}}' > ~/.docker/config.json; {pull}");
        skiff.run(&["exec", "c", &own]).await.code(100).never_says("pulled again");
        let own = format!("{pull}; cat ~/.docker/config.json");
        skiff.run(&["exec", "c", &own]).await.says("{\"auths\":{}}").never_says("pulled again");
    })
    .await;
}
