//! What the server refuses in a CustomResourceDefinition.
//!
//! The server looks at it in an older form, in which what all versions share stands once, outside of
//! them; its paths are those of that form. Source: apiextensions-apiserver
//! `pkg/apis/apiextensions/validation/validation.go`, `v1/conversion.go`,
//! `pkg/apiserver/schema/defaulting/validation.go`.

use serde_json::{Value, json};

use super::formats;
use super::object::is_condition_true;
use super::rules::Rules;
use super::structure::{Additional, Rule, Structure};
use super::text::{
    cause, child, dns_1035_label, duplicate, forbidden, go_json, index, invalid, invalid_text, key,
    not_supported, quote, required, subdomain,
};
use super::{embedded, field_path, prune, structural, values};
use crate::rehearsal::Cause;

/// Most fields that selectors may name.
const MOST_SELECTABLE: usize = 8;

/// The annotation that groups of Kubernetes' own need.
const APPROVED: &str = "api-approved.kubernetes.io";

/// What is wrong with a new or a changed definition, after its general metadata.
pub fn validate(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &crd["spec"];
    let mut check = Check { spec, shared: Shared::of(spec), causes: Vec::new() };
    if old.is_none() {
        check.name(crd["metadata"]["name"].as_str().unwrap_or_default());
    }
    check.spec();
    if let Some(old) = old {
        check.immutable(&old["spec"], is_condition_true(old, "Established"));
    }
    let mut causes = check.causes;
    causes.extend(validate_status(crd));
    stored_versions(crd, &mut causes);
    approval(crd, old, &mut causes);
    if spec["preserveUnknownFields"] == true
        && old.is_none_or(|old| old["spec"]["preserveUnknownFields"] != true)
    {
        let text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
            spec.versions[*].schema instead";
        causes.push(invalid("spec.preserveUnknownFields", &true.into(), text));
    }
    causes
}

/// What is wrong with a definition whose status changed.
pub fn validate_status(crd: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    names(&crd["status"]["acceptedNames"], "status.acceptedNames", &mut causes);
    causes
}

/// Texts of `Warning` headers: formats that have no effect.
pub fn warnings(crd: &Value, old: Option<&Value>) -> Vec<String> {
    let known = old.map(unknown_formats).unwrap_or_default();
    let new = unknown_formats(crd).into_iter().filter(|format| !known.contains(format));
    new.map(|format| format!("unrecognized format {}", quote(&format))).collect()
}

fn unknown_formats(crd: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let versions = crd["spec"]["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let count = if Shared::of(&crd["spec"]).schema { 1 } else { versions.len() };
    for version in &versions[..count.min(versions.len())] {
        let schema = Structure::parse(&version["schema"]["openAPIV3Schema"]);
        schema.walk(&mut |node: &Structure| {
            let format = &*node.limits.format;
            let known = match &*node.type_name {
                "" | "string" => formats::is_known(format),
                "integer" => matches!(format, "int32" | "int64"),
                "number" => matches!(format, "float" | "double"),
                _ => false,
            };
            if !format.is_empty() && !known {
                unknown.push(format.to_owned());
            }
        });
    }
    unknown
}

/// What all versions have in common, and so is looked at once.
struct Shared {
    schema: bool,
    subresources: bool,
    columns: bool,
    selectable: bool,
}

impl Shared {
    fn of(spec: &Value) -> Self {
        let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
        let same = |name: &str| versions.iter().all(|version| version[name] == versions[0][name]);
        Self {
            schema: same("schema"),
            subresources: same("subresources"),
            columns: same("additionalPrinterColumns"),
            selectable: same("selectableFields"),
        }
    }
}

struct Check<'a> {
    spec: &'a Value,
    shared: Shared,
    causes: Vec<Cause>,
}

