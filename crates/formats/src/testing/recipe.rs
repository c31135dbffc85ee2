//! Layouts of every kind of extent from a few numbers, for property tests and fuzzers.

use bytes::Bytes;

use super::{MemoryBlobs, noise};
use crate::layout::{BlobRange, Framing, NumberForm, Numbers, Run};
use crate::{Layout, LayoutBuilder};

/// One extent: its kind (any number, taken modulo the kinds there are) and something like its size.
pub type Ingredient = (u8, u64);

/// Builds the layout that `recipe` describes, its blobs added to `blobs`. Framed runs and grains hold a layout of the
/// recipe's first half, down to `depth` levels.
pub fn layout_of(recipe: &[Ingredient], blobs: &mut MemoryBlobs, depth: usize) -> Layout {
    let mut builder = LayoutBuilder::new();
    for &(kind, size) in recipe {
        match kind % 9 {
            0 => builder.zero(size),
            1 => builder.bytes(noise((size % 9000) as usize, size)),
            2 => {
                let bytes = noise((size % 300_000) as usize + 1, size + 1);
                let offset = size % bytes.len() as u64;
                let len = bytes.len() as u64 - offset;
                builder.blob(BlobRange { digest: blobs.add(bytes), offset, len })
            }
            3 => builder.run(Run::repeat(Bytes::from(noise((size % 97) as usize + 1, 3)), size % 500)),
            4 => builder.run(Run::counter(size as u32, size % 5000)),
            5 => builder.append(&blobs.layout(noise((size % 900_000) as usize + 1, size))),
            6 => {
                let numbers = Numbers { first: size, step: size % 9000, form: NumberForm::Be64 };
                builder.run(Run::numbers(numbers, size % 3000))
            }
            7 if depth > 0 => {
                let inner = layout_of(&recipe[..recipe.len() / 2], blobs, depth - 1);
                builder.run(Run::grains(&inner, size % 70_000))
            }
            8 if depth > 0 => {
                let inner = layout_of(&recipe[..recipe.len() / 2], blobs, depth - 1);
                let framing = [Framing::ZstdRaw, Framing::Lzma2, Framing::Lzma2First, Framing::DeflateStored]
                    [(size % 4) as usize];
                builder.run(Run::framed(inner, framing))
            }
            _ => builder.zero(1),
        };
    }
    builder.build()
}
