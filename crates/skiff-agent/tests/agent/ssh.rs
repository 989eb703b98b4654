//! SSH into the agent, with OpenSSH's own client over `skiff-agent ssh`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{AGENT, Agent, shell};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent and a configuration for OpenSSH that leads to it.
struct Node {
    agent: Agent,
    dir: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let node = Self {
            agent: Agent::start(),
            dir: tempfile::tempdir().expect("a folder"),
        };
        let text = format!(
            "Host node\n  ProxyCommand {AGENT} --root {} ssh\n  StrictHostKeyChecking no\n  \
             UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
            node.agent.root().display()
        );
        fs::write(node.config(), text).expect("written");
        node
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// A file or folder of the test's own.
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One of OpenSSH's programs, ended where it hangs.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", program, "-F"]).arg(self.config());
        command.stdin(Stdio::null());
        command
    }

    /// OpenSSH's client by itself: what is done to the process is done to it.
    fn background(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.config()).stdin(Stdio::null());
        command
    }

    fn ssh(&self, args: &[&str]) -> Output {
        self.client("ssh")
            .args(args)
            .output()
            .expect("OpenSSH runs")
    }

    /// What a command prints there.
    fn run(&self, command: &str) -> String {
        let output = self.ssh(&["node", command]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// Waits for something that is about to be so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_running(mark: &str) -> bool {
    !shell(&format!("pgrep -f '^sleep {mark}$'")).is_empty()
}

/// Bytes that do not repeat soon.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

#[test]
fn a_command_s_output_errors_and_exit_code_arrive() {
    let output = Node::start().ssh(&["node", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"out\n"[..], &b"err\n"[..])
    );
}

#[test]
fn a_command_s_death_by_a_signal_arrives() {
    let node = Node::start();
    let output = node.ssh(&["-o", "LogLevel=INFO", "node", "kill -TERM $$"]);
    assert_eq!(output.status.code(), Some(255), "{output:?}");
}

#[test]
fn a_session_has_the_home_folder_and_the_variables_of_jobs_and_of_the_client() {
    let node = Node::start();
    let mut command = node.client("ssh");
    command.args([
        "-o",
        "SetEnv=FOO=b\\ r",
        "node",
        "pwd; echo $HOME; echo $SKIFF_CLUSTER; echo \"$FOO\"",
    ]);
    let output = command.output().expect("OpenSSH runs");
    let home = node.agent.home().display().to_string();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.starts_with(&format!("{home}\n{home}\ndev\nb")),
        "{output:?}"
    );
}

#[test]
fn standard_input_ends_and_comes_back_whole() {
    let node = Node::start();
    let bytes = noise(20 << 20);
    fs::write(node.at("big"), &bytes).expect("written");
    let mut command = node.client("ssh");
    command.args(["node", "cat"]);
    command.stdin(fs::File::open(node.at("big")).expect("open"));
    let output = command.output().expect("OpenSSH runs");
    assert!(
        output.stdout == bytes,
        "{} bytes came back",
        output.stdout.len()
    );
}

#[test]
fn a_terminal_has_its_size_its_name_and_its_changes() {
    let node = Node::start();
    let script = format!(
        "stty rows 30 cols 101; exec timeout 60 ssh -tt -F {} node",
        node.config().display()
    );
    // `script` gives OpenSSH a terminal of which it tells the size.
    let mut child = Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .env("TERM", "xterm-256color")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut input = child.stdin.take().expect("piped");
    input
        .write_all(b"stty size; echo term=$TERM; test -t 0 && echo is''terminal; exit 3\n")
        .expect("written");
    let mut text = String::new();
    child
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut text)
        .expect("text");
    let status = child.wait().expect("ended");
    assert!(text.contains("30 101"), "{text}");
    assert!(
        text.contains("term=xterm-256color") && text.contains("isterminal"),
        "{text}"
    );
    assert_eq!(status.code(), Some(3), "{text}");
}