impl<'a> Check<'a> {
    fn versions(&self) -> &'a [Value] {
        self.spec["versions"].as_array().map_or(&[], Vec::as_slice)
    }

    fn text(&self, pointer: &str) -> &'a str {
        self.spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn name(&mut self, name: &str) {
        if name != format!("{}.{}", self.text("/names/plural"), self.text("/group")) {
            let text = "must be spec.names.plural+\".\"+spec.group";
            self.causes.push(invalid_text("metadata.name", name, text));
        }
    }

    fn spec(&mut self) {
        let group = self.text("/group");
        if group.is_empty() {
            self.causes.push(required("spec.group", ""));
        } else if let Some(text) = subdomain(group) {
            self.causes.push(invalid_text("spec.group", group, &text));
        } else if !group.contains('.') {
            let text = "should be a domain with at least one dot";
            self.causes.push(invalid_text("spec.group", group, text));
        }
        self.one_of("spec.scope", self.text("/scope"), &["Cluster", "Namespaced"]);
        for (at, version) in self.versions().iter().enumerate() {
            if !version["schema"]["openAPIV3Schema"].is_object() {
                let path = format!("spec.versions[{at}].schema.openAPIV3Schema");
                self.causes.push(required(&path, ""));
            }
        }
        for (at, version) in self.versions().iter().enumerate() {
            self.version(&format!("spec.versions[{at}]"), version);
        }
        self.storage();
        for field in ["plural", "singular", "kind", "listKind"] {
            if self.spec["names"][field].as_str().unwrap_or_default().is_empty() {
                self.causes.push(required(&format!("spec.names.{field}"), ""));
            }
        }
        names(&self.spec["names"], "spec.names", &mut self.causes);
        if let Some(first) = self.versions().first() {
            if self.shared.schema {
                let status = self
                    .versions()
                    .iter()
                    .any(|version| version["subresources"]["status"].is_object());
                self.schema("spec.validation", &first["schema"], status);
            }
            if self.shared.subresources {
                self.subresources("spec.subresources", &first["subresources"]);
            }
            if self.shared.columns {
                self.columns("spec.additionalPrinterColumns", first);
            }
            if self.shared.selectable {
                self.selectable("spec.selectableFields", first, &first["schema"]);
            }
        }
        self.conversion();
    }

    fn one_of(&mut self, path: &str, value: &str, known: &[&str]) {
        if value.is_empty() {
            self.causes.push(required(path, ""));
        } else if !known.contains(&value) {
            let known: Vec<_> = known.iter().map(|text| (*text).to_owned()).collect();
            self.causes.push(not_supported(path, &value.into(), &known));
        }
    }

    fn version(&mut self, path: &str, version: &Value) {
        let name = version["name"].as_str().unwrap_or_default();
        if let Some(text) = dns_1035_label(name) {
            self.causes.push(invalid_text(&child(path, "name"), name, &text));
        }
        let warning = &version["deprecationWarning"];
        for text in deprecation_faults(version["deprecated"] == true, warning.as_str()) {
            self.causes.push(invalid(&child(path, "deprecationWarning"), warning, text));
        }
        if !self.shared.schema {
            let status = version["subresources"]["status"].is_object();
            self.schema(&child(path, "schema"), &version["schema"], status);
        }
        if !self.shared.subresources {
            self.subresources(&child(path, "subresources"), &version["subresources"]);
        }
        if !self.shared.columns {
            self.columns(&child(path, "additionalPrinterColumns"), version);
        }
        if !self.shared.selectable {
            self.selectable(&child(path, "selectableFields"), version, &version["schema"]);
        }
    }

    fn storage(&mut self) {
        let versions = self.versions();
        let mut seen: Vec<&Value> = Vec::new();
        let mut unique = true;
        for version in versions {
            unique &= !seen.contains(&&version["name"]);
            seen.push(&version["name"]);
        }
        let storage = versions.iter().filter(|version| version["storage"] == true).count();
        let shown: Vec<_> = versions.iter().map(|version| self.show_version(version)).collect();
        let shown = format!("[{}]", shown.join(","));
        let mut refuse = |text: &str| {
            let message = format!("Invalid value: {shown}: {text}");
            self.causes.push(cause("FieldValueInvalid", "spec.versions", message));
        };
        if !unique {
            refuse("must contain unique version names");
        }
        if storage != 1 {
            refuse("must have exactly one version marked as storage version");
        }
    }

    /// A version as the server's struct prints it, without what all versions share.
    fn show_version(&self, version: &Value) -> String {
        let flag = |name: &str| version[name] == true;
        let warning = match version["deprecationWarning"].as_str() {
            Some(text) => go_json(&text.into()),
            None => "null".to_owned(),
        };
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\
             \"DeprecationWarning\":{warning},\"Schema\":null,\"Subresources\":null,\
             \"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            go_json(&version["name"]),
            flag("served"),
            flag("storage"),
            flag("deprecated"),
        )
    }

    fn schema(&mut self, path: &str, validation: &Value, status: bool) {
        let Some(schema) = validation.get("openAPIV3Schema").filter(|schema| schema.is_object())
        else {
            return;
        };
        let path = child(path, "openAPIV3Schema");
        let structure = Structure::parse(schema);
        if status && structure.type_name != "object" && !structure.type_name.is_empty() {
            let text = "only \"object\" is allowed as the type at the root of the schema if the \
                status subresource is enabled";
            self.causes.push(invalid_text(&child(&path, "type"), &structure.type_name, text));
        }
        if structure.nullable {
            let text = "nullable cannot be true at the root";
            self.causes.push(forbidden(&child(&path, "nullable"), text));
        }
        let mut causes = structural::validate(&path, &structure);
        if causes.is_empty() {
            defaults(&path, &structure, true, &mut causes);
        }
        let sound = causes.is_empty();
        self.causes.extend(causes);
        let mut walk = Walk { schema_causes: Vec::new(), rule_causes: Vec::new() };
        let place = Place { root: true, ..Place::default() };
        walk.node(&path, schema, &structure, &place);
        if sound && walk.schema_causes.is_empty() {
            Rules::check_definition(&path, &structure, &mut walk.rule_causes);
        }
        self.causes.extend(walk.schema_causes);
        self.causes.extend(walk.rule_causes);
    }

    fn subresources(&mut self, path: &str, subresources: &Value) {
        let Some(scale) = subresources.get("scale").filter(|scale| scale.is_object()) else {
            return;
        };
        for (field, within) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")]
        {
            let place = format!("{path}.scale.{field}");
            let value = scale[field].as_str().unwrap_or_default();
            if value.is_empty() {
                self.causes.push(required(&place, ""));
            } else if !self.simple_path(&place, value) && !value.starts_with(within) {
                let text = format!("should be a json path under {}", within.trim_end_matches('.'));
                self.causes.push(invalid_text(&place, value, &text));
            }
        }
        let value = scale["labelSelectorPath"].as_str().unwrap_or_default();
        let place = format!("{path}.scale.labelSelectorPath");
        if !value.is_empty()
            && !self.simple_path(&place, value)
            && !value.starts_with(".spec.")
            && !value.starts_with(".status.")
        {
            let text = "should be a json path under either .spec or .status";
            self.causes.push(invalid_text(&place, value, text));
        }
    }

    /// Whether a path was refused.
    fn simple_path(&mut self, path: &str, value: &str) -> bool {
        let refused = !value.starts_with('.');
        if refused {
            let text = "must be a simple json path starting with .";
            self.causes.push(invalid_text(path, value, text));
        }
        refused
    }

    fn columns(&mut self, path: &str, version: &Value) {
        const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
        const FORMATS: [&str; 8] =
            ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
        let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten();
        for (at, column) in columns.enumerate() {
            let path = index(path, at);
            let text = |name: &str| column[name].as_str().unwrap_or_default();
            if text("name").is_empty() {
                self.causes.push(required(&child(&path, "name"), ""));
            }
            let one_of = format!("must be one of {}", TYPES.join(","));
            match text("type") {
                "" => self.causes.push(required(&child(&path, "type"), &one_of)),
                name if !TYPES.contains(&name) => {
                    self.causes.push(invalid_text(&child(&path, "type"), name, &one_of));
                }
                _ => {}
            }
            let format = text("format");
            if !format.is_empty() && !FORMATS.contains(&format) {
                let one_of = format!("must be one of {}", FORMATS.join(","));
                self.causes.push(invalid_text(&child(&path, "format"), format, &one_of));
            }
            match text("jsonPath") {
                "" => self.causes.push(required(&child(&path, "JSONPath"), "")),
                value => {
                    self.simple_path(&child(&path, "JSONPath"), value);
                }
            }
        }
    }

    fn selectable(&mut self, path: &str, version: &Value, validation: &Value) {
        let structure = Structure::parse(&validation["openAPIV3Schema"]);
        let mut seen: Vec<String> = Vec::new();
        let fields = version["selectableFields"].as_array().into_iter().flatten();
        for (at, field) in fields.enumerate() {
            let place = child(&index(path, at), "jsonPath");
            let text = field["jsonPath"].as_str().unwrap_or_default();
            if text.is_empty() {
                self.causes.push(required(&place, ""));
                continue;
            }
            let (found, schema) = match field_path::resolve(text, &structure, false) {
                Ok(found) => found,
                Err(error) => {
                    let detail = format!("is an invalid path: {error}");
                    self.causes.push(invalid_text(&place, text, &detail));
                    continue;
                }
            };
            if found == "metadata" || found.starts_with("metadata.") {
                let detail = "must not point to fields in metadata";
                self.causes.push(invalid_text(&place, text, detail));
            }
            if !matches!(&*schema.type_name, "string" | "boolean" | "integer") {
                let detail = "must point to a field of type string, boolean or integer. Enum \
                    string fields and strings with formats are allowed.";
                self.causes.push(invalid_text(&place, text, detail));
            }
            if seen.contains(&found) {
                self.causes.push(duplicate(&place, &text.into()));
            } else {
                seen.push(found);
            }
        }
        if seen.len() > MOST_SELECTABLE {
            let count = seen.len();
            let message = format!("Too many: {count}: must have at most {MOST_SELECTABLE} items");
            self.causes.push(cause("FieldValueTooMany", path, message));
        }
    }

    fn conversion(&mut self) {
        let conversion = &self.spec["conversion"];
        if conversion.is_null() {
            return;
        }
        let strategy = conversion["strategy"].as_str().unwrap_or_default();
        self.one_of("spec.conversion.strategy", strategy, &["None", "Webhook"]);
        let webhook = &conversion["webhook"];
        let client = &webhook["clientConfig"];
        let reviews = webhook["conversionReviewVersions"].as_array();
        let reviews = reviews.map_or(&[][..], Vec::as_slice);
        let (client_path, reviews_path) =
            ("spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions");
        if strategy != "Webhook" {
            let text = "should not be set when strategy is not set to Webhook";
            if client.is_object() {
                self.causes.push(forbidden(client_path, text));
            }
            if !reviews.is_empty() {
                self.causes.push(forbidden(reviews_path, text));
            }
            return;
        }
        if !client.is_object() {
            let text = "required when strategy is set to Webhook";
            self.causes.push(required(client_path, text));
        } else if client["url"].is_null() == client["service"].is_null() {
            self.causes.push(required(client_path, "exactly one of url or service is required"));
        } else {
            self.client(client, client_path);
        }
        self.reviews(reviews, reviews_path);
    }

    fn client(&mut self, client: &Value, path: &str) {
        if let Some(url) = client["url"].as_str() {
            let place = child(path, "url");
            if !url.starts_with("https://") {
                let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
                let text =
                    "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                self.causes.push(invalid_text(&place, scheme, text));
            }
            return;
        }
        let place = child(path, "service");
        for field in ["name", "namespace"] {
            if client["service"][field].as_str().unwrap_or_default().is_empty() {
                self.causes.push(required(&child(&place, field), ""));
            }
        }
        if let Some(port) = client["service"]["port"].as_i64()
            && !(1..=65_535).contains(&port)
        {
            let text = "port is not valid: must be between 1 and 65535, inclusive";
            self.causes.push(invalid(&child(&place, "port"), &port.into(), text));
        }
    }

    fn reviews(&mut self, reviews: &[Value], path: &str) {
        if reviews.is_empty() {
            self.causes.push(required(path, ""));
            return;
        }
        for (at, version) in reviews.iter().enumerate() {
            let place = index(path, at);
            if reviews[..at].contains(version) {
                self.causes.push(invalid(&place, version, "duplicate version"));
            } else if let Some(text) = dns_1035_label(version.as_str().unwrap_or_default()) {
                self.causes.push(invalid(&place, version, &text));
            }
        }
        if !reviews.iter().any(|version| version == "v1" || version == "v1beta1") {
            let shown = Value::from(reviews.to_vec());
            self.causes.push(invalid(path, &shown, "must include at least one of v1, v1beta1"));
        }
    }

    fn immutable(&mut self, old: &Value, established: bool) {
        let fields = [
            ("/scope", "spec.scope", established),
            ("/names/kind", "spec.names.kind", established),
            ("/group", "spec.group", true),
            ("/names/plural", "spec.names.plural", true),
        ];
        for (pointer, path, _) in fields.into_iter().filter(|(.., fixed)| *fixed) {
            let new = self.spec.pointer(pointer).unwrap_or(&Value::Null);
            if old.pointer(pointer).unwrap_or(&Value::Null) != new {
                self.causes.push(invalid(path, new, "field is immutable"));
            }
        }
    }
}

