//! Whatever trees follow each other, the pod has the last one, and what jobs made.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::collection::btree_map;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

use crate::support::Agent;
use crate::tree::Trees;

/// What is at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Folder(BTreeMap<String, Node>),
    File(Vec<u8>, u32),
    Link(String),
}

fn node() -> impl Strategy<Value = Node> {
    let content = prop_oneof![
        Just(Vec::new()),
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u8>().prop_map(|byte| vec![byte; 70_000]),
        Just([vec![0; 9000], vec![1]].concat()),
    ];
    let mode = prop_oneof![Just(0o644), Just(0o755), Just(0o600)];
    let leaf = prop_oneof![
        4 => (content, mode).prop_map(|(content, mode)| Node::File(content, mode)),
        1 => "[a-c]{1,3}".prop_map(Node::Link),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        btree_map("[a-c]{1,2}(-a)?", inner, 0..4).prop_map(Node::Folder)
    })
}

fn tree() -> impl Strategy<Value = BTreeMap<String, Node>> {
    btree_map("[a-c]{1,2}", node(), 0..5)
}

fn entries(mut trees: Trees, prefix: &str, nodes: &BTreeMap<String, Node>) -> Trees {
    for (name, node) in nodes {
        let path = format!("{prefix}{name}");
        trees = match node {
            Node::Folder(nodes) => entries(trees.folder(&path), &format!("{path}/"), nodes),
            Node::File(content, mode) => trees.file_of(&path, content, *mode),
            Node::Link(target) => trees.link(&path, target),
        };
    }
    trees
}

fn found(folder: &Path) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, metadata) = (entry.path(), entry.metadata().expect("there"));
        let node = if metadata.is_dir() {
            Node::Folder(found(&path))
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            Node::Link(target.to_str().expect("text").to_owned())
        } else {
            let mode = metadata.permissions().mode() & 0o777;
            Node::File(fs::read(&path).expect("there"), mode)
        };
        nodes.insert(entry.file_name().into_string().expect("text"), node);
    }
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_last_tree_is_there_whatever_went_before(trees in proptest::collection::vec(tree(), 1..5)) {
        let agent = Agent::start();
        let mut client = agent.client();
        let workdir = agent.root().join("sky_workdir");
        fs::write(workdir.join("a job's own"), "stays").expect("written");
        for tree in &trees {
            let sent = entries(Trees::workdir(), "", tree).in_order();
            client.sync(&sent);
            assert_eq!(client.sync(&sent), 0, "what is there was asked for");
            let mut there = found(&workdir);
            assert_eq!(there.remove("a job's own"), Some(Node::File(b"stays".to_vec(), 0o644)));
            assert_eq!(&there, tree);
        }
    }
}
