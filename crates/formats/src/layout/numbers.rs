//! Numbers in arithmetic progression: chains and tables whose entries count up.

/// A number and the ones that follow it, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The first number. Those that follow stay within the form's width; the caller sees to it.
    pub first: u64,
    /// What is added from one to the next.
    pub step: u64,
    /// How each is written.
    pub form: NumberForm,
}

/// Width and byte order of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberForm {
    /// Four bytes, little-endian.
    Le32,
    /// Eight bytes, big-endian.
    Be64,
}

impl NumberForm {
    /// Bytes of one number.
    pub const fn width(self) -> u64 {
        match self {
            Self::Le32 => 4,
            Self::Be64 => 8,
        }
    }

    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::Le32 => 0,
            Self::Be64 => 1,
        }
    }
}

impl Numbers {
    /// The numbers from number `count` on.
    #[must_use]
    pub const fn after(self, count: u64) -> Self {
        Self { first: self.first.wrapping_add(self.step.wrapping_mul(count)), ..self }
    }

    /// The bytes of the first `count` numbers. For short tables.
    pub fn to_bytes(self, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; (count * self.form.width()) as usize];
        self.read(0, &mut bytes);
        bytes
    }

    /// Fills `buf` with the bytes from `at` on.
    pub(super) fn read(self, at: u64, buf: &mut [u8]) {
        match self.form {
            NumberForm::Le32 => fill(at, buf, |index| (self.after(index).first as u32).to_le_bytes()),
            NumberForm::Be64 => fill(at, buf, |index| self.after(index).first.to_be_bytes()),
        }
    }
}

fn fill<const WIDTH: usize>(at: u64, buf: &mut [u8], number: impl Fn(u64) -> [u8; WIDTH]) {
    let mut index = at / WIDTH as u64;
    let phase = (at % WIDTH as u64) as usize;
    let mut buf = buf;
    if phase != 0 {
        let take = (WIDTH - phase).min(buf.len());
        buf[..take].copy_from_slice(&number(index)[phase..phase + take]);
        buf = &mut buf[take..];
        index += 1;
    }
    let (whole, rest) = buf.as_chunks_mut::<WIDTH>();
    for slot in whole {
        *slot = number(index);
        index += 1;
    }
    let left = rest.len();
    rest.copy_from_slice(&number(index)[..left]);
}