fn deprecation_faults(deprecated: bool, warning: Option<&str>) -> Vec<&'static str> {
    let Some(warning) = warning else { return Vec::new() };
    if !deprecated {
        return vec!["can only be set for deprecated versions"];
    }
    let mut faults = Vec::new();
    if warning.len() > 256 {
        faults.push("must be <= 256 characters long");
    }
    if warning.is_empty() {
        faults.push("must not be an empty string");
    }
    faults
}

fn names(names: &Value, path: &str, causes: &mut Vec<Cause>) {
    let text = |name: &str| names[name].as_str().unwrap_or_default();
    for field in ["plural", "singular"] {
        let value = text(field);
        if let Some(fault) = dns_1035_label(value).filter(|_| !value.is_empty()) {
            causes.push(invalid_text(&child(path, field), value, &fault));
        }
    }
    for field in ["kind", "listKind"] {
        let value = text(field);
        if let Some(fault) = dns_1035_label(&value.to_lowercase()).filter(|_| !value.is_empty()) {
            let fault = format!("may have mixed case, but should otherwise match: {fault}");
            causes.push(invalid_text(&child(path, field), value, &fault));
        }
    }
    let list = |field: &str, causes: &mut Vec<Cause>| {
        let values = names[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        for (at, value) in values.enumerate() {
            if let Some(fault) = dns_1035_label(value) {
                causes.push(invalid_text(&index(&child(path, field), at), value, &fault));
            }
        }
    };
    list("shortNames", causes);
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        let fault = "kind and listKind may not be the same";
        causes.push(invalid_text(&child(path, "listKind"), text("listKind"), fault));
    }
    list("categories", causes);
}

