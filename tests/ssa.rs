//! Applies and updates as the tests of structured-merge-diff do, where their data stand beside the
//! checkout: each case is a series of operations with the object and the owners that they end in.

#![expect(clippy::disallowed_methods, reason = "the data are read where they lie")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path as FilePath, PathBuf};

use overlay::ssa::path::same;
use overlay::ssa::schema::{Atom, Field, List, Map, Relationship, Scalar, Schema, TypeId, TypeRef};
use overlay::ssa::{
    Duplicates, FieldSet, Filter, Managers, Path, Refused, Type, Unversioned, Updater, Versions,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    test: String,
    error: String,
    live: String,
    want_object: String,
    schema: String,
    root: String,
    ops: Vec<Operation>,
    managers: Option<BTreeMap<String, Owner>>,
    want: Option<BTreeMap<String, Owner>>,
    return_input_on_noop: bool,
    has_ignore: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Operation {
    op: String,
    manager: String,
    #[serde(rename = "APIVersion")]
    version: String,
    object: String,
    #[serde(default)]
    conflicts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Owner {
    #[serde(rename = "APIVersion")]
    version: String,
    applied: bool,
    set: Value,
}

fn data() -> Option<PathBuf> {
    let beside = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    Some(given.unwrap_or(beside).join("ssa/smd.jsonl")).filter(|path| path.is_file())
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("an open stderr");
}

#[test]
fn objects_and_owners_are_those_of_structured_merge_diff() {
    let Some(data) = data() else {
        assert!(std::env::var_os("CI").is_none(), "no data of structured-merge-diff");
        say("SKIPPED: no data of structured-merge-diff beside the checkout");
        return;
    };
    let text = std::fs::read_to_string(data).expect("readable data");
    let (mut passed, mut operations, mut failures) = (0, 0, Vec::new());
    // The data do not say which fields a case ignores; its place among the cases of its test does.
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (line, text) in text.lines().enumerate() {
        let case: Case = serde_json::from_str(text).expect("a case");
        let place = places.entry(case.test.clone()).or_default();
        operations += case.ops.len();
        match run(&case, *place) {
            Ok(()) => passed += 1,
            Err(why) => failures.push(format!("line {}: {}: {why}", line + 1, case.test)),
        }
        *place += 1;
    }
    let total = passed + failures.len();
    say(&format!("structured-merge-diff: {passed} of {total} cases, {operations} operations"));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(total >= 413, "only {total} cases");
}

/// Runs the operations of a case and compares what it ends in.
fn run(case: &Case, place: usize) -> Result<(), String> {
    let mut kinds = Kinds::new(case);
    let filters = filters(case, place);
    let mut live = Value::Null;
    let mut live_version = String::new();
    let mut managers = Managers::new();
    for (at, operation) in case.ops.iter().enumerate() {
        let version = &*operation.version;
        if operation.op == "change-schema" {
            kinds.schema = schema(&operation.object);
            kinds.of(&live_version).validate(&live, Duplicates::Refused).map_err(show)?;
            continue;
        }
        if !live_version.is_empty() {
            live = kinds.convert(&live, &live_version, version)?;
        }
        live_version = version.into();
        let outcome = step(&kinds, &filters, case, operation, &mut live, &mut managers);
        let conflicts = match outcome {
            Ok(()) => Vec::new(),
            Err(Refused::Invalid(error)) if error == case.error => return Ok(()),
            Err(Refused::Conflicts(conflicts)) if !operation.conflicts.is_empty() => conflicts
                .iter()
                .map(|conflict| format!("{} {}", conflict.manager, conflict.path))
                .collect(),
            Err(error) => return Err(format!("operation {at}: {error}")),
        };
        let mut want = operation.conflicts.clone();
        want.sort();
        if conflicts.iter().collect::<std::collections::BTreeSet<_>>() != want.iter().collect() {
            return Err(format!("operation {at}: conflicts {conflicts:?}, not {want:?}"));
        }
    }
    if !case.error.is_empty() {
        return Err(format!("no error, not {:?}", case.error));
    }
    let want = yaml(&case.live);
    if !case.live.is_empty() && !same(&want, &live) {
        return Err(format!("object {live}, not {want}"));
    }
    // The data do not say in which version the test wants the object.
    let want = yaml(&case.want_object);
    let is_wanted = |version| {
        kinds.type_of(version).is_some()
            && kinds.convert(&live, &live_version, version).is_ok_and(|live| same(&want, &live))
    };
    if !case.want_object.is_empty() && !["v1", "v2", "v3", "v4"].into_iter().any(is_wanted) {
        return Err(format!("object {live}, not {want}"));
    }
    check_owners(case, &managers)
}

fn step(
    kinds: &Kinds,
    filters: &BTreeMap<ecow::EcoString, Filter>,
    case: &Case,
    operation: &Operation,
    live: &mut Value,
    managers: &mut Managers,
) -> Result<(), Refused> {
    let (manager, version) = (&*operation.manager, &*operation.version);
    let updater = Updater { versions: kinds, filters, return_unchanged: case.return_input_on_noop };
    let kind = kinds.of(version);
    let mut config = yaml(&operation.object);
    let duplicates = match &*operation.op {
        "update" => Duplicates::Allowed,
        _ => Duplicates::Refused,
    };
    let invalid = |error| Refused::Invalid(show(error));
    kind.validate(&config, duplicates).map_err(invalid)?;
    if operation.op == "update" {
        *managers = updater.update(live, &config, version, managers.clone(), manager)?;
        *live = config;
        return Ok(());
    }
    if operation.op == "extract-apply" && !live.is_null() {
        let owned = managers.get(manager).map(|owned| owned.fields.leaves()).unwrap_or_default();
        config = kind.merge(&kind.extract(live, &owned), &config).map_err(invalid)?;
    }
    let force = operation.op != "apply";
    let (new, owners) = updater.apply(live, &config, version, managers.clone(), manager, force)?;
    *managers = owners;
    *live = new.unwrap_or_else(|| live.take());
    Ok(())
}

fn check_owners(case: &Case, managers: &Managers) -> Result<(), String> {
    for (wanted, exact) in [(&case.managers, true), (&case.want, false)] {
        let Some(wanted) = wanted else { continue };
        if !wanted.keys().eq(managers.keys()) {
            return Err(format!("managers {:?}", managers.keys()));
        }
        for (name, want) in wanted {
            let set = FieldSet::from_json(&want.set).map_err(show)?;
            let owned = &managers[name];
            if owned.fields != set {
                let (is, want) = (owned.fields.to_text(), set.to_text());
                return Err(format!("{name} owns {is}, not {want}"));
            }
            // What the test wants says `Applied` loosely; what was recorded is exact.
            if owned.version != *want.version || exact && owned.applied != want.applied {
                return Err(format!("{name}: {owned:?}"));
            }
        }
    }
    Ok(())
}

fn show(error: impl ToString) -> String {
    error.to_string()
}

/// A kind of one version whose types are all deduced.
struct Only<'a>(&'a str, Type<'a>);

impl Versions for Only<'_> {
    fn type_of(&self, version: &str) -> Option<Type<'_>> {
        (version == self.0).then_some(self.1)
    }

    fn convert(&self, value: &Value, _: &str, _: &str) -> Result<Value, String> {
        Ok(value.clone())
    }
}

