//! Managed fields and conflicts as a real API server recorded them, where the recordings stand
//! beside the checkout: after each write, what it has made of the object is tracked again.

#![cfg(feature = "rehearsal")]
#![expect(clippy::disallowed_methods, reason = "the data are read where they lie")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlay::rehearsal::crd::Definition;
use overlay::rehearsal::ownership::{self, Filters, Scale, Subject};
use overlay::rehearsal::{Failure, Kind};
use overlay::schema::kubernetes::{self, Minor};
use overlay::ssa::schema::TypeId;
use overlay::ssa::{Schema, Type, Versions};
use serde_json::{Value, json};

/// The groups whose steps are replayed.
const GROUPS: [&str; 15] = [
    "create",
    "crd",
    "crd-ssa",
    "defaults",
    "delete",
    "dryrun",
    "errors",
    "immutable",
    "managedfields",
    "patch",
    "ssa",
    "ssa-lists",
    "ssa-values",
    "subresource",
    "update",
];

/// What a server sets in a new object after it has noted who owns it.
const LATER: [(&str, &[&str]); 13] = [
    ("Job", &["metadata", "labels"]),
    ("Job", &["spec", "selector"]),
    ("Job", &["spec", "template", "metadata", "labels"]),
    ("Namespace", &["spec", "finalizers"]),
    ("PersistentVolume", &["metadata", "finalizers"]),
    ("PersistentVolumeClaim", &["metadata", "finalizers"]),
    ("Pod", &["spec", "preemptionPolicy"]),
    ("Pod", &["spec", "priority"]),
    ("Pod", &["spec", "tolerations"]),
    ("Service", &["spec", "clusterIP"]),
    ("Service", &["spec", "clusterIPs"]),
    ("Service", &["spec", "ipFamilies"]),
    ("Service", &["spec", "ipFamilyPolicy"]),
];

/// What differs, by scenario and step (0: where an object is read again), and why.
const KNOWN: [(&str, &str); 13] = [
    ("crd/update-patch:16", "the order of two managers in a conflict is chance"),
    ("crd/versions:10", "the stored version drops a field after owners are noted"),
    ("defaults/hpa-behavior:", "autoscalers are not converted here"),
    ("defaults/service-loadbalancer:1", "ports are allocated after owners are noted"),
    ("defaults/service-nodeport:1", "ports are allocated after owners are noted"),
    ("delete/deletecollection:8", "not all deletions are followed here"),
    ("delete/finalizer-order:5", "not all deletions are followed here"),
    ("delete/pv-finalizer:1", "a finalizer is added after owners are noted"),
    ("delete/pvc-finalizer:1", "a finalizer is added after owners are noted"),
    ("ssa-values/yaml-body:3", "YAML is read otherwise here"),
    ("ssa-values/yaml-body:4", "YAML is read otherwise here"),
    ("ssa/two-versions:", "autoscalers are not converted here"),
    ("update/daemonset-put-patch-apply:8", "an annotation is set to 0 while owners are noted"),
];

fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    Some(given.unwrap_or(beside).join("apiserver")).filter(|path| path.is_dir())
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("an open stderr");
}

#[test]
fn managed_fields_and_conflicts_are_those_of_the_server() {
    let Some(data) = data() else {
        assert!(std::env::var_os("CI").is_none(), "no recordings of an API server");
        say("SKIPPED: no recordings of an API server beside the checkout");
        return;
    };
    let minor = kubernetes::minor(kubernetes::MEASURED).expect("the measured minor");
    let mut failures = Vec::new();
    let mut known = BTreeSet::new();
    for group in GROUPS {
        let mut files: Vec<_> = std::fs::read_dir(data.join(group))
            .expect("a group")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let mut tally = Tally::default();
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a scenario");
            let name = format!("{group}/{}", file.file_stem().expect("a name").to_string_lossy());
            let mut replay = Replay {
                minor,
                live: BTreeMap::new(),
                custom: Vec::new(),
                tally: Tally::default(),
            };
            replay.run(&real(&text));
            for (step, why) in replay.tally.failures.drain(..) {
                match KNOWN.iter().find(|(prefix, _)| format!("{name}:{step}").starts_with(prefix))
                {
                    Some((prefix, _)) => drop(known.insert(*prefix)),
                    None => failures.push(format!("{name}:{step}: {why}")),
                }
            }
            tally.tracked += replay.tally.tracked;
            tally.refused += replay.tally.refused;
            tally.merged += replay.tally.merged;
            tally.merges += replay.tally.merges;
        }
        say(&format!(
            "{group}: {} writes tracked, {} refusals, {} of {} objects merged to the letter",
            tally.tracked, tally.refused, tally.merged, tally.merges
        ));
    }
    for (prefix, _) in KNOWN {
        assert!(known.contains(prefix), "{prefix} differs no more");
    }
    assert!(failures.is_empty(), "{} differ\n{}", failures.len(), failures.join("\n"));
}

