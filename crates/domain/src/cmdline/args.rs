//! Kernel parameters in order (`22-cmdline.md` §1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// An ordered list of kernel parameters. Each key occurs once and has an ordered list of values.
///
/// Every operation costs time in proportion to what it is given, so that a hostile list of arguments
/// does no harm.
#[derive(Clone, Debug, Default)]
pub struct KernelArgs {
    /// Deleted parameters stay here without values and out of `index`: they print nothing, and a key
    /// that comes again is a new parameter at the end.
    params: Vec<Param>,
    index: BTreeMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Param {
    key: String,
    /// Empty texts stand for a key without `=`.
    values: Vec<String>,
}

/// How user arguments join the others in [`KernelArgs::append_extra`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtraArgs<'a> {
    /// Keys whose values replace the earlier ones.
    pub replaces: &'a [&'a str],
    /// Whether `-key` and `-key=value` delete.
    pub negates: bool,
}

impl KernelArgs {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a line: parameters stand between white space, nothing is quoted, the first `=` ends the
    /// key. `key=` is the same as `key`. A repeated key joins its first occurrence.
    pub fn parse(line: &str) -> Self {
        let mut args = Self::new();
        for word in line.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            args.append(key, value);
        }
        args
    }

    /// Reads arguments as if they stood on one line, so that one of them may hold several parameters.
    pub fn parse_all<S: AsRef<str>>(args: &[S]) -> Self {
        Self::parse(&args.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "))
    }

    /// The values of a key, none when it is not there.
    pub fn values(&self, key: &str) -> &[String] {
        self.index.get(key).and_then(|&at| self.params.get(at)).map_or(&[], |param| &param.values)
    }

    /// Adds a value behind those that the key has; a new key goes to the end.
    pub fn append(&mut self, key: &str, value: &str) {
        self.param(key).values.push(value.to_owned());
    }

    /// Replaces all values of a key where it stands; a new key goes to the end.
    pub fn set(&mut self, key: &str, values: Vec<String>) {
        self.param(key).values = values;
    }

    /// [`Self::set`] for each parameter in `args`.
    pub fn set_all<S: AsRef<str>>(&mut self, args: &[S]) {
        for param in Self::parse_all(args).params {
            self.set(&param.key, param.values);
        }
    }

    /// [`Self::append`] for each parameter in `args`.
    pub fn append_all<S: AsRef<str>>(&mut self, args: &[S]) {
        self.append_extra(args, ExtraArgs::default());
    }

    /// Appends `args`, with deletions and replacements as `rules` say. Equal keys are grouped at the
    /// first of them before anything happens.
    pub fn append_extra<S: AsRef<str>>(&mut self, args: &[S], rules: ExtraArgs<'_>) {
        for Param { key, values } in Self::parse_all(args).params {
            // A lone "-" is an ordinary parameter.
            let negated = key.strip_prefix('-').filter(|name| rules.negates && !name.is_empty());
            if let Some(name) = negated {
                if values.first().is_some_and(String::is_empty) {
                    self.delete_key(name);
                } else {
                    self.delete_values(name, &values);
                }
            } else if rules.replaces.contains(&key.as_str()) {
                self.set(&key, values);
            } else {
                self.param(&key).values.extend(values);
            }
        }
    }

    /// Removes a parameter; its place is lost.
    pub fn delete_key(&mut self, key: &str) {
        if let Some(param) = self.index.remove(key).and_then(|at| self.params.get_mut(at)) {
            param.values.clear();
        }
    }

    /// Removes these very values of a parameter, which keeps its place even when none is left.
    pub fn delete_values(&mut self, key: &str, values: &[String]) {
        if let Some(param) = self.index.get(key).and_then(|&at| self.params.get_mut(at)) {
            let values: BTreeSet<&String> = values.iter().collect();
            param.values.retain(|value| !values.contains(value));
        }
    }

    /// The parameter of this key, made at the end when it is not there.
    fn param(&mut self, key: &str) -> &mut Param {
        let at = *self.index.entry(key.to_owned()).or_insert_with(|| {
            self.params.push(Param { key: key.to_owned(), values: Vec::new() });
            self.params.len() - 1
        });
        &mut self.params[at]
    }
}

