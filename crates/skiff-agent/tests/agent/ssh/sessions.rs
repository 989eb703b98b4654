//! Sessions: their processes, streams, terminals and ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use super::{Background, Node, is_running, noise, until};

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
