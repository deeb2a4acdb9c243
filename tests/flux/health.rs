//! Whether an object is as it should be, by the rules of `kstatus`.

use overlay::Value;
use overlay::health::health;
use serde_json::Value as Json;

use crate::data::{Tally, cases};

#[test]
fn judges_health_as_kstatus_does() {
    let Some(cases) = cases("kstatus") else { return };
    let mut tally = Tally::new("kstatus");
    for case in &cases {
        let text = case.text("in/object.yaml");
        let wanted = crate::data::json(&case.path.join("expected.json"));
        let file = "object.yaml".into();
        let value = overlay::yaml::read_first(text.as_bytes(), &file, &overlay::Limits::WEBHOOK);
        let object = to_json(&value.unwrap());
        let made = health(&object);
        let name = made.status.name();
        let is_right = wanted["status"].as_str().is_some_and(|status| status == name);
        let outcome =
            if is_right { Ok(()) } else { Err(format!("{name}, {}: {wanted}", made.message)) };
        tally.add(case, None, outcome);
    }
    tally.finish();
}

/// Go takes the last of keys that are there twice.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Map(map) => {
            map.iter().map(|(key, value)| (key.text.to_string(), to_json(value))).collect()
        }
        Value::List(list) => list.iter().map(to_json).collect(),
        scalar => overlay::json::to_json(scalar).unwrap(),
    }
}