/// Puts values in the place of what the recorder took out.
fn real(text: &str) -> Value {
    let text = replace_numbers(text, "\"{PORT", "}\"", |n| (30000 + n).to_string());
    let text = replace_numbers(&text, "{TIME", "}", |n| {
        format!("2026-01-01T{:02}:{:02}:00Z", n / 60, n % 60)
    });
    serde_json::from_str(&text).expect("a scenario")
}

/// Replaces numbers between two marks.
fn replace_numbers(text: &str, before: &str, after: &str, by: impl Fn(usize) -> String) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(after).map(|(number, rest)| (number.parse(), rest)) {
            Some((Ok(number), rest)) => {
                out.push_str(&by(number));
                out.push_str(rest);
            }
            _ => {
                out.push_str(before);
                out.push_str(part);
            }
        }
    }
    out
}

#[derive(Default)]
struct Tally {
    tracked: usize,
    refused: usize,
    merged: usize,
    merges: usize,
    failures: Vec<(usize, String)>,
}

/// The versions of a kind.
struct Kinds {
    kind: Kind,
    types: BTreeMap<String, (Arc<Schema>, TypeId)>,
}

impl Kinds {
    fn custom(definition: &Definition, kind: &Kind) -> Self {
        let types = definition.versions.iter().filter(|version| version.served).map(|version| {
            let (schema, root) = version.schema();
            (version.api_version(), (Arc::new(schema.clone()), root))
        });
        Self { kind: kind.clone(), types: types.collect() }
    }

    fn new(minor: &Minor, kind: &Kind) -> Self {
        let same = |of: &kubernetes::Type| of.group == kind.group && of.kind == kind.kind;
        let types = minor.kinds().filter(|(of, _)| same(of)).filter_map(|(of, _)| {
            let version = Kind { version: of.version.into(), ..kind.clone() }.api_version();
            Some((version, minor.schema(of.group, of.version, of.kind)?))
        });
        Self { kind: kind.clone(), types: types.collect() }
    }
}

impl Versions for Kinds {
    fn type_of(&self, version: &str) -> Option<Type<'_>> {
        let (schema, id) = self.types.get(version)?;
        Some(Type::new(schema, *id))
    }

    fn convert(&self, value: &Value, _: &str, to: &str) -> Result<Value, String> {
        if self.kind.kind == "HorizontalPodAutoscaler" {
            return Err("not converted in this test".into());
        }
        let mut value = value.clone();
        value["apiVersion"] = to.into();
        Ok(value)
    }
}

/// What a path of the API names.
struct Target {
    kind: Kind,
    /// The path of the object; empty for a collection.
    object: String,
    subresource: String,
}

struct Replay<'a> {
    minor: &'a Minor,
    live: BTreeMap<String, Value>,
    custom: Vec<Definition>,
    tally: Tally,
}