fn stored_versions(crd: &Value, causes: &mut Vec<Cause>) {
    let path = "status.storedVersions";
    let stored = crd["status"]["storedVersions"].as_array().map_or(&[][..], Vec::as_slice);
    if stored.is_empty() {
        causes.push(invalid(path, &Value::Null, "must have at least one stored version"));
        return;
    }
    let versions = crd["spec"]["versions"].as_array().map_or(&[][..], Vec::as_slice);
    for version in versions {
        if version["storage"] == true && !stored.contains(&version["name"]) {
            let name = version["name"].as_str().unwrap_or_default();
            let text = format!("must have the storage version {name}");
            causes.push(invalid(path, &json!(stored), &text));
        }
    }
    for (at, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version["name"] == *name) {
            let shown = name.as_str().unwrap_or_default();
            let text = format!(
                "missing from spec.versions; {shown} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains \
                 persisted in {shown} and removes {shown} from status.storedVersions"
            );
            causes.push(invalid(&index(path, at), name, &text));
        }
    }
}

fn approval(crd: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let group = crd["spec"]["group"].as_str().unwrap_or_default();
    let protected = ["k8s.io", "kubernetes.io"].iter().any(|own| {
        group == *own || group.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'))
    });
    if !protected {
        return;
    }
    let annotation = |crd: &Value| {
        crd["metadata"]["annotations"][APPROVED].as_str().unwrap_or_default().to_owned()
    };
    // Absent, a reason, a URL, or wrong.
    let state = |text: &str| match text {
        "" => 0,
        text if text.starts_with("unapproved") => 1,
        text => match text.split_once("://") {
            Some((scheme, host)) if !scheme.is_empty() && !host.is_empty() => 2,
            _ => 3,
        },
    };
    let text = annotation(crd);
    if old.is_some_and(|old| state(&annotation(old)) == state(&text)) {
        return;
    }
    let path = format!("metadata.annotations[{APPROVED}]");
    let start = format!("protected groups must have approval annotation {APPROVED:?}");
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    match state(&text) {
        0 => causes.push(required(&path, &format!("{start}, {see}"))),
        3 => {
            let text = format!(
                "{start} with either a URL or a reason starting with \"unapproved\", {see}"
            );
            causes.push(invalid_text(&path, &annotation(crd), &text));
        }
        _ => {}
    }
}

