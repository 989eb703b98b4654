//! A private registry: the login that a task's variables give, as a Secret that kubelets pull with.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use skiff_schema::ResolvedTask;

use crate::{ClusterName, CompileError, Input, metadata};

const USERNAME: &str = "SKYPILOT_DOCKER_USERNAME";
const PASSWORD: &str = "SKYPILOT_DOCKER_PASSWORD";
const SERVER: &str = "SKYPILOT_DOCKER_SERVER";
/// The variables of a login, all of which must be given in one place.
const LOGIN: [&str; 3] = [USERNAME, PASSWORD, SERVER];

/// A login of a registry.
pub(crate) struct Login<'a> {
    username: &'a str,
    password: &'a str,
    server: &'a str,
}

impl<'a> Login<'a> {
    /// The login that a task gives, if it gives one.
    pub(crate) fn of(task: &'a ResolvedTask) -> Result<Option<Self>, CompileError> {
        let env = |name: &str| task.envs.get(name).map(String::as_str);
        let secret = |name: &str| task.secrets.reveal_one(name);
        let envs = LOGIN.map(env);
        let secrets = LOGIN.map(secret);
        let given = |values: &[Option<&str>]| values.iter().flatten().count();
        let (place, values) = match (given(&envs), given(&secrets)) {
            (0, 0) => return Ok(None),
            (_, 0) => ("envs", envs),
            (0, _) => ("secrets", secrets),
            _ => return Err(CompileError::LoginInTwoPlaces),
        };
        if let [Some(username), Some(password), Some(server)] = values {
            return Ok(Some(Self {
                username,
                password,
                server: plain(server),
            }));
        }
        let missing = LOGIN.into_iter().zip(values);
        let missing = missing.filter(|(_, value)| value.is_none());
        Err(CompileError::IncompleteLogin {
            place,
            missing: missing.map(|(name, _)| name).collect(),
        })
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
