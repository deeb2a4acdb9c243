//! What the status of a Job may say, and how it may change.
//!
//! Most rules look only at what has changed, so that a status that was wrong before can be written further.
//!
//! Source: Kubernetes 1.36 `pkg/apis/batch/validation/validation.go`, `ValidateJobStatusUpdate`, and
//! `pkg/registry/batch/job/strategy.go`, `getStatusValidationOptions`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::{At, Check};
use super::{go, same};

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const CRITERIA_MET: &str = "SuccessCriteriaMet";

/// A Job before or after a write.
struct Job<'a> {
    spec: &'a Value,
    status: At<'a>,
}

impl<'a> Job<'a> {
    fn new(object: &'a Value) -> Self {
        Self { spec: &object["spec"], status: At::root(object).get("status") }
    }

    fn has(&self, condition: &str, status: &str) -> bool {
        let conditions = self.status.value["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == condition && one["status"] == status)
    }

    fn is(&self, condition: &str) -> bool {
        self.has(condition, "True")
    }

    fn is_finished(&self) -> bool {
        self.is(COMPLETE) || self.is(FAILED)
    }

    fn number(&self, field: &str) -> i64 {
        self.status.get(field).number()
    }

    fn completions(&self) -> Option<i64> {
        self.spec["completions"].as_i64()
    }
}

/// Checks a new status against the old one.
pub(super) fn validate(check: &mut Check, new: &Value, old: &Value) {
    let (new, old) = (Job::new(new), Job::new(old));
    for key in ["active", "succeeded", "failed", "ready", "terminating"] {
        check.not_negative(&new.status.get(key));
    }
    uncounted(check, &new.status.get("uncountedTerminatedPods"));
    ends(check, &new, &old);
    end_and_pods(check, &new, &old);
    indexes(check, &new, &old);
    let pods_change = changes(&new, &old, &["ready", "active"]);
    let (finishes, terminating) =
        (turns(&new, &old, |job| job.is_finished()), new.status.get("terminating"));
    if (finishes || changes(&new, &old, &["terminating"]))
        && terminating.number() > 0
        && new.is_finished()
    {
        check.invalid(&terminating, "terminating>0 is invalid for finished job");
    }
    let ready = new.status.get("ready");
    if pods_change && ready.is_there() && ready.number() > new.number("active") {
        check.invalid(&ready, "cannot set more ready pods than active");
    }
    criteria(check, &new);
    transitions(check, &new, &old);
}

/// Whether one of the fields of the status is another one.
fn changes(new: &Job<'_>, old: &Job<'_>, fields: &[&str]) -> bool {
    let differs = |field: &&str| !same(new.status.get(field).value, old.status.get(field).value);
    fields.iter().any(differs)
}

fn turns(new: &Job<'_>, old: &Job<'_>, what: impl Fn(&Job<'_>) -> bool) -> bool {
    what(new) != what(old)
}

fn uncounted(check: &mut Check, at: &At<'_>) {
    let mut seen = BTreeSet::new();
    for pod in ["succeeded", "failed"].into_iter().flat_map(|list| at.get(list).items()) {
        match pod.text() {
            "" => check.invalid_text(&pod, "must not be empty"),
            uid if !seen.insert(uid) => check.duplicate(&*pod.path, go::quote(uid)),
            _ => {}
        }
    }
}

/// How a Job has ended, and when.
fn ends(check: &mut Check, new: &Job<'_>, old: &Job<'_>) {
    let turned = |condition: &str| turns(new, old, |job| job.is(condition));
    let (completes, fails) = (turned(COMPLETE), turned(FAILED));
    let conditions = new.status.child("conditions");
    if (completes || fails) && new.is(COMPLETE) && new.is(FAILED) {
        check.invalid_unshown(&*conditions, "cannot set Complete=True and Failed=true conditions");
    }
    if (completes || turned(FAILURE_TARGET)) && new.is(COMPLETE) && new.is(FAILURE_TARGET) {
        let why = "cannot set Complete=True and FailureTarget=true conditions";
        check.invalid_unshown(&*conditions, why);
    }
    let (start, end) = (new.status.get("startTime"), new.status.get("completionTime"));
    let end_changes = changes(new, old, &["completionTime"]);
    if completes || end_changes {
        if end.is_there() && !new.is(COMPLETE) {
            let why = "cannot set completionTime when there is no Complete=True condition";
            check.invalid(&end, why);
        }
        if !end.is_there() && new.is(COMPLETE) {
            check.required(&*end.path, "completionTime is required for Complete jobs");
        }
    }
    let times_change = end_changes || changes(new, old, &["startTime"]);
    // Times are texts of one form, which are in the order of time.
    if times_change && start.is_there() && end.is_there() && end.text() < start.text() {
        check.invalid(&end, "must be equal to or after `startTime`");
    }
    if (fails || changes(new, old, &["failedIndexes"])) && new.is(FAILED) && !new.is(FAILURE_TARGET)
    {
        let why = "cannot set Failed=True condition without the FailureTarget=true condition";
        check.invalid_unshown(&*conditions, why);
    }
    if (completes || turned(CRITERIA_MET)) && new.is(COMPLETE) && !new.is(CRITERIA_MET) {
        let why =
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        check.invalid_unshown(&*conditions, why);
    }
}

/// What a Job that has ended no longer has.
fn end_and_pods(check: &mut Check, new: &Job<'_>, old: &Job<'_>) {
    if !new.is_finished() {
        return;
    }
    let finishes = !old.is_finished();
    let active = new.status.get("active");
    if (finishes || changes(new, old, &["active"])) && active.number() > 0 {
        check.invalid(&active, "active>0 is invalid for finished job");
    }
    let start = new.status.get("startTime");
    let never_ran = new.spec["suspend"] == true && new.completions() == Some(0);
    if (finishes || changes(new, old, &["startTime"])) && !never_ran && !start.is_there() {
        check.required(&*start.path, "startTime is required for finished job");
    }
    let pods = new.status.get("uncountedTerminatedPods");
    let count = pods.get("failed").len() + pods.get("succeeded").len();
    if (finishes || changes(new, old, &["uncountedTerminatedPods"])) && count > 0 {
        let shown = go::show_struct("UncountedTerminatedPods", pods.value);
        check.invalid_as(&*pods.path, shown, "must be empty for finished job");
    }
}

/// Which of the indexes of an indexed Job are done.
fn indexes(check: &mut Check, new: &Job<'_>, old: &Job<'_>) {
    let (completed, failed) = (new.status.get("completedIndexes"), new.status.get("failedIndexes"));
    let completed_changes = changes(new, old, &["completedIndexes"]);
    let failed_changes = *failed.value != *old.status.get("failedIndexes").value;
    let per_index = !new.spec["backoffLimitPerIndex"].is_null();
    if let Some(completions) = new.completions() {
        if completed_changes && let Err(why) = intervals(completed.text(), completions) {
            check.invalid_text(&completed, format!("error parsing completedIndexes: {why}"));
        }
        if failed_changes
            && per_index
            && failed.is_there()
            && let Err(why) = intervals(failed.text(), completions)
        {
            check.invalid_text(&failed, format!("error parsing failedIndexes: {why}"));
        }
    }
    if completed_changes && !completed.is_empty() && new.spec["completionMode"] != "Indexed" {
        let why = "cannot set non-empty completedIndexes when non-indexed completion mode";
        check.invalid_text(&completed, why);
    }
    if failed_changes && !per_index && failed.is_there() {
        let why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        check.invalid_text(&failed, why);
    }
    if let Some(completions) = new.completions().filter(|_| failed_changes || completed_changes)
        && let Some(index) = overlap(completed.text(), failed.text(), completions)
    {
        let why = format!("failedIndexes and completedIndexes overlap at index: {index}");
        check.invalid_text(&failed, why);
    }
}

/// Checks a text such as `1,3-5`.
fn intervals(text: &str, completions: i64) -> Result<(), String> {
    let mut last = None;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        last = Some(end);
    }
    Ok(())
}

/// The first and the last index of `3-5`, or of `3`.
fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let parts: Vec<_> = text.split('-').collect();
    let index = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!("cannot convert string to integer for index: {}", go::quote(text))),
        Ok(index) if index >= completions => Err(format!("too large index: {}", go::quote(text))),
        Ok(index) => Ok(index),
    };
    match parts[..] {
        [one] => index(one).map(|one| (one, one)),
        [first, last] => {
            let (first, last) = (index(first)?, index(last)?);
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two \
             parts separated by '-'",
            go::quote(text)
        )),
    }
}

