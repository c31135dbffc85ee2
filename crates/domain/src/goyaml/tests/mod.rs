//! The reader, the decoder and the writer together.

mod hostile;
mod messages;
mod roundtrip;
mod values;

use super::*;

/// What the reference makes of a text: the canonical form of its first document, or the message.
fn canonical(text: impl AsRef<[u8]>) -> Result<String, String> {
    let limits = Limits::default();
    let document = read(text.as_ref(), &limits).map_err(|error| error.to_string())?;
    decode_any(&document, &limits).map(|value| emit(&value)).map_err(|error| error.to_string())
}

fn decode_any(document: &Document, limits: &Limits) -> Result<Value, Error> {
    let mut decoder = Decoder::new(document, limits, UnknownKeys::Refuse);
    let mut value = Value::Null;
    decoder.value(document.root(), &mut value)?;
    decoder.finish()?;
    Ok(value)
}
