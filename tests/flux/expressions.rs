//! Health by expressions in CEL.

use overlay::flux::api::HealthCheckExpr;
use overlay::health::expressions::{Expression, Expressions};
use serde_json::Value as Json;

use crate::data::{Tally, cases};

/// What goes wrong within an expression is said in words of our own; which expression it was, in Flux's.
fn refused(said: &str, wanted: &str) -> Result<(), String> {
    let about = wanted.rsplit_once("': ").map_or(wanted, |(about, _)| about);
    if said.contains(about) { Ok(()) } else { Err(format!("{said:?} instead of {wanted:?}")) }
}

fn rule(exprs: &Json) -> HealthCheckExpr {
    let text = |key: &str| exprs[key].as_str().unwrap_or_default().into();
    HealthCheckExpr {
        current: text("current"),
        in_progress: text("inProgress"),
        failed: text("failed"),
        ..HealthCheckExpr::default()
    }
}

fn judge(vector: &Json) -> Result<(), String> {
    if let Some(source) = vector["expr"].as_str() {
        let outcome = Expression::parse(source).and_then(|one| one.holds(&vector["data"]));
        return match (outcome, vector["err"].as_str()) {
            (Ok(holds), None) if vector["result"] == holds => Ok(()),
            (Err(said), Some(wanted)) => refused(&said, wanted),
            (outcome, _) => Err(format!("{outcome:?}")),
        };
    }
    let read = Expressions::parse(&rule(&vector["exprs"]));
    let outcome = read.and_then(|read| match vector.get("object") {
        Some(object) => read.health(object).map(|health| Some(health.status.name())),
        None => Ok(None),
    });
    match (outcome, vector["error"].as_str()) {
        (Ok(None), None) => Ok(()),
        (Ok(Some(status)), None) if vector["status"] == status => Ok(()),
        (Err(said), Some(wanted)) => refused(&said, wanted),
        (outcome, _) => Err(format!("{outcome:?}")),
    }
}

#[test]
fn judges_health_by_expressions() {
    let Some(cases) = cases("cel") else { return };
    let mut tally = Tally::new("cel");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            let outcome = judge(vector).map_err(|why| format!("{}: {why}", vector["name"]));
            tally.add(case, Some(index), outcome);
        }
    }
    tally.finish();
}
