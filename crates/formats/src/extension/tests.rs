use super::*;
use crate::file_tree::Node;

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// A tree of files whose content is their own name in the image.
fn image(files: &[&str]) -> FileTree<String> {
    let mut tree = FileTree::new();
    for file in files {
        match file.split_once(" -> ") {
            Some((link, target)) => tree.put(path(link), Node::symlink(target)),
            None if file.ends_with('/') => tree.put(path(file), Node::directory(0o755)),
            None => tree.put(path(file), Node::file(0o644, (*file).to_owned())),
        }
    }
    tree
}

fn split(files: &[&str]) -> Result<Extension<String>, ExtensionError> {
    Extension::split(image(files), SystemDirectories::UsrMerged)
}

fn names(tree: &FileTree<String>) -> Vec<&str> {
    tree.iter().map(|(path, _)| path.as_str()).collect()
}

#[test]
fn an_image_is_a_manifest_and_a_root_file_system() {
    let text = |files: &[&str]| split(files).unwrap_err().to_string();
    assert_eq!(text(&["manifest.yaml"]), "extension rootfs is missing");
    assert_eq!(text(&["rootfs/"]), "extension manifest is missing");
    assert_eq!(text(&[]), "extension manifest is missing");
    assert_eq!(text(&["manifest.yaml", "rootfs/x", "README"]), "unexpected file \"README\"");
    assert_eq!(text(&["manifest.yaml", "rootfs/x", "rootfs-2/x"]), "unexpected file \"rootfs-2\"");
    assert_eq!(text(&["manifest.yaml/", "rootfs/"]), "unexpected file \"manifest.yaml\"");
    assert_eq!(text(&["manifest.yaml", "rootfs"]), "unexpected file \"rootfs\"");
    let bare = split(&["manifest.yaml", "rootfs/"]).unwrap();
    assert_eq!(bare.manifest, "manifest.yaml");
    assert!(bare.rootfs.is_empty() && bare.firmware.is_empty() && bare.microcode.is_empty());
    assert_eq!(bare.modules, None);
}

#[test]
fn microcode_and_firmware_leave_the_root_file_system() {
    let extension = split(&[
        "manifest.yaml",
        "rootfs/usr/lib/firmware/intel-ucode/06-02-02",
        "rootfs/usr/lib/firmware/intel-ucode/06-01-01",
        "rootfs/usr/lib/firmware/intel-ucode/deeper/x",
        "rootfs/usr/lib/firmware/intel-ucode/link -> 06-02-02",
        "rootfs/usr/lib/firmware/intel-ucode/dead -> nowhere",
        "rootfs/usr/lib/firmware/amd-ucode/microcode_amd_fam17h.bin",
        "rootfs/usr/lib/firmware/amd-ucode/microcode_amd.bin",
        "rootfs/usr/lib/firmware/amd-ucode/microcode_amd.bin.asc",
        "rootfs/usr/lib/firmware/amd-ucode/README",
        "rootfs/usr/lib/firmware/wifi/a.bin",
        "rootfs/usr/lib/firmware/wifi/b.bin -> a.bin",
        "rootfs/usr/lib/firmware-not/x",
        "rootfs/usr/local/bin/tool",
        "rootfs/lib/firmware/old.bin",
    ])
    .unwrap();
    let base = |name: &String| name.rsplit('/').next().unwrap().to_owned();
    let intel: Vec<_> = extension.microcode.intel.iter().map(base).collect();
    assert_eq!(intel, ["06-01-01", "06-02-02", "06-02-02"]);
    let amd: Vec<_> = extension.microcode.amd.iter().map(base).collect();
    assert_eq!(amd, ["microcode_amd.bin", "microcode_amd_fam17h.bin"]);
    let below: Vec<_> =
        names(&extension.firmware).iter().map(|n| n.trim_start_matches("usr/lib/firmware")).collect();
    let want = [
        "usr",
        "usr/lib",
        "",
        "/amd-ucode",
        "/amd-ucode/README",
        "/amd-ucode/microcode_amd.bin.asc",
        "/intel-ucode",
        "/intel-ucode/dead",
        "/intel-ucode/deeper",
        "/intel-ucode/deeper/x",
        "/wifi",
        "/wifi/a.bin",
        "/wifi/b.bin",
    ];
    assert_eq!(below, want);
    assert_eq!(
        names(&extension.rootfs),
        [
            "lib",
            "lib/firmware",
            "lib/firmware/old.bin",
            "usr",
            "usr/lib",
            "usr/lib/firmware-not",
            "usr/lib/firmware-not/x",
            "usr/local",
            "usr/local/bin",
            "usr/local/bin/tool"
        ]
    );
}

