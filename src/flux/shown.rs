//! What the `flux` program shows of Kustomizations in a cluster: `debug` and `tree`, as text.
//!
//! Source: flux2 2.9 `cmd/flux/debug_kustomization.go`, `cmd/flux/tree_kustomization.go`, `internal/tree`.

use std::fmt::Write as _;

use super::api::{GROUP, Kustomization};
use super::inventory::ObjectId;
use super::substitute::Variables;
use crate::error::Result;
use crate::value::Value;
use crate::yaml;

/// Where the fields of a status are explained.
const STATUS: &str = "# Status documentation: \
    https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status\n";
const HISTORY: &str = "# History documentation: \
    https://fluxcd.io/flux/components/kustomize/kustomizations/#history\n";

/// Variables as lines of a shell's environment, sorted by name. They may be secret.
#[must_use]
pub fn variables(variables: &Variables) -> String {
    let mut out = String::new();
    for (name, value) in variables.iter() {
        let _ = writeln!(out, "{name}={}", String::from_utf8_lossy(value));
    }
    out
}

/// The status of a Kustomization; one that no controller has seen has what the API server puts there.
///
/// # Errors
/// Where it cannot be printed.
pub fn status(kustomization: &Kustomization) -> Result<String> {
    let mut status = kustomization.status.clone();
    if status.is_null() {
        status.set(&["observedGeneration"], Value::int(-1));
    }
    let mut out = STATUS.to_owned();
    yaml::write(&status, &mut out)?;
    Ok(out)
}

/// The last reconciliations of a Kustomization.
///
/// # Errors
/// Where they cannot be printed.
pub fn history(kustomization: &Kustomization) -> Result<String> {
    let history = kustomization.status.get("history").filter(|history| !history.is_null());
    let mut out = HISTORY.to_owned();
    yaml::write(history.unwrap_or(&Value::list()), &mut out)?;
    Ok(out)
}

/// The objects that a Kustomization has applied, as its status lists them.
///
/// # Errors
/// Where an entry cannot be read.
pub fn inventory(kustomization: &Kustomization) -> Result<Vec<ObjectId>> {
    let entries = kustomization.status.at(&["inventory", "entries"]).and_then(Value::as_list);
    let ids = entries.into_iter().flatten().filter_map(|entry| entry.text_at(&["id"]));
    ids.map(ObjectId::parse).collect()
}

/// Something with what belongs to it.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    /// What stands in its line.
    pub name: String,
    /// What belongs to it.
    pub branches: Vec<Self>,
}

/// Most Kustomizations within each other.
const DEPTH: usize = 50;

/// What a Kustomization has applied, what the Kustomizations among that have, and so on.
///
/// `find` gives a Kustomization of the cluster by namespace and name; where `compact`, only Flux's own
/// objects are there.
///
/// # Errors
/// Where an inventory cannot be read.
pub fn tree(
    root: &Kustomization,
    compact: bool,
    find: &dyn Fn(&str, &str) -> Option<Kustomization>,
) -> Result<Branch> {
    branch(root, compact, find, 0)
}

fn branch(
    kustomization: &Kustomization,
    compact: bool,
    find: &dyn Fn(&str, &str) -> Option<Kustomization>,
    depth: usize,
) -> Result<Branch> {
    let meta = &kustomization.meta;
    let mut branches = Vec::new();
    for id in inventory(kustomization)? {
        let is_kustomization = id.group == GROUP && id.kind == "Kustomization";
        let is_itself = id.namespace == meta.namespace && id.name == meta.name;
        let is_hidden = compact && !id.group.contains("toolkit.fluxcd.io");
        if is_hidden || is_kustomization && is_itself {
            continue;
        }
        let is_here = kustomization.kube_config.is_none() && depth < DEPTH;
        let child = find(&id.namespace, &id.name).filter(|_| is_kustomization && is_here);
        branches.push(match child {
            Some(child) => branch(&child, compact, find, depth + 1)?,
            None => Branch { name: line(&id), branches: Vec::new() },
        });
    }
    Ok(Branch { name: format!("Kustomization/{}/{}", meta.namespace, meta.name), branches })
}

fn line(id: &ObjectId) -> String {
    let ObjectId { namespace, name, kind, .. } = id;
    if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{kind}/{namespace}/{name}")
    }
}

/// A tree as lines.
#[must_use]
pub fn draw(root: &Branch) -> String {
    let mut out = format!("{}\n", root.name);
    draw_below(root, "", &mut out);
    out
}

fn draw_below(branch: &Branch, before: &str, out: &mut String) {
    for (index, one) in branch.branches.iter().enumerate() {
        let is_last = index + 1 == branch.branches.len();
        let (sign, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let _ = writeln!(out, "{before}{sign}{}", one.name);
        draw_below(one, &format!("{before}{below}"), out);
    }
}
