//! From a source to a verdict: fetch, unpack and build, each thing once however many ask.
//!
//! Building is work for a processor and its input is hostile. So it runs on a thread of its own with a
//! deep stack, behind permits that bound memory, with a time at which it stops; and whatever happens there
//! is the fate of one review.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use overlay::archive;
use overlay::build::{self, Order};
use overlay::files::{FileKind, Files, Memory};
use overlay::flux;
use overlay::store::Store;
use overlay::tools::Tools;
use overlay::{Error, ErrorKind, Limits, Place, Warned};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::log;
use crate::metrics::Metrics;
use crate::review::{Denial, Render};
use crate::source::{self, Artifact, Digest, Fetcher, Lookup, Refusal, Trouble};

/// Stack of a rendering thread: nesting is limited long before it is used up, and what is not used costs nothing.
const STACK_BYTES: usize = 64 << 20;
/// Limits of a build; what is read counts a dozen times in memory at worst.
const LIMITS: Limits = Limits { total_bytes: 24 << 20, ..Limits::WEBHOOK };
/// How many verdicts are remembered: a few hundred bytes each.
const VERDICTS: usize = 4096;
/// How many artifacts are remembered, also such that could not be had.
const TREES: usize = 256;
/// Longest wait for a permit, as a share of what is left of the deadline: who waits longer is told to come back,
/// so that there is time left to serve the others.
const WAIT_SHARE: u32 = 2;

/// What is known of a render.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It builds.
    Built(Built),
    /// It does not.
    Broken(Denial),
    /// There is nothing to build yet; a word about why.
    Absent(String),
    /// It could not be found out.
    Unknown(Trouble),
    /// There is too much to do: come back in a second.
    Overloaded,
}

/// A build that succeeded.
#[derive(Clone, Debug)]
pub struct Built {
    /// How many objects it has.
    pub objects: usize,
    /// What its author may have meant otherwise.
    pub warnings: Vec<String>,
    /// What of the source was built.
    pub revision: String,
    /// The digest of that.
    pub digest: String,
}

/// Reaches verdicts.
pub struct Renderer {
    client: kube::Client,
    fetcher: Fetcher,
    limits: archive::Limits,
    permits: Arc<Semaphore>,
    verdicts: Cells<(Digest, [u8; 32]), Arc<Judged>>,
    trees: Cells<Digest, Arc<Tree>>,
    tree_bytes: usize,
    metrics: Arc<Metrics>,
}

/// What a render of known files and a known spec comes to, for good.
#[derive(Debug)]
enum Judged {
    Good { objects: usize, warnings: Vec<String> },
    Bad(Denial),
}

/// An unpacked artifact.
#[derive(Debug)]
struct Tree {
    files: Memory,
    bytes: usize,
}

/// Why a cell stays empty.
enum Unfilled {
    Gone,
    Trouble(Trouble),
    Overloaded,
}

/// What a renderer is made of.
pub struct Parts {
    /// Asks for sources.
    pub client: kube::Client,
    /// Fetches their artifacts.
    pub fetcher: Fetcher,
    /// Bounds what they unpack to.
    pub limits: archive::Limits,
    /// How many artifacts are unpacked or built at a time.
    pub permits: usize,
    /// Bytes of unpacked artifacts that are kept for the next review.
    pub tree_bytes: usize,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Renderer {
    /// A renderer that knows no verdict yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { client, fetcher, limits, permits, tree_bytes, metrics } = parts;
        Self {
            client,
            fetcher,
            limits,
            permits: Arc::new(Semaphore::new(permits)),
            verdicts: Cells::new(),
            trees: Cells::new(),
            tree_bytes,
            metrics,
        }
    }

    /// The verdict on `render`, or that there is none by `deadline`.
    pub async fn outcome(&self, render: &Render, deadline: Instant) -> Outcome {
        match tokio::time::timeout_at(deadline.into(), self.reach(render, deadline)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown(Trouble::new(
                "deadline",
                "rendering took longer than the review may",
            )),
        }
    }