#[test]
fn before_the_merge_of_usr_it_is_the_other_way_round() {
    let files =
        ["manifest.yaml", "rootfs/lib/firmware/a", "rootfs/usr/lib/firmware/b", "rootfs/lib/modules/6/x.ko"];
    let extension = Extension::split(image(&files), SystemDirectories::Separate).unwrap();
    assert_eq!(names(&extension.firmware), ["lib", "lib/firmware", "lib/firmware/a"]);
    assert!(extension.rootfs.get(&path("usr/lib/firmware/b")).is_some());
    assert!(extension.modules.is_some());
}

#[test]
fn modes_and_labels() {
    let mut tree = image(&["manifest.yaml", "rootfs/etc/x", "rootfs/usr/lib/firmware/f"]);
    let label = Some("system_u:object_r:etc_t:s0".to_owned());
    let attributes = |mode, label: &Option<String>| Attributes { mode, label: label.clone() };
    let directory = |mode| Node { attributes: attributes(mode, &label), kind: NodeKind::Directory };
    tree.put(path("rootfs"), directory(0o700));
    tree.put(path("rootfs/etc"), directory(0o1055));
    tree.put(path("rootfs/usr/lib/firmware"), directory(0o700));
    for file in ["rootfs/etc/x", "rootfs/usr/lib/firmware/f"] {
        tree.put(
            path(file),
            Node { attributes: attributes(0o4711, &label), kind: NodeKind::File(String::new()) },
        );
    }
    let extension = Extension::split(tree, SystemDirectories::UsrMerged).unwrap();
    assert_eq!(extension.rootfs.root(), &attributes(0o755, &label));
    let of = |tree: &FileTree<String>, at: &str| tree.get(&path(at)).unwrap().attributes.clone();
    assert_eq!(of(&extension.rootfs, "etc"), attributes(0o755, &label));
    assert_eq!(of(&extension.rootfs, "etc/x"), attributes(0o4711, &label));
    assert_eq!(of(&extension.firmware, "usr/lib/firmware"), attributes(0o755, &None));
    assert_eq!(of(&extension.firmware, "usr/lib/firmware/f"), attributes(0o711, &None));
}

#[test]
fn modules_are_listed_and_stay() {
    let extension = split(&[
        "manifest.yaml",
        "rootfs/usr/lib/modules/6.1-a/extras/b.ko",
        "rootfs/usr/lib/modules/6.1-a/extras/a.ko.xz",
        "rootfs/usr/lib/modules/6.1-a/modules.order",
        "rootfs/usr/lib/modules/6.2-b/",
        "rootfs/usr/lib/modules/stray.ko",
    ])
    .unwrap();
    assert!(extension.rootfs.get(&path("usr/lib/modules/6.1-a/extras/b.ko")).is_some());
    let modules = extension.modules.unwrap();
    let files = modules.for_kernel("6.1-a", "x").unwrap();
    assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["extras/a.ko.xz", "extras/b.ko"]);
    assert!(modules.for_kernel("6.2-b", "x").unwrap().is_empty());
    assert_eq!(
        modules.for_kernel("6.3", "zfs").unwrap_err().to_string(),
        "extension zfs has modules for kernel 6.1-a, 6.2-b, the Talos version runs kernel 6.3"
    );
    let none = split(&["manifest.yaml", "rootfs/usr/lib/modules/"]).unwrap().modules.unwrap();
    let text = none.for_kernel("6.3", "zfs").unwrap_err().to_string();
    assert_eq!(text, "extension zfs has modules for kernel (none), the Talos version runs kernel 6.3");
}
