//! Which number each field has in protobuf: what `numbers.py` writes.

use std::io::Read;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

static FILE: &[u8] = include_bytes!("numbers.bin");

/// What is said where the file is not as the generator writes it; the tests read all of it.
const OURS: &str = "the embedded numbers are as the generator writes them";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let (length, packed) = FILE.split_first_chunk().expect(OURS);
    let mut text = String::with_capacity(u32::from_le_bytes(*length) as usize);
    flate2::read::DeflateDecoder::new(packed).read_to_string(&mut text).expect(OURS);
    text
});

static MESSAGES: LazyLock<FxHashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let message = |line: &'static str| {
        let (name, fields) = line.split_once('\t').expect(OURS);
        (name, fields.split('\t').map(Field::read).collect())
    };
    TEXT.lines().map(message).collect()
});

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its name, which is that in JSON but for upper and lower case.
    pub name: &'static str,
    /// The message that Go embeds here: its fields are fields of the object around it.
    pub embedded: Option<&'static str>,
}

impl Field {
    fn read(text: &'static str) -> Self {
        let (name, rest) = text.split_once('=').expect(OURS);
        let (number, embedded) = match rest.split_once(':') {
            Some((number, embedded)) => (number, Some(embedded)),
            None => (rest, None),
        };
        Self { number: number.parse().expect(OURS), name, embedded }
    }
}

/// The fields of a message, e.g. `io.k8s.api.core.v1.PodSpec`.
pub fn fields(message: &str) -> Option<&'static [Field]> {
    MESSAGES.get(message).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::kubernetes::{MEASURED, minor};

    #[test]
    fn every_field_is_one_of_the_schema_or_embedded() {
        let minor = minor(MEASURED).unwrap();
        let mut seen = 0;
        let names = TEXT.lines().filter_map(|line| line.split('\t').next());
        for (name, fields) in names.filter_map(|name| Some((name, fields(name)?))) {
            let Some(definition) = minor.definition(name) else { continue };
            for field in fields.iter().filter(|_| !definition.properties.is_empty()) {
                let known =
                    definition.properties.iter().any(|p| p.name.eq_ignore_ascii_case(field.name));
                assert!(known || field.embedded.is_some_and(fields_of), "{name}.{}", field.name);
                seen += 1;
            }
        }
        assert!(seen > 1500, "{seen}");
    }

    fn fields_of(message: &str) -> bool {
        fields(message).is_some()
    }
}