    async fn reach(&self, render: &Render, deadline: Instant) -> Outcome {
        let mut last: Option<Artifact> = None;
        // An artifact that is gone was replaced: the source is asked once more.
        for _ in 0..2 {
            let artifact = match source::look_up(&self.client, &render.source).await {
                Ok(Lookup::Ready(artifact)) => artifact,
                Ok(Lookup::NotReady) => {
                    return Outcome::Absent(format!("{} has no artifact yet", render.source));
                }
                Ok(Lookup::Missing) => {
                    return Outcome::Absent(format!("{} does not exist yet", render.source));
                }
                Err(trouble) => return Outcome::Unknown(trouble),
            };
            if last.as_ref() == Some(&artifact) {
                break;
            }
            match self.verdict(render, &artifact, deadline).await {
                Ok(verdict) => return finish(&verdict, &artifact),
                Err(Unfilled::Gone) => last = Some(artifact),
                Err(Unfilled::Trouble(trouble)) => return Outcome::Unknown(trouble),
                Err(Unfilled::Overloaded) => return Outcome::Overloaded,
            }
        }
        let message = format!("the artifact of {} is not there any more", render.source);
        Outcome::Unknown(Trouble::new("stale", message))
    }

    async fn verdict(
        &self,
        render: &Render,
        artifact: &Artifact,
        deadline: Instant,
    ) -> Result<Arc<Judged>, Unfilled> {
        let cell = self.verdicts.cell((artifact.digest.clone(), key(&render.spec)));
        if let Some(verdict) = cell.get() {
            self.metrics.cache_hits.inc();
            return Ok(verdict.clone());
        }
        self.verdicts.shed(|count, _| count > VERDICTS);
        // Of many that ask, one works and the others wait; if it is cancelled, the next one takes over.
        let verdict = cell.get_or_try_init(|| self.build(render, artifact, deadline)).await?;
        Ok(verdict.clone())
    }

    async fn build(
        &self,
        render: &Render,
        artifact: &Artifact,
        deadline: Instant,
    ) -> Result<Arc<Judged>, Unfilled> {
        let tree = self.tree(artifact, deadline).await?;
        let permit = self.permit(deadline).await?;
        let started = Instant::now();
        let spec = render.spec.clone();
        let built =
            self.on_thread(permit, move |stop| build_tree(&tree, &spec, stop, deadline)).await;
        self.metrics.render_seconds.observe(started.elapsed().as_secs_f64());
        built?.map(Arc::new).map_err(Unfilled::Trouble)
    }

    async fn tree(&self, artifact: &Artifact, deadline: Instant) -> Result<Arc<Tree>, Unfilled> {
        let cell = self.trees.cell(artifact.digest.clone());
        let tree = cell.get_or_try_init(|| self.unpack(artifact, deadline)).await.cloned();
        let budget = self.tree_bytes;
        self.trees.shed(|count, trees| {
            count > TREES || trees.map(|tree| tree.bytes).sum::<usize>() > budget
        });
        tree
    }

    async fn unpack(&self, artifact: &Artifact, deadline: Instant) -> Result<Arc<Tree>, Unfilled> {
        // Held while it is fetched too: what is in memory is bounded by permits.
        let permit = self.permit(deadline).await?;
        let started = Instant::now();
        let archive = self.fetcher.fetch(artifact).await.map_err(|refusal| match refusal {
            Refusal::Gone => Unfilled::Gone,
            Refusal::Trouble(trouble) => Unfilled::Trouble(trouble),
        })?;
        let limits = self.limits;
        let files = self.on_thread(permit, move |_| archive::unpack(&archive, &limits)).await?;
        self.metrics.fetch_seconds.observe(started.elapsed().as_secs_f64());
        let files = files.map_err(|error| {
            Unfilled::Trouble(Trouble::new("archive", format!("the artifact is refused: {error}")))
        })?;
        let bytes = files.bytes();
        Ok(Arc::new(Tree { files, bytes }))
    }