/// Defaults must be valid and hold nothing that would be pruned.
fn defaults(path: &str, schema: &Structure, root: bool, causes: &mut Vec<Cause>) {
    if let Some(default) = &schema.default {
        let place = child(path, "default");
        let mut pruned = default.clone();
        prune::prune_value(&mut pruned, schema);
        if pruned != *default {
            causes.push(invalid(&place, default, "must not have unknown fields"));
        }
        let mut found = Vec::new();
        embedded::validate(&place, default, schema, false, &mut found);
        if found.is_empty() {
            found = values::validate(&place, default, schema);
        }
        if found.is_empty() {
            found = Rules::check_default(&place, schema, default);
        }
        causes.extend(found);
    }
    if let Some(items) = schema.items.as_deref() {
        defaults(&child(path, "items"), items, false, causes);
    }
    for (name, property) in &schema.properties {
        // Metadata may have no defaults, which is looked at elsewhere.
        let own =
            (root || schema.embedded) && matches!(&**name, "apiVersion" | "kind" | "metadata");
        if !own {
            defaults(&key(&child(path, "properties"), name), property, false, causes);
        }
    }
}

/// What holds for the place of a node, from what is above it.
#[derive(Clone, Default)]
struct Place {
    root: bool,
    in_metadata: bool,
    /// Why defaults may not be here.
    no_defaults: Option<String>,
}

