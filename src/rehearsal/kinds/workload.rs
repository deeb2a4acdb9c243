//! What the kinds that run Pods must be, and what of them may change.
//!
//! Source: Kubernetes 1.36 `pkg/apis/{apps,batch}/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::check::{At, Check};
use super::{cron, go, metadata, names, network, pod, same, storage};

/// A number or a percentage that is not negative.
pub(super) fn number_or_percent(check: &mut Check, at: &At<'_>) {
    match at.value {
        Value::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let detail = "a valid percent string must be a numeric string followed by an \
                              ending '%' (e.g. '1%',  or '93%', regex used for validation is \
                              '[0-9]+%')";
                check.invalid(at, detail);
            }
        }
        _ => {
            if at.number() < 0 {
                let detail = "must be greater than or equal to 0";
                check.invalid_as(&*at.path, at.number().to_string(), detail);
            }
        }
    }
}

fn percent(value: &Value) -> Option<i64> {
    let digits = value.as_str()?.strip_suffix('%')?;
    let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// The number, which may be a text, or the number of percents.
fn amount(value: &Value) -> i64 {
    let number = || value.as_i64().or_else(|| value.as_str()?.parse().ok());
    percent(value).or_else(number).unwrap_or(0)
}

/// More than all cannot be meant.
pub(super) fn at_most_all(check: &mut Check, at: &At<'_>) {
    if percent(at.value).is_some_and(|percent| percent > 100) {
        check.invalid(at, "must not be greater than 100%");
    }
}

/// A value as the server shows it: 0 where it is not there.
fn shown(at: &At<'_>) -> String {
    if at.is_there() { go::show(at.value) } else { "0".into() }
}

/// The selector of a kind that must have one. Returns what it says of the template's labels, `None`
/// where it cannot be used.
fn required_selector(check: &mut Check, spec: &At<'_>, kind: &str) -> Option<bool> {
    let selector = spec.get("selector");
    if !selector.is_there() {
        check.required(&*selector.path, "");
    } else {
        metadata::selector(check, &selector);
        if selects_all(selector.value) {
            let detail = format!("empty selector is invalid for {kind}");
            check.invalid_as(&*selector.path, go::show_selector(selector.value), detail);
        }
    }
    metadata::matches(selector.value, spec.get("template").get("metadata").get("labels").value)
}

fn selects_all(selector: &Value) -> bool {
    let empty = |key: &str| match &selector[key] {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    empty("matchLabels") && empty("matchExpressions")
}

fn labels_differ(check: &mut Check, spec: &At<'_>) {
    let labels = spec.get("template").get("metadata").get("labels");
    check.invalid(&labels, "`selector` does not match template `labels`");
}

fn always(check: &mut Check, template: &At<'_>, kind: &str) {
    let spec = template.get("spec");
    check.one_of(&spec.get("restartPolicy"), &["Always"]);
    if spec.get("activeDeadlineSeconds").is_there() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        check.forbidden(spec.child("activeDeadlineSeconds"), detail);
    }
}

/// The template as a ReplicaSet has it.
fn replicated_template(check: &mut Check, spec: &At<'_>, matches: Option<bool>) {
    let Some(matches) = matches else {
        let selector = spec.get("selector");
        let shown = go::show_selector(selector.value);
        return check.invalid_as(&*selector.path, shown, "invalid label selector");
    };
    if !matches {
        labels_differ(check, spec);
    }
    let template = spec.get("template");
    pod::template(check, &template);
    always(check, &template, "ReplicaSet");
}

pub(super) fn deployment(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    check.not_negative(&spec.get("replicas"));
    let matches = required_selector(check, &spec, "deployment");
    replicated_template(check, &spec, matches);
    let strategy = spec.get("strategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.text_of("type") {
        "Recreate" => {
            if rolling.is_there() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                check.forbidden(&*rolling.path, detail);
            }
        }
        "RollingUpdate" => {
            if rolling.is_there() {
                rolling_deployment(check, &rolling);
            } else {
                check.required(&*rolling.path, "this should be defaulted and never be nil");
            }
        }
        _ => {
            let shown = go::show_struct("DeploymentStrategy", strategy.value);
            unsupported(check, &strategy.path, &shown, &["Recreate", "RollingUpdate"]);
        }
    }
    check.not_negative(&spec.get("minReadySeconds"));
    check.not_negative(&spec.get("revisionHistoryLimit"));
    let deadline = spec.get("progressDeadlineSeconds");
    if deadline.is_there() {
        check.not_negative(&deadline);
        if deadline.number() <= spec.get("minReadySeconds").number() {
            check.invalid(&deadline, "must be greater than minReadySeconds");
        }
    }
}

