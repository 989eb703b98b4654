//! Streams that break: over a proxy that cuts every connection, output is neither lost nor doubled.

use skiff_test::namespace::with_namespace;
use skiff_test::proxy::CuttingProxy;
use skiff_test::{Namespace, Program};

/// The program with a proxy between it and the API server.
fn through(namespace: &Namespace, proxy: &CuttingProxy) -> Program {
    let mut kubeconfig = namespace
        .kubernetes
        .kubeconfig_for(&namespace.name)
        .expect("the kubeconfig is complete");
    let server = namespace
        .kubernetes
        .server()
        .expect("the kubeconfig is complete");
    let host = server
        .rsplit_once(':')
        .map_or(server.as_str(), |(host, _)| host);
    for named in &mut kubeconfig.clusters {
        let cluster = named.cluster.as_mut().expect("the cluster is complete");
        cluster.server = Some(format!("https://{}", proxy.address));
        cluster.tls_server_name = Some(host.to_owned());
    }
    namespace.skiff_as("kubeconfig-proxy", &kubeconfig)
}

#[tokio::test]
async fn output_over_connections_that_break_is_neither_lost_nor_doubled() {
    with_namespace(async |namespace| {
        namespace
            .launch("c", &["seq -f 'row %07.0f' 1 60000"])
            .await
            .code(0);
        let server = namespace
            .kubernetes
            .server()
            .expect("the kubeconfig is complete");
        let proxy = CuttingProxy::start(&server, 300_000)
            .await
            .expect("a port is free");
        let logs = through(namespace, &proxy)
            .run(&["logs", "c", "1", "--tail", "0"])
            .await
            .code(0);
        assert!(
            proxy.cuts() >= 3,
            "the proxy cut only {} connections",
            proxy.cuts()
        );
        let rows: Vec<&str> = logs
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once(") row ")?.1))
            .collect();
        let expected: Vec<String> = (1..=60_000).map(|number| format!("{number:07}")).collect();
        assert!(
            rows == expected,
            "{} rows of {}",
            rows.len(),
            expected.len()
        );
    })
    .await;
}

#[tokio::test]
async fn a_launch_over_connections_that_break_submits_its_job_once() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        namespace.write("code/small", "data\n");
        let server = namespace
            .kubernetes
            .server()
            .expect("the kubeconfig is complete");
        // Enough for TLS and one frame, too little for a chatty job: it is cut again and again.
        let proxy = CuttingProxy::start(&server, 100_000)
            .await
            .expect("a port is free");
        let exec = through(namespace, &proxy);
        let job = "echo ran >> ~/runs; seq -f 'row %07.0f' 1 20000";
        exec.run(&["exec", "c", "--workdir", "code", job])
            .await
            .code(0)
            .says("row 0020000");
        assert!(
            proxy.cuts() >= 2,
            "the proxy cut only {} connections",
            proxy.cuts()
        );
        let runs = namespace.inside("c", "cat ~/runs").await;
        assert_eq!(runs, b"ran\n", "the job ran more than once");
    })
    .await;
}
