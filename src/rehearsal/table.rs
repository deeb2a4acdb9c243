//! Lists as tables: what `kubectl get` prints.

use serde_json::{Value, json};

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::list::metadata_only;
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::{clock, columns};

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

/// A table of the one object of an event; only the first says what its columns are.
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
    let columns = if columns { definitions(resource) } else { Value::Null };
    let row = |object: Value| {
        let cells = cells(state, resource, &object);
        let shown = match whole {
            "Object" => object,
            "None" => Value::Null,
            _ => metadata_only(&object),
        };
        json!({"cells": cells, "object": shown})
    };
    let rows: Vec<_> = objects.into_iter().map(row).collect();
    // Kinds that nobody wrote columns for are shown by other code, which makes no empty list.
    let rows = match rows.is_empty() && columns[1]["name"] == "Created At" {
        true => Value::Null,
        false => rows.into(),
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn definitions(resource: &Resource) -> Value {
    if let Some(version) = resource.version() {
        return version.column_definitions().into();
    }
    let own = columns::columns(resource.kind.pair()).iter().copied();
    std::iter::once(("Name", "string", 0)).chain(own).map(columns::definition).collect()
}

fn cells(state: &State, resource: &Resource, object: &Value) -> Vec<Value> {
    if let Some(version) = resource.version() {
        let now = i64::try_from(state.seconds()).unwrap_or(i64::MAX);
        return version.cells(object, now);
    }
    let own = columns::cells(resource.kind.pair(), object, &age(state, object), state.seconds());
    std::iter::once(object["metadata"]["name"].clone()).chain(own).collect()
}

/// How long ago an object was created.
fn age(state: &State, object: &Value) -> String {
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(clock::read);
    created.map_or("<unknown>".into(), |created| duration(state.seconds().saturating_sub(created)))
}

/// A span of time as kubectl shows it, e.g. `5m12s`.
///
/// Source: apimachinery `pkg/util/duration/duration.go`.
pub(super) fn duration(seconds: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_get_coarser_as_they_grow() {
        let shown = [0, 119, 130, 3600, 10_860, 100_000, 200_000, 40_000_000].map(duration);
        assert_eq!(shown, ["0s", "119s", "2m10s", "60m", "3h1m", "27h", "2d7h", "462d"]);
    }
}