/// The line: single spaces between parameters, no line end.
impl fmt::Display for KernelArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.params.iter().flat_map(|p| p.values.iter().map(move |value| (&p.key, value)));
        for (at, (key, value)) in words.enumerate() {
            let space = if at == 0 { "" } else { " " };
            match value.as_str() {
                "" => write!(f, "{space}{key}")?,
                value => write!(f, "{space}{key}={value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: &str = "console=tty0 console=ttyS0 root=/dev/sdb";

    fn changed(start: &str, change: impl FnOnce(&mut KernelArgs)) -> String {
        let mut args = KernelArgs::parse(start);
        change(&mut args);
        args.to_string()
    }

    fn extra(start: &str, args: &[&str], replaces: &[&str], negates: bool) -> String {
        changed(start, |line| line.append_extra(args, ExtraArgs { replaces, negates }))
    }

    #[test]
    fn reading_and_printing() {
        for (text, printed) in [
            ("", ""),
            ("a=1 b=2 a=3\n", "a=1 a=3 b=2"),
            ("slab_nomerge=", "slab_nomerge"),
            ("foo=\"a b\"", "foo=\"a b\""),
            ("  a \t b\u{a0}c=x=y ", "a b c=x=y"),
            ("=v", "=v"),
        ] {
            assert_eq!(KernelArgs::parse(text).to_string(), printed);
        }
    }

    #[test]
    fn setting() {
        let start = "boot=xyz root=/dev/abc nogui console=tty0 console=ttyS0,9600";
        let set = changed(start, |args| args.set("console", vec![String::new()]));
        assert_eq!(set, "boot=xyz root=/dev/abc nogui console");
        let all = changed("root=/dev/sdb root=/dev/sdc aye=sir", |a| a.set_all(&["root=/dev/mmcblk0"]));
        assert_eq!(all, "root=/dev/mmcblk0 aye=sir");
    }

    #[test]
    fn deleting() {
        let start = "console=tty0 console=ttyS0,9600 root=/dev/sda panic=0 console=ttyS0,115000";
        let values = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            changed(start, |args| args.delete_values("console", &values(&["ttyS0,9600"]))),
            "console=tty0 console=ttyS0,115000 root=/dev/sda panic=0"
        );
        assert_eq!(
            changed("console=tty0", |args| args.delete_values("console", &values(&["tty"]))),
            "console=tty0"
        );
        assert_eq!(changed(start, |args| args.delete_key("console")), "root=/dev/sda panic=0");
        // An emptied parameter keeps its place, a deleted one does not.
        let emptied = changed("a=1 b", |args| {
            args.delete_values("a", &values(&["1"]));
            args.append("a", "2");
        });
        assert_eq!(emptied, "a=2 b");
        let deleted = changed("a=1 b", |args| {
            args.delete_key("a");
            args.append("a", "2");
        });
        assert_eq!(deleted, "b a=2");
    }

    #[test]
    fn appending() {
        let all = |start, args: &[&str]| changed(start, |line| line.append_all(args));
        assert_eq!(
            all("ip=dhcp console=x root=/dev/sdc", &["root=/dev/sda", "root=/dev/sdb"]),
            "ip=dhcp console=x root=/dev/sdc root=/dev/sda root=/dev/sdb"
        );
        assert_eq!(all("root=/dev/sdb", &["this=that=those"]), "root=/dev/sdb this=that=those");
        let args = ["console=tty0", "console=ttyS1,115200", "nogui"];
        assert_eq!(
            all(START, &args),
            "console=tty0 console=ttyS0 console=tty0 console=ttyS1,115200 root=/dev/sdb nogui"
        );
        assert_eq!(
            extra(START, &args, &["console"], false),
            "console=tty0 console=ttyS1,115200 root=/dev/sdb nogui"
        );
    }

    #[test]
    fn negation() {
        let all = ["-console", "nogui", "console=ttyAMA0"];
        assert_eq!(extra(START, &all, &["console"], true), "root=/dev/sdb nogui console=ttyAMA0");
        let one = ["-console=tty0", "nogui", "console=ttyAMA0"];
        assert_eq!(extra(START, &one, &[], true), "console=ttyS0 console=ttyAMA0 root=/dev/sdb nogui");
        assert_eq!(extra(START, &one, &["console"], true), "console=ttyAMA0 root=/dev/sdb nogui");
        assert_eq!(extra("a", &["-", "-nosuch", "-nosuch=1"], &[], true), "a -");
        assert_eq!(extra("a=x a=", &["-a=x", "-a"], &[], true), "", "both values are meant literally");
        assert_eq!(extra("a=x a=y", &["-a", "-a=z"], &[], true), "", "the first says: the whole key");
        assert_eq!(extra("a", &["-foo=bar", "foo=bar", "-foo=bar"], &[], true), "a foo=bar");
        assert_eq!(extra("a", &["-a"], &[], false), "a -a");
    }

    #[test]
    fn many_arguments_take_little_time() {
        let mut args: Vec<String> = (0..100_000).map(|n| format!("a={n}")).collect();
        args.extend((0..100_000).map(|n| format!("k{n}")));
        args.extend((0..100_000).map(|n| format!("-a={n}")));
        let mut line = KernelArgs::new();
        line.append_extra(&args, ExtraArgs { replaces: &[], negates: true });
        assert_eq!(line.to_string().split(' ').count(), 100_000);
    }

    proptest! {
        #[test]
        fn printing_is_stable(line in "([a-c-]{1,2}(=[a-c=]{0,2})?[ \n]{1,2}){0,8}") {
            let once = KernelArgs::parse(&line).to_string();
            prop_assert_eq!(KernelArgs::parse(&once).to_string(), once.clone());
            prop_assert_eq!(once.split_whitespace().count(), line.split_whitespace().count());
        }
    }
}
