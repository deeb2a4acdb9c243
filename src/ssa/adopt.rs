//! Fields that were set by client-side apply, handed over to a manager that applies server-side.
//!
//! Without that, a field that was once set by the old way stays for ever: its old manager never
//! gives it up. Source: client-go `util/csaupgrade/upgrade.go`.

use serde_json::Value;

use super::{FieldSet, Malformed};

/// Entries of `managedFields` in which `manager` applies what managers of the names `from` have
/// updated, e.g. `kubectl-client-side-apply`.
///
/// The entry of the manager takes the fields that an update of its own version names; what updates
/// of other versions name is forgotten, as fields may be called otherwise there. Who asks a server
/// for it sends the `resourceVersion` along, lest a write of somebody else be lost.
///
/// # Errors
/// Where the fields of an entry cannot be read.
pub fn adopt(
    entries: &[Value],
    from: &[&str],
    manager: &str,
    subresource: &str,
) -> Result<Vec<Value>, Malformed> {
    let mut entries = entries.to_vec();
    for from in from {
        let is = |entry: &Value, name: &str, operation: &str| {
            let of = entry["subresource"].as_str().unwrap_or_default();
            entry["manager"] == *name && entry["operation"] == *operation && of == subresource
        };
        let applied = entries.iter().position(|entry| is(entry, manager, "Apply"));
        let updated = || entries.iter().position(|entry| is(entry, from, "Update"));
        let Some(target) = applied.or_else(updated) else { continue };
        let version = entries[target]["apiVersion"].clone();
        let of_version = entries
            .iter()
            .find(|entry| is(entry, from, "Update") && entry["apiVersion"] == version);
        let mut fields = fields_of(&entries[target])?;
        if let Some(old) = of_version {
            fields = fields.union(&fields_of(old)?);
        }
        if let Some(entry) = entries[target].as_object_mut() {
            entry.insert("manager".into(), manager.into());
            entry.insert("operation".into(), "Apply".into());
            entry.insert("fieldsV1".into(), fields.to_json());
        }
        entries.retain(|entry| !is(entry, from, "Update"));
    }
    Ok(entries)
}

fn fields_of(entry: &Value) -> Result<FieldSet, Malformed> {
    entry.get("fieldsV1").map_or_else(|| Ok(FieldSet::default()), FieldSet::from_json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, version: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": version,
               "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn an_update_becomes_an_apply() {
        let entries = [
            entry("old", "Update", "v1", json!({"f:a": {}})),
            entry("other", "Update", "v1", json!({"f:b": {}})),
        ];
        let want = [entry("new", "Apply", "v1", json!({"f:a": {}})), entries[1].clone()];
        assert_eq!(adopt(&entries, &["old", "older"], "new", "").unwrap(), want);
    }

    #[test]
    fn an_apply_takes_what_an_update_of_its_version_has() {
        let entries = [
            entry("new", "Apply", "v1", json!({"f:a": {}})),
            entry("old", "Update", "v1", json!({"f:b": {}})),
            entry("old", "Update", "v2", json!({"f:c": {}})),
        ];
        let want = [entry("new", "Apply", "v1", json!({"f:a": {}, "f:b": {}}))];
        assert_eq!(adopt(&entries, &["old"], "new", "").unwrap(), want);
        assert_eq!(adopt(&entries, &["old"], "new", "status").unwrap(), entries);
    }
}
