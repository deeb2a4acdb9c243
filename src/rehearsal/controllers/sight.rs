//! What controllers see of a rehearsal besides answers.

use crate::rehearsal::Rehearsal;

impl Rehearsal {
    /// The version of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.state().store.revision()
    }

    /// Now, as the API writes times.
    pub(super) fn now(&self) -> String {
        self.state().now()
    }

    /// Whether something was deleted, or marked for it, after a version.
    pub(super) fn has_deletions_since(&self, revision: u64) -> bool {
        self.state().store.changes(revision).any(|change| {
            change.after.as_ref().is_none_or(|after| after.json.contains("\"deletionTimestamp\""))
        })
    }

    /// The collections that are not empty: the path of their group and version, and their plural.
    pub(super) fn collections(&self, namespaced_only: bool) -> Vec<(String, String)> {
        let state = self.state();
        let resources = state.store.tables().filter_map(|table| state.catalogue.of_table(table));
        let wanted = resources.filter(|resource| resource.namespaced || !namespaced_only);
        let path = |resource: &crate::rehearsal::catalogue::Resource| {
            let root = if resource.kind.group.is_empty() { "/api" } else { "/apis" };
            (format!("{root}/{}", resource.kind.api_version()), resource.plural.to_string())
        };
        wanted.map(|resource| path(resource)).collect()
    }
}
