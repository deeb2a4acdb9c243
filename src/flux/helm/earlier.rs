//! What was rendered earlier: from the same chart with the same values Helm prints the same, so that it need not be run again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::values::Composed;
use crate::error::{Result, Warning};
use crate::files::Memory;
use crate::flux::api::HelmRelease;
use crate::resource::Resource;
use crate::value::Value;

use super::chart::written;

/// Releases that were rendered, by all that they were rendered from.
#[derive(Debug, Default)]
pub struct Earlier(Mutex<HashMap<Key, Rendered>>);

/// A hash of everything that a render depends on.
type Key = [u8; 32];

/// The objects of a release, and what there was to say about them.
pub(super) type Rendered = (Vec<Resource>, Vec<Warning>);

impl Earlier {
    /// What a release renders to, by `render` where it is not known.
    ///
    /// # Errors
    /// As `render`; a failure is not remembered.
    pub(super) fn or(
        &self,
        key: Key,
        render: impl FnOnce() -> Result<Rendered>,
    ) -> Result<Rendered> {
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let rendered = render()?;
        self.lock().insert(key, rendered.clone());
        Ok(rendered)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Rendered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells apart what renders differently; where a release and its values are written does not count.
///
/// # Errors
/// Where the values cannot be written.
pub(super) fn key(release: &HelmRelease, values: &Composed, chart: &Memory) -> Result<Key> {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    let names = (&release.meta.namespace, &release.meta.name, &release.release_name);
    let fields = (
        (names, &release.target_namespace, &release.install, release.runs_tests),
        (&release.post_renderers, release.post_render_strategy, &release.common_metadata),
    );
    add(format!("{fields:?}").as_bytes());
    add(written(&Value::Map(values.values.clone()))?.as_bytes());
    for (path, content) in chart.iter() {
        add(path.as_os_str().as_encoded_bytes());
        add(content);
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind, Place};
    use crate::flux::api::Meta;

    fn release(name: &str, line: u32) -> HelmRelease {
        let place = Some(Place::new("a.yaml", line, 1));
        HelmRelease {
            meta: Meta { name: name.into(), place, ..Meta::default() },
            ..Default::default()
        }
    }

    #[test]
    fn all_that_decides_on_the_output_counts_and_nothing_else() {
        let mut chart = Memory::default();
        chart.insert("Chart.yaml", "name: a");
        let key = |release: &HelmRelease, chart: &Memory| {
            super::key(release, &Composed::default(), chart).expect("no values")
        };
        let first = key(&release("a", 1), &chart);
        assert_eq!(first, key(&release("a", 2), &chart));
        assert_ne!(first, key(&release("b", 1), &chart));
        let targeted = HelmRelease { target_namespace: "b".into(), ..release("a", 1) };
        assert_ne!(first, key(&targeted, &chart));
        chart.insert("values.yaml", "");
        assert_ne!(first, key(&release("a", 1), &chart));
    }

    #[test]
    fn a_failure_is_tried_again() {
        let earlier = Earlier::default();
        let failed = || Err(Error::new(ErrorKind::External, Place::file("a"), "no"));
        assert!(earlier.or([0; 32], failed).is_err());
        assert!(earlier.or([0; 32], || Ok(Rendered::default())).is_ok());
        assert!(earlier.or([0; 32], failed).is_ok());
    }
}
