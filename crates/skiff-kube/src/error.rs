//! What an API server refused, or why it could not be asked, in words a user can act on.

use kube::core::Status;
use thiserror::Error;

use crate::context::CONNECT_TIMEOUT;

/// One request that failed: what was tried, on what, and why.
#[derive(Debug, Error)]
#[error("cannot {action} {object}")]
pub struct ApiError {
    /// What was tried: `create`, `get`, `watch`…
    pub action: &'static str,
    /// On what: `pod default/dev-head`.
    pub object: String,
    /// Why it failed.
    #[source]
    pub cause: ApiCause,
}

/// Why a request failed.
#[derive(Debug, Error)]
pub enum ApiCause {
    /// The object does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// It exists already, or changed in between (409).
    #[error("{0}")]
    Conflict(String),
    /// The user has not the right (403).
    #[error("{0}")]
    Forbidden(String),
    /// An admission plugin, webhook or policy refused the object (403, 400 or 422).
    #[error("{0}")]
    Admission(String),
    /// A resource quota is used up (403).
    #[error("{0}")]
    Quota(String),
    /// The object is not valid in this version of Kubernetes (400, 422).
    #[error("{0}")]
    Invalid(String),
    /// The server does not know who asks (401).
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// Any other answer of the server.
    #[error("the API server answered {code}: {message}")]
    Answer {
        /// The HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No answer: the server is down, unknown, or cannot be reached from here.
    #[error("no answer from {server}: {reason}")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// The deepest cause known.
        reason: String,
    },
    /// Credentials could not be made, for example because the kubeconfig's exec plugin failed.
    #[error("the kubeconfig's credentials do not work: {0}")]
    Credentials(String),
}

impl ApiError {
    pub(crate) fn new(
        action: &'static str,
        object: String,
        server: &str,
        error: &kube::Error,
    ) -> Self {
        Self {
            action,
            object,
            cause: ApiCause::classify(server, error),
        }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.cause, ApiCause::NotFound(_))
    }

    /// Whether the object is there already.
    pub fn is_conflict(&self) -> bool {
        matches!(self.cause, ApiCause::Conflict(_))
    }

    /// Whether the user has not the right.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.cause, ApiCause::Forbidden(_))
    }

    /// Whether the server gave no answer at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.cause, ApiCause::Unreachable { .. })
    }

    /// Whether a resource quota is used up.
    pub fn is_over_quota(&self) -> bool {
        matches!(self.cause, ApiCause::Quota(_))
    }

    /// Whether the same request may well succeed in a moment.
    pub fn is_transient(&self) -> bool {
        match &self.cause {
            ApiCause::Unreachable { .. } => true,
            ApiCause::Answer { code, .. } => *code == 429 || *code >= 500,
            // The words of a kubelet, not of the API server: one that has just been restarted knows
            // no pods yet.
            ApiCause::NotFound(message) => message == "pod does not exist",
            _ => false,
        }
    }

    /// Whether it was about volumes.
    fn is_of_claims(&self) -> bool {
        self.object.starts_with("PersistentVolumeClaim")
    }

    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match &self.cause {
            ApiCause::Forbidden(message) if message.contains("error looking up service account") => {
                Some("the namespace is new and not set up yet; try again in a moment".to_owned())
            }
            ApiCause::Forbidden(_) if self.is_of_claims() => Some(
                "ask the cluster's administrator for the rights on volumes: persistentvolumeclaims (all verbs) in this namespace"
                    .to_owned(),
            ),
            ApiCause::Forbidden(_) => Some(
                "ask the cluster's administrator for the rights: pods, pods/exec, services and secrets \
                 (all verbs) and events (get, list, watch) in this namespace"
                    .to_owned(),
            ),
            ApiCause::Admission(message) => Some(admission_hint(message)),
            ApiCause::Quota(_) if self.is_of_claims() => Some(
                "ask for less (`size`), or free some of the namespace's quota: `kubectl describe quota` shows it"
                    .to_owned(),
            ),
            ApiCause::Quota(_) => {
                Some("ask for less (`resources:`), or free some of the namespace's quota".to_owned())
            }
            ApiCause::Unauthorized(_) | ApiCause::Credentials(_) => {
                Some("log in to the cluster again; `kubectl get pods` shows the same problem".to_owned())
            }
            ApiCause::Unreachable { server, .. } => Some(format!(
                "check that the cluster runs and that {server} can be reached from here; `--infra k8s/CONTEXT` chooses \
                 another context, `skiff local up` starts a cluster on this machine"
            )),
            ApiCause::Answer { code, .. } if *code == 429 || *code >= 500 => Some(
                "the API server or something before it is in trouble; try again in a moment"
                    .to_owned(),
            ),
            ApiCause::NotFound(_)
            | ApiCause::Conflict(_)
            | ApiCause::Invalid(_)
            | ApiCause::Answer { .. } => None,
        }
    }
}

