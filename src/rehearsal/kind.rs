//! Group, version and kind: which type of object a request is about.

use std::fmt;

/// A type of object, e.g. `apps/v1, Kind=Deployment`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    /// E.g. `v1`.
    pub version: String,
    /// E.g. `Deployment`.
    pub kind: String,
}

impl Kind {
    /// From the words of a manifest: `apps/v1` and `Deployment`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// As a manifest says it: `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        match &*self.group {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Group and kind, for rules that hold in every version.
    pub fn pair(&self) -> (&str, &str) {
        (&self.group, &self.kind)
    }
}

/// As the API server writes it in messages, e.g. `/v1, Kind=Pod`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}
