//! SSH into the nodes of a cluster with OpenSSH's own programs, as users and editors do.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use skiff_test::namespace::with_namespace;
use skiff_test::program::Finished;
use skiff_test::proxy::{Cut, CuttingProxy};
use skiff_test::{Namespace, Program, host};

/// How long anything is waited for that comes by itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(20);

/// One of OpenSSH's programs with the configuration that launches have written, in the folder of files.
fn openssh(namespace: &Namespace, program: &str) -> (Program, String) {
    let program = Program::new(program, namespace.skiff().folder());
    let config = namespace.home().join(".ssh/config");
    (program, config.display().to_string())
}

async fn ssh(namespace: &Namespace, arguments: &[&str]) -> Finished {
    let (program, config) = openssh(namespace, "ssh");
    program
        .run(&[&["-F", config.as_str()], arguments].concat())
        .await
}

/// Waits for something that is about to be so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether the head node runs a process whose command line is this.
async fn is_running(namespace: &Namespace, line: &str) -> bool {
    let script = format!("pgrep -xf '{line}' > /dev/null && echo yes");
    namespace.inside("c", &script).await == b"yes\n"
}

/// Bytes that do not repeat soon.
fn noise(count: u32) -> Vec<u8> {
    let step = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    };
    (0..count).scan(7, |state, _| step(state)).collect()
}

#[tokio::test]
async fn every_node_is_reached_by_its_name_with_the_environment_of_jobs() {
    with_namespace(async |namespace| {
        namespace.write("task.yaml", "envs:\n  COLOUR: light blue\nrun: 'true'\n");
        let launched = namespace.launch("c", &["--num-nodes", "2", "task.yaml"]);
        launched.await.code(0);

        let variables = "echo $HOME, $COLOUR, $SKYPILOT_NODE_RANK, $(hostname); exit 7";
        for (host, rank, node) in [
            ("c", 0, "head"),
            ("c-head", 0, "head"),
            ("c-worker1", 1, "worker1"),
        ] {
            let pod = namespace.head_name("c").replace("head", node);
            let expected = format!("/root, light blue, {rank}, {pod}\n");
            let finished = ssh(namespace, &[host, variables]).await.code(7);
            assert_eq!(finished.stdout, expected, "{finished}");
        }
        // The same without the user's configuration.
        let unconfigured = namespace.skiff().with("SKIFF_NO_SSH_CONFIG", "1");
        let line = ["ssh", "c", "--node", "1", "--", variables];
        unconfigured.run(&line).await.code(7).says("light blue, 1,");

        in_a_terminal(namespace).await;
        after_a_restart(namespace).await;
        // What leads to a cluster goes with it; one of the same name has a key of its own, and nobody is alarmed.
        let down = ["down", "-y", "c"];
        namespace.skiff().run(&down).await.code(0);
        let gone = ssh(namespace, &["c", "true"]).await.code(255);
        gone.notes("Could not resolve hostname c");
        namespace.launch("c", &["true"]).await.code(0);
        ssh(namespace, &["c", "echo anew"])
            .await
            .code(0)
            .says("anew");
    })
    .await;
}

/// A container that was started again is the same host.
async fn after_a_restart(namespace: &Namespace) {
    host::kill_agent(&namespace.head("c").await).expect("its process is found");
    until("the head answers again", async || {
        let attempt = ssh(namespace, &["c", "echo back"]).await;
        assert!(!attempt.stderr.contains("Host key"), "{attempt}");
        attempt.stdout == "back\n"
    })
    .await;
}

async fn in_a_terminal(namespace: &Namespace) {
    let (script, config) = openssh(namespace, "script");
    let line = format!(
        "stty rows 30 cols 101; exec ssh -tt -F {config} c 'stty size; echo $TERM; test -t 0 && echo a terminal'"
    );
    let finished = script
        .with("TERM", "xterm-256color")
        .run(&["-qec", &line, "/dev/null"])
        .await
        .code(0);
    finished
        .says("30 101\r\n")
        .says("xterm-256color\r\n")
        .says("a terminal\r\n");
}

