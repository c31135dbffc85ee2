//! Image Factory: any Talos Linux boot asset from a schematic and a version, streamed on demand.

mod settings;

fn main() {}
