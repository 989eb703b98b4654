use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use skiff_proto::tree::SyncRoot;
use tempfile::TempDir;

use super::super::Source;
use super::Trees;

/// A folder with these files; a name that ends with `/` is a folder.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn source(path: &Path, is_whole: bool) -> Source {
    Source {
        root: SyncRoot::Workdir,
        path: path.to_owned(),
        is_whole,
    }
}

fn names(path: &Path, is_whole: bool) -> Vec<String> {
    let trees = Trees::read(&[source(path, is_whole)]).expect("it can be read");
    let names = trees.found.iter().map(|found| found.entry.path.clone());
    names
        .map(|name| String::from_utf8(name).expect("text"))
        .collect()
}

#[test]
fn gitignore_files_of_all_folders_and_the_repositorys_own_list_count() {
    let dir = folder(&[
        (".gitignore", "*.log\n/top\n"),
        (".git/info/exclude", "private\n"),
        ("a.log", ""),
        ("top", ""),
        ("private", ""),
        ("sub/.gitignore", "!kept.log\nown\n"),
        ("sub/kept.log", ""),
        ("sub/own", ""),
        ("sub/top", ""),
    ]);
    assert_eq!(
        names(dir.path(), false),
        [
            ".git",
            ".git/info",
            ".git/info/exclude",
            ".gitignore",
            "sub",
            "sub/.gitignore",
            "sub/kept.log",
            "sub/top"
        ]
    );
}

#[test]
fn a_skyignore_takes_the_place_of_all_gitignores() {
    let dir = folder(&[
        (".gitignore", "wanted\n"),
        (".skyignore", "/data\n*.bin\n!keep.bin\n"),
        ("wanted", ""),
        ("data/x", ""),
        ("sub/data/x", ""),
        ("sub/a.bin", ""),
        ("sub/keep.bin", ""),
    ]);
    assert_eq!(
        names(dir.path(), false),
        [
            ".gitignore",
            ".skyignore",
            "sub",
            "sub/data",
            "sub/data/x",
            "sub/keep.bin",
            "wanted"
        ]
    );
}

#[test]
fn nothing_of_a_clone_stays_behind() {
    let dir = folder(&[
        (".gitignore", "committed\n"),
        (".skyignore", "*\n"),
        ("committed", ""),
    ]);
    assert_eq!(
        names(dir.path(), true),
        [".gitignore", ".skyignore", "committed"]
    );
}

#[test]
fn what_is_neither_file_nor_folder_nor_link_stays_behind() {
    let dir = folder(&[("file", "")]);
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket"));
    symlink("nowhere", dir.path().join("link")).expect("a link");
    assert_eq!(names(dir.path(), false), ["file", "link"]);
}