#[tokio::test]
async fn files_come_and_go_whole_and_ports_are_forwarded() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let bytes = noise(3 << 20);
        let data = namespace.write("tree/a folder/data", "");
        fs::write(&data, &bytes).expect("a file in the test's home");
        let folder = namespace.skiff().folder().to_owned();
        let came_back = |path: &str| {
            let back = fs::read(folder.join(path).join("a folder/data"));
            assert!(back.is_ok_and(|back| back == bytes), "{path} is different");
        };

        let (scp, config) = openssh(namespace, "scp");
        let flags = ["-q", "-r", "-F", &config];
        scp.run(&[&flags[..], &["tree", "c:"]].concat())
            .await
            .code(0);
        scp.run(&[&flags[..], &["c:tree", "by-scp"]].concat())
            .await
            .code(0);
        came_back("by-scp");

        fs::write(
            folder.join("batch"),
            "get -r tree by-sftp\nrm \"tree/a folder/data\"\nbye\n",
        )
        .expect("a file in the test's home");
        let (sftp, _) = openssh(namespace, "sftp");
        sftp.run(&["-q", "-F", &config, "-b", "batch", "c"])
            .await
            .code(0);
        came_back("by-sftp");

        let (rsync, _) = openssh(namespace, "rsync");
        let shell = format!("ssh -F {config}");
        for (from, to) in [("tree/", "c:tree/"), ("c:tree/", "by-rsync/")] {
            rsync.run(&["-a", "-e", &shell, from, to]).await.code(0);
        }
        came_back("by-rsync");

        a_server_is_reached(namespace, &config).await;
    })
    .await;
}

/// A server in the pod, through a forwarded port; it ends with the client, however that ends.
async fn a_server_is_reached(namespace: &Namespace, config: &str) {
    let server = "python3 -u -m http.server 8123 --bind 127.0.0.1";
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.local_addr().expect("it is bound").port()
    };
    let (ssh, _) = openssh(namespace, "ssh");
    let forward = format!("127.0.0.1:{port}:localhost:8123");
    let running = ssh.start(&["-F", config, "-L", &forward, "c", server]);
    until("the server answers", async || {
        get(port).is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"))
    })
    .await;
    running.kill();
    until("the server ends", async || {
        !is_running(namespace, server).await
    })
    .await;
}

fn get(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn a_session_ends_with_the_connection_and_new_ones_work_when_the_api_server_is_back() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let server = namespace.kubernetes.server();
        let server = server.expect("the kubeconfig is complete");
        let proxy = CuttingProxy::start(&server, Cut::Never).await;
        let proxy = proxy.expect("a port is free");
        let through = super::streams::through(namespace, &proxy);
        let attempt = |command| through.start(&["ssh", "c", "--", command]);

        let mut session = attempt("echo begun; sleep 71234; echo never");
        session.stdout_has("begun").await;
        let begun = Instant::now();
        proxy.begin_outage();
        let ended = session.end().await.code(255).one_error();
        ended
            .notes("error: the connection to pod")
            .notes("hint: connect again")
            .never_says("never");
        until("its processes end", async || {
            !is_running(namespace, "sleep 71234").await
        })
        .await;
        while begun.elapsed() < OUTAGE {
            // OpenSSH by its configuration: no question before could be what fails.
            let refused = attempt_by_configuration(namespace)
                .await
                .code(255)
                .one_error();
            refused.notes("hint:").notes("Connection refused");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        proxy.heal();
        until("a session works again", async || {
            attempt("echo healed").end().await.stdout == "healed\n"
        })
        .await;
    })
    .await;
}

/// Through the proxy: `skiff ssh` there has left its way behind as the way to the cluster.
async fn attempt_by_configuration(namespace: &Namespace) -> Finished {
    ssh(namespace, &["c", "true"]).await
}
