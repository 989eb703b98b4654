//! Addresses, references and clones of real repositories on this machine.

use std::path::Path;

use super::*;

#[test]
fn a_password_in_an_address_is_taken_out_of_it() {
    let taken = without_credential("https://ann:p%40ss@host.example/a/b@c.git");
    let credential = Some(("ann".to_owned(), "p@ss".to_owned()));
    assert_eq!(
        taken,
        ("https://host.example/a/b@c.git".to_owned(), credential)
    );
    for plain in [
        "https://host/a@b",
        "git@host:a/b",
        "ssh://git@host/a",
        "/a@b",
    ] {
        assert_eq!(without_credential(plain), (plain.to_owned(), None));
    }
}

#[test]
fn a_reference_is_a_branch_before_a_tag_before_a_commit() {
    let listed = "ref: refs/heads/main\tHEAD\naa\tHEAD\naa\trefs/heads/main\nbb\trefs/heads/v1\ncc\trefs/tags/v1\n\
                  cc\trefs/tags/v2\n";
    let of = |reference| kind_of(listed, reference);
    assert_eq!(of(None), Some(Kind::Branch("main".into())));
    assert_eq!(of(Some("v1")), Some(Kind::Branch("v1".into())));
    assert_eq!(of(Some("refs/tags/v1")), Some(Kind::Tag("v1".into())));
    assert_eq!(of(Some("v2")), Some(Kind::Tag("v2".into())));
    assert_eq!(of(Some("DEADBEEF")), Some(Kind::Commit("deadbeef".into())));
    assert_eq!(of(Some("nothing")), None);
}

fn run(folder: &Path, script: &str) -> String {
    let output = std::process::Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn branches_tags_and_commits_are_checked_out_and_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let origin = dir.path().join("origin");
    std::fs::create_dir(&origin).unwrap();
    run(
        &origin,
        "git init -q -b main; echo 1 > file; git add .; git commit -qm 1; git tag v1; echo 2 > file; git commit -qam 2",
    );
    let first = run(&origin, "git rev-parse v1");
    let machine = Machine {
        cache: dir.path().join("cache"),
        ..Machine::default()
    };
    let url = format!("file://{}", origin.display());
    let clone_at = async |reference: Option<&str>| {
        let repository = Repository::new(&url, reference, &machine).unwrap();
        let checkout = repository.check_out().await?;
        let text = std::fs::read_to_string(checkout.folder.join("file")).unwrap();
        Ok::<_, GitError>((text, checkout))
    };
    let (text, checkout) = clone_at(None).await.unwrap();
    assert_eq!(text, "2\n");
    let branch = ("GIT_BRANCH".to_owned(), "main".to_owned());
    assert_eq!(
        checkout.variables,
        [("GIT_URL".to_owned(), url.clone()), branch]
    );
    assert_eq!(
        run(&checkout.folder, "git rev-list --count HEAD"),
        "1",
        "it is not shallow"
    );
    std::fs::write(checkout.folder.join("left"), "").unwrap();
    run(&origin, "echo 3 > file; git commit -qam 3");
    let (text, checkout) = clone_at(None).await.unwrap();
    assert_eq!(
        (text.as_str(), checkout.folder.join("left").exists()),
        ("3\n", false)
    );
    for reference in ["v1", &first, &first[..8]] {
        assert_eq!(
            clone_at(Some(reference)).await.unwrap().0,
            "1\n",
            "{reference}"
        );
    }
    let missing = clone_at(Some("nothing")).await.err().unwrap();
    assert!(matches!(missing, GitError::NoReference { .. }), "{missing}");
    let nowhere = Repository::new("file:///no/such/repository", None, &machine).unwrap();
    let refused = nowhere.check_out().await.err().unwrap();
    assert!(matches!(refused, GitError::NoAccess { .. }), "{refused}");
    for option in ["--upload-pack=touch /tmp/x", "-x"] {
        assert!(Repository::new(option, None, &machine).is_err());
        assert!(Repository::new(&url, Some(option), &machine).is_err());
    }
}
