//! Bodies in protobuf, which newer clients send for built-in kinds: the same object as JSON.
//!
//! The numbers of fields are known, and the schema says what each field holds. Unknown numbers are
//! passed over, as protobuf means it.
//!
//! Source: apimachinery `pkg/runtime/serializer/protobuf/protobuf.go`, `pkg/runtime/generated.proto`,
//! and the `Marshal` of the types with a form of their own.

use base64::prelude::*;
use serde_json::{Map, Value};

use crate::rehearsal::{Failure, Kind, clock};
use crate::schema::go::{SCHEMA, Special, special, zero};
use crate::schema::kubernetes::{Definition, Minor, Node, Shape, numbers};

/// What every such body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Deepest nesting; built-in kinds are nowhere deeper than 20, schemas of custom ones may be, three for each
/// step down.
const DEEPEST: usize = 256;

/// What comes with a delete, in whatever group it says it is.
const OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

const NO_MAGIC: &str =
    "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";

type Outcome<T> = Result<T, String>;

/// Reads an object; of an `expected` kind, or options of a delete where there is none.
///
/// # Errors
/// 400: what is wrong with the bytes, or that the kind is not built in.
pub fn read(body: &[u8], minor: &Minor, expected: Option<&Kind>) -> Result<Value, Failure> {
    let refuse = |own: Option<&Kind>, why: &str| match (expected, own) {
        (Some(expected), Some(own)) => super::cannot_be_handled(own, expected, why),
        (Some(expected), None) => super::unrecognised(expected, why, body),
        (None, _) => Failure::new(400, "BadRequest", why),
    };
    let (own, raw) = envelope(body).map_err(|why| refuse(None, &why))?;
    let options = Kind::new("v1", "DeleteOptions");
    let own = own.unwrap_or_else(|| expected.unwrap_or(&options).clone());
    let known = match (expected, &*own.kind) {
        (None, "DeleteOptions") => minor.definition(OPTIONS),
        (None, _) => None,
        _ => minor.kind(&own.group, &own.version, &own.kind),
    };
    let known = known.filter(|definition| numbers::fields(definition.name).is_some());
    let Some(definition) = known else {
        let why = format!(
            "no kind {:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
            own.kind,
            own.api_version()
        );
        return Err(refuse(Some(&own), &why));
    };
    let mut object = Map::new();
    let read = Reader { minor }.message(raw, definition, definition.name, &mut object, 0);
    read.map_err(|why| refuse(Some(&own), &why))?;
    object.insert("apiVersion".into(), own.api_version().into());
    object.insert("kind".into(), own.kind.into());
    Ok(object.into())
}

/// The kind that a body says it is, if it does, and the message within it.
fn envelope(body: &[u8]) -> Outcome<(Option<Kind>, &[u8])> {
    if body.is_empty() {
        return Err("empty data".into());
    }
    let message = body.strip_prefix(MAGIC).ok_or(NO_MAGIC)?;
    if message.is_empty() {
        return Err("empty body".into());
    }
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(message) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let is_said = !version.is_empty() && !kind.is_empty();
    Ok((is_said.then(|| Kind::new(&version, &kind)), raw))
}

/// A value as it is on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message: number and value.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Outcome<(u32, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Outcome<(u32, Wire<'a>)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| "proto: illegal tag")?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Fixed(
                self.take(8)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            ),
            2 => {
                let length =
                    usize::try_from(self.varint()?).map_err(|_| "proto: negative length")?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed(
                self.take(4)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            ),
            other => return Err(format!("proto: illegal wireType {other}")),
        };
        Ok((number, wire))
    }

    fn varint(&mut self) -> Outcome<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = *self.take(1)? else { break };
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("unexpected EOF")?;
        self.0 = rest;
        Ok(taken)
    }
}

struct Reader<'a> {
    minor: &'a Minor,
}