/// The first index that two texts have in common; what is no interval is passed over.
fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| -> Vec<_> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (read(completed), read(failed));
    let (mut a, mut b) = (completed.iter().peekable(), failed.iter().peekable());
    while let (Some(one), Some(other)) = (a.peek(), b.peek()) {
        if one.0 <= other.1 && other.0 <= one.1 {
            return Some(one.0.max(other.0));
        }
        if one.0 <= other.0 {
            a.next()
        } else {
            b.next()
        };
    }
    None
}

/// What goes together with the criteria of a success.
fn criteria(check: &mut Check, new: &Job<'_>) {
    let conditions = new.status.child("conditions");
    for (other, name) in [(FAILED, "Failed"), (FAILURE_TARGET, "FailureTarget")] {
        if new.is(CRITERIA_MET) && new.is(other) {
            let why = format!("cannot set SuccessCriteriaMet=True and {name}=true conditions");
            check.invalid_unshown(&*conditions, why);
        }
    }
    if !new.spec["successPolicy"].is_null() && new.is(COMPLETE) && !new.is(CRITERIA_MET) {
        let why =
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        check.invalid_unshown(&*conditions, why);
    }
}

/// What may not be taken back.
fn transitions(check: &mut Check, new: &Job<'_>, old: &Job<'_>) {
    let conditions = new.status.child("conditions");
    for condition in [FAILED, COMPLETE, FAILURE_TARGET] {
        if old.is(condition) && !new.is(condition) {
            let why = format!("cannot disable the terminal {condition}=True condition");
            check.invalid_unshown(&*conditions, why);
        }
    }
    let scales = new.spec["completionMode"] == "Indexed"
        && new.spec["completions"] == new.spec["parallelism"];
    for (field, may_fall) in [("failed", false), ("succeeded", scales)] {
        if !may_fall && new.number(field) < old.number(field) {
            let shown = new.number(field).to_string();
            let why = format!("cannot decrease the {field} counter");
            check.invalid_as(new.status.child(field), shown, why);
        }
    }
    let end = new.status.get("completionTime");
    let had_end = !old.status.get("completionTime").value.is_null();
    if end.is_there() && had_end && changes(new, old, &["completionTime"]) {
        check.invalid(&end, "field is immutable");
    }
    let (start, had_start) = (new.status.get("startTime"), old.status.get("startTime").is_there());
    let resumes = old.is("Suspended") && new.has("Suspended", "False");
    let suspended = new.spec["suspend"] == true;
    if had_start && changes(new, old, &["startTime"]) && !resumes && !suspended {
        let shown = if start.is_there() { go::show(start.value) } else { go::quote("null") };
        let why = "field is immutable for unsuspended job once set";
        check.invalid_as(&*start.path, shown, why);
    }
    if old.is(CRITERIA_MET) && !new.is(CRITERIA_MET) {
        check.invalid_unshown(&*conditions, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if old.is(COMPLETE) && !old.is(CRITERIA_MET) && new.is(CRITERIA_MET) {
        let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        check.invalid_unshown(&*conditions, why);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(old: Value, new: Value) -> Vec<String> {
        let job = |status: Value| json!({"spec": {"completions": 5}, "status": status});
        let mut check = Check::default();
        validate(&mut check, &job(new), &job(old));
        let causes = check.causes.into_iter();
        causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn not_more_pods_are_ready_than_run() {
        let status = json!({"active": 1, "ready": 2});
        let message = "status.ready: Invalid value: 2: cannot set more ready pods than active";
        assert_eq!(wrong(json!({}), status.clone()), [message]);
        assert_eq!(wrong(status.clone(), status), [""; 0]);
    }

    #[test]
    fn an_end_is_whole_and_stays() {
        let condition = |name: &str| json!({"type": name, "status": "True"});
        let done = json!({
            "conditions": [condition("Complete"), condition("SuccessCriteriaMet")], "succeeded": 5,
            "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z",
        });
        assert_eq!(wrong(json!({}), done.clone()), [""; 0]);
        let mut early = done.clone();
        early["completionTime"] = "2025-01-01T00:00:00Z".into();
        early["conditions"] = json!([condition("Complete")]);
        assert_eq!(
            wrong(json!({}), early),
            [
                "status.completionTime: Invalid value: \"2025-01-01T00:00:00Z\": must be equal to or after \
                 `startTime`",
                "status.conditions: Invalid value: cannot set Complete=True condition without the \
                 SuccessCriteriaMet=true condition",
            ]
        );
        assert_eq!(
            wrong(done, json!({})),
            [
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
                "status.startTime: Invalid value: \"null\": field is immutable for unsuspended job once set",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ]
        );
    }

    #[test]
    fn indexes_are_intervals_in_order() {
        for (text, why) in [
            ("", ""),
            ("0,2-4", ""),
            ("a", "cannot convert string to integer for index: \"a\""),
            ("5", "too large index: \"5\""),
            ("3-2", "non-increasing order, previous: 3, current: 2"),
            ("0-2,2", "non-increasing order, previous: 2, current: 2"),
            (
                "0-1-2",
                "the fragment \"0-1-2\" violates the requirement that an index interval can have at most \
                 two parts separated by '-'",
            ),
        ] {
            assert_eq!(intervals(text, 5).err().unwrap_or_default(), why);
        }
        assert_eq!(overlap("0-1,4", "2-4", 5), Some(4));
        assert_eq!(overlap("0,x,3", "1-2,4", 5), None);
    }
}