/// <https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/merge/obsolete_versions_test.go>
#[test]
fn owners_in_a_version_that_is_gone_are_dropped() {
    let mut schema = Schema::default();
    let deduced = schema.deduced();
    let kind = Type::new(&schema, deduced);
    let (old, new) = (Only("v1", kind), Only("v2", kind));
    let none = BTreeMap::new();
    let updater = |versions| Updater { versions, filters: &none, return_unchanged: false };
    let (live, managers) = updater(&old)
        .apply(&Value::Null, &json!({"a": 1}), "v1", Managers::new(), "one", false)
        .expect("an apply");
    let live = live.expect("an object");
    let (live, managers) = updater(&new)
        .apply(&live, &json!({"a": 2}), "v2", managers, "two", false)
        .expect("no conflict with a manager of another age");
    assert_eq!(live, Some(json!({"a": 2})));
    assert_eq!(managers.keys().collect::<Vec<_>>(), ["two"]);
}

#[test]
fn conflicts_name_the_manager_and_the_field() {
    let mut schema = Schema::default();
    let deduced = schema.deduced();
    let kind = Unversioned(Type::new(&schema, deduced));
    let none = BTreeMap::new();
    let updater = Updater { versions: &kind, filters: &none, return_unchanged: false };
    let object = json!({"a": 1, "b": {"c": 2, "d": [1]}});
    let (live, managers) = updater
        .apply(&Value::Null, &object, "v1", Managers::new(), "one", false)
        .expect("an apply");
    let live = live.expect("an object");
    let apply = |config| updater.apply(&live, &config, "v1", managers.clone(), "two", false);
    let error = apply(json!({"a": 2, "b": {"c": 2, "d": [2]}})).expect_err("a conflict");
    assert_eq!(error.to_string(), "conflicts with \"one\":\n- .a\n- .b.d");
    let error = apply(json!({"b": {"c": null}})).expect_err("a conflict");
    assert_eq!(error.to_string(), "conflict with \"one\": .b.c");
    let (same, shared) = apply(json!({"b": {"c": 2}})).expect("what is the same is shared");
    assert_eq!((same, shared.len()), (None, 2));
}