impl Reader<'_> {
    /// Adds the fields of a message to an object; `name` is another one than the definition's where it is
    /// embedded in it.
    fn message(
        &self,
        bytes: &[u8],
        definition: &'static Definition,
        name: &str,
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Outcome<()> {
        if depth > DEEPEST {
            return Err("proto: exceeded max depth".into());
        }
        let known = numbers::fields(name).unwrap_or_default();
        for field in Fields(bytes) {
            let (number, wire) = field?;
            let Some(field) = known.iter().find(|field| field.number == number) else { continue };
            if let (Some(embedded), Wire::Bytes(bytes)) = (field.embedded, wire) {
                self.message(bytes, definition, embedded, object, depth + 1)?;
                continue;
            }
            let named = definition.property(field.name);
            let named = named.or_else(|| {
                definition.properties.iter().find(|one| one.name.eq_ignore_ascii_case(field.name))
            });
            let Some(property) = named else { continue };
            let before = object.remove(property.name);
            if let Some(value) = self.value(wire, &property.node, before, depth + 1)? {
                object.insert(property.name.into(), value);
            }
        }
        Ok(())
    }

    /// A value for a node, together with what an earlier field of the same number gave.
    fn value(
        &self,
        wire: Wire<'_>,
        node: &Node,
        before: Option<Value>,
        depth: usize,
    ) -> Outcome<Option<Value>> {
        let value = match (&node.shape, wire) {
            (Shape::Reference(name), _) => {
                let definition = self.minor.named(*name).ok_or("proto: unknown type")?;
                return self.defined(wire, definition, before, depth);
            }
            (Shape::List(element), _) => self.list(wire, element, before, depth)?,
            (Shape::Object(Some(values)), Wire::Bytes(entry)) => {
                self.entry(entry, values, before, depth)?
            }
            (Shape::String, Wire::Bytes(bytes)) if node.format == "byte" => {
                BASE64_STANDARD.encode(bytes).into()
            }
            (Shape::String, Wire::Bytes(bytes)) => utf8(bytes)?.into(),
            (Shape::Integer, Wire::Number(number)) => number.cast_signed().into(),
            (Shape::Boolean, Wire::Number(number)) => (number != 0).into(),
            (Shape::Number, Wire::Fixed(bits)) => f64::from_bits(bits).into(),
            _ => return Err("proto: wrong wireType".into()),
        };
        Ok(Some(value))
    }

    fn defined(
        &self,
        wire: Wire<'_>,
        definition: &'static Definition,
        before: Option<Value>,
        depth: usize,
    ) -> Outcome<Option<Value>> {
        let Wire::Bytes(bytes) = wire else {
            return self.value(wire, &definition.node, before, depth);
        };
        match special(definition) {
            Some(Special::Quantity) => {
                text_of(bytes, 1).map(|text| Some(text.unwrap_or("0".into()).into()))
            }
            Some(Special::IntOrString) => int_or_string(bytes).map(Some),
            Some(Special::Time) => time(bytes, false),
            Some(Special::MicroTime) => time(bytes, true),
            Some(Special::Anything) => anything(bytes),
            Some(Special::SchemaOr) => self.schema_or(bytes, definition, depth),
            None if definition.properties.is_empty() => match definition.node.shape {
                // A message without fields, which is there or not.
                Shape::Object(None) => Ok(Some(Map::new().into())),
                _ => self.value(wire, &definition.node, before, depth),
            },
            None => {
                let mut object = match before {
                    Some(Value::Object(object)) => object,
                    _ => Map::new(),
                };
                self.message(bytes, definition, definition.name, &mut object, depth)?;
                Ok(Some(object.into()))
            }
        }
    }

    /// A schema, or what may stand in its place: a list of schemas, a list of names, a boolean.
    fn schema_or(
        &self,
        bytes: &[u8],
        definition: &Definition,
        depth: usize,
    ) -> Outcome<Option<Value>> {
        let of = self.minor.definition(SCHEMA).ok_or("proto: unknown type")?;
        let takes_boolean = definition.name.ends_with("OrBool");
        let (mut schema, mut list, mut allows) = (None, Vec::new(), false);
        let read = |bytes| {
            let mut object = Map::new();
            self.message(bytes, of, of.name, &mut object, depth + 1)?;
            Outcome::Ok(Value::from(object))
        };
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Number(value)) => allows = value != 0,
                (2, Wire::Bytes(bytes)) if takes_boolean => schema = Some(read(bytes)?),
                (1, Wire::Bytes(bytes)) => schema = Some(read(bytes)?),
                (2, Wire::Bytes(bytes)) if definition.name.ends_with("OrArray") => {
                    list.push(read(bytes)?);
                }
                (2, Wire::Bytes(bytes)) => list.push(utf8(bytes)?.into()),
                _ => {}
            }
        }
        Ok(Some(match schema {
            Some(schema) if list.is_empty() => schema,
            None if takes_boolean => allows.into(),
            _ => list.into(),
        }))
    }

    fn list(
        &self,
        wire: Wire<'_>,
        element: &Node,
        before: Option<Value>,
        depth: usize,
    ) -> Outcome<Value> {
        let mut list = match before {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        match (wire, &element.shape) {
            // Numbers may stand together.
            (Wire::Bytes(packed), Shape::Integer | Shape::Boolean) => {
                let mut rest = Fields(packed);
                while !rest.0.is_empty() {
                    let number = Wire::Number(rest.varint()?);
                    list.extend(self.value(number, element, None, depth)?);
                }
            }
            _ => list.push(self.value(wire, element, None, depth)?.unwrap_or_default()),
        }
        Ok(list.into())
    }

    /// Adds an entry to a map.
    fn entry(
        &self,
        bytes: &[u8],
        values: &Node,
        before: Option<Value>,
        depth: usize,
    ) -> Outcome<Value> {
        let mut map = match before {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let (mut key, mut value) = (String::new(), None);
        for field in Fields(bytes) {
            match (field?, &values.shape) {
                ((1, Wire::Bytes(text)), _) => key = utf8(text)?,
                // Lists within maps are messages with one field.
                ((2, Wire::Bytes(items)), Shape::List(_)) => {
                    for item in Fields(items) {
                        value = self.value(item?.1, values, value, depth + 1)?;
                    }
                }
                ((2, wire), _) => value = self.value(wire, values, None, depth + 1)?,
                _ => {}
            }
        }
        let value = value.unwrap_or_else(|| zero(self.minor, values));
        map.insert(key, value);
        Ok(map.into())
    }
}

fn utf8(bytes: &[u8]) -> Outcome<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "proto: invalid UTF-8".into())
}

