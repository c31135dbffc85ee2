use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::file_tree::TreePath;

const RELEASE: &str = "6.1.0-test";

/// A module as assembler source: sections and symbols as the kernel's build makes them.
#[derive(Clone, Default)]
struct Source {
    info: Vec<String>,
    exports: Vec<String>,
    imports: Vec<String>,
    weak: Vec<String>,
    versioned: bool,
}

impl Source {
    fn new(info: &[&str], exports: &[&str], imports: &[&str]) -> Self {
        let own = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Self { info: own(info), exports: own(exports), imports: own(imports), ..Self::default() }
    }

    fn versioned(mut self) -> Self {
        self.versioned = true;
        self
    }

    fn text(&self) -> String {
        let mut text = String::from(".section .modinfo,\"a\"\n");
        self.info.iter().for_each(|info| text += &format!(".asciz \"{info}\"\n"));
        for name in &self.exports {
            text += &format!(".section __ksymtab_strings,\"aMS\",@progbits,1\n.asciz \"{name}\"\n");
            text += &format!(".section __ksymtab,\"a\"\n__ksymtab_{name}: .quad {name}\n");
            if self.versioned {
                text += &format!(".section __kcrctab,\"a\"\n__crc_{name}: .long 1\n");
            }
            text += &format!(".text\n.globl {name}\n{name}: .quad 0\n");
        }
        text += ".text\n";
        self.weak.iter().for_each(|name| text += &format!(".weak {name}\n"));
        self.imports.iter().chain(&self.weak).for_each(|name| text += &format!(".quad {name}\n"));
        text
    }

    /// The object file, from `as` of the Debian package `binutils`.
    fn assemble(&self) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("m.ko");
        let mut child = Command::new("as")
            .arg("-o")
            .arg(&out)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the Debian package binutils is installed");
        child.stdin.take().unwrap().write_all(self.text().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        fs::read(out).unwrap()
    }
}

/// A kernel release's directory in memory.
#[derive(Clone, Default)]
struct Release(BTreeMap<String, Vec<u8>>);

impl Release {
    fn put(&mut self, path: &str, content: impl Into<Vec<u8>>) -> &mut Self {
        self.0.insert(path.to_owned(), content.into());
        self
    }

    fn base(&self) -> BaseModules {
        let (modules, files) = self.0.iter().partition::<Vec<_>, _>(|(path, _)| path.contains(".ko"));
        BaseModules {
            release: RELEASE.into(),
            modules: modules.into_iter().map(|(path, bytes)| facts(path, bytes)).collect(),
            files: files.into_iter().map(|(path, bytes)| (path.clone(), bytes.clone())).collect(),
        }
    }

    /// What the Debian package `kmod` makes of it.
    fn depmod(&self) -> BTreeMap<String, Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let release = directory.path().join("lib/modules").join(RELEASE);
        for (path, content) in &self.0 {
            let at = release.join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, content).unwrap();
        }
        run_depmod(directory.path(), RELEASE, &release)
    }
}

fn facts(path: &str, bytes: &[u8]) -> ModuleFacts {
    ModuleFacts::read(path.parse().unwrap(), bytes).unwrap()
}