fn unsupported(check: &mut Check, path: &str, shown: &str, supported: &[&str]) {
    check.causes.push(crate::rehearsal::Cause::not_supported(path, shown, supported));
}

fn rolling_deployment(check: &mut Check, rolling: &At<'_>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    number_or_percent(check, &unavailable);
    number_or_percent(check, &surge);
    if amount(unavailable.value) == 0 && amount(surge.value) == 0 {
        let detail = "may not be 0 when `maxSurge` is 0";
        check.invalid_as(&*unavailable.path, shown(&unavailable), detail);
    }
    at_most_all(check, &unavailable);
}

/// What a selector was stays what it is.
pub(super) fn fixed_selector(check: &mut Check, object: &Value, old: &Value) {
    let selector = At::root(object).get("spec").get("selector");
    if !same(selector.value, &old["spec"]["selector"]) {
        let shown = match selector.value {
            Value::Null => "null".into(),
            value => go::show_selector(value),
        };
        check.invalid_as(&*selector.path, shown, "field is immutable");
    }
}

pub(super) fn replica_set(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    check.not_negative(&spec.get("replicas"));
    check.not_negative(&spec.get("minReadySeconds"));
    let matches = required_selector(check, &spec, "deployment");
    replicated_template(check, &spec, matches);
}

pub(super) fn replication_controller(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    check.not_negative(&spec.get("minReadySeconds"));
    let selector = spec.get("selector");
    if selector.is_empty() {
        check.required(&*selector.path, "");
    }
    check.not_negative(&spec.get("replicas"));
    let template = spec.get("template");
    if !template.is_there() {
        return check.required(&*template.path, "");
    }
    let labels = template.get("metadata").get("labels");
    let fits = |(key, value): (&str, &Value)| labels.value.get(key) == Some(value);
    if !selector.entries().into_iter().all(fits) {
        labels_differ(check, &spec);
    }
    pod::template(check, &template);
    always(check, &template, "ReplicationController");
}

pub(super) fn daemon_set(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    metadata::selector(check, &selector);
    let labels = template.get("metadata").get("labels");
    if metadata::matches(selector.value, labels.value) == Some(false) {
        labels_differ(check, &spec);
    }
    if selector.is_there() && selects_all(selector.value) {
        let shown = go::show_selector(selector.value);
        check.invalid_as(&*selector.path, shown, "empty selector is invalid for daemonset");
    }
    pod::template(check, &template);
    always(check, &template, "DaemonSet");
    check.not_negative(&spec.get("minReadySeconds"));
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.text_of("type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            if rolling.is_there() {
                rolling_daemon_set(check, &rolling);
            } else {
                check.required(&*rolling.path, "");
            }
        }
        _ => {
            let shown = go::show_struct("DaemonSetUpdateStrategy", strategy.value);
            unsupported(check, &strategy.path, &shown, &["RollingUpdate", "OnDelete"]);
        }
    }
    check.not_negative(&spec.get("revisionHistoryLimit"));
}

