//! Lists as tables: what `kubectl get` prints.

use serde_json::{Value, json};

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::clock;
use crate::rehearsal::list::metadata_only;
use crate::rehearsal::server::{Call, State};

/// What the API says of the first column of every kind.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, \
    although some resources may allow a client to request the generation of an appropriate name \
    automatically. Name is primarily intended for creation idempotence and configuration \
    definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// What the API says of the time of creation.
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this \
    object was created. It is not guaranteed to be set in happens-before order across separate \
    operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\n\
    Populated by the system. Read-only. Null for lists. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// A table of objects, with the `metadata` of a list or of the only object.
pub(super) fn table(
    state: &State,
    call: &Call,
    objects: Vec<Value>,
    metadata: Option<Value>,
) -> Value {
    let whole = call.parameters.get("includeObject");
    let metadata = metadata.unwrap_or_else(|| {
        let version = objects.first().map(|object| object["metadata"]["resourceVersion"].clone());
        json!({"resourceVersion": version})
    });
    build(state, &call.resource, objects, metadata, whole, true)
}

/// A table of the one object of an event.
pub(super) fn of_event(state: &State, resource: &Resource, object: Value, columns: bool) -> Value {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    build(state, resource, vec![object], metadata, "", columns)
}

fn build(
    state: &State,
    resource: &Resource,
    objects: Vec<Value>,
    metadata: Value,
    whole: &str,
    columns: bool,
) -> Value {
    let _ = resource;
    let columns = if columns {
        json!([
            {"name": "Name", "type": "string", "format": "name", "description": NAME, "priority": 0},
            {"name": "Age", "type": "string", "format": "", "description": CREATED, "priority": 0},
        ])
    } else {
        Value::Null
    };
    let rows: Vec<_> = objects
        .into_iter()
        .map(|object| {
            let cells = json!([object["metadata"]["name"], age(state, &object)]);
            let shown = match whole {
                "Object" => object,
                "None" => Value::Null,
                _ => metadata_only(&object),
            };
            json!({"cells": cells, "object": shown})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

/// How long ago an object was created, e.g. `5m12s`.
///
/// Source: apimachinery `pkg/util/duration/duration.go`.
fn age(state: &State, object: &Value) -> String {
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(clock::read);
    let Some(created) = created else { return "<unknown>".into() };
    let seconds = state.seconds().saturating_sub(created);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        _ => format!("{big}{big_unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}