fn run_depmod(root: &Path, name: &str, release: &Path) -> BTreeMap<String, Vec<u8>> {
    // An empty configuration keeps that of the machine away.
    let configuration = root.join("empty.conf");
    fs::write(&configuration, "").unwrap();
    let output = Command::new("depmod")
        .args(["--all", "--basedir"])
        .arg(root)
        .arg("--config")
        .arg(&configuration)
        .arg(name)
        .output()
        .expect("the Debian package kmod is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(release).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("modules.") {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// Compares what we write with what depmod wrote: all bytes, but the lines of `modules.symbols`, which
/// depmod writes in the order of a hash table, as a set. Newer tools than ours know `modules.weakdep`.
fn assert_same(mut ours: BTreeMap<String, Vec<u8>>, mut theirs: BTreeMap<String, Vec<u8>>) {
    let lines = |files: &mut BTreeMap<String, Vec<u8>>| {
        let text = String::from_utf8(files.remove("modules.symbols").unwrap()).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(lines(&mut ours), lines(&mut theirs), "modules.symbols");
    // Without its input depmod leaves an empty file behind, which is no index.
    theirs.retain(|_, bytes| !bytes.is_empty());
    ours.remove("modules.weakdep");
    theirs.remove("modules.weakdep");
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, ours) in &ours {
        let theirs = &theirs[name];
        if ours != theirs && !name.ends_with(".bin") {
            assert_eq!(String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs), "{name}");
        }
        assert!(ours == theirs, "{name} of {} bytes differs from {}", ours.len(), theirs.len());
    }
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A release with everything that indexes are made of.
fn sample() -> Release {
    let mut release = Release::default();
    let core = Source::new(
        &["license=GPL", "alias=net-pf-1", "alias=devname:net/tun", "alias=char-major-10-200"],
        &["core_open", "core_close", "core_x"],
        &["printk"],
    );
    let middle = Source::new(
        &["alias=pci:v00008086d*sv*", "alias=pci:v0000-8086[1-9]x*", "softdep=pre: core post: other-one"],
        &["middle_call"],
        &["core_open", "kmalloc", "core_close"],
    );
    let mut top = Source::new(
        &["alias=block-major-8-*", "alias=pci:v00008086d*sv*", "weakdep=nothing"],
        &[],
        &["middle_call", "core_x", "lib_a"],
    );
    top.weak = vec!["weak_thing".into()];
    let lib = Source::new(&["alias=crypto-lib-a", "alias=bad]"], &["lib_a"], &["lib_b_do"]);
    let lib_b = Source::new(&[], &["lib_b_do", "weak_thing"], &["core_open"]);
    release
        .put("kernel/core.ko", core.versioned().assemble())
        .put("kernel/drivers/mid-dle.ko", middle.versioned().assemble())
        .put("kernel/drivers/top.ko", top.assemble())
        .put("kernel/lib/lib-a.ko.xz", xz(&lib.assemble()))
        .put("kernel/lib/lib_b.ko", lib_b.assemble())
        .put(
            "modules.order",
            "kernel/drivers/top.ko\nkernel/lib/lib-a.ko\nkernel/gone.ko\nkernel/core.ko\n\
              kernel/lib/lib_b.ko\nkernel/drivers/mid-dle.ko\n",
        )
        .put("modules.builtin", "kernel/fs/binfmt_script.ko\nkernel/lib/crc-thing.ko\n")
        .put(
            "modules.builtin.modinfo",
            "binfmt_script.license=GPL\0crc_thing.alias=crypto-crc-t[a-b]\0x.file=y\0",
        );
    release
}

#[test]
fn indexes_are_those_of_depmod() {
    let release = sample();
    let ours = write_indexes(&release.base(), &[], Search::Updates).unwrap();
    let dep = String::from_utf8(ours["modules.dep"].clone()).unwrap();
    let top = "kernel/drivers/top.ko: kernel/lib/lib-a.ko.xz kernel/lib/lib_b.ko \
               kernel/drivers/mid-dle.ko kernel/core.ko";
    assert_eq!(dep.lines().next(), Some(top));
    assert_same(ours, release.depmod());
}

#[test]
fn gzip_and_zstd_modules() {
    let module = Source::new(&["alias=x"], &["a"], &[]).assemble();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&module).unwrap();
    let packed = [gzip.finish().unwrap(), zstd::bulk::compress(&module, 1).unwrap(), xz(&module)];
    for (suffix, bytes) in ["gz", "zst", "xz"].iter().zip(packed) {
        let facts = facts(&format!("kernel/a-b.ko.{suffix}"), &bytes);
        assert_eq!((facts.name().as_str(), facts.plain_path()), ("a_b", "kernel/a-b.ko"));
        assert_eq!((facts.aliases, facts.exports), (vec!["x".to_owned()], vec!["a".to_owned()]));
    }
}

#[test]
fn an_extension_overrides_the_base() {
    let mut base = Release::default();
    let old = Source::new(&["alias=old"], &["thing"], &[]).assemble();
    base.put("kernel/thing.ko", old.clone())
        .put("kernel/net/user.ko", Source::new(&[], &[], &["thing"]).assemble())
        .put("modules.order", "kernel/thing.ko\nkernel/net/user.ko\n");
    let new = Source::new(&["alias=new"], &["thing"], &["extra"]).assemble();
    let helper = Source::new(&[], &["extra"], &[]).assemble();
    let first = [facts("extras/helper.ko", &helper)];

    let dep = |second: &[ModuleFacts], search| {
        let files = write_indexes(&base.base(), &[&first, second], search).unwrap();
        String::from_utf8(files["modules.dep"].clone()).unwrap()
    };
    // The same path, another one, and one that depmod's own rule prefers.
    assert_eq!(
        dep(&[facts("kernel/thing.ko", &new)], Search::Updates),
        "kernel/thing.ko: extras/helper.ko\nkernel/net/user.ko: kernel/thing.ko extras/helper.ko\nextras/helper.ko:\n"
    );
    for place in ["extras/thing.ko", "updates/thing.ko"] {
        let want = format!(
            "kernel/net/user.ko: {place} extras/helper.ko\nextras/helper.ko:\n{place}: extras/helper.ko\n"
        );
        assert_eq!(dep(&[facts(place, &new)], Search::Updates), want);
    }

    let mut combined = base.clone();
    combined.put("updates/thing.ko", new.clone()).put("updates/helper.ko", helper.clone());
    let second = [facts("updates/thing.ko", &new), facts("updates/helper.ko", &helper)];
    let ours = write_indexes(&base.base(), &[&second], Search::Updates).unwrap();
    let lines = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let theirs = combined.depmod();
    for name in ["modules.dep", "modules.alias", "modules.symbols"] {
        assert_eq!(lines(&ours[name]), lines(&theirs[name]), "{name}");
    }
}

#[test]
fn preferred_directories_follow_the_configuration() {
    let module = Source::new(&[], &[], &[]).assemble();
    let all = ["extras/a.ko", "kernel/a.ko", "updates/a.ko"].map(|path| facts(path, &module));
    let base = BaseModules { release: RELEASE.into(), modules: all.to_vec(), files: BTreeMap::new() };
    let chosen = |search| {
        let files = write_indexes(&base, &[], search).unwrap();
        String::from_utf8(files["modules.dep"].clone()).unwrap()
    };
    assert_eq!(chosen(Search::Updates), "updates/a.ko:\n");
    assert_eq!(chosen(Search::Extras), "extras/a.ko:\n");
}

#[test]
fn circles_are_errors() {
    let mut release = Release::default();
    release
        .put("kernel/a.ko", Source::new(&[], &["a"], &["b", "a"]).assemble())
        .put("kernel/b.ko", Source::new(&[], &["b"], &["a"]).assemble())
        .put("kernel/c.ko", Source::new(&[], &["c"], &["c"]).assemble());
    let error = write_indexes(&release.base(), &[], Search::Updates).unwrap_err();
    assert_eq!(error.to_string(), "kernel modules need one another in a circle: a, b");
}

#[test]
fn weak_dependencies_have_a_file_when_there_are_any() {
    let with = write_indexes(&sample().base(), &[], Search::Updates).unwrap();
    let text = String::from_utf8(with["modules.weakdep"].clone()).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>()[1..], ["weakdep top nothing"]);
    let empty = BaseModules { release: RELEASE.into(), modules: vec![], files: BTreeMap::new() };
    assert!(!write_indexes(&empty, &[], Search::Updates).unwrap().contains_key("modules.weakdep"));
}

