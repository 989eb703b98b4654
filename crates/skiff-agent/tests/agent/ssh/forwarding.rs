//! Ports, sockets and authentication agents that are forwarded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use super::{Background, Node, until};

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

fn ask(stream: impl Read + Write) -> String {
    try_ask(stream).expect("an answer")
}

fn try_ask(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"hello\n")?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
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
    let listener = UnixListener::bind(node.at("served.sock")).expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
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
    until("the proxy answers", || {
        let asked = try_ask(through_socks(socks, server));
        asked.is_ok_and(|answer| answer == "HELLO\n")
    });
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