/// The rules for each node, whether it is structural or not.
struct Walk {
    schema_causes: Vec<Cause>,
    rule_causes: Vec<Cause>,
}

impl Walk {
    fn node(&mut self, path: &str, raw: &Value, schema: &Structure, place: &Place) {
        self.forbidden(path, raw, schema, place);
        if schema.limits.unique_items {
            let text = "uniqueItems cannot be set to true since the runtime complexity becomes \
                quadratic";
            self.schema_causes.push(forbidden(&child(path, "uniqueItems"), text));
        }
        let below = Place { root: false, ..place.clone() };
        if let Some(additional) = &schema.additional {
            let path = child(path, "additionalProperties");
            if !schema.properties.is_empty() && !matches!(additional, Additional::Any(true)) {
                let text = "additionalProperties and properties are mutual exclusive";
                self.schema_causes.push(forbidden(&path, text));
            }
            if let Additional::Schema(node) = additional {
                let mut below = below.clone();
                if place.in_metadata {
                    let why = "inside additionalProperties applying to object metadata";
                    below.no_defaults = Some(why.to_owned());
                }
                self.node(&path, &raw["additionalProperties"], node, &below);
            }
        }
        for (name, property) in &schema.properties {
            let mut below = below.clone();
            if (place.root || schema.embedded)
                && matches!(&**name, "metadata" | "kind" | "apiVersion")
            {
                below.in_metadata = true;
                if place.root {
                    below.no_defaults = Some(format!("in top-level {name}"));
                }
            }
            let path = key(&child(path, "properties"), name);
            self.node(&path, &raw["properties"][name], property, &below);
        }
        if let Some(not) = schema.not.as_deref() {
            self.node(&child(path, "not"), &raw["not"], not, &below);
        }
        let lists =
            [("allOf", &schema.all_of), ("oneOf", &schema.one_of), ("anyOf", &schema.any_of)];
        for (name, list) in lists {
            for (at, node) in list.iter().enumerate() {
                self.node(&index(&child(path, name), at), &raw[name][at], node, &below);
            }
        }
        if let Some(items) = schema.items.as_deref() {
            self.node(&child(path, "items"), &raw["items"], items, &below);
        }
        self.lists(path, raw, schema);
        self.map_lists(path, schema);
        for (at, rule) in schema.rules.iter().enumerate() {
            self.rule(&index(&child(path, "x-kubernetes-validations"), at), rule, schema);
        }
    }