#[test]
fn facts_can_be_stored() {
    let base = sample().base();
    let text = serde_json::to_string(&base).unwrap();
    assert_eq!(serde_json::from_str::<BaseModules>(&text).unwrap(), base);
}

#[test]
fn other_files_are_no_modules() {
    let path = |text: &str| text.parse::<TreePath>().unwrap();
    for (name, is) in
        [("a.ko", true), ("d/a.ko.zst", true), ("a.ko.sig", false), (".ko", false), ("ako", false)]
    {
        assert_eq!(ModuleFacts::is_module(&path(name)), is, "{name}");
    }
    for bytes in [&b""[..], b"text", b"\x7fELF", &[0x1F, 0x8B, 0]] {
        let error = ModuleFacts::read(path("kernel/x.ko"), bytes).unwrap_err().to_string();
        assert!(error.contains("kernel/x.ko"), "{error}");
    }
}

/// Set `MODULE_TREE` to a directory like `/lib/modules/6.1.0-1-amd64` to compare all of it.
#[test]
fn a_whole_kernel_package() {
    let Some(from) = std::env::var_os("MODULE_TREE") else {
        println!("skipped: MODULE_TREE is not set");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let release = directory.path().join("lib/modules").join(RELEASE);
    fs::create_dir_all(release.parent().unwrap()).unwrap();
    let copy = Command::new("cp").arg("-rL").arg(from).arg(&release).status().unwrap();
    assert!(copy.success());
    let mut tree = Release::default();
    let mut open = vec![release.clone()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&release).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if name.contains(".ko") || name.starts_with("modules.") {
                tree.put(&name, fs::read(path).unwrap());
            }
        }
    }
    let now = std::time::Instant::now();
    let base = tree.base();
    println!("{} modules read in {:?}", base.modules.len(), now.elapsed());
    let now = std::time::Instant::now();
    let ours = write_indexes(&base, &[], Search::Updates).unwrap();
    println!("indexes written in {:?}", now.elapsed());
    assert_same(ours, run_depmod(directory.path(), RELEASE, &release));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_modules_are_errors_and_not_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        static MODULE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let source = || Source::new(&["alias=x"], &["a", "b"], &["c"]).versioned().assemble();
        let mut bytes = MODULE.get_or_init(source).clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() * 4).max(64).min(bytes.len()));
        let _ = ModuleFacts::read("m.ko".parse().unwrap(), &bytes[..]);
    }

    #[test]
    fn values_of_a_trie_are_found_by_walking_it(
        pairs in prop::collection::vec(("[a-c]{0,6}", "[xyz]{1,3}", 0u32..4), 0..40)
    ) {
        let mut trie = Trie::default();
        let mut want: BTreeMap<&str, Vec<(u32, &str)>> = BTreeMap::new();
        for (key, value, priority) in &pairs {
            trie.insert(key, value, *priority);
            let values = want.entry(key).or_default();
            let at = values.partition_point(|(other, _)| other < priority);
            values.insert(at, (*priority, value));
        }
        let bytes = trie.bytes().unwrap();
        for (key, values) in want {
            let found = lookup(&bytes, key);
            let found: Vec<_> = found.iter().map(|(priority, value)| (*priority, value.as_str())).collect();
            prop_assert_eq!(found, values, "{}", key);
        }
        prop_assert!(lookup(&bytes, "d").is_empty() && lookup(&bytes, "aaaaaaaaaa").is_empty());
    }
}

