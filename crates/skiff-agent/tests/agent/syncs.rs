//! Syncs of the working folder: what arrives, what is removed, what is sent again and what is not.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use skiff_proto::tree::SyncRoot;
use skiff_proto::{Ending, FaultKind, Frame, Hello, PROTOCOL_VERSION, Request, Response};

use crate::support::{Agent, job, shell};
use crate::tree::{MODIFIED, Trees};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_sync_is_at_its_place_when_it_is_acknowledged() {
    let agent = Agent::start();
    let mut client = agent.client();
    let big = vec![7; 3 << 20];
    let trees = Trees::workdir()
        .folder("deep")
        .folder("deep/er")
        .file_of("deep/er/script", "echo ran\n", 0o755)
        .file("deep/a name with\nmore", "x")
        .file("empty", "")
        .file("big", &big)
        .file("the same", &big)
        .file(b"not \xff text", "bytes")
        .file_of("secret", "s", 0o400)
        .link("python", "/usr/bin/python3")
        .in_order();
    // The same content comes once, an empty one never.
    assert_eq!(client.sync(&trees), 5);

    let workdir = agent.home().join("sky_workdir");
    assert_eq!(fs::read(workdir.join("big")).expect("there"), big);
    assert_eq!(fs::read(workdir.join("the same")).expect("there"), big);
    assert_eq!(read(&workdir.join("empty")), "");
    assert_eq!(read(&workdir.join("deep/a name with\nmore")), "x");
    assert_eq!(
        read(&workdir.join(OsStr::from_bytes(b"not \xff text"))),
        "bytes"
    );
    let link = fs::read_link(workdir.join("python")).expect("a link");
    assert_eq!(link.to_str(), Some("/usr/bin/python3"));
    let secret = workdir.join("secret").metadata().expect("there");
    assert_eq!(secret.permissions().mode() & 0o777, 0o400);
    let modified = secret.modified().expect("a time");
    let expected = UNIX_EPOCH + Duration::from_nanos(MODIFIED.unsigned_abs());
    assert_eq!(modified, expected);
    let ran = client.run(job("./deep/er/script"));
    assert!(ran.text.contains(") ran\n"), "{}", ran.text);
    let left = shell(&format!(
        "ls {0}/sync/incoming {0}/sync/kept | grep -v :",
        agent.root().display()
    ));
    assert_eq!(left.trim(), "");
}

