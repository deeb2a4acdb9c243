//! How much of what a cluster would do with an object is rehearsed.

use std::fmt;

use crate::rehearsal::{Kind, Rehearsal, kinds};

/// How exactly a kind is rehearsed, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// No schema of it is known: what the API would say of it is not known either.
    Unknown,
    /// Its schema is known, so fields and their owners are right; defaults and validation are not all
    /// there.
    Structural,
    /// Schema, defaults and validation are those of the API server.
    Exact,
}

/// What no rehearsal has, whatever the kind.
pub const NOT_REHEARSED: &[&str] =
    &["admission webhooks", "RBAC", "conversion webhooks", "controllers that write into specs"];

impl Grade {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Structural => "structural",
            Self::Exact => "exact",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rehearsal {
    /// How exactly a kind is rehearsed.
    #[must_use]
    pub fn grade(&self, kind: &Kind) -> Grade {
        match self.served(kind) {
            None => Grade::Unknown,
            // Everything about it is in its definition.
            Some(resource) if resource.custom => Grade::Exact,
            Some(_) if kinds::ported(kind) => Grade::Exact,
            Some(_) => Grade::Structural,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Options;

    #[test]
    fn kinds_are_graded_by_what_is_known_of_them() {
        let api = Rehearsal::new(&Options::default()).expect("the default minor is known");
        let grade = |version, kind| api.grade(&Kind::new(version, kind));
        assert_eq!(grade("apps/v1", "Deployment"), Grade::Exact);
        assert_eq!(
            grade("node.k8s.io/v1", "RuntimeClass").max(Grade::Structural),
            grade("node.k8s.io/v1", "RuntimeClass")
        );
        assert_eq!(grade("example.org/v1", "Thing"), Grade::Unknown);
        assert!(Grade::Unknown < Grade::Structural && Grade::Structural < Grade::Exact);
    }
}