fn admission_hint(message: &str) -> String {
    let confined = ["nconfined", "seccomp", "AppArmor", "procMount"];
    if message.contains("buildkit") && confined.iter().any(|word| message.contains(word)) {
        "building without privileges needs user namespaces and mounts, which the profiles `Unconfined` of seccomp and \
         AppArmor allow; ask the administrator to exempt the container `buildkit` from that policy, or for a namespace \
         with `pod-security.kubernetes.io/enforce: privileged`: Kubernetes has no level between"
            .to_owned()
    } else if message.contains("rivileged") {
        "Docker in the pod needs a privileged sidecar; ask the administrator to allow privileged pods in this \
         namespace (`pod-security.kubernetes.io/enforce: privileged`), use `enable_docker: BUILD` where images need \
         only be built, or remove `enable_docker`"
            .to_owned()
    } else {
        "a policy of the cluster refuses this pod; its administrator can say what the policy wants"
            .to_owned()
    }
}

impl ApiCause {
    fn classify(server: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(status),
            kube::Error::Auth(_) => Self::Credentials(deepest(error)),
            kube::Error::UpgradeConnection(upgrade) => Self::from_upgrade(upgrade),
            _ => match find_auth(error) {
                Some(reason) => Self::Credentials(reason),
                None => Self::Unreachable {
                    server: server.to_owned(),
                    reason: deepest(error),
                },
            },
        }
    }

    fn from_upgrade(error: &kube::client::UpgradeConnectionError) -> Self {
        use kube::client::UpgradeConnectionError as Upgrade;
        match error {
            Upgrade::ProtocolSwitch(status) => match status.as_u16() {
                401 => Self::Unauthorized("opening a stream was refused".to_owned()),
                403 => Self::Forbidden(
                    "opening a stream to a container (pods/exec) is forbidden".to_owned(),
                ),
                404 => Self::NotFound("there is no such container to open a stream to".to_owned()),
                code => Self::Answer {
                    code,
                    message: "the stream was not opened".to_owned(),
                },
            },
            other => Self::Answer {
                code: 502,
                message: format!("the stream was not opened: {other}"),
            },
        }
    }

    fn from_status(status: &Status) -> Self {
        let message = status.message.clone();
        match status.code {
            401 => Self::Unauthorized(message),
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            400 | 403 | 422 if is_admission(&message) => Self::Admission(message),
            403 if message.contains("exceeded quota") => Self::Quota(message),
            403 => Self::Forbidden(message),
            400 | 422 => Self::Invalid(message),
            code => Self::Answer { code, message },
        }
    }
}

