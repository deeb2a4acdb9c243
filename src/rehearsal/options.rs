//! What a request that writes says of how it is to be done.
//!
//! Source: apimachinery `pkg/apis/meta/v1/validation/validation.go`; the texts are measured.

use crate::rehearsal::fields::Validation;
use crate::rehearsal::refusals::bad_options;
use crate::rehearsal::server::Call;
use crate::rehearsal::{Cause, Failure};

/// How something is written.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    /// Everything is done but the last step.
    pub(super) dry_run: bool,
    pub(super) manager: String,
    pub(super) validation: Validation,
    /// Takes fields from other managers.
    pub(super) force: bool,
}

impl Writing {
    /// How the server itself writes.
    pub(super) fn of_server() -> Self {
        Self {
            dry_run: false,
            manager: "kube-apiserver".into(),
            validation: Validation::Ignore,
            force: false,
        }
    }

    /// `kind` is that of the options, e.g. `CreateOptions`; `apply` where it is an apply.
    pub(super) fn read(call: &Call, kind: &str, apply: bool) -> Result<Self, Failure> {
        let parameters = &call.parameters;
        let mut causes = Vec::new();
        let force = parameters.has("force");
        let manager = parameters.get("fieldManager");
        if kind == "PatchOptions" {
            if !apply && force {
                causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
            }
            if apply && manager.is_empty() {
                causes.push(Cause::required("fieldManager", "is required for apply patch"));
            }
        }
        if manager.len() > 128 {
            let why = "may not be more than 128 bytes".to_owned();
            let reason = "FieldValueTooLong";
            let message = format!("Too long: {why}");
            causes.push(Cause { reason, message, field: "fieldManager".into() });
        }
        if let Some((at, odd)) = manager.char_indices().find(|(_, c)| c.is_control()) {
            let why = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
            let shown = format!("{manager:?}")
                .replace(&odd.escape_debug().to_string(), &format!("\\x{:02x}", u32::from(odd)));
            causes.push(Cause::invalid("fieldManager", &shown, &why));
        }
        let dry: Vec<&str> = parameters.all("dryRun").collect();
        causes.extend(dry_run(&dry));
        let validation = match parameters.get("fieldValidation") {
            "" | "Warn" => Validation::Warn,
            "Ignore" => Validation::Ignore,
            "Strict" => Validation::Strict,
            other => {
                let supported = &["", "Ignore", "Strict", "Warn"];
                let shown = format!("{other:?}");
                causes.push(Cause::not_supported("fieldValidation", &shown, supported));
                Validation::Warn
            }
        };
        if !causes.is_empty() {
            return Err(bad_options(kind, &causes));
        }
        let force = parameters.is_on("force");
        Ok(Self { dry_run: !dry.is_empty(), manager: call.manager(), validation, force })
    }
}

/// What is wrong with the values of `dryRun`.
pub(super) fn dry_run(values: &[&str]) -> Option<Cause> {
    let wrong = values.iter().any(|value| *value != "All");
    wrong.then(|| {
        let shown: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
        let shown = format!("[{}]", shown.join(","));
        Cause::not_supported("dryRun", &shown, &["All"])
    })
}