#[test]
fn ctrl_c_reaches_the_foreground_of_a_terminal() {
    let node = Node::start();
    let mut command = node.client("ssh");
    command.args([
        "-tt",
        "node",
        "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done",
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("OpenSSH runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text").trim(), "ready");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"\x03").expect("written");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(rest.iter().any(|line| line.contains("caught")), "{rest:?}");
    assert_eq!(child.wait().expect("ended").code(), Some(5));
}

#[test]
fn scp_carries_folders_both_ways_with_modes_and_times() {
    let node = Node::start();
    let (here, there, back) = (node.at("here"), node.at("there"), node.at("back"));
    fs::create_dir_all(here.join("a folder/empty")).expect("folders");
    fs::write(here.join("a folder/data"), noise(3 << 20)).expect("written");
    fs::write(here.join("run.sh"), "#!/bin/sh\n").expect("written");
    fs::set_permissions(here.join("run.sh"), fs::Permissions::from_mode(0o751)).expect("changed");
    shell(&format!(
        "touch -d 2001-02-03 '{}'",
        here.join("run.sh").display()
    ));
    for (from, to) in [
        (
            here.display().to_string(),
            format!("node:{}", there.display()),
        ),
        (
            format!("node:{}", there.display()),
            back.display().to_string(),
        ),
    ] {
        let mut command = node.client("scp");
        let output = command
            .args(["-r", "-p", &from, &to])
            .output()
            .expect("OpenSSH runs");
        assert!(output.status.success(), "{output:?}");
    }
    let differences = shell(&format!("diff -r {} {}", here.display(), back.display()));
    assert_eq!(differences, "");
    let listed = |dir: &Path| {
        shell(&format!(
            "cd {} && find . -printf '%p %m %Ts\\n' | sort",
            dir.display()
        ))
    };
    assert_eq!(listed(&here), listed(&back));
}

#[test]
fn sftp_does_all_that_its_client_can_ask_for() {
    let node = Node::start();
    let dir = node.at("files");
    fs::create_dir(&dir).expect("a folder");
    fs::write(node.at("local"), "one\n").expect("written");
    fs::write(node.at("longer"), "one\ntwo\n").expect("written");
    let batch = format!(
        "lcd {}\ncd {}\npwd\nput local a\nput local b\nrename a b\nln -s b link\nln b hard\nchmod 600 b\nmkdir d\n\
         put -f local d/synced\nls -la\nls link\ndf\nreput longer b\nget b copied\nrm hard\nrm d/synced\nrmdir d\n",
        node.dir.path().display(),
        dir.display()
    );
    fs::write(node.at("batch"), batch).expect("written");
    let mut command = node.client("sftp");
    let output = command
        .arg("-b")
        .arg(node.at("batch"))
        .arg("node")
        .output()
        .expect("OpenSSH runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(node.at("copied")).expect("it came"), b"one\ntwo\n");
    assert_eq!(
        fs::read_link(dir.join("link")).expect("a link"),
        Path::new("b")
    );
    let mode = fs::metadata(dir.join("b"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let left = shell(&format!("ls -A {}", dir.display()));
    assert_eq!(left, "b\nlink\n");
}

#[test]
fn sftp_says_what_is_wrong_and_goes_on() {
    let node = Node::start();
    let mut command = node.client("sftp");
    command.arg("node").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("OpenSSH runs");
    let mut input = child.stdin.take().expect("piped");
    input
        .write_all(b"ls /no/such\nmkdir /proc/x\npwd\n")
        .expect("written");
    drop(input);
    let output = child.wait_with_output().expect("ended");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("not found"), "{errors}");
    let home = node.agent.home().display().to_string();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(&home),
        "{output:?}"
    );
}

/// A server that answers each line with it in capitals.
fn echo_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream.try_clone().expect("cloned"), stream));
        }
    });
    port
}

fn answer(from: impl Read, mut to: impl Write) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        // Whoever asked may have gone.
        let _ = writeln!(to, "{}", line.to_uppercase());
    }
}