/// The text of one field of a message.
fn text_of(bytes: &[u8], wanted: u32) -> Outcome<Option<String>> {
    for field in Fields(bytes) {
        if let (number, Wire::Bytes(text)) = field?
            && number == wanted
        {
            return utf8(text).map(Some);
        }
    }
    Ok(None)
}

/// Type, number and text.
fn int_or_string(bytes: &[u8]) -> Outcome<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// Seconds since 1970 and billionths of a second; no time at all where there is neither.
fn time(bytes: &[u8], with_micros: bool) -> Outcome<Option<Value>> {
    let (mut seconds, mut nanos) = (None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(value)) => seconds = u64::try_from(value.cast_signed()).ok(),
            (2, Wire::Number(value)) => nanos = value % 1_000_000_000,
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(None) };
    let text = clock::text(seconds);
    Ok(Some(match with_micros {
        true => format!("{}.{:06}Z", text.trim_end_matches('Z'), nanos / 1000).into(),
        false => text.into(),
    }))
}

/// JSON within a message, e.g. a `RawExtension`.
fn anything(bytes: &[u8]) -> Outcome<Option<Value>> {
    match text_of(bytes, 1)? {
        None => Ok(None),
        Some(text) => serde_json::from_str(&text).map(Some).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rehearsal::fields::recorded::minor;

    /// A number in sevens of bits.
    fn varint(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let more = if number < 0x80 { 0 } else { 0x80 };
            bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | more);
            number >>= 7;
            if number == 0 {
                return bytes;
            }
        }
    }

    fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
        [&varint(number << 3 | 2), &varint(bytes.len()), bytes].concat()
    }

    fn number(number: usize, value: usize) -> Vec<u8> {
        [varint(number << 3), varint(value)].concat()
    }

    fn read(body: &[u8]) -> Result<Value, String> {
        let expected = Kind::new("v1", "ConfigMap");
        super::read(body, minor(), Some(&expected)).map_err(|failure| failure.message)
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC, &field(1, &meta), &field(2, raw)].concat()
    }

    #[test]
    fn an_object_is_read_with_maps_and_bytes() {
        let entry = |key: &str, value: &[u8]| [field(1, key.as_bytes()), field(2, value)].concat();
        let metadata = [field(1, b"a"), field(8, b""), field(11, &entry("app", b"web"))].concat();
        let raw =
            [field(1, &metadata), field(2, &entry("k", b"v")), field(3, &entry("b", b"\xff"))]
                .concat();
        let map = read(&envelope("v1", "ConfigMap", &raw)).unwrap();
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}, "binaryData": {"b": "/w=="},
            "metadata": {"name": "a", "labels": {"app": "web"}},
        });
        assert_eq!(map, wanted);
    }

    #[test]
    fn embedded_structs_numbers_and_texts_are_fields_like_others() {
        // An HTTP probe, as a container has it.
        let port = [number(1, 1), field(3, b"http")].concat();
        let handler = field(2, &field(2, &port));
        let probe = [field(1, &handler), number(2, 5)].concat();
        let container = [field(1, b"c"), field(10, &probe)].concat();
        let pod = field(2, &field(2, &container));
        let pod = read(&envelope("v1", "Pod", &pod)).unwrap();
        assert_eq!(
            pod["spec"]["containers"][0]["livenessProbe"],
            json!({"httpGet": {"port": "http"}, "initialDelaySeconds": 5})
        );
    }

    #[test]
    fn definitions_have_schemas_within_schemas() {
        let entry = |key: &str, value: &[u8]| [field(1, key.as_bytes()), field(2, value)].concat();
        let of = |kind: &str, more: &[u8]| [&field(5, kind.as_bytes()), more].concat();
        let count = of("integer", &[field(8, &field(1, b"2")), number(16, 300)].concat());
        let schemas = [
            ("count", count),
            ("list", of("array", &field(24, &field(1, &of("string", b""))))),
            ("free", of("object", &[field(30, &number(1, 1)), number(38, 1)].concat())),
            ("map", of("object", &field(30, &field(2, &of("string", b""))))),
        ];
        let schemas = schemas.map(|(name, schema)| field(29, &entry(name, &schema)));
        let schema =
            of("object", &[schemas.concat(), field(3, b"#"), field(42, b"atomic")].concat());
        let version = [
            field(1, b"v1"),
            number(2, 1),
            number(3, 0),
            field(4, &field(1, &schema)),
            field(5, &field(1, b"")),
        ];
        let names = [field(1, b"things"), field(4, b"Thing")].concat();
        let spec =
            [field(1, b"example.org"), field(3, &names), field(7, &version.concat())].concat();
        let body =
            envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &field(2, &spec));
        let definition = read(&body).unwrap();
        let wanted = json!({
            "group": "example.org", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{
                "name": "v1", "served": true, "storage": false, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object", "$ref": "#", "x-kubernetes-list-type": "atomic",
                    "properties": {
                        "count": {"type": "integer", "default": 2, "maxItems": 300},
                        "list": {"type": "array", "items": {"type": "string"}},
                        "free": {
                            "type": "object", "additionalProperties": true,
                            "x-kubernetes-preserve-unknown-fields": true,
                        },
                        "map": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                }},
            }],
        });
        assert_eq!(definition["spec"], wanted);
        let deep = (0..200)
            .fold(of("string", b""), |inner, _| of("object", &field(29, &entry("a", &inner))));
        let version = [field(4, &field(1, &deep))].concat();
        let body = envelope(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            &field(2, &field(7, &version)),
        );
        assert!(read(&body).unwrap_err().ends_with(": proto: exceeded max depth"));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let unrecognised = "the object provided is unrecognized (must be of type ConfigMap): ";
        for (body, why) in [
            (&b""[..], "empty data (<empty>)".to_owned()),
            (b"{}", format!("{NO_MAGIC} ({{}})")),
            (b"k8s\0", "empty body (6b387300)".into()),
            (b"k8s\0\n\x05a", "unexpected EOF (6b3873000a0561)".into()),
        ] {
            assert_eq!(read(body), Err(format!("{unrecognised}{why}")));
        }
        for (raw, why) in [
            (&b"\x0a\x05a"[..], "unexpected EOF"),
            (b"\x0a", "unexpected EOF"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow"),
        ] {
            let handled = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: ";
            assert_eq!(read(&envelope("v1", "ConfigMap", raw)), Err(format!("{handled}{why}")));
        }
        assert!(read(&envelope("v1", "ConfigMap", b"\x0b")).is_err());
        let unknown = "no kind \"Thing\" is registered for version \"example.org/v1\" in scheme \
            \"pkg/runtime/scheme.go:111\"";
        let thing = envelope("example.org/v1", "Thing", b"");
        let handled = "Thing in version \"v1\" cannot be handled as a ConfigMap: ";
        assert_eq!(read(&thing), Err(format!("{handled}{unknown}")));
        let deleting = |body| super::read(body, minor(), None).map_err(|failure| failure.message);
        assert_eq!(deleting(&thing), Err(unknown.into()));
        assert_eq!(deleting(b"k8s\0\n\x05a"), Err("unexpected EOF".into()));
        let options = deleting(&envelope("", "", &number(1, 5))).unwrap();
        assert_eq!(options["kind"], "DeleteOptions");
    }

    #[test]
    fn who_does_not_say_its_kind_is_of_the_expected_one() {
        let map = read(&envelope("v1", "", b"")).unwrap();
        assert_eq!(map, json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    }
}
