//! Files and folders at places that users name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use skiff_proto::FaultKind;

use crate::support::{Agent, job};
use crate::tree::Trees;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn none() -> Trees {
    Trees::default()
}

#[test]
fn files_and_folders_appear_where_they_were_wanted() {
    let agent = Agent::start();
    let mut client = agent.client();
    let outside = tempfile::tempdir().expect("a folder");
    let data = outside.path().join("a/b/data");
    let trees = none()
        .mount(data.to_str().expect("text"))
        .folder("data")
        .file("data/x", "in data")
        .mount("~/.config/tool.toml")
        .file("tool.toml", "a = 1")
        .mount("models/small")
        .folder("small")
        .file("small/weights", "w");
    assert_eq!(client.sync(&trees), 3);
    assert_eq!(read(&data.join("x")), "in data");
    assert_eq!(read(&agent.home().join(".config/tool.toml")), "a = 1");
    let ran = client.run(job("cat models/small/weights ~/.config/tool.toml"));
    assert!(ran.text.contains('w'), "{}", ran.text);
    // The same again is nothing; a change is one, and takes effect in the same place.
    assert_eq!(client.sync(&trees), 0);
    let changed = none()
        .mount(data.to_str().expect("text"))
        .folder("data")
        .file("data/y", "another");
    client.sync(&changed);
    assert!(!data.join("x").exists());
    assert_eq!(read(&data.join("y")), "another");
    assert_eq!(
        read(&agent.home().join(".config/tool.toml")),
        "a = 1",
        "a mount that was not named went"
    );
}

#[test]
fn a_folder_of_the_image_gets_copies_and_keeps_its_own() {
    let agent = Agent::start();
    let mut client = agent.client();
    let ssh = agent.home().join(".ssh");
    fs::create_dir(&ssh).expect("a folder");
    fs::write(ssh.join("known_hosts"), "of the image").expect("written");
    let trees = |text: &str| {
        none()
            .mount("~/.ssh")
            .folder(".ssh")
            .file(".ssh/config", text)
            .folder(".ssh/keys")
            .file_of(".ssh/keys/one", text, 0o600)
    };
    client.sync(&trees("first"));
    assert!(!ssh.is_symlink());
    assert!(!ssh.join("config").is_symlink());
    assert_eq!(read(&ssh.join("keys/one")), "first");
    client.sync(&trees("second"));
    assert_eq!(read(&ssh.join("config")), "second");
    // What a job changed is brought again from the node's own copy.
    fs::write(ssh.join("config"), "a job's").expect("written");
    assert_eq!(client.sync(&trees("second")), 0);
    assert_eq!(read(&ssh.join("config")), "second");
    client.sync(&none().mount("~/.ssh").folder(".ssh").file(".ssh/new", "n"));
    assert!(!ssh.join("config").exists() && !ssh.join("keys").exists());
    assert_eq!(
        (read(&ssh.join("known_hosts")), read(&ssh.join("new"))),
        ("of the image".into(), "n".into())
    );
    // A link of the image to a folder is such a folder.
    symlink(&ssh, agent.home().join("linked")).expect("linked");
    client.sync(
        &none()
            .mount("~/linked")
            .folder("linked")
            .file("linked/through", "t"),
    );
    assert_eq!(read(&ssh.join("through")), "t");
}

#[test]
fn everything_is_at_its_place_again_after_a_restart_of_the_container() {
    let agent = Agent::start();
    let outside = tempfile::tempdir().expect("a folder");
    let place = outside.path().join("data");
    let trees = none()
        .mount(place.to_str().expect("text"))
        .folder("data")
        .file("data/x", "x")
        .mount("~/merged")
        .folder("merged")
        .file("merged/y", "y")
        .mount("~/.netrc")
        .file_of(".netrc", "secret", 0o600);
    fs::create_dir(agent.home().join("merged")).expect("a folder");
    agent.client().sync(&trees);
    let dir = agent.kill();
    // The image's files are as they were, what lies under the shared folder has stayed.
    fs::remove_file(&place).expect("a link");
    fs::remove_dir_all(dir.path().join("home")).expect("removed");
    fs::create_dir_all(dir.path().join("home/merged")).expect("a folder");
    let agent = Agent::start_in(dir, |_| {});
    let mut client = agent.client();
    assert_eq!(read(&place.join("x")), "x");
    assert_eq!(read(&agent.home().join("merged/y")), "y");
    assert_eq!(read(&agent.home().join(".netrc")), "secret");
    assert_eq!(client.sync(&trees), 0);
}

