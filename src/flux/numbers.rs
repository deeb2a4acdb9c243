//! Integers that need the 64th bit: Flux reads them as floats.
//!
//! Source: k8s.io/apimachinery `util/json`, which tries `int64`, then `float64`.

use crate::value::{Scalar, Style, Tag, Value};
use crate::yaml::scalar::{self, Meaning};

/// Makes every such integer of an object the float that is nearest to it.
pub(super) fn read(value: &mut Value) {
    // Asked first: what others share stays shared.
    if has_large(value) {
        rewrite(value);
    }
}

fn has_large(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Scalar(scalar) => large(scalar).is_some(),
        Value::List(list) => list.iter().any(has_large),
        Value::Map(map) => map.iter().any(|(_, value)| has_large(value)),
    }
}

fn rewrite(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Scalar(scalar) => {
            if let Some(float) = large(scalar) {
                let mut text = String::new();
                scalar::write_json_float(float, &mut text);
                *value = Value::plain(text);
            }
        }
        Value::List(list) => list.make_mut().iter_mut().for_each(read),
        Value::Map(map) => map.iter_mut().for_each(|(_, value)| read(value)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is lost there too")]
fn large(scalar: &Scalar) -> Option<f64> {
    // The smallest such number has 16 digits, in hexadecimal.
    let is_short = scalar.text.len() < 16;
    let is_number = matches!(scalar.style, Style::Plain | Style::Bare | Style::Tagged(Tag::Int));
    if is_short || !is_number {
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
