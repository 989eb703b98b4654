//! Files over SSH: scp and sftp.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use super::{Node, noise};
use crate::support::shell;

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