#[test]
fn a_place_that_cannot_be_had_is_named_with_the_reason() {
    let agent = Agent::start();
    let mut client = agent.client();
    let home = agent.home();
    fs::write(home.join("file"), "of the image").expect("written");
    fs::create_dir(home.join("folder")).expect("a folder");
    let own = |path: &str| agent.root().join(path).display().to_string();
    let cases = [
        (
            none().mount("/proc/x").file("x", "1"),
            "/proc is the system's own",
        ),
        (
            none().mount(&own("bin/tool")).file("tool", "1"),
            "is Skiff's own",
        ),
        (
            none().mount("~/sky_logs").folder("sky_logs"),
            "is Skiff's own",
        ),
        (
            none().mount("~/file/below").file("below", "1"),
            "is no folder",
        ),
        (none().mount("~/file").folder("file"), "it is a file"),
        (
            none().mount("~/folder").file("folder", "1"),
            "it is a folder",
        ),
        (none().mount("/").file("x", "1"), "it is no place"),
        (
            Trees::workdir()
                .file("mine", "1")
                .mount("mine/below")
                .file("below", "1"),
            "is no folder",
        ),
    ];
    for (at, (trees, why)) in cases.into_iter().enumerate() {
        let (kind, message) = client.refused(&trees);
        assert_eq!(kind, FaultKind::Invalid, "case {at}: {message}");
        assert!(message.contains(why), "case {at}: {message}");
    }
    assert_eq!(read(&home.join("file")), "of the image");
}

#[test]
fn a_file_of_the_image_gives_way_to_one_that_was_wanted() {
    let agent = Agent::start();
    let mut client = agent.client();
    fs::write(agent.home().join(".netrc"), "of the image").expect("written");
    client.sync(&none().mount("~/.netrc").file(".netrc", "mine"));
    assert_eq!(read(&agent.home().join(".netrc")), "mine");
}

#[test]
fn mounts_within_each_other_and_the_workdir_are_all_there() {
    let agent = Agent::start();
    let mut client = agent.client();
    let trees = Trees::workdir()
        .file("main", "main")
        .mount("~/data/inner")
        .folder("inner")
        .file("inner/x", "inner")
        .mount("~/data")
        .folder("data")
        .file("data/y", "outer")
        .mount("given")
        .folder("given")
        .file("given/z", "given");
    client.sync(&trees);
    let (home, workdir) = (agent.home(), agent.home().join("sky_workdir"));
    let check = || {
        assert_eq!(read(&home.join("data/inner/x")), "inner");
        assert_eq!(read(&home.join("data/y")), "outer");
        assert_eq!(read(&workdir.join("given/z")), "given");
    };
    check();
    assert_eq!(client.sync(&trees), 0);
    check();
    // A later workdir has a folder of the same name.
    let later = Trees::workdir().folder("given").file("given/own", "own");
    client.sync(&later);
    check();
    assert_eq!(read(&workdir.join("given/own")), "own");
}

#[test]
fn a_home_folder_and_the_working_folder_can_be_places() {
    let agent = Agent::start();
    let mut client = agent.client();
    let trees = none()
        .mount("~")
        .folder("home")
        .file("home/.profile", "p")
        .mount("~/sky_workdir")
        .folder("sky_workdir")
        .file("sky_workdir/code", "c");
    client.sync(&trees);
    assert_eq!(read(&agent.home().join(".profile")), "p");
    assert_eq!(read(&agent.root().join("sky_workdir/code")), "c");
}