/// Values of a key, found as libkmod finds them.
fn lookup(index: &[u8], key: &str) -> Vec<(u32, String)> {
    let word = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap());
    let until_nul = |at: usize| index[at..].split(|&byte| byte == 0).next().unwrap();
    let mut rest = key.as_bytes();
    let mut reference = word(8);
    loop {
        let mut at = (reference & 0x0FFF_FFFF) as usize;
        if reference & 0x8000_0000 != 0 {
            let prefix = until_nul(at);
            at += prefix.len() + 1;
            match rest.strip_prefix(prefix) {
                Some(after) => rest = after,
                None => return Vec::new(),
            }
        }
        let children = (reference & 0x2000_0000 != 0).then(|| (index[at], index[at + 1], at + 2));
        if let Some((first, last, table)) = children {
            at = table + (last - first + 1) as usize * 4;
        }
        let Some((&next, after)) = rest.split_first() else {
            if reference & 0x4000_0000 == 0 {
                return Vec::new();
            }
            let count = word(at);
            at += 4;
            return (0..count)
                .map(|_| {
                    let value = String::from_utf8(until_nul(at + 4).to_vec()).unwrap();
                    let priority = word(at);
                    at += 5 + value.len();
                    (priority, value)
                })
                .collect();
        };
        reference = match children {
            Some((first, last, table)) if (first..=last).contains(&next) => {
                word(table + (next - first) as usize * 4)
            }
            _ => 0,
        };
        if reference == 0 {
            return Vec::new();
        }
        rest = after;
    }
}