#[test]
fn only_what_changed_is_sent_again_and_what_is_gone_is_removed() {
    let agent = Agent::start();
    let mut client = agent.client();
    let workdir = agent.home().join("sky_workdir");
    let first = Trees::workdir()
        .folder("d")
        .file("d/gone", "1")
        .file("d/moved", "moved content")
        .folder("e")
        .file("e/gone", "2")
        .file("same", "same")
        .file_of("tool", "tool", 0o644)
        .link("old link", "x")
        .in_order();
    assert_eq!(client.sync(&first), 5);
    fs::write(workdir.join("d/result"), "a job's own").expect("written");
    let inode = |name: &str| workdir.join(name).metadata().expect("there").ino();
    let before = (inode("same"), inode("tool"));
    let second = Trees::workdir()
        .folder("new")
        .file("new/name", "moved content")
        .file("same", "same")
        .file_of("tool", "tool", 0o755)
        .in_order();
    assert_eq!(
        client.sync(&second),
        0,
        "a content that is there was asked for"
    );
    assert_eq!(
        before,
        (inode("same"), inode("tool")),
        "a file was made anew"
    );
    let mode = workdir
        .join("tool")
        .metadata()
        .expect("there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    assert_eq!(read(&workdir.join("new/name")), "moved content");
    assert_eq!(read(&workdir.join("d/result")), "a job's own");
    for gone in ["d/gone", "d/moved", "e", "old link"] {
        assert!(
            !workdir.join(gone).exists() && !workdir.join(gone).is_symlink(),
            "{gone} is left"
        );
    }
    assert_eq!(client.sync(&second), 0);
}

#[test]
fn what_a_job_changed_is_brought_again_and_not_removed_with_its_source() {
    let agent = Agent::start();
    let mut client = agent.client();
    let workdir = agent.home().join("sky_workdir");
    let trees = Trees::workdir().file("a", "mine").file("b", "mine");
    client.sync(&trees);
    // Of the same length and time: only the change itself tells.
    client.run(job(
        "printf ours > a; printf ours > b; touch -d @1700000000.123456789 a b",
    ));
    assert_eq!(client.sync(&trees), 1);
    assert_eq!(
        (read(&workdir.join("a")), read(&workdir.join("b"))),
        ("mine".into(), "mine".into())
    );
    client.run(job("echo result > a; rm b"));
    assert_eq!(client.sync(&Trees::workdir().file("c", "c")), 1);
    assert_eq!(read(&workdir.join("a")), "result\n");
}

#[test]
fn an_agent_that_has_lost_its_list_finds_by_their_contents_what_is_there() {
    let agent = Agent::start();
    let mut client = agent.client();
    let trees = Trees::workdir().file("a", "one").file("b", "two");
    client.sync(&trees);
    fs::remove_dir_all(agent.root().join("sync/records")).expect("removed");
    assert_eq!(client.sync(&trees), 0);
}

#[test]
fn the_kinds_of_entries_take_each_others_places() {
    let agent = Agent::start();
    let mut client = agent.client();
    let workdir = agent.home().join("sky_workdir");
    let folder = Trees::workdir()
        .folder("x")
        .folder("x/y")
        .file("x/y/z", "z");
    let file = Trees::workdir().file("x", "file");
    let link = Trees::workdir().link("x", "nowhere");
    for (index, trees) in [&folder, &file, &link, &folder, &link, &file, &folder]
        .iter()
        .enumerate()
    {
        client.sync(trees);
        let x = workdir.join("x");
        let right = match &trees.entries[0].0.kind {
            skiff_proto::tree::EntryKind::Folder { .. } => read(&x.join("y/z")) == "z",
            skiff_proto::tree::EntryKind::File { .. } => read(&x) == "file",
            skiff_proto::tree::EntryKind::Link { .. } => fs::read_link(&x).is_ok(),
        };
        assert!(right, "step {index}");
    }
}

#[test]
fn a_file_does_not_replace_a_folder_that_has_a_jobs_files() {
    let agent = Agent::start();
    let mut client = agent.client();
    let workdir = agent.home().join("sky_workdir");
    client.sync(&Trees::workdir().folder("out").file("out/brought", "1"));
    fs::write(workdir.join("out/result"), "mine").expect("written");
    let (kind, message) = client.refused(&Trees::workdir().file("a", "").file("out", ""));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(
        message.contains("\"out\" is a folder in the pod"),
        "{message}"
    );
    assert!(!workdir.join("a").exists(), "a part was taken");
    assert_eq!(read(&workdir.join("out/result")), "mine");
    assert_eq!(read(&workdir.join("out/brought")), "1");
}

#[test]
fn a_link_in_the_working_folder_is_replaced_not_followed() {
    let agent = Agent::start();
    let mut client = agent.client();
    let outside = agent.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let trees = Trees::workdir().folder("data").file("data/x", "here");
    let data = agent.home().join("sky_workdir/data");
    symlink(&outside, &data).expect("linked");
    client.sync(&trees);
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
    assert_eq!(read(&data.join("x")), "here");
    // One that a job made of what a sync brought: nothing is removed through it.
    client.run(job("mv data ~/elsewhere; ln -s ~/elsewhere data"));
    client.sync(&Trees::workdir().file("other", ""));
    assert_eq!(read(&agent.home().join("elsewhere/x")), "here");
}

#[test]
fn manifests_that_lead_out_are_refused_whole() {
    let agent = Agent::start();
    let mut client = agent.client();
    let outside = agent.root().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let target = outside.to_str().expect("text").to_owned();
    let start = || Trees::workdir().file("aa", "");
    let cases = [
        start().file("../../outside/x", "evil"),
        start().file(format!("{target}/x"), "evil"),
        start().folder("b").file("b/../../outside/x", "evil"),
        start().link("out", &target).file("out/x", "evil"),
        start().link("out", "../outside").file("out/x", "evil"),
        start().file("b", "").file("b/x", "evil"),
        start().file("b/x", "without a folder"),
        start().file("", "evil"),
        start().file(".", "evil"),
        start().folder("b").file("b//x", "evil"),
        start().folder("b").file("b/", "evil"),
        start().file("b\0c", "evil"),
        start().file("n".repeat(256), "evil"),
        start().link("b", ""),
        start().link("b", "x\0y"),
        start().file("b", "1").file("b", "2"),
        start().file("c", "").file("b", ""),
        start().mount("/a").mount("/a").file("a", ""),
        start().mount("~/../x").file("x", ""),
        start().mount("~/x").file("x", "").file("y", ""),
        Trees {
            roots: vec![SyncRoot::Workdir; 2],
            ..start()
        },
        Trees {
            roots: Vec::new(),
            ..start()
        },
    ];
    for (at, case) in cases.into_iter().enumerate() {
        let (kind, message) = client.refused(&case);
        assert_eq!(kind, FaultKind::Invalid, "case {at}: {message}");
        assert_eq!(
            fs::read_dir(&outside).expect("a folder").count(),
            0,
            "case {at} got out"
        );
        assert!(
            !agent.home().join("sky_workdir/aa").exists(),
            "case {at} left a part"
        );
    }
}

#[test]
fn what_is_no_sync_is_refused_and_the_connection_goes_on() {
    let agent = Agent::start();
    let mut client = agent.client();
    let trees = Trees::workdir().file("a", "x");
    for garbage in [vec![b'x'; 2 << 20], Vec::new(), trees.contents(&[])] {
        let mut begun = client
            .begin_sync("one", &trees)
            .unwrap_or_else(|other| panic!("{other:?}"));
        let refused = if let Err(response) = client.send_data(&mut begun, &garbage) {
            *response
        } else {
            client.send(&Frame::End(begun.id));
            client.answer(begun.id)
        };
        let Response::Failed { fault } = refused else {
            panic!("{refused:?}");
        };
        assert!(
            matches!(fault.kind, FaultKind::Invalid | FaultKind::Changed),
            "{fault:?}"
        );
    }
    let id = client.request(Request::Sync {
        sync: "two".into(),
        roots: vec![SyncRoot::Workdir],
        manifest: 9,
    });
    client.send(&Frame::Data(id, b"no zstd!!".to_vec()));
    assert!(
        matches!(client.answer(id), Response::Failed { fault } if fault.kind == FaultKind::Invalid)
    );
    assert_eq!(client.sync(&trees), 1);
}

#[test]
fn a_content_other_than_announced_is_refused_and_nothing_is_placed() {
    let agent = Agent::start();
    let mut client = agent.client();
    let mut trees = Trees::workdir()
        .file("a", "right")
        .file("b", "as announced");
    trees.entries[1].1 = b"not as said!".to_vec();
    let (kind, message) = client.refused(&trees);
    assert_eq!(kind, FaultKind::Changed, "{message}");
    assert!(message.contains("\"b\" changed"), "{message}");
    assert!(!agent.home().join("sky_workdir/a").exists());
    // What was right need not come again.
    trees.entries[1].1 = b"as announced".to_vec();
    assert_eq!(client.sync(&trees), 1);
}

/// A manifest and part of the contents, then the end of the connection.
fn break_off(agent: &Agent, trees: &Trees, bytes: usize) {
    let mut cut = agent.client();
    let mut begun = cut
        .begin_sync("cut", trees)
        .unwrap_or_else(|other| panic!("{other:?}"));
    let contents = trees.contents(&begun.needs);
    cut.send_data(&mut begun, &contents[..bytes])
        .expect("taken");
    drop(cut);
    // What had arrived is kept when the sync's own folder goes.
    shell(&format!(
        "while [ \"$(ls {}/sync/incoming)\" ]; do :; done",
        agent.root().display()
    ));
}

/// Bytes that no compression makes less.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_broken_connection_changes_nothing_and_the_next_sync_goes_on() {
    let agent = Agent::start();
    let workdir = agent.home().join("sky_workdir");
    agent.client().sync(&Trees::workdir().file("a", "old"));
    let trees = Trees::workdir()
        .file("a", "new")
        .file("big", noise(4 << 20));
    break_off(&agent, &trees, 2 << 20);
    assert_eq!(read(&workdir.join("a")), "old");
    assert!(!workdir.join("big").exists());
    // An agent that is killed loses nothing of it either.
    let agent = Agent::start_in(agent.kill(), |_| {});
    let mut client = agent.client();
    let begun = client
        .begin_sync("again", &trees)
        .unwrap_or_else(|other| panic!("{other:?}"));
    assert_eq!(begun.needs.len(), 1, "what was whole was asked for again");
    // What was sent ahead of the agent's word, a window at most, and a block of the compression may be lost.
    let least = (2 << 20) - u64::from(Frame::WINDOW) - (256 << 10);
    assert!(begun.needs[0].offset > least, "{:?}", begun.needs);
    drop(client);
    assert_eq!(agent.client().sync(&trees), 1);
    assert_eq!(
        fs::read(agent.home().join("sky_workdir/big")).expect("there"),
        noise(4 << 20)
    );
}