    fn forbidden(&mut self, path: &str, raw: &Value, schema: &Structure, place: &Place) {
        const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
        let name = &*schema.type_name;
        if !name.is_empty() && !TYPES.contains(&name) {
            let known: Vec<_> = TYPES.iter().map(|name| (*name).to_owned()).collect();
            self.schema_causes.push(not_supported(&child(path, "type"), &name.into(), &known));
        }
        if let (Some(_), Some(why)) = (&schema.default, &place.no_defaults) {
            let text = format!("must not be set {why}");
            self.schema_causes.push(forbidden(&child(path, "default"), &text));
        }
        for name in
            ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"]
        {
            if !raw[name].is_null() {
                let text = format!("{name} is not supported");
                self.schema_causes.push(forbidden(&child(path, name), &text));
            }
        }
        if name == "null" {
            let text = "type cannot be set to null, use nullable as an alternative";
            self.schema_causes.push(forbidden(&child(path, "type"), text));
        }
        if raw["items"].is_array() {
            let text = "items must be a schema object and not an array";
            self.schema_causes.push(forbidden(&child(path, "items"), text));
        }
        if place.in_metadata && schema.embedded {
            let text = "must not be used inside of resource meta";
            self.schema_causes
                .push(forbidden(&child(path, "x-kubernetes-embedded-resource"), text));
        }
    }

    fn lists(&mut self, path: &str, raw: &Value, schema: &Structure) {
        let causes = &mut self.schema_causes;
        let type_path = child(path, "type");
        if raw["x-kubernetes-preserve-unknown-fields"] == false {
            let path = child(path, "x-kubernetes-preserve-unknown-fields");
            causes.push(invalid(&path, &false.into(), "must be true or undefined"));
        }
        let mut typed = |extension: &str, expected: &str| {
            let text = format!("must be {expected} if {extension} is specified");
            causes.push(match &*schema.type_name {
                "" => required(&type_path, &text),
                other => invalid_text(&type_path, other, &text),
            });
        };
        if schema.map_type.is_some() && schema.type_name != "object" {
            typed("x-kubernetes-map-type", "object");
        }
        if schema.list_type.is_some() && schema.type_name != "array" {
            typed("x-kubernetes-list-type", "array");
        }
        let known = |path: String, value: &str, known: &[&str]| {
            let known: Vec<_> = known.iter().map(|text| (*text).to_owned()).collect();
            not_supported(&path, &value.into(), &known)
        };
        if let Some(name) = schema.map_type.as_deref()
            && !matches!(name, "atomic" | "granular")
        {
            causes.push(known(child(path, "x-kubernetes-map-type"), name, &["atomic", "granular"]));
        }
        let list_type = schema.list_type.as_deref();
        if let (Some("set"), "array", Some(items)) =
            (list_type, &*schema.type_name, schema.items.as_deref())
        {
            let text = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let items_path = child(path, "items");
            // The server shows the type of the list for both.
            let shown = items.list_type.as_deref().map_or(Value::Null, Value::from);
            if items.type_name == "array"
                && items.list_type.as_deref().is_some_and(|name| name != "atomic")
            {
                causes.push(invalid(&child(&items_path, "x-kubernetes-list-type"), &shown, text));
            }
            if items.type_name == "object" && items.map_type.as_deref() != Some("atomic") {
                causes.push(invalid(&child(&items_path, "x-kubernetes-map-type"), &shown, text));
            }
        }
        if let Some(name) = list_type
            && !matches!(name, "atomic" | "set" | "map")
        {
            let path = child(path, "x-kubernetes-list-type");
            causes.push(known(path, name, &["atomic", "set", "map"]));
        }
    }

