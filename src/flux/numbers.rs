//! Integers that need the 64th bit: Flux reads them as floats.
//!
//! Source: k8s.io/apimachinery `util/json`, which tries `int64`, then `float64`.

use crate::fields::{New, News};
use crate::value::{Scalar, Value};
use crate::yaml::scalar::{self, Meaning};

/// Makes every such integer of an object the float that is nearest to it.
pub(super) fn read(value: &mut Value) {
    if let Some(new) = new(value) {
        new.put(value);
    }
}

fn new(value: &Value) -> Option<New> {
    let mut parts = News::default();
    match value {
        Value::Null => {}
        Value::Scalar(scalar) => return large(scalar).map(float).map(New::Whole),
        Value::List(list) => {
            list.iter().enumerate().for_each(|(at, value)| parts.add(at, new(value)));
        }
        Value::Map(map) => {
            map.iter().enumerate().for_each(|(at, (_, value))| parts.add(at, new(value)));
        }
    }
    parts.end()
}

fn float(number: f64) -> Value {
    let mut text = String::new();
    scalar::write_json_float(number, &mut text);
    Value::plain(text)
}

#[expect(clippy::cast_precision_loss, reason = "it is lost there too")]
fn large(scalar: &Scalar) -> Option<f64> {
    // The smallest such number has 16 digits, in hexadecimal.
    if scalar.text.len() < 16 || scalar.style.is_quoted() {
        return None;
    }
    match scalar::meaning(scalar) {
        Ok(Meaning::Uint(number)) => Some(number as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::yaml;

    #[test]
    fn only_what_needs_the_64th_bit_is_a_float() {
        let text = "a: [9223372036854775808, 9223372036854775807, '9223372036854775808']\nb: 18446744073709551615\n";
        let file = "r.yaml".into();
        let mut value = yaml::read_first(text.as_bytes(), &file, &Limits::PERSON).unwrap();
        read(&mut value);
        let list = value.get("a").and_then(Value::as_list).unwrap();
        let texts: Vec<_> = list.iter().filter_map(Value::as_text).collect();
        assert_eq!(texts, ["9223372036854776000", "9223372036854775807", "9223372036854775808"]);
        assert_eq!(value.text_at(&["b"]), Some("18446744073709552000"));
    }
}