/// Whether the words are those of an admission webhook, Pod Security or a policy engine.
fn is_admission(message: &str) -> bool {
    [
        "admission webhook",
        "violates PodSecurity",
        "unable to validate against any",
        "admission plugin",
        "ValidatingAdmissionPolicy",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
        || (message.contains("Privileged containers are not allowed"))
}

/// The message of the innermost source: what the operating system or the TLS library said.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let timed_out = last.downcast_ref::<std::io::Error>().is_some_and(|error| {
        error.kind() == std::io::ErrorKind::TimedOut && error.raw_os_error().is_none()
    });
    if timed_out {
        return format!("no connection within {} s", CONNECT_TIMEOUT.as_secs());
    }
    last.to_string()
}

/// Authentication runs inside the client's service stack, so its failure arrives wrapped.
fn find_auth(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<kube::client::AuthError>() {
            return Some(error.to_string());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, reason: &str, message: &str) -> ApiError {
        let status = Status::failure(message, reason).with_code(code);
        let error = kube::Error::Api(status.boxed());
        ApiError::new(
            "create",
            "pod team/c-head".to_owned(),
            "https://example",
            &error,
        )
    }

    #[test]
    fn a_missing_right_is_told_with_the_rights_that_are_needed() {
        let message = "pods is forbidden: User \"u\" cannot create resource \"pods\"";
        let error = refused(403, "Forbidden", message);
        assert!(matches!(error.cause, ApiCause::Forbidden(_)));
        assert_eq!(error.to_string(), "cannot create pod team/c-head");
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("administrator"))
        );
        assert!(!error.is_transient());
    }

    #[test]
    fn a_policys_refusal_is_no_missing_right() {
        let words = [
            "admission webhook \"validate.example\" denied the request: Privileged container is not allowed",
            "pods \"c\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"docker\")",
            "pods \"c\" is forbidden: unable to validate against any pod security policy: \
             [spec.containers[0].securityContext.privileged: Invalid value: true: Privileged containers are not allowed]",
            "ValidatingAdmissionPolicy 'no-privileged' with binding 'b' denied request: no privileged pods",
        ];
        for message in words {
            let error = refused(403, "Forbidden", message);
            assert!(matches!(error.cause, ApiCause::Admission(_)), "{message}");
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("privileged sidecar"), "{message}: {hint}");
        }
    }

    #[test]
    fn d08_a_builder_that_pod_security_refuses_is_told_from_a_privileged_daemon() {
        let hint = super::admission_hint(
            "pods \"c\" is forbidden: violates PodSecurity \"baseline:latest\": seccompProfile (container \"buildkit\" \
             must not set securityContext.seccompProfile.type to \"Unconfined\")",
        );
        assert!(hint.contains("exempt the container `buildkit`"), "{hint}");
        assert!(!hint.contains("privileged sidecar"), "{hint}");
    }

    #[test]
    fn another_policy_is_not_blamed_on_docker() {
        let error = refused(
            400,
            "BadRequest",
            "admission webhook \"team.example\" denied the request: no team label",
        );
        assert!(error.hint().is_some_and(|hint| !hint.contains("Docker")));
    }

    #[test]
    fn a_used_up_quota_is_told_as_one() {
        let error = refused(
            403,
            "Forbidden",
            "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1",
        );
        assert!(matches!(error.cause, ApiCause::Quota(_)));
    }

    #[test]
    fn a_busy_server_may_be_asked_again_and_a_wrong_object_may_not() {
        for code in [429, 500, 503, 504] {
            assert!(refused(code, "x", "busy").is_transient(), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 422] {
            assert!(!refused(code, "x", "wrong").is_transient(), "{code}");
        }
    }

    #[test]
    fn codes_that_callers_ask_for_are_told_apart() {
        assert!(refused(404, "NotFound", "gone").is_not_found());
        assert!(refused(409, "AlreadyExists", "there").is_conflict());
        assert!(matches!(
            refused(401, "Unauthorized", "no").cause,
            ApiCause::Unauthorized(_)
        ));
        assert!(matches!(
            refused(422, "Invalid", "no").cause,
            ApiCause::Invalid(_)
        ));
    }
}