#[test]
fn a_part_that_was_spoilt_is_found_and_sent_again() {
    let agent = Agent::start();
    let trees = Trees::workdir().file("big", noise(4 << 20));
    break_off(&agent, &trees, 2 << 20);
    let kept = shell(&format!("ls -d {}/sync/kept/*", agent.root().display()));
    shell(&format!(
        "printf spoilt | dd of={} conv=notrunc 2>&1",
        kept.trim()
    ));
    let (kind, _) = agent.client().refused(&trees);
    assert_eq!(kind, FaultKind::Changed);
    assert_eq!(agent.client().sync(&trees), 1);
    assert_eq!(
        fs::read(agent.home().join("sky_workdir/big")).expect("there"),
        noise(4 << 20)
    );
}

#[test]
fn a_client_that_comes_back_with_the_same_sync_ends_the_older_one() {
    let agent = Agent::start();
    let trees = Trees::workdir().file("big", noise(4 << 20));
    let mut silent = agent.client();
    let mut begun = silent
        .begin_sync("one", &trees)
        .unwrap_or_else(|other| panic!("{other:?}"));
    let contents = trees.contents(&begun.needs);
    silent
        .send_data(&mut begun, &contents[..2 << 20])
        .expect("taken");
    let mut client = agent.client();
    let again = client
        .begin_sync("one", &trees)
        .unwrap_or_else(|other| panic!("{other:?}"));
    assert!(
        again.needs[0].offset > 0,
        "what had arrived was asked for again"
    );
}

