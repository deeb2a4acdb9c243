//! What each request is answered, whatever it came over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use serde_json::Value;
use tokio::sync::watch;

use crate::config::Unknown;
use crate::log;
use crate::metrics::Metrics;
use crate::render::{Outcome, Renderer};
use crate::review::{self, Answer, Denial, Malformed, Render, Review, Verdict};

/// Largest body of a review: two objects of the API server's 3 MiB, and what is around them.
///
/// Source: controller-runtime's reasoning for the same number; a real update has 2.4 MiB.
pub const BODY_BYTES: usize = 7 << 20;
/// Longest wait for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much earlier than the API server gives up we answer: only then does anybody learn why.
const MARGIN: Duration = Duration::from_millis(400);
/// What the API server may wait, in seconds, by its own validation.
const TIMEOUTS: (f64, f64) = (1.0, 30.0);

/// The life of the server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Not ready yet.
    Starting,
    /// Ready.
    Serving,
    /// Not ready any more, but not everybody knows: who comes is still served, once.
    Draining,
    /// Nobody comes any more; what is in flight is answered.
    Stopping,
}

/// Which of the two ports a request came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Port {
    /// The one with TLS, for reviews.
    Tls,
    /// The one without, for probes and metrics.
    Plain,
}

/// Answers requests.
pub struct Routes {
    /// Judges overlays.
    pub renderer: Renderer,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where in its life the server is.
    pub phase: watch::Receiver<Phase>,
    /// Longest time for a review.
    pub timeout: Duration,
    /// Whether sources of other namespaces are refused.
    pub no_cross_namespace_refs: bool,
    /// What becomes of a review that cannot be judged.
    pub unknown: Unknown,
}

/// The response to a request.
pub type Reply = Response<Full<Bytes>>;

impl Routes {
    /// Answers one request.
    pub async fn reply<B>(&self, port: Port, request: Request<B>) -> Reply
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let http1 = request.version() < http::Version::HTTP_2;
        let mut reply = match (port, request.method(), request.uri().path()) {
            (Port::Tls, &Method::POST, "/validate") => self.validate(request).await,
            (Port::Tls, _, "/validate") => plain(StatusCode::METHOD_NOT_ALLOWED, "only POST\n"),
            (_, &Method::GET | &Method::HEAD, "/healthz") => plain(StatusCode::OK, "ok\n"),
            (_, &Method::GET | &Method::HEAD, "/readyz") => self.ready(),
            (_, &Method::GET | &Method::HEAD, "/metrics") => self.scrape(),
            _ => plain(StatusCode::NOT_FOUND, "not found\n"),
        };
        if http1 && *self.phase.borrow() >= Phase::Draining {
            // The API server keeps connections for minutes, and would come back here on this one.
            reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }

    fn ready(&self) -> Reply {
        match *self.phase.borrow() {
            Phase::Serving => plain(StatusCode::OK, "ok\n"),
            Phase::Starting => plain(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            Phase::Draining | Phase::Stopping => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            }
        }
    }

    fn scrape(&self) -> Reply {
        let mut reply = plain(StatusCode::OK, self.metrics.text());
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        reply
    }

