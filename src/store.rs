//! Parsed files, shared by whoever reads the same content again.
//!
//! Fifty overlays over one base parse it once: values are copy-on-write, so a hit costs a count.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::error::Result;
use crate::limits::Limits;
use crate::value::Value;
use crate::yaml;

/// A cache of parsed files by content, bounded by the bytes of their text.
#[derive(Debug)]
pub struct Store {
    parsed: Mutex<Parsed>,
    capacity_bytes: usize,
}

#[derive(Debug, Default)]
struct Parsed {
    /// The whole text is the key: hash collisions must not mix up two files.
    files: FxHashMap<Bytes, Kept>,
    bytes: usize,
}

/// What was parsed, and the limits that it kept to.
#[derive(Clone, Debug)]
struct Kept {
    documents: Arc<[Value]>,
    limits: Limits,
}

impl Store {
    /// A store of at most `capacity_bytes` of source text; what does not fit is parsed each time.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        Self { parsed: Mutex::default(), capacity_bytes }
    }

    /// The documents of `text`, which stands in `file`.
    ///
    /// # Errors
    /// As [`yaml::read`]; failures are not kept, since their message names the file.
    pub fn documents(
        &self,
        text: &Bytes,
        file: &Arc<str>,
        limits: &Limits,
    ) -> Result<Arc<[Value]>> {
        if self.capacity_bytes == 0 {
            return Ok(yaml::read(text, file, limits)?.into());
        }
        if let Some(documents) = self.find(text, limits) {
            return Ok(documents);
        }
        // Parsed outside the lock: two threads may do the same work, none waits for the other.
        let documents: Arc<[Value]> = yaml::read(text, file, limits)?.into();
        self.keep(text, &documents, limits);
        Ok(documents)
    }

    /// What was parsed within limits that are not wider than these.
    fn find(&self, text: &Bytes, limits: &Limits) -> Option<Arc<[Value]>> {
        let parsed = self.lock();
        let kept = parsed.files.get(text)?;
        let is_within = kept.limits.documents <= limits.documents
            && kept.limits.depth <= limits.depth
            && kept.limits.alias_nodes <= limits.alias_nodes;
        is_within.then(|| kept.documents.clone())
    }

    fn keep(&self, text: &Bytes, documents: &Arc<[Value]>, limits: &Limits) {
        let kept = Kept { documents: documents.clone(), limits: *limits };
        let mut parsed = self.lock();
        if let Some(known) = parsed.files.get_mut(text) {
            *known = kept;
        } else if parsed.bytes + text.len() <= self.capacity_bytes {
            parsed.bytes += text.len();
            parsed.files.insert(text.clone(), kept);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parsed> {
        // A panic while it was held left at worst an entry out: the map is whole.
        self.parsed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new(256 << 20)
    }
}
