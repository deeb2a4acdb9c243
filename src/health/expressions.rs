//! Health by expressions that a Kustomization or a HelmRelease brings for kinds nobody knows.
//!
//! A generation that is not observed yet comes first; then `inProgress`, `failed` and `current` in this
//! order, and an object of which none holds is on its way.
//!
//! Source: fluxcd/pkg `runtime/cel/{expression,status_evaluator}.go`; Flux RFC-0009.

use serde_json::Value as Json;

use super::{Health, Status};
use crate::flux::api::HealthCheckExpr;
use crate::rehearsal::cel::{Program, Value};

/// Expressions of one kind, read.
#[derive(Debug)]
pub struct Expressions {
    current: Expression,
    in_progress: Option<Expression>,
    failed: Option<Expression>,
}

/// An expression that is true or false.
#[derive(Debug)]
pub struct Expression {
    source: String,
    program: Program,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(source: &str) -> Result<Self, String> {
        let program = Program::parse(source)
            .map_err(|error| format!("failed to parse the CEL expression '{source}': {error}"))?;
        Ok(Self { source: source.to_owned(), program })
    }

    /// Whether it holds; the fields of `object` are its variables.
    ///
    /// # Errors
    /// Where it fails, takes too long, or gives something else than a truth.
    pub fn holds(&self, object: &Json) -> Result<bool, String> {
        let fields = object.as_object().into_iter().flatten();
        let variables: Vec<(&str, Value)> =
            fields.map(|(name, value)| (name.as_str(), Value::from_json(value))).collect();
        match self.program.run(&variables).0 {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => {
                Err(format!("failed to evaluate CEL expression as boolean: '{}'", self.source))
            }
            Err(error) => {
                Err(format!("failed to evaluate the CEL expression '{}': {error}", self.source))
            }
        }
    }
}

impl Expressions {
    /// Reads the expressions of a rule.
    ///
    /// # Errors
    /// Where `current` is missing, or one of them is no expression.
    pub fn parse(rule: &HealthCheckExpr) -> Result<Self, String> {
        if rule.current.is_empty() {
            return Err("expression Current not specified".to_owned());
        }
        let read = |name: &str, source: &str| {
            Expression::parse(source)
                .map_err(|error| format!("failed to parse the expression {name}: {error}"))
        };
        let optional = |name: &str, source: &str| match source {
            "" => Ok(None),
            source => read(name, source).map(Some),
        };
        Ok(Self {
            current: read("Current", &rule.current)?,
            failed: optional("Failed", &rule.failed)?,
            in_progress: optional("InProgress", &rule.in_progress)?,
        })
    }

    /// How far an object is.
    ///
    /// # Errors
    /// Where an expression fails on it.
    pub fn health(&self, object: &Json) -> Result<Health, String> {
        let number = |pointer: &str| object.pointer(pointer).and_then(Json::as_i64);
        let (observed, generation) =
            (number("/status/observedGeneration"), number("/metadata/generation"));
        if let (Some(observed), Some(generation)) = (observed, generation)
            && observed != generation
        {
            let message = format!("generation {generation} is not observed yet, only {observed}");
            return Ok(Health::new(Status::InProgress, message));
        }
        let rules = [
            (self.in_progress.as_ref(), Status::InProgress),
            (self.failed.as_ref(), Status::Failed),
            (Some(&self.current), Status::Current),
        ];
        for (expression, status) in rules {
            let Some(expression) = expression else { continue };
            if expression.holds(object)? {
                return Ok(Health::new(status, format!("{} holds", expression.source)));
            }
        }
        Ok(Health::new(Status::InProgress, format!("{} does not hold yet", self.current.source)))
    }
}