impl Replay<'_> {
    fn run(&mut self, scenario: &Value) {
        for (at, step) in scenario["steps"].as_array().expect("steps").iter().enumerate() {
            let (request, response) = (&step["request"], &step["response"]);
            let path = request["path"].as_str().expect("a path");
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let Some(target) = self.target(path) else { continue };
            let now = format!("2026-01-01T{:02}:{:02}:00Z", (at + 1) / 60, (at + 1) % 60);
            let outcome = self.step(&target, request, response, query, &now);
            if let Err(why) = outcome {
                self.tally.failures.push((at + 1, why));
            }
            self.remember(&target, request, response, query);
        }
    }

    fn target(&self, path: &str) -> Option<Target> {
        let mut parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let (group, version, rest) = match *parts.first()? {
            "api" => ("", *parts.get(1)?, parts.split_off(2)),
            "apis" => (*parts.get(1)?, *parts.get(2)?, parts.split_off(3)),
            _ => return None,
        };
        let kind_of = |plural: &str| match self.minor.resource(group, version, plural) {
            Some(resource) => Some(resource.kind.kind.to_owned()),
            None => Some(self.definition(group, plural)?.names.kind.clone()),
        };
        let rest = match &*rest {
            ["namespaces", _, plural, ..] if kind_of(plural).is_some() => &rest[2..],
            rest => rest,
        };
        let kind = kind_of(rest.first()?)?;
        let kind = Kind { group: group.into(), version: version.into(), kind };
        let subresource = rest.get(2).copied().unwrap_or_default();
        let object = match (rest.get(1), subresource) {
            (None, _) => String::new(),
            (_, "") => path.into(),
            (_, sub) => path.trim_end_matches(sub).trim_end_matches('/').into(),
        };
        // The same object in any version.
        let object = object.replace(&format!("/{version}/"), "/");
        Some(Target { kind, object, subresource: subresource.into() })
    }

    fn definition(&self, group: &str, plural: &str) -> Option<&Definition> {
        let is = |of: &&Definition| of.group == group && of.names.plural == plural;
        self.custom.iter().rev().find(is)
    }

    /// The versions of a kind, which fields an endpoint tracks of it, and a new object.
    fn kinds(&self, kind: &Kind, subresource: &str) -> Option<(Kinds, Filters, Value)> {
        let api_version = kind.api_version();
        let is = |of: &&Definition| of.group == kind.group && of.names.kind == kind.kind;
        let blank = ownership::blank(self.minor, &api_version, &kind.kind);
        let Some(custom) = self.custom.iter().rev().find(is) else {
            let kinds = Kinds::new(self.minor, kind);
            let versions = kinds.types.keys().map(String::as_str);
            let filters = ownership::reset_fields(kind, subresource, versions);
            return Some((kinds, filters, blank));
        };
        let has_status = custom.version(&kind.version)?.status;
        let filters = ownership::reset_fields_of_custom(&api_version, subresource, has_status);
        Some((Kinds::custom(custom, kind), filters, blank))
    }

    fn step(
        &mut self,
        target: &Target,
        request: &Value,
        response: &Value,
        query: &str,
        now: &str,
    ) -> Result<(), String> {
        let method = request["method"].as_str().unwrap_or_default();
        let body = &response["body"];
        if !matches!(method, "POST" | "PUT" | "PATCH") || !body.is_object() {
            return Ok(());
        }
        if matches!(
            &*target.subresource,
            "eviction" | "binding" | "token" | "finalize" | "approval"
        ) || method == "POST" && !target.subresource.is_empty()
        {
            return Ok(());
        }
        let is_apply = request["contentType"].as_str().unwrap_or_default().contains("apply-patch");
        if body["kind"] == "Status" && !is_apply {
            return Ok(());
        }
        let object = match &*target.object {
            "" => None,
            object => self.live.get(object).cloned(),
        };
        if object.is_none() && !target.object.is_empty() && response["status"] != 201 {
            return Ok(());
        }
        if target.subresource == "scale" {
            return self.scale(target, request, response, query, now);
        }
        let kind = &target.kind;
        let live = object.map(|mut live| {
            live["apiVersion"] = kind.api_version().into();
            live
        });
        let Some((versions, filters, blank)) = self.kinds(kind, &target.subresource) else {
            return Ok(());
        };
        let subject = Subject {
            kind,
            subresource: &target.subresource,
            versions: &versions,
            filters: &filters,
            blank: &blank,
        };
        let manager = manager(query, is_apply);
        if is_apply {
            return self.apply(&subject, live.as_ref(), request, response, &manager, query, now);
        }
        let mut new = body.clone();
        if live.is_none() {
            without_later(&mut new, &request["body"]);
        }
        let Some(given) = given_entries(request, live.as_ref()) else { return Ok(()) };
        match given {
            Value::Null => drop(new["metadata"].as_object_mut().map(|m| m.remove("managedFields"))),
            given => new["metadata"]["managedFields"] = given,
        }
        ownership::updated(&subject, live.as_ref(), &mut new, &manager, now);
        if let Some(live) = &live {
            ownership::keep_times(live, &mut new);
        }
        self.tally.tracked += 1;
        same_entries(&new, body)
    }

    #[expect(clippy::too_many_arguments, reason = "one step of a recording")]
    fn apply(
        &mut self,
        subject: &Subject<'_>,
        live: Option<&Value>,
        request: &Value,
        response: &Value,
        manager: &str,
        query: &str,
        now: &str,
    ) -> Result<(), String> {
        let body = &response["body"];
        let patch = match request["bodyText"].as_str() {
            None => request["body"].clone(),
            Some(text) => match serde_yaml::from_str(text) {
                Ok(value) => value,
                Err(_) => return Ok(()),
            },
        };
        let force = query.contains("force=true");
        let settle = |object: &mut Value| {
            drop_nulls(object);
            Ok::<_, Failure>(())
        };
        let outcome = ownership::applied(subject, live, &patch, manager, now, force, &settle);
        if body["kind"] == "Status" && body["status"] == "Failure" {
            let message = body["message"].as_str().unwrap_or_default();
            let ours = message.starts_with("Apply failed")
                || message.contains("typed patch object")
                || message.starts_with("failed to convert new object: ")
                || message.contains("managedFields must be nil")
                || message.starts_with("invalid object type");
            if !ours {
                return Ok(());
            }
            self.tally.refused += 1;
            let failure = outcome.err().ok_or_else(|| format!("no failure, not {message}"))?;
            let (is, want) = (failure.to_value(), body);
            return if is == *want { Ok(()) } else { Err(format!("{is}\n not {want}")) };
        }
        let mut new = outcome.map_err(|failure| format!("refused: {}", failure.message))?;
        self.tally.tracked += 1;
        self.tally.merges += 1;
        // What the server adds to what was merged is not looked at here.
        self.tally.merged += usize::from(is_part(&new, body));
        let entries = new["metadata"]["managedFields"].take();
        let mut settled = body.clone();
        settled["metadata"]["managedFields"] = entries;
        new = settled;
        if let Some(live) = live {
            ownership::keep_times(live, &mut new);
        }
        same_entries(&new, body)
    }

    /// A write of the scale: tracked as of an object of its own, then brought to the resource.
    fn scale(
        &mut self,
        target: &Target,
        request: &Value,
        response: &Value,
        query: &str,
        now: &str,
    ) -> Result<(), String> {
        let body = &response["body"];
        let Some(live) = self.live.get(&target.object).cloned() else { return Ok(()) };
        let kind = Kind::new("autoscaling/v1", "Scale");
        let versions = Kinds::new(self.minor, &kind);
        let blank = ownership::blank(self.minor, "autoscaling/v1", "Scale");
        let filters = Filters::new();
        let subject = Subject {
            kind: &kind,
            subresource: "scale",
            versions: &versions,
            filters: &filters,
            blank: &blank,
        };
        let version = target.kind.api_version();
        let of = Scale::of_spec([&*version]);
        let entries = |object: &Value| {
            object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default()
        };
        let scaled = of.from_resource(&entries(&live))?;
        let mut old = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"], "uid": "u"},
            "spec": {"replicas": live["spec"]["replicas"]}, "status": {"replicas": 0},
        });
        if !scaled.is_empty() {
            old["metadata"]["managedFields"] = scaled.into();
        }
        let is_apply = request["contentType"].as_str().unwrap_or_default().contains("apply-patch");
        let manager = manager(query, is_apply);
        let new = if is_apply {
            let force = query.contains("force=true");
            let settle = |_: &mut Value| Ok::<_, Failure>(());
            let patch = &request["body"];
            match ownership::applied(&subject, Some(&old), patch, &manager, now, force, &settle) {
                Ok(new) => new,
                Err(failure) if body["kind"] == "Status" => {
                    self.tally.refused += 1;
                    let is = failure.to_value();
                    return if is == *body { Ok(()) } else { Err(format!("{is}\n not {body}")) };
                }
                Err(failure) => return Err(failure.message),
            }
        } else {
            let mut new = old.clone();
            new["spec"]["replicas"] = body["spec"]["replicas"].clone();
            ownership::updated(&subject, Some(&old), &mut new, &manager, now);
            new
        };
        if body["kind"] == "Status" || query.contains("dryRun") {
            return Ok(());
        }
        let entries = of.to_resource(&entries(&live), &entries(&new), &version)?;
        let mut live = live;
        live["spec"]["replicas"] = body["spec"]["replicas"].clone();
        live["metadata"]["managedFields"] = entries.into();
        self.live.insert(target.object.clone(), live);
        Ok(())
    }

    /// Keeps what is there now, and compares what was read with what is expected.
    fn remember(&mut self, target: &Target, request: &Value, response: &Value, query: &str) {
        let method = request["method"].as_str().unwrap_or_default();
        let body = &response["body"];
        let accept = request["accept"].as_str().unwrap_or_default();
        if query.contains("dryRun") || accept.contains("as=") || body["kind"] != *target.kind.kind {
            if method == "DELETE" {
                self.live.remove(&target.object);
            }
            return;
        }
        if body["kind"] == "CustomResourceDefinition"
            && let Ok(definition) = Definition::parse(body)
        {
            self.custom.push(definition);
        }
        let object = match (&*target.object, body["metadata"]["name"].as_str()) {
            ("", Some(name)) => {
                let path = request["path"].as_str().unwrap_or_default();
                let path = path.split('?').next().unwrap_or_default();
                let path = path.replace(&format!("/{}/", target.kind.version), "/");
                format!("{path}/{name}")
            }
            (object, _) => object.to_owned(),
        };
        if method == "DELETE" {
            self.live.remove(&object);
            return;
        }
        if method == "GET"
            && target.subresource.is_empty()
            && let Some(live) = self.live.get(&object)
            && live["spec"] == body["spec"]
            && let Err(why) = same_entries(live, body)
        {
            self.tally.failures.push((0, format!("read again: {why}")));
        }
        self.live.insert(object, body.clone());
    }
}