#[test]
fn what_does_not_fit_is_refused_in_the_words_of_the_server() {
    let schema = schema(
        "types:
- name: root
  map:
    fields:
    - {name: text, type: {scalar: string}}
    - {name: number, type: {scalar: numeric}}
    - {name: flag, type: {scalar: boolean}}
    - {name: parts, type: {list: {elementType: {namedType: part}, elementRelationship: associative, keys: [name]}}}
- name: part
  map:
    fields:
    - {name: name, type: {scalar: string}}
",
    );
    let kind = Type::new(&schema, schema.find("root").expect("a type"));
    for (value, want) in [
        (json!({"foo": 1}), ".foo: field not declared in schema"),
        (json!({"text": 1}), ".text: expected string, got &value.valueUnstructured{Value:1}"),
        (json!({"number": "1"}), ".number: expected numeric (int or float), got string"),
        (json!({"flag": "yes"}), ".flag: expected boolean, got &{yes}"),
        (json!({"parts": {}}), ".parts: expected list, got &{map[]}"),
        (
            json!({"parts": [1]}),
            ".parts: element 0: associative list with keys may not have non-map elements",
        ),
        (
            json!({"parts": [{"name": "a", "x": 1}]}),
            ".parts[name=\"a\"].x: field not declared in schema",
        ),
        (
            json!({"parts": [{"name": "a"}, {"name": "a"}]}),
            ".parts: duplicate entries for key [name=\"a\"]",
        ),
        (
            json!({"parts": [{}]}),
            ".parts: element 0: associative list with keys has an element that omits all key fields [\"name\"] \
             (and doesn't have default values for any key fields)",
        ),
    ] {
        let error = kind.validate(&value, Duplicates::Refused).expect_err(want);
        assert_eq!(error.to_string(), want);
    }
    let twice = json!({"parts": [{"name": "a"}, {"name": "a"}]});
    assert_eq!(kind.validate(&twice, Duplicates::Allowed), Ok(()));
}