    async fn validate<B>(&self, request: Request<B>) -> Reply
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let http2 = request.version() == http::Version::HTTP_2;
        self.metrics.request(if http2 { "h2" } else { "http/1.1" });
        let deadline = started + self.budget(request.uri().query());
        let body = match read_body(request, deadline).await {
            Ok(body) => body,
            Err((reason, reply)) => {
                self.metrics.refuse(reason);
                return reply;
            }
        };
        let reply = self.review(&body, deadline).await.unwrap_or_else(|Malformed(message)| {
            self.metrics.refuse("malformed");
            plain(StatusCode::BAD_REQUEST, message + "\n")
        });
        self.metrics.review_seconds.observe(started.elapsed().as_secs_f64());
        reply
    }

    /// How long a review may take: what the API server says, or less.
    fn budget(&self, query: Option<&str>) -> Duration {
        let says = query
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("timeout=")))
            .and_then(seconds)
            .map(|seconds| Duration::from_secs_f64(seconds.clamp(TIMEOUTS.0, TIMEOUTS.1)));
        says.map_or(self.timeout, |says| says.min(self.timeout)).saturating_sub(MARGIN)
    }

    async fn review(&self, body: &[u8], deadline: Instant) -> Result<Reply, Malformed> {
        let review = review::read(body)?;
        let answer = match review.judge()? {
            Verdict::Allow(reason) => {
                self.metrics.review("allowed", reason);
                Answer::allow(reason)
            }
            Verdict::Warn(reason, warning) => {
                self.metrics.review("allowed", reason);
                Answer::allow(reason).warn(warning)
            }
            Verdict::Deny(denial) => self.deny("invalid", denial),
            Verdict::Render(render) if self.no_cross_namespace_refs && render.source.crosses => {
                self.deny("cross-namespace", cross_namespace(&render))
            }
            Verdict::Render(render) => match self.render(&render, deadline).await {
                Some(answer) => answer,
                None => {
                    self.metrics.refuse("overload");
                    return Ok(overloaded());
                }
            },
        };
        record(&review, &answer);
        Ok(json(answer.body(&review)))
    }

    async fn render(&self, render: &Render, deadline: Instant) -> Option<Answer> {
        Some(match self.renderer.outcome(render, deadline).await {
            Outcome::Built(built) => {
                self.metrics.review("allowed", "built");
                let answer = Answer::allow("built")
                    .audit("revision", built.revision)
                    .audit("digest", built.digest)
                    .audit("objects", built.objects.to_string());
                built.warnings.into_iter().fold(answer, Answer::warn)
            }
            Outcome::Broken(denial) => {
                let path = if render.spec.path.is_empty() { "." } else { &render.spec.path };
                let message = format!("{path:?} of {} {}", render.source, denial.message);
                self.deny("build", Denial { message, ..denial })
            }
            Outcome::Absent(why) => {
                self.metrics.review("allowed", "absent");
                Answer::allow("absent").warn(format!("not rendered: {why}"))
            }
            Outcome::Unknown(trouble) if self.unknown == Unknown::Warn => {
                self.metrics.review("unknown", trouble.reason);
                Answer::allow(trouble.reason).warn(format!("not rendered: {}", trouble.message))
            }
            Outcome::Unknown(trouble) => {
                let message = format!("not rendered: {}", trouble.message);
                self.deny(trouble.reason, Denial { field: "spec.sourceRef", message })
            }
            Outcome::Overloaded => return None,
        })
    }

    fn deny(&self, reason: &'static str, denial: Denial) -> Answer {
        self.metrics.review("denied", reason);
        Answer::deny(denial)
    }
}

/// As Flux says it, and no word on whether the source exists.
fn cross_namespace(render: &Render) -> Denial {
    let message = format!(
        "can't access {:?}: cross-namespace references have been blocked",
        render.source.to_string()
    );
    Denial { field: "spec.sourceRef.namespace", message }
}

/// One line a review: who and what, never what is in it.
fn record(review: &Review<'_>, answer: &Answer) {
    let verdict = answer.audit.first().map_or("", |(_, verdict)| verdict.as_str());
    let short = |text: &str| Value::from(text.chars().take(253).collect::<String>());
    let fields: [(&str, Value); 5] = [
        ("uid", short(&review.uid)),
        ("operation", short(&review.operation)),
        ("namespace", short(&review.namespace)),
        ("name", short(&review.name)),
        ("verdict", verdict.into()),
    ];
    log::info("review", &fields);
}

/// The body of a review, or the reply to what is none.
async fn read_body<B>(
    request: Request<B>,
    deadline: Instant,
) -> Result<Bytes, (&'static str, Reply)>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let headers = request.headers();
    // Never decompressed: a few kilobytes could become gigabytes. The API server does not compress.
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let reply =
            plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not accepted\n");
        return Err(("encoding", reply));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let reply =
            plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has to be application/json\n");
        return Err(("content-type", reply));
    }
    if request.body().size_hint().lower() > BODY_BYTES as u64 {
        return Err(("body-size", too_large()));
    }
    let body = Limited::new(request.into_body(), BODY_BYTES).collect();
    let until = deadline.min(Instant::now() + BODY_TIMEOUT);
    match tokio::time::timeout_at(until.into(), body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(("body-size", too_large())),
        Ok(Err(_)) => Err(("body", plain(StatusCode::BAD_REQUEST, "the body cannot be read\n"))),
        Err(_) => {
            Err(("body-timeout", plain(StatusCode::REQUEST_TIMEOUT, "the body took too long\n")))
        }
    }
}

fn too_large() -> Reply {
    let message = format!("the body is larger than {BODY_BYTES} bytes\n");
    plain(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// The API server waits as long as this says and calls again, within its own timeout: measured on 1.36.
fn overloaded() -> Reply {
    let mut reply = plain(StatusCode::SERVICE_UNAVAILABLE, "too many renders at a time\n");
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(text.into()));
    *reply.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    reply
}

fn json(body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// The seconds of `10s`, `1500ms`, `1m` or a bare number, as far as a person or the API server writes them.
fn seconds(text: &str) -> Option<f64> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let seconds = number.parse::<f64>().ok()? * unit;
    seconds.is_finite().then_some(seconds)
}
