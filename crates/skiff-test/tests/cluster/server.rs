//! An API server that dies and comes back. These tests have the cluster for themselves.

use std::time::Duration;

use skiff_test::namespace::{alone, small};
use skiff_test::{Namespace, host};

/// Numbered lines with a pause after each hundred, so that they span the time without a server.
const COUNT: &str = "mkfifo ~/go; for i in $(seq 1 300); do echo count $i; done; echo half; read x < ~/go; \
                     for i in $(seq 301 600); do echo count $i; done";

/// Long enough for every back-off of the cluster's own components.
const SETTLING: Duration = Duration::from_mins(4);

/// Starts what is missing of the local cluster.
async fn bring_back(namespace: &Namespace) {
    let up = namespace.kubernetes.bring_up().await;
    up.expect("a local cluster").code(0);
}

/// Leaves the cluster to the next test as it was: controllers, scheduler and kubelet ask a server that was away only
/// now and then.
async fn settle(namespace: &Namespace) {
    let folder = namespace
        .kubernetes
        .local_folder()
        .expect("a local cluster");
    for component in ["kube-controller-manager", "kube-scheduler"] {
        host::kill_component(&folder, component).expect("it runs on this machine");
    }
    bring_back(namespace).await;
    let patient = namespace.skiff().within(SETTLING);
    patient.run(&small("settled", &["true"])).await.code(0);
    patient.run(&["down", "-y", "settled"]).await.code(0);
    namespace.wait_for_a_new_one(SETTLING).await;
}

#[tokio::test]
async fn logs_go_on_where_they_were_when_the_api_server_comes_back() {
    alone(async |namespace| {
        let mut launch = namespace.skiff().start(&small("c", &[COUNT]));
        launch.stdout_has("half").await;
        let head = namespace.head("c").await;
        let folder = namespace
            .kubernetes
            .local_folder()
            .expect("a local cluster");
        host::kill_component(&folder, "kube-apiserver")
            .expect("the API server runs on this machine");
        launch.stderr_has("Connection lost").await;
        host::inside_pod(&head, &["sh", "-c", "echo > ~/go"]).await;
        bring_back(namespace).await;
        let finished = launch.end().await.code(0).notes("Connected again");
        let counts: Vec<&str> = finished
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once(") count ")?.1))
            .collect();
        let expected: Vec<String> = (1..=600).map(|number| number.to_string()).collect();
        assert_eq!(counts, expected, "lines are lost, doubled or out of order");
        settle(namespace).await;
    })
    .await;
}

#[tokio::test]
async fn a_command_while_the_api_server_is_down_says_that_it_cannot_be_reached() {
    alone(async |namespace| {
        let folder = namespace
            .kubernetes
            .local_folder()
            .expect("a local cluster");
        host::kill_component(&folder, "kube-apiserver")
            .expect("the API server runs on this machine");
        let status = namespace.skiff().run(&["status"]).await;
        let launch = namespace.launch("c", &["echo never"]).await;
        bring_back(namespace).await;
        let server = namespace
            .kubernetes
            .server()
            .expect("the kubeconfig is complete");
        status
            .code(1)
            .one_error()
            .notes(&server)
            .notes("hint: check that the cluster runs");
        launch.code(1).one_error().notes(&server);
        namespace.assert_nothing_left().await;
        settle(namespace).await;
    })
    .await;
}