#[test]
fn two_syncs_of_one_tree_leave_one_of_them_whole() {
    let agent = Agent::start();
    let (mut one, mut other) = (agent.client(), agent.client());
    let trees = |text: &str| Trees::workdir().file("a", text).file("b", text);
    let (first, second) = (trees("first"), trees("second"));
    let mut begun = one
        .begin_sync("one", &first)
        .unwrap_or_else(|other| panic!("{other:?}"));
    other.sync(&second);
    let contents = first.contents(&begun.needs);
    one.send_data(&mut begun, &contents).expect("taken");
    one.send(&Frame::End(begun.id));
    let answer = one.answer(begun.id);
    assert!(
        matches!(&answer, Response::Failed { fault } if fault.kind == FaultKind::Changed),
        "{answer:?}"
    );
    let workdir = agent.home().join("sky_workdir");
    assert_eq!(
        (read(&workdir.join("a")), read(&workdir.join("b"))),
        ("second".into(), "second".into())
    );
    assert_eq!(one.sync(&first), 0, "what had arrived was asked for again");
}

#[test]
fn zeros_become_holes() {
    let agent = Agent::start();
    let mut content = vec![0; 64 << 20];
    content[10 << 20] = 1;
    let trees = Trees::workdir()
        .file("sparse", &content)
        .file("zeros", vec![0; 32 << 20]);
    agent.client().sync(&trees);
    for (name, expected) in [("sparse", content), ("zeros", vec![0; 32 << 20])] {
        let path = agent.home().join("sky_workdir").join(name);
        let metadata = path.metadata().expect("there");
        assert!(
            metadata.blocks() * 512 < 1 << 20,
            "{name} takes {} blocks",
            metadata.blocks()
        );
        assert!(
            fs::read(path).expect("there") == expected,
            "{name} is another"
        );
    }
}