fn manager(query: &str, is_apply: bool) -> String {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager="));
    match given {
        Some(name) => name.into(),
        None if is_apply => String::new(),
        None => "rehearsal-recorder".into(),
    }
}

/// The managed fields that a request brings, null for none; `None` where that cannot be told.
fn given_entries(request: &Value, live: Option<&Value>) -> Option<Value> {
    let of_live = || live.map(|live| live["metadata"]["managedFields"].clone()).unwrap_or_default();
    let body = &request["body"];
    let content_type = request["contentType"].as_str().unwrap_or_default();
    let metadata = body["metadata"].as_object();
    let given = metadata.and_then(|metadata| metadata.get("managedFields"));
    match content_type {
        "application/json-patch+json" => {
            let ops = body.as_array()?;
            let path = "/metadata/managedFields";
            let op = ops
                .iter()
                .rev()
                .find(|op| op["path"].as_str().is_some_and(|p| p.starts_with(path)));
            match op {
                None => Some(of_live()),
                Some(op) if op["path"] == path && op["op"] == "remove" => Some(Value::Null),
                Some(op) if op["path"] == path => Some(op["value"].clone()),
                Some(_) => None,
            }
        }
        "application/merge-patch+json" => Some(given.cloned().unwrap_or_else(of_live)),
        // A list in a strategic merge patch is replaced here, as it has no keys.
        "application/strategic-merge-patch+json" => Some(given.cloned().unwrap_or_else(of_live)),
        _ => Some(given.cloned().unwrap_or_default()),
    }
}

