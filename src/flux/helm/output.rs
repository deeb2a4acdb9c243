//! What `helm template` prints, taken apart: definitions of kinds, objects, and hooks.
//!
//! Source: helm `pkg/cmd/template.go`, `pkg/action/action.go`; helm-controller `internal/action/crds.go`.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::limits::Limits;
use crate::manifest;
use crate::resource::{Origin, Resource};
use crate::value::Value;
use crate::yaml;

/// The objects of a chart, by how they are applied.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Definitions that lie in `crds/`: they come first, and post-renderers do not see them.
    pub(super) crds: Vec<Resource>,
    /// Everything else.
    pub(super) objects: Vec<Resource>,
    /// What is applied at one moment of an installation.
    pub(super) hooks: Vec<Resource>,
}

/// Whose output it is.
#[derive(Clone, Debug)]
pub(super) struct Printed<'a> {
    /// What errors call it.
    pub(super) file: Arc<str>,
    /// Whether tests are run.
    pub(super) runs_tests: bool,
    pub(super) limits: &'a Limits,
}

impl Output {
    /// Reads what Helm printed.
    ///
    /// # Errors
    /// Where a document is no object.
    pub(super) fn read(
        text: &[u8],
        printed: &Printed<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        let mut output = Self::default();
        let mut in_crds = false;
        for document in documents(text) {
            // The second document of a file has no line of its own.
            if let Some(source) = source(document) {
                in_crds = source.split('/').rev().skip(1).any(|folder| folder == "crds")
                    && !source.contains("/templates/");
            }
            for resource in printed.objects(document)? {
                if in_crds {
                    output.add_crd(resource, warnings);
                    continue;
                }
                match events(&resource) {
                    None => output.objects.push(resource),
                    Some(events) if events.iter().any(|event| printed.fires(event)) => {
                        output.hooks.push(resource);
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(output)
    }

    fn add_crd(&mut self, resource: Resource, warnings: &mut Vec<Warning>) {
        let gvk = resource.gvk();
        if gvk.group == "apiextensions.k8s.io" && gvk.kind == "CustomResourceDefinition" {
            self.crds.push(resource);
            return;
        }
        let message =
            format!("passed over as by Flux: {} {} is in crds/", gvk.kind, resource.name());
        warnings.push(Warning { place: Place::file(resource.origin.file.clone()), message });
    }
}

impl Printed<'_> {
    fn objects(&self, document: &str) -> Result<Vec<Resource>> {
        let values = yaml::read(document.as_bytes(), &self.file, self.limits)?;
        let place = |_| Place::file(self.file.clone());
        for value in &values {
            if value.as_map().is_none() {
                let message = format!("chart prints a {}, which is no object", value.kind_name());
                return Err(Error::new(ErrorKind::Invalid, place(0), message));
            }
        }
        let read = manifest::resources(&values, document.as_bytes(), &self.file, &place)?;
        let origin = || Origin { file: self.file.clone(), document: 0 };
        Ok(read.into_iter().map(|resource| Resource::new(resource.value, origin())).collect())
    }

    /// Whether a hook is applied when the release is installed.
    fn fires(&self, event: &str) -> bool {
        match event {
            "pre-install" | "post-install" => true,
            "test" | "test-success" => self.runs_tests,
            _ => false,
        }
    }
}

/// The texts between lines that begin with `---`.
fn documents(text: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let mut documents = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices("---") {
        if at == 0 || text.as_bytes()[at - 1] == b'\n' {
            documents.push(&text[start..at]);
            start = at + 3;
        }
    }
    documents.push(&text[start..]);
    documents
}

/// The file of a chart that a document comes from.
fn source(document: &str) -> Option<&str> {
    let mut lines = document.lines().map(str::trim).skip_while(|line| line.is_empty());
    lines.next()?.strip_prefix("# Source: ")
}

/// When a hook is applied; nothing for what is none.
fn events(resource: &Resource) -> Option<Vec<String>> {
    let annotations = resource.value.at(&["metadata", "annotations"]);
    let events = annotations?.get("helm.sh/hook").and_then(Value::as_text)?;
    Some(events.split(',').map(|event| event.trim().to_ascii_lowercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, runs_tests: bool) -> (Output, usize) {
        let mut warnings = Vec::new();
        let printed = Printed { file: "chart".into(), runs_tests, limits: &Limits::PERSON };
        let output = Output::read(text.as_bytes(), &printed, &mut warnings).expect("objects");
        (output, warnings.len())
    }

    fn object(kind: &str, name: &str, hook: &str) -> String {
        let version =
            if kind == "CustomResourceDefinition" { "apiextensions.k8s.io/v1" } else { "v1" };
        let hook = if hook.is_empty() {
            String::new()
        } else {
            format!("\n  annotations: {{helm.sh/hook: \"{hook}\"}}")
        };
        format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}{hook}\n")
    }

    fn names(resources: &[Resource]) -> Vec<&str> {
        resources.iter().map(Resource::name).collect()
    }

    #[test]
    fn definitions_objects_and_hooks_are_told_apart() {
        let crd = object("CustomResourceDefinition", "things", "");
        let (stray, plain) = (object("ConfigMap", "stray", ""), object("ConfigMap", "plain", ""));
        let templated = object("CustomResourceDefinition", "templated", "");
        let (before, after) = (
            object("Job", "before", "pre-install, pre-upgrade"),
            object("Job", "after", "post-upgrade"),
        );
        let test = object("Pod", "check", "test");
        let text = format!(
            "---\n# Source: app/charts/sub/crds/things.yaml\n{crd}\n---\n{stray}\n\
             ---\n# Source: app/templates/plain.yaml\n{plain}\n---\n# Source: app/templates/crds/t.yaml\n{templated}\n\
             ---\n# Source: app/templates/hooks.yaml\n{before}\n---\n# Source: app/templates/after.yaml\n{after}\n\
             ---\n# Source: app/templates/tests/check.yaml\n{test}\n"
        );
        let (output, warnings) = read(&text, false);
        assert_eq!(names(&output.crds), ["things"]);
        assert_eq!(names(&output.objects), ["plain", "templated"]);
        assert_eq!(names(&output.hooks), ["before"]);
        assert_eq!(warnings, 1);
        assert_eq!(names(&read(&text, true).0.hooks), ["before", "check"]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let printed = Printed { file: "chart".into(), runs_tests: false, limits: &Limits::PERSON };
        for text in
            ["just words\n", "- a\n", "kind: ConfigMap\nmetadata: {name: a}\n---\nname: b\n"]
        {
            assert!(Output::read(text.as_bytes(), &printed, &mut Vec::new()).is_err(), "{text}");
        }
        assert!(
            Output::read(b"\n", &printed, &mut Vec::new())
                .is_ok_and(|output| output.objects.is_empty())
        );
    }
}
