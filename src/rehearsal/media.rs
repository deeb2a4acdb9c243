//! In which form an answer is wanted, and in which a body came.

use crate::rehearsal::Failure;
use crate::rehearsal::refusals::{not_acceptable, not_acceptable_form, unknown_format};

/// What the server offers where nothing fits.
const OFFERED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// What it offers beside that where something can be watched.
const STREAMS: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// How newer clients send built-in kinds.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A patch that knows the lists of a kind.
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The object or list itself.
    Object,
    /// What `kubectl get` prints.
    Table,
    /// Only `metadata`.
    Metadata,
    /// Only the `metadata` of the items of a list.
    MetadataList,
}

/// The form of an answer and whether it is YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) form: Form,
    pub(super) yaml: bool,
}

/// The first form of an `Accept` header that can be had.
///
/// # Errors
/// 406 with what there is; a collection can be watched too. Of custom resources it is said in other words.
pub(super) fn wanted(
    accept: Option<&str>,
    collection: bool,
    custom: bool,
) -> Result<Wanted, Failure> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Ok(Wanted { form: Form::Object, yaml: false });
    };
    accept.split(',').find_map(range).ok_or_else(|| match (custom, collection) {
        (true, _) => {
            not_acceptable_form(format!("only the following media types are accepted: {OFFERED}"))
        }
        (false, true) => not_acceptable(&format!("{OFFERED}, {STREAMS}")),
        (false, false) => not_acceptable(OFFERED),
    })
}

fn range(range: &str) -> Option<Wanted> {
    let mut parts = range.split(';').map(str::trim);
    let yaml = match parts.next()? {
        "application/json" | "application/*" | "*/*" => false,
        "application/yaml" => true,
        _ => return None,
    };
    let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let parameter =
        |name| parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    let meta = parameter("g") == "meta.k8s.io" && matches!(parameter("v"), "v1" | "v1beta1");
    let form = match parameter("as") {
        "" => Form::Object,
        "Table" if meta => Form::Table,
        "PartialObjectMetadata" if meta => Form::Metadata,
        "PartialObjectMetadataList" if meta => Form::MetadataList,
        _ => return None,
    };
    Some(Wanted { form, yaml })
}

/// A `Content-Type` without its parameters; JSON where there is none.
pub(super) fn plain(content_type: Option<&str>) -> &str {
    let content_type = content_type.unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" => "application/json",
        plain => plain,
    }
}

/// Refuses bodies of objects that are neither JSON nor YAML.
pub(super) fn check_object(content_type: Option<&str>) -> Result<(), Failure> {
    match plain(content_type) {
        "application/json" | "application/yaml" => Ok(()),
        _ => Err(unknown_format(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_can_be_had_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(wanted(Some(table), true, false).unwrap().form, Form::Table);
        let old = "application/json;as=Table;v=v9;g=meta.k8s.io, application/json";
        assert_eq!(wanted(Some(old), true, false).unwrap().form, Form::Object);
        assert!(wanted(Some("application/vnd.kubernetes.protobuf, */*"), true, false).is_ok());
        assert_eq!(wanted(Some("application/xml"), true, false).unwrap_err().code, 406);
    }

    #[test]
    fn bodies_are_json_or_yaml() {
        assert!(check_object(Some("application/json; charset=utf-8")).is_ok());
        assert_eq!(check_object(Some("text/plain")).unwrap_err().code, 415);
    }
}