fn ask(mut stream: impl Read + Write) -> String {
    stream.write_all(b"hello\n").expect("written");
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// A client in the background that is killed at the test's end.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("OpenSSH runs"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(port: u16) -> TcpStream {
    let mut stream = None;
    until("the port is open", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    stream.expect("connected")
}

#[test]
fn ports_and_sockets_are_forwarded_both_ways() {
    let node = Node::start();
    let server = echo_server();
    let (local, remote, socks) = (free_port(), free_port(), free_port());
    let (near, far) = (node.at("near.sock"), node.at("far.sock"));
    let served = UnixListener::bind(node.at("served.sock")).expect("bound");
    std::thread::spawn(move || {
        for stream in served.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream.try_clone().expect("cloned"), stream));
        }
    });
    let mut command = node.background();
    command.args(["-N", "-o", "ExitOnForwardFailure=yes"]);
    command.arg("-L").arg(format!("{local}:localhost:{server}"));
    command
        .arg("-R")
        .arg(format!("{remote}:localhost:{server}"));
    command.arg("-D").arg(socks.to_string());
    command.arg("-L").arg(format!(
        "{}:{}",
        near.display(),
        node.at("served.sock").display()
    ));
    command.arg("-R").arg(format!(
        "{}:{}",
        far.display(),
        node.at("served.sock").display()
    ));
    let background = Background::start(command.arg("node"));

    assert_eq!(ask(connect(local)), "HELLO\n");
    assert_eq!(ask(connect(remote)), "HELLO\n");
    for socket in [&near, &far] {
        until("the socket is open", || socket.exists());
        assert_eq!(ask(UnixStream::connect(socket).expect("open")), "HELLO\n");
    }
    assert_eq!(ask(through_socks(socks, server)), "HELLO\n");
    // What the client listened at goes with it.
    drop(background);
    until("the port is closed", || {
        TcpStream::connect(("127.0.0.1", remote)).is_err()
    });
    until("the socket is gone", || !far.exists());
}

/// A connection through a SOCKS 5 proxy, to a host by its name.
fn through_socks(proxy: u16, port: u16) -> TcpStream {
    let mut stream = connect(proxy);
    stream.write_all(&[5, 1, 0]).expect("written");
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).expect("an answer");
    let mut request = vec![5, 1, 0, 3, 9];
    request.extend_from_slice(b"localhost");
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).expect("written");
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).expect("an answer");
    assert_eq!(reply[1], 0, "{reply:?}");
    stream
}

#[test]
fn a_forward_to_nobody_is_refused_and_the_connection_lives() {
    let node = Node::start();
    let (local, closed) = (free_port(), free_port());
    let mut command = node.client("ssh");
    command.arg("-L").arg(format!("{local}:127.0.0.1:{closed}"));
    command.args(["-o", "LogLevel=QUIET", "node", "read line; echo alive"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("OpenSSH runs");
    let mut byte = [0];
    assert_eq!(connect(local).read(&mut byte).unwrap_or(0), 0);
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"\n")
        .expect("written");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.stdout, b"alive\n");
}

#[test]
fn a_killed_client_leaves_no_process() {
    let node = Node::start();
    for (args, mark) in [(&["-tt"][..], "70001"), (&["-T"][..], "70002")] {
        let mut command = node.background();
        command.args(args);
        command.args(["node", &format!("sleep {mark}; true")]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let background = Background::start(&mut command);
        until("it runs", || is_running(mark));
        drop(background);
        until("it is gone", || !is_running(mark));
    }
}

#[test]
fn what_an_editor_leaves_behind_outlives_a_broken_connection() {
    let node = Node::start();
    let mut command = node.background();
    // As VS Code starts its server: in the background, with streams of its own; the script stays.
    let script = "sleep 70003 > log 2>&1 < /dev/null & sleep 70004; true";
    command.args(["-T", "node", script]).stdout(Stdio::null());
    let background = Background::start(&mut command);
    until("both run", || is_running("70003") && is_running("70004"));
    drop(background);
    until("the script's is gone", || !is_running("70004"));
    assert!(is_running("70003"));
    assert_eq!(node.run("pkill -f '^sleep 70003$'; echo found"), "found\n");
}

#[test]
fn one_connection_serves_many_sessions_at_once() {
    let node = Node::start();
    let socket = node.at("master");
    let mut command = node.background();
    command.args(["-M", "-N", "-S"]).arg(&socket).arg("node");
    let _master = Background::start(&mut command);
    until("the master listens", || socket.exists());
    let sessions: Vec<_> = (0..8)
        .map(|number: u32| {
            let mut command = node.client("ssh");
            command.arg("-S").arg(&socket);
            command.args([
                "-o",
                "ControlMaster=no",
                "node",
                &format!("sleep 0.3; echo {number}"),
            ]);
            command.stdout(Stdio::piped());
            command.spawn().expect("OpenSSH runs")
        })
        .collect();
    for (number, session) in sessions.into_iter().enumerate() {
        let output = session.wait_with_output().expect("ended");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{number}\n")
        );
    }
}