#[test]
fn objects_may_be_deep_and_lists_long() {
    let deep = |times| (0..times).fold(json!({"a": 1}), |value, _| json!({ "a": value }));
    let mut schema = schema(
        "types:
- name: root
  map:
    fields:
    - {name: parts, type: {list: {elementType: {namedType: part}, elementRelationship: associative, keys: [name]}}}
- name: part
  map:
    fields:
    - {name: name, type: {scalar: string}}
    - {name: value, type: {scalar: numeric}}
",
    );
    let deduced = schema.deduced();
    let root = schema.find("root").expect("a type");
    let none = BTreeMap::new();
    let apply_twice = |kind: Type<'_>, first: &Value, second: &Value| {
        kind.validate(first, Duplicates::Refused).expect("a value of the type");
        let versions = Unversioned(kind);
        let updater = Updater { versions: &versions, filters: &none, return_unchanged: true };
        let (live, managers) =
            updater.apply(&Value::Null, first, "v1", Managers::new(), "one", false).expect("one");
        let live = live.expect("an object");
        let (live, managers) =
            updater.apply(&live, second, "v1", managers, "one", false).expect("again");
        let text = managers["one"].fields.to_json();
        assert_eq!(FieldSet::from_json(&text).as_ref(), Ok(&managers["one"].fields));
        live.expect("an object")
    };
    let kind = Type::new(&schema, deduced);
    assert_eq!(apply_twice(kind, &deep(150), &json!({"b": 1})), json!({"b": 1}));
    assert!(kind.validate(&deep(250), Duplicates::Refused).is_err());
    let list = |from: usize| {
        // Neither in order nor against it.
        let parts =
            (from..from + 5_000).map(|n| json!({"name": format!("{}", n * 7919 % 100_003)}));
        json!({"parts": parts.collect::<Vec<_>>()})
    };
    let merged = apply_twice(Type::new(&schema, root), &list(0), &list(2_500));
    assert!(same(&merged, &list(2_500)));
}

/// What the cases that ignore fields ignore. Source: `merge/ignore_test.go`.
fn filters(case: &Case, place: usize) -> BTreeMap<ecow::EcoString, Filter> {
    let exclude = |version: &str, path: &[&str]| {
        (version.into(), Filter::Exclude(FieldSet::of([Path::of_fields(path)])))
    };
    let deep = case.ops.iter().any(|operation| operation.object.contains("obj"));
    let versions = case.ops.iter().map(|operation| &*operation.version).collect::<Vec<_>>();
    match &*case.test {
        _ if !case.has_ignore => BTreeMap::new(),
        "merge_test.TestIgnoreFilter.func1" | "merge_test.TestIgnoredFields.func1" => {
            BTreeMap::from([exclude("v1", &[if deep { "obj" } else { "string" }])])
        }
        "merge_test.TestFilteredFieldsUsesVersions.func1" if versions.contains(&"v4") => {
            let names = [("v1", "c"), ("v2", "cc"), ("v3", "ccc"), ("v4", "cccc")];
            names.map(|(v, name)| exclude(v, &["mapOfMapsRecursive", name])).into()
        }
        "merge_test.TestFilteredFieldsUsesVersions.func1" => {
            BTreeMap::from([exclude("v2", &["mapOfMapsRecursive", "c"])])
        }
        test => panic!("case {place} of {test} ignores something unknown"),
    }
}

/// The versions of the one kind of a case.
struct Kinds {
    schema: Schema,
    root: String,
    conversion: Conversion,
}

/// How a test converts. Source: `merge/multiple_appliers_test.go`.
enum Conversion {
    /// Every version is the same.
    Same,
    /// `name_v1` becomes `name_v2`.
    Renaming,
    /// The letter of a key is repeated as often as the number of the version says.
    Repeating,
    /// Two fields are the same in two versions; the first version cannot be without it.
    Reliant,
}

impl Kinds {
    fn new(case: &Case) -> Self {
        let conversion = match &*case.test {
            "merge_test.testMultipleAppliersFieldUnsetting.func1"
            | "merge_test.testMultipleAppliersFieldRenameConversions.func1" => Conversion::Renaming,
            "merge_test.TestMultipleAppliersRealConversion.func1"
            | "merge_test.TestFilteredFieldsUsesVersions.func1" => Conversion::Repeating,
            "merge_test.TestMultipleAppliersReliantFieldsConversions.func1" => Conversion::Reliant,
            _ => Conversion::Same,
        };
        Self { schema: schema(&case.schema), root: case.root.clone(), conversion }
    }

    fn of(&self, version: &str) -> Type<'_> {
        self.type_of(version).expect("a type for each version")
    }
}

