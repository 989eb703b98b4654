//! Streams that break, over a proxy that cuts them: nothing is lost, nothing happens twice.

use skiff_test::namespace::with_namespace;
use skiff_test::proxy::{Cut, CuttingProxy};
use skiff_test::{Namespace, Program};

/// The program with a proxy between it and the API server.
pub(crate) fn through(namespace: &Namespace, proxy: &CuttingProxy) -> Program {
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

/// A proxy before the namespace's API server.
pub(crate) async fn proxy(namespace: &Namespace, cut: Cut) -> CuttingProxy {
    let server = namespace
        .kubernetes
        .server()
        .expect("the kubeconfig is complete");
    CuttingProxy::start(&server, cut)
        .await
        .expect("a port is free")
}

#[tokio::test]
async fn output_over_connections_that_break_is_neither_lost_nor_doubled() {
    with_namespace(async |namespace| {
        // Numbers would be compressed to nothing on the way.
        let rows = "head -c 1500000 /dev/urandom | base64 -w 64 | sed 's/^/row /' | tee ~/rows";
        namespace.launch("c", &[rows]).await.code(0);
        let proxy = proxy(namespace, Cut::Back(300_000)).await;
        let logs = through(namespace, &proxy)
            .run(&["logs", "c", "1", "--tail", "0"])
            .await
            .code(0);
        assert!(
            proxy.cuts() >= 3,
            "the proxy cut only {} connections",
            proxy.cuts()
        );
        let lines = logs.stdout.lines();
        let rows: Vec<&str> = lines
            .filter_map(|line| Some(line.split_once(") ")?.1))
            .filter(|text| text.starts_with("row "))
            .collect();
        let written = namespace.inside("c", "cat ~/rows").await;
        let written = String::from_utf8(written).expect("text");
        let expected: Vec<&str> = written.lines().collect();
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
async fn an_upload_that_breaks_off_is_begun_again() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let numbers: Vec<String> = (0..400_000).map(|number| number.to_string()).collect();
        let numbers = numbers.join("\n") + "\n";
        namespace.write("code/numbers", &numbers);
        let proxy = proxy(namespace, Cut::Forth(1_000_000)).await;
        let exec = through(namespace, &proxy);
        let finished = exec
            .run(&["exec", "c", "--workdir", "code", "tail -n 1 numbers; ls"])
            .await
            .code(0);
        assert_eq!(proxy.cuts(), 1);
        finished
            .says(") 399999\n")
            .notes("Connection lost")
            .notes("Synced workdir: 1 file,");
        let arrived = namespace.inside("c", "cat ~/sky_workdir/numbers").await;
        assert!(
            arrived == numbers.as_bytes(),
            "{} bytes of {}",
            arrived.len(),
            numbers.len()
        );
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_acknowledgement_is_lost_runs_once() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        // A long job, so that it is known when it has gone to the server: then only its answer can come back.
        let padding = "# a long comment\n  ".repeat(12_000);
        namespace.write(
            "task.yaml",
            &format!("run: |\n  {padding}echo ran | tee -a ~/runs\n"),
        );
        let proxy = proxy(namespace, Cut::Answer(150_000)).await;
        let finished = through(namespace, &proxy)
            .run(&["exec", "c", "task.yaml"])
            .await
            .code(0);
        assert_eq!(proxy.cuts(), 1);
        finished
            .says(") ran\n")
            .notes("Connection lost")
            .notes("Job submitted, ID: 2");
        assert_eq!(namespace.inside("c", "cat ~/runs").await, b"ran\n");
        let queue = namespace
            .skiff()
            .run(&["queue", "c", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(queue["c"].as_array().map(Vec::len), Some(2), "{queue}");
    })
    .await;
}