#[test]
fn a_session_that_does_not_read_holds_no_other_up_and_takes_little_memory() {
    let node = Node::start();
    let socket = node.at("master");
    let mut command = node.background();
    command.args(["-M", "-N", "-S"]).arg(&socket).arg("node");
    let _master = Background::start(&mut command);
    until("the master listens", || socket.exists());
    // One that never reads what it is sent, and one whose client never reads.
    let mut deaf = node.background();
    deaf.arg("-S").arg(&socket).args(["node", "sleep 60"]);
    deaf.stdin(fs::File::open("/dev/zero").expect("open"));
    let _deaf = Background::start(&mut deaf);
    let mut loud = node.background();
    loud.arg("-S").arg(&socket).args(["node", "cat /dev/zero"]);
    let _loud = Background::start(loud.stdout(Stdio::piped()));
    let bytes = noise(8 << 20);
    fs::write(node.at("big"), &bytes).expect("written");
    let mut command = node.client("ssh");
    command.arg("-S").arg(&socket).args(["node", "cat"]);
    command.stdin(fs::File::open(node.at("big")).expect("open"));
    let output = command.output().expect("OpenSSH runs");
    assert!(
        output.stdout == bytes,
        "{} bytes came back",
        output.stdout.len()
    );
    let status = fs::read_to_string(format!("/proc/{}/status", node.agent.pid())).expect("it runs");
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("a line");
    let kib: u64 = resident
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    assert!(kib < 20 << 10, "{resident}");
}

#[test]
fn an_editor_s_server_is_started_and_reached() {
    let node = Node::start();
    // What VS Code does: a script on the standard input of bash, which leaves a server behind and says its port; then
    // connections to it through the same client.
    let socks = free_port();
    let mut command = node.background();
    command.args(["-T", "-D", &socks.to_string(), "node", "bash"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Background::start(&mut command);
    let script = "cat > serve.py <<'EOF'\nimport socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
                  print('listening on', s.getsockname()[1], flush=True)\nc, _ = s.accept()\n\
                  c.sendall(c.recv(100).upper())\nEOF\npython3 serve.py\n";
    let mut input = child.0.stdin.take().expect("piped");
    input.write_all(script.as_bytes()).expect("written");
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let port = line
        .rsplit(' ')
        .next()
        .expect("a word")
        .parse()
        .expect("a port");
    assert_eq!(ask(through_socks(socks, port)), "HELLO\n");
}

#[test]
fn programs_find_the_forwarded_agent() {
    let node = Node::start();
    let socket = node.at("agent.sock");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    let _agent = Background::start(&mut agent);
    until("the agent listens", || socket.exists());
    let mut command = node.client("ssh");
    command.env("SSH_AUTH_SOCK", &socket);
    let output = command
        .args(["-A", "node", "ssh-add -l"])
        .output()
        .expect("OpenSSH runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "The agent has no identities.\n"
    );
    assert_eq!(node.run("echo ${SSH_AUTH_SOCK-none}"), "none\n");
}

#[test]
fn a_client_that_speaks_no_ssh_is_hung_up_on() {
    let node = Node::start();
    // Makes sure that the agent listens.
    node.run("true");
    let socket = node.agent.root().join("run/ssh.sock");
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut stream = UnixStream::connect(&socket).expect("open");
        stream.write_all(garbage).expect("written");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it hangs up in time");
    }
    assert_eq!(node.run("echo well"), "well\n");
}
