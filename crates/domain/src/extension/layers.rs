//! `extensions.yaml`: the list by which a booting machine finds its extensions.

use super::manifest::Metadata;
use crate::goyaml::{Mapping, Value, emit};

/// One extension in an initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name of its squashfs file, which is at the top of the initramfs.
    pub image: String,
    /// Who it is.
    pub metadata: Metadata,
}

/// The file for these extensions, in their effective order.
pub fn layers_yaml(layers: &[Layer]) -> String {
    let layers = layers.iter().map(|layer| {
        let mut mapping = Mapping::new();
        mapping.push("image", layer.image.as_str().into());
        mapping.push("metadata", layer.metadata.to_value());
        Value::Mapping(mapping)
    });
    let mut mapping = Mapping::new();
    mapping.push("layers", Value::Sequence(layers.collect()));
    emit(&Value::Mapping(mapping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_extensions_in_order() {
        let layer = |image: &str, name: &str| Layer {
            image: image.into(),
            metadata: Metadata {
                name: name.into(),
                description: "First line.\nSecond line.\n".into(),
                talos_versions: ">= 1.0.0".into(),
                ..Metadata::default()
            },
        };
        let expected = "\
layers:
    - image: 0.sqsh
      metadata:
        name: b
        version: \"\"
        author: \"\"
        description: |
            First line.
            Second line.
        compatibility:
            talos:
                version: '>= 1.0.0'
    - image: 1.sqsh
      metadata:
        name: a
        version: \"\"
        author: \"\"
        description: |
            First line.
            Second line.
        compatibility:
            talos:
                version: '>= 1.0.0'
";
        assert_eq!(layers_yaml(&[layer("0.sqsh", "b"), layer("1.sqsh", "a")]), expected);
        assert_eq!(layers_yaml(&[]), "layers: []\n");
    }
}
