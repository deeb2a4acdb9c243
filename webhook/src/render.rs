//! From a source to a verdict: look up, fetch and build, each thing once however many ask.
//!
//! Building is work for a processor and its input is hostile. So it happens in a process of its own, a [`worker`],
//! behind permits that bound how many there are; and whatever happens there is the fate of one review.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use overlay::flux;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::log;
use crate::metrics::Metrics;
use crate::review::{Denial, Render};
use crate::source::{self, Artifact, Digest, Fetcher, Lookup, Refusal, Trouble};
use crate::worker::{self, Report, Task};

/// How many verdicts are remembered: a few hundred bytes each.
const VERDICTS: usize = 4096;
/// How many artifacts are remembered, also such that could not be had.
const ARCHIVES: usize = 256;
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
    program: PathBuf,
    client: kube::Client,
    fetcher: Fetcher,
    unpacked_bytes: u64,
    memory_bytes: u64,
    permits: Arc<Semaphore>,
    verdicts: Cells<(Digest, [u8; 32]), Arc<Judged>>,
    archives: Cells<Digest, Bytes>,
    cache_bytes: usize,
    metrics: Arc<Metrics>,
}

/// What a render of known files and a known spec comes to, for good.
#[derive(Debug)]
enum Judged {
    Good { objects: usize, warnings: Vec<String> },
    Bad(String),
    Unfit(Trouble),
}

/// Why a cell stays empty.
enum Unfilled {
    Gone,
    Trouble(Trouble),
    Overloaded,
}

/// What a renderer is made of.
pub struct Parts {
    /// This program, to be started as a [`worker`].
    pub program: PathBuf,
    /// Asks for sources.
    pub client: kube::Client,
    /// Fetches their artifacts.
    pub fetcher: Fetcher,
    /// What an artifact may unpack to.
    pub unpacked_bytes: u64,
    /// What a worker may allocate.
    pub memory_bytes: u64,
    /// How many artifacts are fetched or built at a time.
    pub permits: usize,
    /// Bytes of artifacts that are kept for the next review.
    pub cache_bytes: usize,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Renderer {
    /// A renderer that knows no verdict yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            program: parts.program,
            client: parts.client,
            fetcher: parts.fetcher,
            unpacked_bytes: parts.unpacked_bytes,
            memory_bytes: parts.memory_bytes,
            permits: Arc::new(Semaphore::new(parts.permits)),
            verdicts: Cells::new(),
            archives: Cells::new(),
            cache_bytes: parts.cache_bytes,
            metrics: parts.metrics,
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
        let archive = self.archive(artifact, deadline).await?;
        let _permit = self.permit(deadline).await?;
        let started = Instant::now();
        let task = Task {
            spec: render.spec.clone(),
            unpacked_bytes: self.unpacked_bytes,
            memory_bytes: self.memory_bytes,
            seconds: deadline.saturating_duration_since(started).as_secs() + 1,
        };
        let report = self.work(&task, &archive).await;
        self.metrics.render_seconds.observe(started.elapsed().as_secs_f64());
        Ok(Arc::new(judge(report?)))
    }

    /// The compressed artifact. Unpacked it is a dozen times larger, and nowhere for longer than a build.
    async fn archive(&self, artifact: &Artifact, deadline: Instant) -> Result<Bytes, Unfilled> {
        let cell = self.archives.cell(artifact.digest.clone());
        let archive = cell.get_or_try_init(|| self.fetch(artifact, deadline)).await.cloned();
        let budget = self.cache_bytes;
        self.archives.shed(|count, archives| {
            count > ARCHIVES || archives.map(Bytes::len).sum::<usize>() > budget
        });
        archive
    }

    async fn fetch(&self, artifact: &Artifact, deadline: Instant) -> Result<Bytes, Unfilled> {
        // What is fetched at a time is bounded as what is built.
        let _permit = self.permit(deadline).await?;
        let started = Instant::now();
        let archive = self.fetcher.fetch(artifact).await.map_err(|refusal| match refusal {
            Refusal::Gone => Unfilled::Gone,
            Refusal::Trouble(trouble) => Unfilled::Trouble(trouble),
        })?;
        self.metrics.fetch_seconds.observe(started.elapsed().as_secs_f64());
        Ok(archive)
    }

