//! Fixed-size records with fields at known offsets, which is what disk formats are made of.

/// A record under construction. Fields are put at constant offsets of records of constant length, so
/// a field outside the record is a mistake in the calling code and panics.
#[derive(Clone, Debug)]
pub(crate) struct Record(Vec<u8>);

impl Record {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        Self(vec![0; len])
    }

    /// `len` times the same byte.
    pub fn filled(len: usize, byte: u8) -> Self {
        Self(vec![byte; len])
    }

    /// A copy of existing bytes, to be changed.
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn u8(&mut self, at: usize, value: u8) -> &mut Self {
        self.put(at, &[value])
    }

    pub fn le16(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    pub fn le32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    pub fn le64(&mut self, at: usize, value: u64) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    pub fn be16(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }

    pub fn be32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }

    pub fn be64(&mut self, at: usize, value: u64) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }

    /// Little-endian, then big-endian, as ISO 9660 does (ECMA-119, 7.2.3).
    pub fn both16(&mut self, at: usize, value: u16) -> &mut Self {
        self.le16(at, value).be16(at + 2, value)
    }

    /// Little-endian, then big-endian, as ISO 9660 does (ECMA-119, 7.3.3).
    pub fn both32(&mut self, at: usize, value: u32) -> &mut Self {
        self.le32(at, value).be32(at + 4, value)
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}