fn rolling_daemon_set(check: &mut Check, rolling: &At<'_>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    number_or_percent(check, &unavailable);
    number_or_percent(check, &surge);
    at_most_all(check, &unavailable);
    at_most_all(check, &surge);
    match (amount(unavailable.value) != 0, amount(surge.value) != 0) {
        (true, true) => {
            check.invalid(&surge, "may not be set when maxUnavailable is non-zero");
        }
        (false, false) => check.required(&*unavailable.path, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

pub(super) fn stateful_set(check: &mut Check, object: &Value, old: Option<&Value>) {
    let skip_template = old.is_some_and(|old| {
        let mut before = Check::default();
        stateful_set_spec(&mut before, &At::root(old).get("spec"), true, false);
        !before.causes.is_empty()
    });
    stateful_set_spec(check, &At::root(object).get("spec"), old.is_some(), skip_template);
}

fn stateful_set_spec(check: &mut Check, spec: &At<'_>, update: bool, skip_template: bool) {
    let policy = spec.get("podManagementPolicy");
    match policy.text() {
        "OrderedReady" | "Parallel" => {}
        "" => check.required(&*policy.path, ""),
        _ => check.invalid(&policy, "must be 'OrderedReady' or 'Parallel'"),
    }
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.text_of("type") {
        "" => check.required(&*strategy.path, ""),
        "OnDelete" => {
            if rolling.is_there() {
                let shown = go::show_struct("RollingUpdateStatefulSetStrategy", rolling.value);
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                check.invalid_as(&*rolling.path, shown, detail);
            }
        }
        "RollingUpdate" => {
            check.not_negative(&rolling.get("partition"));
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_there() {
                number_or_percent(check, &unavailable);
                if amount(unavailable.value) == 0 {
                    check.invalid(&unavailable, "cannot be 0");
                }
                at_most_all(check, &unavailable);
            }
        }
        _ => {
            let shown = go::show_struct("StatefulSetUpdateStrategy", strategy.value);
            check.invalid_as(&*strategy.path, shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
    let retention = spec.get("persistentVolumeClaimRetentionPolicy");
    if retention.is_there() {
        for key in ["whenDeleted", "whenScaled"] {
            check.one_of(&retention.get(key), &["Retain", "Delete"]);
        }
    }
    let claims = spec.get("volumeClaimTemplates");
    if !update {
        for claim in claims.items() {
            storage::claim_spec(check, &claim.get("spec"));
        }
    }
    check.not_negative(&spec.get("replicas"));
    check.not_negative(&spec.get("minReadySeconds"));
    let start = spec.get("ordinals").get("start");
    check.not_negative(&At::new(spec.child("ordinals.start"), start.value));
    let service = spec.get("serviceName");
    if !update && !service.text().is_empty() {
        check.all(&service, names::dns_label(service.text()));
    }
    let matches = required_selector(check, spec, "statefulset");
    match matches {
        None => {
            let selector = spec.get("selector");
            let message = format!("Invalid value: {}", go::show_selector(selector.value));
            check.causes.push(crate::rehearsal::Cause {
                reason: "FieldValueInvalid",
                message,
                field: selector.path,
            });
        }
        Some(matches) => {
            if !matches {
                labels_differ(check, spec);
            }
            let template = template_with_claims(spec);
            let template = At::new(spec.child("template"), &template);
            if !skip_template {
                pod::template(check, &template);
            }
            // The server looks at these a second time.
            let metadata = template.get("metadata");
            let labels = At::new(template.child("labels"), metadata.get("labels").value);
            metadata::labels(check, &labels);
            let annotations = metadata.get("annotations");
            let annotations = At::new(template.child("annotations"), annotations.value);
            metadata::annotations(check, &annotations);
        }
    }
    always(check, &spec.get("template"), "StatefulSet");
}

/// The template as the Pods will be: each claim template is a volume, and the names are the set's.
fn template_with_claims(spec: &At<'_>) -> Value {
    let mut template = spec.get("template").value.clone();
    let Some(Value::Object(pod)) = template.get_mut("spec") else { return template };
    pod.remove("subdomain");
    pod.remove("hostname");
    let claims: BTreeSet<_> = spec
        .get("volumeClaimTemplates")
        .items()
        .map(|claim| claim.get("metadata").text_of("name").to_owned())
        .collect();
    if claims.is_empty() {
        return template;
    }
    let own = pod.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    let own = own
        .into_iter()
        .filter(|volume| !claims.iter().any(|claim| volume["name"].as_str() == Some(claim)));
    let volumes: Vec<_> = claims
        .iter()
        .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
        .chain(own)
        .collect();
    pod.insert("volumes".into(), volumes.into());
    template
}

pub(super) fn stateful_set_changed(check: &mut Check, object: &Value, old: &Value) {
    let mut new = object["spec"].clone();
    let before = &old["spec"];
    for key in [
        "replicas",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "ordinals",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
    ] {
        if let Value::Object(new) = &mut new {
            new.insert(key.into(), before[key].clone());
        }
    }
    if !same(&new, before) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                      'template', 'updateStrategy', 'revisionHistoryLimit', \
                      'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        check.forbidden("spec", detail);
    }
}

// Jobs.

pub(super) fn job(check: &mut Check, object: &Value) {
    let root = At::root(object);
    let spec = root.get("spec");
    generated_selector(check, &root);
    job_with_selector(check, &spec);
    let completions = spec.get("completions").number();
    if spec.text_of("completionMode") == "Indexed" && completions > 0 {
        let name = root.get("metadata").get("name");
        let last = format!("{}-{}", name.text(), completions - 1);
        if !names::dns_label(&last).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {last}");
            check.invalid_text(&name, detail);
        }
    }
}

fn job_with_selector(check: &mut Check, spec: &At<'_>) {
    job_spec(check, spec);
    let selector = spec.get("selector");
    if selector.is_there() {
        metadata::selector(check, &selector);
    } else {
        check.required(&*selector.path, "");
    }
    let labels = spec.get("template").get("metadata").get("labels");
    if metadata::matches(selector.value, labels.value) == Some(false) {
        labels_differ(check, spec);
    }
}

fn generated_selector(check: &mut Check, root: &At<'_>) {
    let spec = root.get("spec");
    let selector = spec.get("selector");
    if spec.get("manualSelector").is_true() || !selector.is_there() {
        return;
    }
    let meta = root.get("metadata");
    let (uid, name) = (meta.text_of("uid"), meta.text_of("name"));
    if uid.is_empty() {
        check.required("metadata.uid", "");
    }
    let labels = spec.get("template").get("metadata").get("labels");
    let expected = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    for (key, value) in expected {
        let held = labels.value.get(key).and_then(Value::as_str);
        let detail = format!("must be '{value}'");
        match held {
            None => check.required(labels.key(key), detail),
            Some(held) if held != value => {
                check.invalid_as(labels.key(key), go::show(labels.value), detail);
            }
            Some(_) => {}
        }
    }
    let expected: Value = expected.into_iter().collect();
    if metadata::matches(selector.value, &expected) == Some(false) {
        let shown = go::show_selector(selector.value);
        check.invalid_as(&*selector.path, shown, "`selector` not auto-generated");
    }
}

/// The most Pods of an indexed Job that run at once.
const MOST_INDEXED: i64 = 100_000;

fn job_spec(check: &mut Check, spec: &At<'_>) {
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        check.not_negative(&spec.get(key));
    }
    let per_index = spec.get("backoffLimitPerIndex");
    let failed = spec.get("maxFailedIndexes");
    if failed.is_there() && !per_index.is_there() {
        check.required(&*per_index.path, "when maxFailedIndexes is specified");
    }
    let manager = spec.get("managedBy");
    if manager.is_there() {
        network::domain_path(check, &manager);
        if manager.text().len() > MANAGER {
            check.too_long(&*manager.path, MANAGER);
        }
    }
    let mode = spec.get("completionMode");
    if mode.is_there() {
        check.one_of(&mode, &["NonIndexed", "Indexed"]);
    }
    let indexed = mode.text() == "Indexed";
    if indexed {
        let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
        if !completions.is_there() {
            check.required(&*completions.path, "when completion mode is Indexed");
        }
        if parallelism.number() > MOST_INDEXED {
            let detail = format!(
                "must be less than or equal to {MOST_INDEXED} when completion mode is Indexed"
            );
            check.invalid(&parallelism, detail);
        }
        if completions.is_there() && failed.number() > completions.number() {
            check.invalid(&failed, "must be less than or equal to completions");
        }
        if failed.number() > MOST_INDEXED {
            check.invalid(&failed, format!("must be less than or equal to {MOST_INDEXED}"));
        }
    } else if !mode.is_there() || mode.text() == "NonIndexed" {
        for field in [&per_index, &failed] {
            if field.is_there() {
                check.invalid(field, "requires indexed completion mode");
            }
        }
    }
    let success = spec.get("successPolicy");
    if success.is_there() && !indexed {
        let shown = go::show_struct("SuccessPolicy", success.value);
        check.invalid_as(&*success.path, shown, "requires indexed completion mode");
    }
    let replace = spec.get("podReplacementPolicy");
    let policy = spec.get("podFailurePolicy");
    let rules = policy.get("rules");
    if rules.len() > FAILURE_RULES {
        check.too_many(&*rules.path, rules.len(), FAILURE_RULES);
    }
    for rule in rules.items() {
        failure_rule(check, &rule, spec);
    }
    if replace.is_there() {
        if policy.is_there() {
            check.one_of(&replace, &["Failed"]);
        } else {
            check.one_of(&replace, &["Failed", "TerminatingOrFailed"]);
        }
    }
    let template = spec.get("template");
    pod::template(check, &template);
    let restart = template.get("spec").get("restartPolicy");
    match restart.text() {
        "" | "Always" => {
            check.required(&*restart.path, "valid values: \"OnFailure\", \"Never\"");
        }
        "Never" => {}
        "OnFailure" => {
            if policy.is_there() {
                let detail = "only \"Never\" is supported when podFailurePolicy is specified";
                check.invalid(&restart, detail);
            }
        }
        _ => check.unsupported(&restart, &["OnFailure", "Never"]),
    }
}

/// The most rules of what becomes of a Job.
const FAILURE_RULES: usize = 20;

/// The most bytes of the name of what manages a Job.
const MANAGER: usize = 63;

/// What becomes of a Job when one of its Pods fails.
fn failure_rule(check: &mut Check, rule: &At<'_>, spec: &At<'_>) {
    let choice = |check: &mut Check, at: &At<'_>, supported: &[&str]| {
        if at.text().is_empty() {
            let list = supported.iter().map(|one| go::quote(one)).collect::<Vec<_>>().join(" ");
            check.required(&*at.path, format!("valid values: [{list}]"));
        } else {
            check.one_of(at, supported);
        }
    };
    let action = rule.get("action");
    if action.text() == "FailIndex" && !spec.get("backoffLimitPerIndex").is_there() {
        check.invalid(&action, "requires the backoffLimitPerIndex to be set");
    }
    choice(check, &action, &["Count", "FailIndex", "FailJob", "Ignore"]);
    let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
    if codes.is_there() {
        let operator = codes.get("operator");
        choice(check, &operator, &["In", "NotIn"]);
        let name = codes.get("containerName");
        let pod = spec.get("template").get("spec");
        let (own, first) = (pod.get("containers"), pod.get("initContainers"));
        let known = own.items().chain(first.items()).any(|one| one.text_of("name") == name.text());
        if name.is_there() && !known {
            let detail = "must be one of the container or initContainer names in the pod template";
            check.invalid(&name, detail);
        }
        exit_codes(check, &codes.get("values"), operator.text() == "In");
    }
    for condition in conditions.items() {
        let kind = condition.get("type");
        for message in names::qualified_name(kind.text()) {
            check.invalid_text(&kind, message);
        }
        choice(check, &condition.get("status"), &["False", "True", "Unknown"]);
    }
    let detail = match (codes.is_there(), !conditions.is_empty()) {
        (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    check.causes.push(crate::rehearsal::Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {detail}"),
        field: rule.path.clone(),
    });
}

/// The most exit codes that a rule may name.
const EXIT_CODES: usize = 255;

fn exit_codes(check: &mut Check, list: &At<'_>, among: bool) {
    if list.is_empty() {
        check.invalid(list, "at least one value is required");
    } else if list.len() > EXIT_CODES {
        check.too_many(&*list.path, list.len(), EXIT_CODES);
    }
    let mut seen = Vec::new();
    let mut ordered = true;
    for code in list.items() {
        let number = code.number();
        if among && number == 0 {
            check.invalid(&code, "must not be 0 for the In operator");
        }
        if seen.contains(&number) {
            check.duplicate(&*code.path, number.to_string());
        }
        ordered &= seen.last().is_none_or(|last| *last <= number);
        seen.push(number);
    }
    if !ordered {
        check.invalid(list, "must be ordered");
    }
}

pub(super) fn job_changed(check: &mut Check, object: &Value, old: &Value) {
    let spec = At::root(object).get("spec");
    let before = &old["spec"];
    job_with_selector(check, &spec);
    let fixed = |check: &mut Check, key: &str| {
        let field = spec.get(key);
        if !same(field.value, &before[key]) {
            check.invalid(&field, "field is immutable");
        }
    };
    let completions = spec.get("completions");
    if spec.text_of("completionMode") != "Indexed" {
        fixed(check, "completions");
    } else if completions.is_there()
        && *completions.value != before["completions"]
        && completions.number() != spec.get("parallelism").number()
    {
        check.invalid(&completions, "can only be modified in tandem with spec.parallelism");
    }
    fixed_selector(check, object, old);
    job_template_changed(check, &spec, old);
    fixed(check, "completionMode");
    for key in ["podFailurePolicy", "successPolicy"] {
        let field = spec.get(key);
        if !same(field.value, &before[key]) {
            let kind = if key == "successPolicy" { "*SuccessPolicy" } else { "*PodFailurePolicy" };
            let shown = go::show_struct(kind, field.value);
            check.invalid_as(&*field.path, shown, "field is immutable");
        }
    }
    fixed(check, "backoffLimitPerIndex");
    fixed(check, "managedBy");
}

/// A Job that waits, and has no Pods, may be told where they go and what they need.
fn job_template_changed(check: &mut Check, spec: &At<'_>, old: &Value) {
    let template = spec.get("template");
    let mut before = old["spec"]["template"].clone();
    let status = &old["status"];
    let waits = status["startTime"].is_null()
        || status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Suspended" && condition["status"] == "True");
    let open = old["spec"]["suspend"] == true
        && waits
        && status["active"].as_i64().is_none_or(|active| active == 0);
    if !open {
        if !same(template.value, &before) {
            let shown = go::show_struct("PodTemplateSpec", template.value);
            check.invalid_as(&*template.path, shown, "field is immutable");
        }
        return;
    }
    let new = &template.value["spec"];
    let before = &mut before["spec"];
    for key in ["nodeSelector", "tolerations", "schedulingGates"] {
        before[key] = new[key].clone();
    }
    before["affinity"]["nodeAffinity"] = new["affinity"]["nodeAffinity"].clone();
    for list in ["containers", "initContainers"] {
        let now = new[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let held = before.get_mut(list).and_then(Value::as_array_mut);
        for (container, now) in held.into_iter().flatten().zip(now) {
            if container["name"] == now["name"] {
                container["resources"] = now["resources"].clone();
            }
        }
    }
    if !same(new, before) {
        let shown = go::show_struct("PodSpec", new);
        check.invalid_as(template.child("spec"), shown, "field is immutable");
    }
}

/// The most letters that the name of a CronJob has: its Jobs add eleven.
const CRON_JOB_NAME: usize = 52;

pub(super) fn cron_job(check: &mut Check, object: &Value, old: Option<&Value>) {
    let root = At::root(object);
    let spec = root.get("spec");
    let schedule = spec.get("schedule");
    let zone = spec.get("timeZone");
    let before = old.map(|old| &old["spec"]);
    if schedule.text().is_empty() {
        check.required(&*schedule.path, "");
    } else {
        if let Err(why) = cron::parse(schedule.text()) {
            check.invalid(&schedule, why);
        }
        let had_zone = before
            .and_then(|before| before["schedule"].as_str())
            .is_some_and(|text| text.contains("TZ"));
        if schedule.text().contains("TZ") {
            if had_zone && zone.is_there() {
                let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
                check.invalid(&schedule, detail);
            } else if !had_zone {
                let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                check.invalid(&schedule, detail);
            }
        }
    }
    check.not_negative(&spec.get("startingDeadlineSeconds"));
    if zone.is_there() && before.is_none_or(|before| before["timeZone"] != *zone.value) {
        time_zone(check, &zone);
    }
    check.one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
    let template = spec.get("jobTemplate").get("spec");
    job_spec(check, &template);
    let selector = template.get("selector");
    if selector.is_there() {
        let shown = go::show_selector(selector.value);
        check.invalid_as(&*selector.path, shown, "`selector` will be auto-generated");
    }
    if template.get("manualSelector").is_true() {
        let path = template.child("manualSelector");
        unsupported(check, &path, "true", &["nil", "false"]);
    }
    check.not_negative(&spec.get("successfulJobsHistoryLimit"));
    check.not_negative(&spec.get("failedJobsHistoryLimit"));
    let name = root.get("metadata").get("name");
    if old.is_none() && name.text().len() > CRON_JOB_NAME {
        check.invalid(&name, format!("must be no more than {CRON_JOB_NAME} characters"));
    }
}

fn time_zone(check: &mut Check, zone: &At<'_>) {
    let text = zone.text();
    if text.is_empty() {
        return check.invalid(zone, "timeZone must be nil or non-empty string");
    }
    let fits = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.starts_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
    };
    if !text.split('/').all(fits) || !cron::is_zone(text) {
        return check.invalid(zone, format!("unknown time zone {text}"));
    }
    if text.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in \
                      https://www.iana.org/time-zones";
        check.invalid(zone, detail);
    }
}