    async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Unfilled> {
        let wait = deadline.saturating_duration_since(Instant::now()) / WAIT_SHARE;
        match tokio::time::timeout(wait, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // Nobody closes the semaphore: what is left is that time ran out.
            _ => Err(Unfilled::Overloaded),
        }
    }

    /// Has a worker do it, which is killed when this future is dropped.
    async fn work(&self, task: &Task, archive: &Bytes) -> Result<Report, Unfilled> {
        let mut worker = Command::new(&self.program)
            .arg(worker::FLAG)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal from a terminal is for us: what is in flight is still answered.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| Unfilled::Overloaded)?;
        let (Some(mut input), Some(output)) = (worker.stdin.take(), worker.stdout.take()) else {
            return Err(self.crashed());
        };
        let write = async move {
            let mut head = serde_json::to_vec(task)?;
            head.push(b'\n');
            input.write_all(&head).await?;
            input.write_all(archive).await
        };
        let mut report = Vec::new();
        let mut output = output.take(worker::REPORT_BYTES);
        // One that does not read to the end has no report either.
        let _ = tokio::join!(write, output.read_to_end(&mut report));
        serde_json::from_slice(&report).map_err(|_| self.crashed())
    }

    fn crashed(&self) -> Unfilled {
        self.metrics.crashes.inc();
        log::error("a render crashed or ran out of memory", &[]);
        let message = "the render ran out of memory, or failed by a fault of the webhook";
        Unfilled::Trouble(Trouble::new("crash", message))
    }
}

fn judge(report: Report) -> Judged {
    match report {
        Report::Built { objects, warnings } => Judged::Good { objects, warnings },
        Report::Broken(message) => Judged::Bad(message),
        Report::Archive(why) => {
            Judged::Unfit(Trouble::new("archive", format!("the artifact is refused: {why}")))
        }
        Report::Limit(why) => {
            let message = format!("the overlay exceeds a limit of the webhook: {why}");
            Judged::Unfit(Trouble::new("limit", message))
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
        Judged::Bad(why) => {
            let message = format!("does not build at {}:\n{why}", artifact.revision);
            Outcome::Broken(Denial { field: "spec.path", message })
        }
        Judged::Unfit(trouble) => Outcome::Unknown(trouble.clone()),
    }
}

fn key(spec: &flux::Spec) -> [u8; 32] {
    // Of plain strings, lists and booleans: there is nothing in it that cannot be written.
    Sha256::digest(serde_json::to_vec(spec).unwrap_or_default()).into()
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

    fn renderer(program: &str) -> Renderer {
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        let timeout = Duration::from_secs(1);
        Renderer::new(Parts {
            program: program.into(),
            client: kube::Client::try_from(config).unwrap(),
            fetcher: Fetcher { hosts: Vec::new(), limit_bytes: 1, timeout },
            unpacked_bytes: 1 << 20,
            memory_bytes: 1 << 30,
            permits: 1,
            cache_bytes: 1,
            metrics: Arc::new(Metrics::new()),
        })
    }

    async fn work(renderer: &Renderer) -> Result<Report, Unfilled> {
        let task =
            Task { spec: flux::Spec::default(), unpacked_bytes: 1, memory_bytes: 1, seconds: 1 };
        renderer.work(&task, &vec![0; 1 << 20].into()).await
    }

    #[tokio::test]
    async fn a_worker_that_fails_or_says_something_else_is_trouble() {
        // One that ends at once, one that repeats what it reads, one that never stops talking.
        for program in ["false", "cat", "yes"] {
            let renderer = renderer(program);
            assert!(matches!(work(&renderer).await, Err(Unfilled::Trouble(_))), "{program}");
            assert_eq!(renderer.metrics.crashes.get(), 1);
        }
    }

    #[tokio::test]
    async fn without_processes_there_is_too_much_to_do() {
        let renderer = renderer("/nowhere");
        assert!(matches!(work(&renderer).await, Err(Unfilled::Overloaded)));
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