    async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Unfilled> {
        let wait = deadline.saturating_duration_since(Instant::now()) / WAIT_SHARE;
        match tokio::time::timeout(wait, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // Nobody closes the semaphore: what is left is that time ran out.
            _ => Err(Unfilled::Overloaded),
        }
    }

    /// Runs `work` on a thread of its own; dropping the future tells it to stop.
    async fn on_thread<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<T, Unfilled> {
        let trouble = |message| Unfilled::Trouble(Trouble::new("panic", message));
        let (sender, receiver) = oneshot::channel();
        let stop = Stop::default();
        let stopped = stop.0.clone();
        let run = move || {
            // What it leaves behind is dropped with it: nothing half-done is seen again.
            let result = catch_unwind(AssertUnwindSafe(|| work(&stopped)));
            drop(permit);
            let _ = sender.send(result);
        };
        std::thread::Builder::new()
            .name("render".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(run)
            .map_err(|_| Unfilled::Overloaded)?;
        match receiver.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => {
                self.metrics.panics.inc();
                log::error("a render panicked", &[]);
                Err(trouble("the render failed by a fault of the webhook"))
            }
            Err(_) => Err(trouble("the render was lost")),
        }
    }
}

fn finish(verdict: &Judged, artifact: &Artifact) -> Outcome {
    match verdict {
        Judged::Good { objects, warnings } => Outcome::Built(Built {
            objects: *objects,
            warnings: warnings.clone(),
            revision: artifact.revision.clone(),
            digest: artifact.digest.to_string(),
        }),
        Judged::Bad(denial) => {
            let Denial { field, message } = denial;
            let revision = &artifact.revision;
            Outcome::Broken(Denial {
                field,
                message: format!("does not build at {revision}:\n{message}"),
            })
        }
    }
}

/// The build of `spec.path` as Flux does it: unrestricted within the artifact, in the order of accumulation.
fn build_tree(
    tree: &Tree,
    spec: &flux::Spec,
    stop: &AtomicBool,
    deadline: Instant,
) -> Result<Judged, Trouble> {
    let files = Stoppable { files: &tree.files, stop, deadline };
    // One for each build: parsed, a hostile file is a dozen times its size, and must not stay.
    let store = Store::new(LIMITS.total_bytes);
    let options = build::Options {
        limits: LIMITS,
        unrestricted: true,
        order: Order::None,
        remote: None,
        tools: Tools::default(),
        managed_by_label: false,
    };
    let Warned { output, warnings } = flux::render(&files, &store, &options, spec);
    match output {
        Ok(resources) => {
            let warnings = warnings.iter().map(|w| format!("{}: {}", w.place, w.message)).collect();
            Ok(Judged::Good { objects: resources.iter().count(), warnings })
        }
        Err(_) if files.is_stopped() => {
            Err(Trouble::new("deadline", "rendering took longer than the review may"))
        }
        // It may well build with more room.
        Err(error) if error.kind() == ErrorKind::Limit => Err(Trouble::new(
            "limit",
            format!("the overlay exceeds a limit of the webhook: {error}"),
        )),
        Err(error) => Ok(Judged::Bad(Denial { field: "spec.path", message: error.to_string() })),
    }
}

fn key(spec: &flux::Spec) -> [u8; 32] {
    // Of plain strings, lists and booleans: there is nothing in it that cannot be written.
    Sha256::digest(serde_json::to_vec(spec).unwrap_or_default()).into()
}

/// Tells a thread to stop when it is dropped.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Files that cannot be read any more once nobody waits for the result.
struct Stoppable<'a> {
    files: &'a Memory,
    stop: &'a AtomicBool,
    deadline: Instant,
}

impl Stoppable<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() > self.deadline
    }
}

