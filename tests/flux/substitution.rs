//! Expansion of variables: the tables of upstream, and what upstream was seen to do.

use overlay::flux::substitute::{Variables, expand, is_name};
use serde_json::Value as Json;

use crate::data::{Case, Tally, cases};

/// More than any vector makes.
const LIMIT: usize = 1 << 20;

fn variables(vector: &Json) -> Variables {
    let pairs = vector["vars"].as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec())).collect()
}

fn judge(case: &Case, vector: &Json) -> Result<(), String> {
    if let Some(name) = vector["name"].as_str() {
        let wanted = vector["valid"] == 1;
        return if is_name(name) == wanted { Ok(()) } else { Err(format!("{name:?}")) };
    }
    let input = vector["input"].as_str().unwrap();
    let expanded = expand(input, &variables(vector), vector["strict"] == true, LIMIT);
    let wanted_error = match &vector["error"] {
        Json::String(error) => Some(error.as_str()),
        Json::Bool(true) => Some(case.said["error_contains"].as_str().unwrap()),
        _ => None,
    };
    match (expanded, wanted_error) {
        (Ok(_), None) if vector.get("upstream_panic").is_some() => Ok(()),
        (Ok(made), None) if made == vector["output"].as_str().unwrap().as_bytes() => Ok(()),
        (Ok(made), _) => Err(format!("{input:?} becomes {:?}", String::from_utf8_lossy(&made))),
        (Err(failure), Some(wanted)) if failure.reason.to_string().contains(wanted) => Ok(()),
        (Err(failure), _) => Err(format!("{input:?}: {}", failure.reason)),
    }
}

#[test]
fn expands_as_flux_does() {
    let Some(cases) = cases("envsubst") else { return };
    let mut tally = Tally::new("envsubst");
    for case in &cases {
        for (index, vector) in case.vectors().iter().enumerate() {
            tally.add(case, Some(index), judge(case, vector));
        }
    }
    tally.finish();
}

/// `flux envsubst` goes line by line; its test sets one variable.
///
/// Source: flux2 `cmd/flux/envsubst_test.go`.
#[test]
fn expands_a_file_line_by_line() {
    let Some(cases) = cases("flux-envsubst") else { return };
    let mut tally = Tally::new("flux-envsubst");
    let variables: Variables = [("REPO_NAME".to_owned(), b"test".to_vec())].into_iter().collect();
    for case in &cases {
        let mut out = String::new();
        for line in case.text("in/file.yaml").lines() {
            let line = expand(line, &variables, true, LIMIT).expect("a valid line");
            out.push_str(std::str::from_utf8(&line).unwrap());
            out.push('\n');
        }
        let is_same = out.trim_end() == case.text("expected.yaml").trim_end();
        tally.add(case, None, if is_same { Ok(()) } else { Err(out) });
    }
    tally.finish();
}
