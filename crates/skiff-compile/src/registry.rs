//! A private registry: the login that a task's variables give, as a Secret that kubelets pull with.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use skiff_schema::{DOCKER_LOGIN, ResolvedTask};

use crate::{ClusterName, Input, metadata};

/// A login of a registry.
pub(crate) struct Login<'a> {
    username: &'a str,
    password: &'a str,
    server: &'a str,
}

impl<'a> Login<'a> {
    /// The login that a task gives in its secrets or in its variables, if it gives one.
    pub(crate) fn of(task: &'a ResolvedTask) -> Option<Self> {
        let env = |name: &str| task.envs.get(name).map(String::as_str);
        let secret = |name: &str| task.secrets.reveal_one(name);
        let read = |value: &dyn Fn(&str) -> Option<&'a str>| {
            let [username, password, server] = DOCKER_LOGIN.map(value);
            Some(Self {
                username: username?,
                password: password?,
                server: plain(server?),
            })
        };
        read(&secret).or_else(|| read(&env))
    }

    /// An image of this registry, whether it names the registry or not.
    pub(crate) fn image(&self, image: &str) -> String {
        let names_it = image
            .strip_prefix(self.server)
            .is_some_and(|rest| rest.starts_with('/'));
        if names_it {
            image.to_owned()
        } else {
            format!("{}/{image}", self.server)
        }
    }

    /// The Secret, without its owner.
    pub(crate) fn secret(&self, input: &Input<'_>, cluster: &ClusterName) -> Secret {
        let pair = format!("{}:{}", self.username, self.password);
        let login = json!({
            "auths": { self.server: {
                "username": self.username,
                "password": self.password,
                "auth": STANDARD.encode(pair),
            } },
        });
        Secret {
            metadata: metadata::of(input, cluster, cluster.registry()),
            type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
            string_data: Some(BTreeMap::from([(
                ".dockerconfigjson".to_owned(),
                login.to_string(),
            )])),
            ..Secret::default()
        }
    }
}

/// A registry as images name it, whatever its address was copied from.
fn plain(server: &str) -> &str {
    let server = server.trim_start_matches("https://");
    server.trim_end_matches('/')
}