    fn map_lists(&mut self, path: &str, schema: &Structure) {
        let causes = &mut self.schema_causes;
        let keys_path = child(path, "x-kubernetes-list-map-keys");
        let list_path = child(path, "x-kubernetes-list-type");
        let text = "must be map if x-kubernetes-list-map-keys is non-empty";
        match schema.list_type.as_deref() {
            None if !schema.list_keys.is_empty() => causes.push(required(&list_path, text)),
            Some(name) if name != "map" && !schema.list_keys.is_empty() => {
                causes.push(invalid_text(&list_path, name, text));
            }
            _ => {}
        }
        let items_path = child(path, "items");
        if schema.is_map_list() {
            if schema.list_keys.is_empty() {
                let text = "must not be empty if x-kubernetes-list-type is map";
                causes.push(required(&keys_path, text));
            }
            match schema.items.as_deref() {
                None => {
                    let text = "must have a schema if x-kubernetes-list-type is map";
                    causes.push(required(&items_path, text));
                }
                Some(items) if items.type_name != "object" => {
                    let text = "must be object if parent array's x-kubernetes-list-type is map";
                    causes.push(invalid_text(&child(&items_path, "type"), &items.type_name, text));
                }
                Some(items) => key_fields(&items_path, &keys_path, schema, items, causes),
            }
        }
        let Some(items) = schema.items.as_deref() else { return };
        let Some(list_type @ ("set" | "map")) = schema.list_type.as_deref() else { return };
        if items.nullable {
            let text = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
            causes.push(forbidden(&child(&items_path, "nullable"), &text));
        }
        if list_type == "set" {
            return;
        }
        for name in &schema.list_keys {
            let Some(property) = items.properties.get(name) else { continue };
            let path = key(&child(&items_path, "properties"), name);
            if !items.limits.required.contains(name) && property.default.is_none() {
                let text = "this property is in x-kubernetes-list-map-keys, so it must have a \
                    default or be a required property";
                causes.push(required(&child(&path, "default"), text));
            }
            if property.nullable {
                let text =
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                causes.push(forbidden(&child(&path, "nullable"), text));
            }
        }
    }

    fn rule(&mut self, path: &str, rule: &Rule, schema: &Structure) {
        let causes = &mut self.schema_causes;
        let has_breaks = |text: &str| text.contains(['\n', '\r']);
        let message = rule.message.trim();
        let place = |name: &str| child(path, name);
        if rule.rule.trim().is_empty() {
            causes.push(required(&place("rule"), "rule is not specified"));
        } else if !rule.message.is_empty() && message.is_empty() {
            let text = "must be non-empty if specified";
            causes.push(invalid_text(&place("message"), &rule.message, text));
        } else if has_breaks(message) {
            let text = "must not contain line breaks";
            causes.push(invalid_text(&place("message"), &rule.message, text));
        } else if has_breaks(rule.rule.trim()) && message.is_empty() {
            let text = "message must be specified if rule contains line breaks";
            causes.push(required(&place("message"), text));
        }
        if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
            let text = "messageExpression must be non-empty if specified";
            causes.push(required(&place("messageExpression"), text));
        }
        const REASONS: [&str; 4] = [
            "FieldValueDuplicate",
            "FieldValueForbidden",
            "FieldValueInvalid",
            "FieldValueRequired",
        ];
        if let Some(reason) = rule.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
            let known: Vec<_> = REASONS.iter().map(|text| (*text).to_owned()).collect();
            causes.push(not_supported(&place("reason"), &reason.into(), &known));
        }
        if rule.field_path.is_empty() {
            return;
        }
        let mut refuse =
            |text: &str| causes.push(invalid_text(&place("fieldPath"), &rule.field_path, text));
        if rule.field_path.trim().is_empty() {
            refuse("must be non-empty if specified");
        }
        if has_breaks(&rule.field_path) {
            refuse("must not contain line breaks");
        }
        if field_path::resolve(&rule.field_path, schema, true).is_err() {
            refuse("must be a valid path");
        }
    }
}

fn key_fields(
    items_path: &str,
    keys_path: &str,
    schema: &Structure,
    items: &Structure,
    causes: &mut Vec<Cause>,
) {
    for (at, name) in schema.list_keys.iter().enumerate() {
        let shown = json!(schema.list_keys);
        match items.properties.get(name) {
            Some(property) if matches!(&*property.type_name, "array" | "object") => {
                let path = child(&key(&child(items_path, "properties"), name), "type");
                let text = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                causes.push(invalid_text(&path, &items.type_name, text));
            }
            Some(_) => {}
            None => {
                let text = "entries must all be names of item properties";
                causes.push(invalid(keys_path, &shown, text));
            }
        }
        if schema.list_keys[..at].contains(name) {
            causes.push(invalid(keys_path, &shown, "must not contain duplicate entries"));
        }
    }
}
