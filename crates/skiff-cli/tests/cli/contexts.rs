//! No cluster to talk to: no kubeconfig, a wrong one, a context that is not there or does not answer.

use skiff_test::proxy::{BlackHole, closed_port};

use crate::sandbox::{Sandbox, assert_finished};

const TWO: &str = "apiVersion: v1\nkind: Config\n\
                   clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                   users: [{name: u, user: {token: abc}}]\n\
                   contexts: [{name: staging, context: {cluster: c, user: u}}, \
                   {name: production, context: {cluster: c, user: u}}]\n";

/// One of each that talks to a cluster.
const COMMANDS: [&[&str]; 7] = [
    &["launch", "-y", "-c", "dev", "true"],
    &["exec", "dev", "true"],
    &["logs", "dev"],
    &["queue", "dev"],
    &["status"],
    &["cancel", "-y", "dev"],
    &["down", "-y", "dev"],
];

#[tokio::test]
async fn without_a_kubeconfig_every_command_points_at_local_up() {
    let sandbox = Sandbox::new();
    assert_finished!(sandbox.skiff().run(&["status"]).await);
    for command in COMMANDS {
        let finished = sandbox.skiff().run(command).await.code(1).one_error();
        finished
            .notes("there is no kubeconfig")
            .notes("hint: `skiff local up`");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_as_none() {
    let finished = Sandbox::new()
        .skiff()
        .with("KUBECONFIG", "/nowhere/config")
        .run(&["status"])
        .await;
    finished.code(1).one_error().notes("there is no kubeconfig");
}

#[tokio::test]
async fn an_unknown_context_is_told_with_the_like() {
    let sandbox = Sandbox::new();
    sandbox.write_kubeconfig(TWO);
    assert_finished!(
        sandbox
            .skiff()
            .run(&["status", "--context", "prodution"])
            .await
    );
    let launch = sandbox
        .skiff()
        .run(&["launch", "-y", "--infra", "k8s/prodution", "true"])
        .await;
    launch
        .code(1)
        .one_error()
        .notes("did you mean `production`?");
}

#[tokio::test]
async fn a_kubeconfig_without_a_current_context_is_told_with_the_contexts() {
    let sandbox = Sandbox::new();
    sandbox.write_kubeconfig(TWO);
    assert_finished!(sandbox.skiff().run(&["status"]).await);
}

#[tokio::test]
async fn a_kubeconfig_that_is_no_yaml_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write_kubeconfig("contexts: [unclosed\n");
    let finished = sandbox.skiff().run(&["status"]).await.code(1).one_error();
    finished.notes("cannot read the kubeconfig").notes("hint:");
}

#[tokio::test]
async fn a_context_whose_port_is_closed_is_told_to_give_no_answer() {
    let sandbox = Sandbox::new();
    sandbox.kubeconfig("https", closed_port().await.expect("a port is free"));
    assert_finished!(sandbox.skiff().run(&["down", "-y", "dev"]).await);
    for command in COMMANDS {
        let finished = sandbox.skiff().run(command).await.code(1).one_error();
        finished
            .notes("no answer from https://127.0.0.1:")
            .notes("hint: check that the cluster runs");
    }
}

#[tokio::test]
async fn a_context_whose_server_never_answers_is_given_up() {
    let hole = BlackHole::start().await.expect("a port is free");
    let (with_tls, without) = (Sandbox::new(), Sandbox::new());
    with_tls.kubeconfig("https", hole.address);
    without.kubeconfig("http", hole.address);
    let (with_tls, without) = (with_tls.skiff(), without.skiff());
    let (silent_handshake, silent_http, launch) = tokio::join!(
        with_tls.run(&["down", "-y", "dev"]),
        without.run(&["down", "-y", "dev"]),
        without.run(&["launch", "-y", "-c", "dev", "true"]),
    );
    assert_finished!(silent_handshake);
    assert_finished!(silent_http);
    launch
        .code(1)
        .one_error()
        .notes("no answer from")
        .notes("hint: check that the cluster runs");
}

#[tokio::test]
async fn ctrl_c_ends_a_command_that_waits_for_an_answer() {
    for command in COMMANDS {
        let hole = BlackHole::start().await.expect("a port is free");
        let sandbox = Sandbox::new();
        sandbox.kubeconfig("https", hole.address);
        let running = sandbox.skiff().start(command);
        hole.wait_for_a_client().await;
        running.interrupt();
        running.end().await.code(130);
    }
}
