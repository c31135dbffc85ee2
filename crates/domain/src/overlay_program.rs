//! What is said to an overlay's own program, and what it answers (`20-profiles.md` §9.3).
//!
//! Questions are ours; answers are the bytes of a foreign program and bounded in every way.

use serde::{Deserialize, Serialize};

use crate::asset::quoted;
use crate::goyaml::{self, Decoder, Error, Field, Limits, Mapping, NodeId, UnknownKeys, Value, emit};

/// The question about kernel arguments and partitions.
pub const GET_OPTIONS: &str = "get-options";

/// The question for what must be on the disk.
pub const INSTALL: &str = "install";

/// Most kernel arguments of an answer. A command line has 2048 bytes.
const MAX_ARGS: usize = 1024;

/// Answers have a few hundred bytes.
const LIMITS: Limits = Limits { bytes: 256 << 10, nodes: 10_000, depth: 100, expanded_bytes: 1 << 20 };

/// What an overlay's program wants of every image with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayOptions {
    /// Kernel arguments.
    pub kernel_args: Vec<String>,
    /// Sectors to leave free between the header of the partition table and its entries.
    pub partition_offset: u64,
}

/// An answer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOverlayOptions {
    /// It is no YAML, or has another shape.
    #[error("the answer of overlay {} cannot be read: {error}", quoted(overlay))]
    Yaml {
        /// The overlay.
        overlay: String,
        /// What is wrong.
        error: Error,
    },
    /// It has too many arguments.
    #[error("overlay {} asks for {count} kernel arguments, more than {MAX_ARGS}", quoted(overlay))]
    TooManyArgs {
        /// The overlay.
        overlay: String,
        /// How many.
        count: usize,
    },
}

impl OverlayOptions {
    /// Reads the answer of the overlay called `name`. An empty answer asks for nothing.
    ///
    /// # Errors
    /// [`InvalidOverlayOptions`].
    pub fn parse(name: &str, answer: &[u8]) -> Result<Self, InvalidOverlayOptions> {
        let unreadable = |error| InvalidOverlayOptions::Yaml { overlay: name.to_owned(), error };
        let document = match goyaml::read(answer, &LIMITS) {
            Ok(document) => document,
            Err(Error::Empty) => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut decoder = Decoder::new(&document, &LIMITS, UnknownKeys::Ignore);
        let mut options = Self::default();
        decode(&mut decoder, document.root(), &mut options).map_err(unreadable)?;
        decoder.finish().map_err(unreadable)?;
        let count = options.kernel_args.len();
        if count > MAX_ARGS {
            return Err(InvalidOverlayOptions::TooManyArgs { overlay: name.to_owned(), count });
        }
        Ok(options)
    }
}

fn decode(decoder: &mut Decoder<'_>, root: NodeId, out: &mut OverlayOptions) -> Result<bool, Error> {
    decoder.structure(root, "overlay.Options", &mut |decoder, key, value| {
        match key {
            "kernelArgs" => decoder.sequence(value, "[]string", &mut |decoder, item| {
                let mut text = String::new();
                if decoder.string(item, &mut text)? {
                    out.kernel_args.push(text);
                }
                Ok(())
            })?,
            "partitionOptions" => decoder.structure(
                value,
                "overlay.PartitionOptions",
                &mut |decoder, key, value| match key {
                    "offset" => {
                        decoder.unsigned(value, "uint64", u64::MAX, &mut out.partition_offset)?;
                        Ok(Field::Known)
                    }
                    _ => Ok(Field::Unknown),
                },
            )?,
            // The program's name for itself is of no account.
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

/// A schematic's options for an overlay as YAML: the input of [`GET_OPTIONS`], and the file
/// `overlay/extra-options` of an installer (`52-installer-images.md` §3). `{}` when there are none.
pub fn options_yaml(options: &Mapping) -> String {
    emit(&Value::Mapping(options.clone()))
}

/// The input of [`INSTALL`]: where the disk is, where its partitions would be mounted, where the
/// overlay's `artifacts` are, and the schematic's options.
pub fn install_yaml(disk: &str, mount_prefix: &str, artifacts: &str, options: &Mapping) -> String {
    let mut document = Mapping::new();
    document.push("installDisk", disk.into());
    document.push("mountPrefix", mount_prefix.into());
    document.push("artifactsPath", artifacts.into());
    if !options.is_empty() {
        document.push("extraOptions", Value::Mapping(options.clone()));
    }
    emit(&Value::Mapping(document))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(yaml: &str) -> Mapping {
        let text = format!("overlay: {{name: x, options: {yaml}}}");
        crate::schematic::Schematic::parse(text.as_bytes()).unwrap().overlay.options
    }

    #[test]
    fn the_sample_exchange_of_the_specification() {
        assert_eq!(options_yaml(&Mapping::new()), "{}\n");
        assert_eq!(options_yaml(&options(r#"{configTxt: "a\nb"}"#)), "configTxt: |-\n    a\n    b\n");
        let answer =
            b"name: rpi_generic\nkernelArgs:\n    - console=tty0\npartitionOptions:\n    offset: 20480\n";
        assert_eq!(
            OverlayOptions::parse("rpi_generic", answer).unwrap(),
            OverlayOptions { kernel_args: vec!["console=tty0".to_owned()], partition_offset: 20480 }
        );
        assert_eq!(
            install_yaml("/work/disk", "/work/tree", "/overlay/artifacts", &options("{configTxt: a}")),
            "installDisk: /work/disk\nmountPrefix: /work/tree\nartifactsPath: /overlay/artifacts\nextraOptions:\n    configTxt: a\n"
        );
        assert!(!install_yaml("a", "b", "c", &Mapping::new()).contains("extraOptions"));
    }

    #[test]
    fn answers_may_lack_everything() {
        for answer in
            ["", "\n", "{}", "name: x", "kernelArgs:", "kernelArgs: []", "partitionOptions: {}", "later: 1"]
        {
            assert_eq!(
                OverlayOptions::parse("x", answer.as_bytes()),
                Ok(OverlayOptions::default()),
                "{answer:?}"
            );
        }
        let numbers = OverlayOptions::parse("x", b"kernelArgs: [5, true, a b]").unwrap();
        assert_eq!(numbers.kernel_args, ["5", "true", "a b"]);
    }

    #[test]
    fn wrong_answers_name_the_overlay() {
        let many = format!("kernelArgs: [{}]", "a,".repeat(MAX_ARGS + 1));
        let long = " ".repeat(LIMITS.bytes + 1);
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (new, old) in ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]) {
            bomb += &format!("{new}: &{new} [{}]\n", format!("*{old},").repeat(10));
        }
        bomb += "kernelArgs: *g\n";
        for answer in [
            "kernelArgs: 3",
            "kernelArgs: [[a]]",
            "[]",
            "partitionOptions: {offset: -1}",
            "partitionOptions: {offset: 18446744073709551616}",
            "partitionOptions: 7",
            "a: [",
            "\u{7f}ELF",
            &many,
            &long,
            &bomb,
        ] {
            let error = OverlayOptions::parse("rock\"64", answer.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(r#"overlay "rock\"64""#), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = OverlayOptions::parse("x", &bytes);
        }
    }
}