impl Files for Stoppable<'_> {
    fn read(&self, path: &Path, limit: usize) -> overlay::Result<Bytes> {
        if self.is_stopped() {
            return Err(Error::new(ErrorKind::Limit, Place::file(self.shown(path)), "out of time"));
        }
        self.files.read(path, limit)
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.files.kind(path)
    }

    fn list(&self, dir: &Path) -> overlay::Result<Vec<PathBuf>> {
        self.files.list(dir)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        self.files.canonical(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.files.shown(path)
    }
}

/// Values that are made once, and the newest of them kept.
#[derive(Debug)]
struct Cells<K, V> {
    cells: Mutex<Entries<K, V>>,
}

#[derive(Debug)]
struct Entries<K, V> {
    by_key: HashMap<K, (Arc<OnceCell<V>>, u64)>,
    clock: u64,
}

impl<K: Clone + Eq + Hash, V> Cells<K, V> {
    fn new() -> Self {
        Self { cells: Mutex::new(Entries { by_key: HashMap::new(), clock: 0 }) }
    }

    fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        let mut entries = self.lock();
        entries.clock += 1;
        let clock = entries.clock;
        let entry = entries.by_key.entry(key).or_default();
        entry.1 = clock;
        entry.0.clone()
    }

    /// Forgets the oldest while there are too many.
    fn shed(&self, too_many: impl Fn(usize, &mut dyn Iterator<Item = &V>) -> bool) {
        let mut entries = self.lock();
        loop {
            let count = entries.by_key.len();
            let mut values = entries.by_key.values().filter_map(|(cell, _)| cell.get());
            if !too_many(count, &mut values) {
                return;
            }
            drop(values);
            let oldest = entries.by_key.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            entries.by_key.remove(&oldest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries<K, V>> {
        // A panic while it was held left at worst an entry out.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn renderer() -> Renderer {
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        let timeout = Duration::from_secs(1);
        Renderer::new(Parts {
            client: kube::Client::try_from(config).unwrap(),
            fetcher: Fetcher { hosts: Vec::new(), limit_bytes: 1, timeout },
            limits: archive::Limits::WEBHOOK,
            permits: 1,
            tree_bytes: 1,
            metrics: Arc::new(Metrics::new()),
        })
    }

    async fn permit(renderer: &Renderer) -> OwnedSemaphorePermit {
        renderer.permits.clone().acquire_owned().await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_the_fate_of_one_render() {
        let renderer = renderer();
        let failing = renderer.on_thread(permit(&renderer).await, |_| -> u8 { panic!("secret") });
        match failing.await {
            Err(Unfilled::Trouble(trouble)) => assert!(!trouble.message.contains("secret")),
            _ => panic!("a panic is trouble"),
        }
        assert_eq!(renderer.metrics.panics.get(), 1);
        // Its permit is free again.
        assert_eq!(renderer.on_thread(permit(&renderer).await, |_| 7).await.ok(), Some(7));
    }

    #[tokio::test]
    async fn a_deep_recursion_fits_the_stack() {
        fn depth(left: usize) -> usize {
            let page = std::hint::black_box([left; 128]);
            if left == 0 { 0 } else { depth(left - 1) + usize::from(page[0] > 0) }
        }
        let renderer = renderer();
        let deep = renderer.on_thread(permit(&renderer).await, |_| depth(20_000)).await;
        assert_eq!(deep.ok(), Some(20_000));
    }

    #[tokio::test]
    async fn a_render_that_nobody_waits_for_is_told_to_stop() {
        let renderer = renderer();
        let endless = renderer.on_thread(permit(&renderer).await, |stop| {
            while !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
        // Only the end of the thread gives it back.
        drop(permit(&renderer).await);
    }

    #[test]
    fn the_oldest_value_is_forgotten_first() {
        let cells: Cells<u8, u8> = Cells::new();
        for key in 0..4 {
            cells.cell(key).set(key).unwrap();
        }
        cells.cell(0);
        cells.shed(|count, _| count > 2);
        let kept = |key| cells.lock().by_key.contains_key(&key);
        assert_eq!([kept(0), kept(1), kept(2), kept(3)], [true, false, false, true]);
    }
}