/// Takes out what the server has set later, where the request has not set it.
fn without_later(new: &mut Value, given: &Value) {
    let kind = new["kind"].as_str().unwrap_or_default().to_owned();
    for (_, path) in LATER.iter().filter(|(of, _)| *of == kind) {
        let (last, way) = path.split_last().expect("a path");
        let given = path.iter().try_fold(given, |value, name| value.get(name));
        let parent = way.iter().try_fold(&mut *new, |value, name| value.get_mut(name));
        if given.is_none()
            && let Some(Value::Object(parent)) = parent
        {
            parent.remove(*last);
        }
    }
}

fn same_entries(is: &Value, want: &Value) -> Result<(), String> {
    // A controller within the server writes the status of definitions when it comes to it.
    let entries = |object: &Value| -> Value {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let own = |entry: &Value| {
            entry["manager"].as_str().is_some_and(|m| m.starts_with("kube-apiserver"))
        };
        entries.filter(|entry| !own(entry)).cloned().collect()
    };
    let (is, want) = (entries(is), entries(want));
    if is == want { Ok(()) } else { Err(format!("{is}\n not {want}")) }
}

/// Whether all of `part`, but for its metadata, is in `whole` as it is.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(name, value)| {
            name == "metadata"
                || name == "status"
                || whole.get(name).is_some_and(|other| is_part(value, other))
                || value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        }),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(a, b)| is_part(a, b))
        }
        _ => part == whole,
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
