use super::*;

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn listing(tree: &FileTree<u8>) -> Vec<String> {
    let line = |(path, node): (&TreePath, &Node<u8>)| match &node.kind {
        NodeKind::Directory => format!("{path}/ {:o}", node.attributes.mode),
        NodeKind::File(content) => format!("{path} {:o} {content}", node.attributes.mode),
        NodeKind::Symlink(target) => format!("{path} -> {target}"),
    };
    tree.iter().map(line).collect()
}

#[test]
fn missing_directories_appear() {
    let mut tree = FileTree::new();
    tree.put(path("a/b/c"), Node::file(0o600, 1));
    assert_eq!(listing(&tree), ["a/ 755", "a/b/ 755", "a/b/c 600 1"]);
    tree.put(path("a"), Node::directory(0o700));
    assert_eq!(listing(&tree), ["a/ 700", "a/b/ 755", "a/b/c 600 1"]);
}

#[test]
fn the_last_one_wins_whatever_is_in_the_way() {
    let mut tree = FileTree::new();
    tree.put(path("a/b/c"), Node::file(0o600, 1));
    tree.put(path("a/b-c"), Node::file(0o600, 2));
    tree.put(path("a/b"), Node::symlink("x"));
    assert_eq!(listing(&tree), ["a/ 755", "a/b -> x", "a/b-c 600 2"]);
    tree.put(path("a/b/d/e"), Node::file(0o644, 3));
    assert_eq!(listing(&tree), ["a/ 755", "a/b/ 755", "a/b/d/ 755", "a/b/d/e 644 3", "a/b-c 600 2"]);
    let mut over = FileTree::new();
    over.put(path("a/b"), Node::file(0o444, 4));
    tree.overlay(over);
    assert_eq!(listing(&tree), ["a/ 755", "a/b 444 4", "a/b-c 600 2"]);
}

#[test]
fn subtrees_become_trees() {
    let mut tree = FileTree::new();
    tree.put(path("rootfs"), Node::directory(0o711));
    tree.put(path("rootfs/usr/x"), Node::file(0o644, 1));
    tree.put(path("rootfs-not"), Node::file(0o644, 2));
    assert!(tree.clone().into_subtree(&path("rootfs-not")).is_none());
    assert!(tree.clone().into_subtree(&path("none")).is_none());
    let subtree = tree.into_subtree(&path("rootfs")).unwrap();
    assert_eq!(subtree.root().mode, 0o711);
    assert_eq!(listing(&subtree), ["usr/ 755", "usr/x 644 1"]);
}

#[test]
fn stored_trees_come_back_and_others_are_refused() {
    let mut tree = FileTree::new();
    tree.put(path("a/b"), Node::file(0o600, 1));
    tree.put(path("a/l"), Node::symlink("b"));
    let attributes = Attributes { mode: 0o400, label: Some("system_u:object_r:x_t:s0".into()) };
    tree.put(path("c"), Node { attributes, kind: NodeKind::File(7) });
    let text = serde_json::to_string(&tree).unwrap();
    assert_eq!(serde_json::from_str::<FileTree<u8>>(&text).unwrap(), tree);

    for (path, reason) in [("a/b", "a/b lies in no directory"), ("../b", "leads out of the tree")] {
        let text =
            format!(r#"{{"root":{{"mode":493}},"nodes":{{"{path}":{{"mode":420,"kind":{{"file":1}}}}}}}}"#);
        let error = serde_json::from_str::<FileTree<u8>>(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn spans_are_bounded() {
    let mut spool = std::io::Cursor::new(b"hello world".to_vec());
    let span = Span { offset: 6, len: 5 };
    assert_eq!(span.read(&mut spool, 5).unwrap(), b"world");
    assert_eq!(span.read(&mut spool, 4).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    let past = Span { offset: 6, len: 6 };
    assert_eq!(past.read(&mut spool, 9).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}