impl Versions for Kinds {
    fn type_of(&self, version: &str) -> Option<Type<'_>> {
        let name = if self.root == "<apiVersion>" { version } else { &self.root };
        Some(Type::new(&self.schema, self.schema.find(name)?))
    }

    fn convert(&self, value: &Value, from: &str, to: &str) -> Result<Value, String> {
        const FIELD: [&str; 2] = ["field_foo_rely_on_bar", "required_field_bar"];
        let converted = match self.conversion {
            Conversion::Same => return Ok(value.clone()),
            Conversion::Renaming => renamed(value, &|name| match name.strip_suffix(from) {
                Some(stem) => format!("{stem}{to}"),
                None => name.into(),
            }),
            Conversion::Repeating => {
                let times = to[1..].parse().map_err(show)?;
                beneath(value, &|name| name[..1].repeat(times))
            }
            Conversion::Reliant if from == to => value.clone(),
            Conversion::Reliant if to == "v1" && value.get(FIELD[1]).is_none() => {
                return Err("missing required field bar".into());
            }
            Conversion::Reliant => renamed(value, &|name| {
                let (old, new) =
                    if to == "v1" { (FIELD[1], FIELD[0]) } else { (FIELD[0], FIELD[1]) };
                name.replace(old, new)
            }),
        };
        Ok(converted)
    }
}

fn renamed(value: &Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (rename(name), renamed(value, rename))).collect()
        }
        Value::Array(list) => list.iter().map(|value| renamed(value, rename)).collect(),
        value => value.clone(),
    }
}

/// Renames all but the first level.
fn beneath(value: &Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), renamed(value, rename))).collect()
        }
        value => value.clone(),
    }
}

/// An unquoted `n` is `false` to the reader that the tests use.
fn yaml(text: &str) -> Value {
    serde_yaml::from_str(&text.replace("name: n\n", "name: false\n")).expect("YAML")
}

/// Reads the YAML in which structured-merge-diff writes schemas.
fn schema(text: &str) -> Schema {
    let mut schema = Schema::default();
    for kind in yaml(text)["types"].as_array().into_iter().flatten() {
        let id = schema.named(kind["name"].as_str().expect("a name"));
        let atom = atom(&mut schema, kind);
        schema.define(id, atom);
    }
    schema
}

fn atom(schema: &mut Schema, yaml: &Value) -> Atom {
    let scalar = yaml["scalar"].as_str().map(|name| match name {
        "numeric" => Scalar::Numeric,
        "string" => Scalar::String,
        "boolean" => Scalar::Boolean,
        _ => Scalar::Untyped,
    });
    let list = yaml.get("list").map(|list| List {
        element: reference(schema, &list["elementType"]).expect("a type of elements"),
        relationship: relationship(list).unwrap_or_default(),
        keys: list["keys"].as_array().into_iter().flatten().filter_map(text).collect(),
    });
    let map = yaml.get("map").map(|map| Map {
        fields: fields(schema, map),
        element: reference(schema, &map["elementType"]),
        relationship: relationship(map).unwrap_or_default(),
    });
    Atom { scalar, list, map }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn fields(schema: &mut Schema, map: &Value) -> Vec<Field> {
    let fields = map["fields"].as_array().into_iter().flatten();
    let mut fields: Vec<_> = fields
        .map(|field| Field {
            name: field["name"].as_str().expect("a name").into(),
            kind: reference(schema, &field["type"]).expect("a type"),
            default: field.get("default").cloned(),
        })
        .collect();
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields
}

fn relationship(yaml: &Value) -> Option<Relationship> {
    match yaml["elementRelationship"].as_str()? {
        "atomic" => Some(Relationship::Atomic),
        _ => Some(Relationship::Granular),
    }
}

fn reference(schema: &mut Schema, yaml: &Value) -> Option<TypeRef> {
    if yaml.is_null() {
        return None;
    }
    let relationship = relationship(yaml);
    let id: TypeId = match yaml["namedType"].as_str() {
        Some(name) => schema.named(name),
        None => {
            let atom = atom(schema, yaml);
            schema.add(atom)
        }
    };
    Some(TypeRef { id, relationship })
}
