//! API servers that refuse or talk nonsense: one message, one hint, nothing created.

use serde_json::json;
use skiff_test::fake_api::{Answer, FakeApi};

use crate::sandbox::{Sandbox, assert_finished};

/// A server of this version with one small node and nothing else.
pub(crate) fn small_cluster() -> Vec<Answer> {
    let amounts = json!({ "cpu": "2", "memory": "4Gi" });
    let node = json!({
        "metadata": { "name": "node-0" },
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": {
                "operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": "v1.30.1",
                "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "machineID": "", "osImage": "", "systemUUID": "",
            },
        },
    });
    vec![
        Answer::object(
            "GET /version",
            &json!({
                "major": "1", "minor": "30", "gitVersion": "v1.30.1", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64",
            }),
        ),
        Answer::object(
            "GET /api/v1/nodes",
            &json!({ "kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [node] }),
        ),
    ]
}

async fn against(answers: Vec<Answer>, command: &[&str]) -> (skiff_test::Finished, Vec<String>) {
    let api = FakeApi::start(answers).await.expect("a port is free");
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("http", api.address);
    let finished = sandbox.skiff().run(command).await;
    (finished, api.requests())
}

/// A command that begins with one request, so that there is one way to fail.
const LIST: &[&str] = &["down", "-y", "-a"];

const LAUNCH: &[&str] = &[
    "launch", "-y", "-c", "dev", "--cpus", "1", "--memory", "1", "true",
];

#[tokio::test]
async fn credentials_that_are_not_accepted_are_told() {
    let answers = vec![Answer::refusal("GET ", 401, "Unauthorized", "Unauthorized")];
    assert_finished!(against(answers, LIST).await.0);
}

#[tokio::test]
async fn an_api_server_with_an_inner_error_is_told() {
    let answers = vec![Answer::refusal(
        "GET ",
        500,
        "InternalError",
        "etcdserver: request timed out",
    )];
    assert_finished!(against(answers, LIST).await.0);
}

#[tokio::test]
async fn a_proxys_page_is_told_to_be_no_api_server() {
    let answers = vec![Answer::page("GET ", 502, "<html>Bad Gateway</html>")];
    let (finished, _) = against(answers, LIST).await;
    finished.code(1).one_error().notes("502");
}

#[tokio::test]
async fn a_list_that_may_not_be_read_names_the_rights_that_are_needed() {
    let message = "secrets is forbidden: User \"me\" cannot list resource \"secrets\" in the namespace \"team\"";
    let answers = vec![Answer::refusal("GET ", 403, "Forbidden", message)];
    assert_finished!(against(answers, LIST).await.0);
}

#[tokio::test]
async fn without_a_terminal_a_launch_asks_for_the_flag_and_creates_nothing() {
    let (finished, requests) = against(
        small_cluster(),
        &["launch", "-c", "dev", "--cpus", "1", "true"],
    )
    .await;
    assert_finished!(finished);
    assert!(
        requests.iter().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_launched_and_creates_nothing() {
    let (finished, requests) = against(
        small_cluster(),
        &["launch", "--dryrun", "-c", "dev", "--cpus", "1", "true"],
    )
    .await;
    assert_finished!(finished);
    assert!(
        requests.iter().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_task_that_no_node_can_hold_is_refused_with_the_nodes() {
    let (finished, requests) = against(
        small_cluster(),
        &["launch", "-y", "-c", "dev", "--cpus", "64", "true"],
    )
    .await;
    assert_finished!(finished);
    assert!(
        requests.iter().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_told() {
    let mut answers = small_cluster();
    let message = "namespaces \"team\" not found";
    answers.push(Answer::refusal(
        "POST /api/v1/namespaces/team/secrets",
        404,
        "NotFound",
        message,
    ));
    let (finished, _) = against(answers, LAUNCH).await;
    finished.code(1).one_error().notes(message);
}