#[test]
fn a_sender_beyond_its_window_is_cut_off() {
    let agent = Agent::start();
    agent.client();
    let mut socket = UnixStream::connect(agent.root().join("run/agent.sock")).expect("it listens");
    let mut bytes = Vec::new();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        build: "test".into(),
        boot: String::new(),
    };
    Frame::Hello(hello).encode(&mut bytes);
    let sync = Request::Sync {
        sync: "flood".into(),
        roots: vec![SyncRoot::Workdir],
        manifest: u64::MAX,
    };
    Frame::Request(1, sync).encode(&mut bytes);
    // Small pieces, whose credits fill the way back that nobody reads; then more than the window.
    for _ in 0..100_000 {
        Frame::Data(1, vec![0]).encode(&mut bytes);
    }
    for _ in 0..100 {
        Frame::Data(1, vec![0; Frame::CHUNK]).encode(&mut bytes);
    }
    assert!(socket.write_all(&bytes).is_err(), "everything was taken");
    assert!(agent.client().queue().is_empty());
}

#[test]
fn a_full_disk_is_said_with_its_path_and_nothing_is_half_placed() {
    let Some(mut agent) = Agent::start_on_small_disk(4 << 20) else {
        return;
    };
    let mut client = agent.client();
    client.sync(&Trees::workdir().file("a", "old"));
    let trees = Trees::workdir()
        .file("a", "new")
        .file("big", noise(6 << 20));
    let (kind, message) = client.refused(&trees);
    assert_eq!(kind, FaultKind::DiskFull, "{message}");
    let workdir = agent.home().join("sky_workdir");
    assert_eq!(read(&workdir.join("a")), "old");
    // The copies of one content need room too.
    let copies = noise(1 << 20);
    let mut trees = Trees::workdir().file("a", "new");
    for number in 0..6 {
        trees = trees.file(format!("copy {number}"), &copies);
    }
    let (kind, message) = client.refused(&trees);
    assert_eq!(kind, FaultKind::DiskFull, "{message}");
    assert_eq!(read(&workdir.join("a")), "old");
    assert_eq!(fs::read_dir(&workdir).expect("a folder").count(), 1);
    assert_eq!(
        client.sync(&Trees::workdir().file("small", noise(2 << 20))),
        1,
        "room was not given back"
    );

    client.run(job("true"));
    let fill = workdir.join("fill");
    shell(&format!("head -c 8000000 /dev/zero > {}", fill.display()));
    let submitted = client.ask(Request::Submit {
        job: job("echo hi"),
    });
    let Response::Failed { fault } = submitted else {
        panic!("{submitted:?}");
    };
    assert_eq!(fault.kind, FaultKind::DiskFull, "{fault}");
    assert!(fault.message.contains("/jobs/2"), "{fault}");
    fs::remove_file(fill).expect("removed");
    assert!(client.run(job("echo again")).text.contains(") again\n"));
    assert_eq!(
        client.ask(Request::Shutdown {
            ending: Ending::Down
        }),
        Response::Done
    );
    drop(client);
    assert!(agent.wait().success());
}

#[test]
fn the_agent_stays_small_while_it_takes_large_files() {
    let agent = Agent::start();
    let mut client = agent.client();
    let mut trees = Trees::workdir();
    for number in 0..10_000_u32 {
        trees = trees.file(
            format!("a file with a name of some length {number:05}"),
            number.to_le_bytes(),
        );
    }
    let trees = trees.file("big", noise(64 << 20));
    client.sync(&trees);
    let peak = agent.peak_kib();
    assert!(peak < 24 << 10, "the agent took {peak} KiB");
}
