//! The builder's configuration file, from what Skiff is configured with.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use skiff_proto::{DockerSettings, paths};

use super::inside;
use crate::layout::Layout;

/// The registry that mirrors stand before.
const DOCKER_HUB: &str = "docker.io";

/// Where it lies.
pub(super) fn path(layout: &Layout) -> PathBuf {
    layout.at(paths::BUILDER).join("buildkitd.toml")
}

/// The socket that the builder opens: where nobody else looks, until it has answered.
pub(super) fn socket(layout: &Layout) -> PathBuf {
    layout.at(paths::BUILDER).join("buildkitd.sock")
}

/// The text.
pub(super) fn of(settings: &DockerSettings, layout: &Layout) -> String {
    let quoted = |text: String| Value::from(text).to_string();
    let root = quoted(inside::data(layout).display().to_string());
    let socket = quoted(format!("unix://{}", socket(layout).display()));
    let mut text =
        format!("root = {root}\n[grpc]\naddress = [{socket}]\n[worker.oci]\ngc = true\n");
    if let Some(bytes) = settings.storage_bytes {
        // Before the disk is full, and before the kubelet ends the pod for it.
        let most = bytes / 10 * 8;
        write!(
            text,
            "reservedSpace = {}\nmaxUsedSpace = {most}\n",
            bytes / 2
        )
        .expect("a String takes everything");
    }
    text.push_str("[worker.containerd]\nenabled = false\n");
    if !settings.registry_mirrors.is_empty() {
        let plain = |mirror: &String| {
            let mirror = mirror.trim_start_matches("https://");
            mirror
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned()
        };
        let mirrors: Vec<String> = settings.registry_mirrors.iter().map(plain).collect();
        let list = Value::from(mirrors.clone());
        write!(text, "[registry.\"{DOCKER_HUB}\"]\nmirrors = {list}\n")
            .expect("a String takes everything");
        for (mirror, plain) in settings.registry_mirrors.iter().zip(mirrors) {
            if mirror.starts_with("http://") && !settings.insecure_registries.contains(&plain) {
                insecure(&mut text, &plain);
            }
        }
    }
    for registry in &settings.insecure_registries {
        insecure(&mut text, registry);
    }
    text
}

/// A registry that may speak plain HTTP, or TLS with any certificate.
fn insecure(text: &mut String, registry: &str) {
    let name = Value::from(registry).to_string();
    write!(text, "[registry.{name}]\nhttp = true\ninsecure = true\n")
        .expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use skiff_proto::DockerSettings;

    use super::of;
    use crate::layout::Layout;

    #[test]
    fn what_is_configured_is_what_the_builder_reads() {
        let plain = of(&DockerSettings::default(), &Layout::default());
        assert_eq!(
            plain,
            "root = \"/home/user/.local/share/buildkit\"\n[grpc]\naddress = \
             [\"unix:///skiff/builder/buildkitd.sock\"]\n[worker.oci]\ngc = true\n[worker.containerd]\nenabled = false\n"
        );
        let settings = DockerSettings {
            storage_bytes: Some(10_000),
            registry_mirrors: vec![
                "https://mirror.example.com/".into(),
                "http://cache:5000".into(),
            ],
            insecure_registries: vec!["registry.local:5000".into()],
            ..DockerSettings::default()
        };
        let text = of(&settings, &Layout::default());
        for part in [
            "gc = true\nreservedSpace = 5000\nmaxUsedSpace = 8000\n",
            "[registry.\"docker.io\"]\nmirrors = [\"mirror.example.com\",\"cache:5000\"]\n",
            "[registry.\"cache:5000\"]\nhttp = true\ninsecure = true\n",
            "[registry.\"registry.local:5000\"]\nhttp = true\ninsecure = true\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
