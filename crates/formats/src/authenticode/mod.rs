//! Authenticode: signatures of EFI programs ("Windows Authenticode Portable Executable Signature Format",
//! specification 31, 10).
//!
//! [`Program::new`] finds what a signature covers, [`Program::digest`] hashes it, [`statement`] says what is
//! to be signed, [`Statement::sign`] makes the message, and [`Program::with_signature`] appends it. The last
//! step copies nothing: the signed program points to the same blobs as the unsigned one.

mod message;
mod program;

pub use message::{Statement, statement};
pub use program::{Program, Regions};

#[cfg(test)]
mod tests;
