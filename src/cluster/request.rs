//! One request to the server, and when it is made again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use super::Event;
use crate::plan::Conflict;

/// How many requests are under way at once: kube's client has one connection for each, and the
/// server shares about fifty seats among all people.
/// Source: measured on kube-apiserver 1.36, whose flow control gives `global-default` 49 seats.
pub(super) const AT_ONCE: usize = 32;

/// How often a request is repeated that the server put off.
const PATIENCE: usize = 5;

/// How often a request is repeated that got no answer: a server that restarts is back by then.
const RECONNECTS: usize = 3;

/// The longest pause before a request is made again, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Names the user in whose place a request is made. Source: Kubernetes, user impersonation.
const IMPERSONATE: &str = "Impersonate-User";

/// The largest answer that is read; the server sends lists in pages far below it.
const ANSWER_BYTES: usize = 256 << 20;

/// A server and the user it knows us as.
pub struct Server {
    client: kube::Client,
    /// Whom the user asks in the place of.
    user: Option<String>,
    /// Its address, for messages.
    pub address: String,
    /// The context it was found by, for messages and hints.
    pub context: Option<String>,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// The longest time that one request may take.
    pub timeout: Option<Duration>,
    /// Whether it has ever answered: only then a lost connection is worth another try.
    answered: AtomicBool,
    seats: Semaphore,
    warned: Mutex<BTreeSet<String>>,
    listener: Option<Arc<super::Listener<'static>>>,
}

/// A request to make.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path with its query.
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    pub(super) content: &'static str,
    pub(super) accept: &'static str,
}

/// Why there is no result.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No answer: the connection failed.
    Transport(String),
    /// No credentials to ask with.
    Credentials(String),
    /// No answer in time.
    Timeout(Duration),
    /// The server said no.
    Status(Box<Status>),
    /// The answer is not what an API server says.
    Garbled(String),
}

/// The server's no.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
    /// `details.kind`: the resource it is about.
    pub(super) kind: String,
    pub(super) causes: Vec<Cause>,
    pub(super) retry_after: Option<Duration>,
}

/// One of the server's reasons.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) field: String,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Vec::new(),
            content: "application/json",
            accept: "application/json",
        }
    }

    pub(super) fn send(method: Method, path: impl Into<String>, body: &Json) -> Self {
        Self { method, body: body.to_string().into_bytes(), ..Self::get(path) }
    }

    /// Server-side apply; JSON is YAML too.
    pub(super) fn apply(path: impl Into<String>, body: &Json) -> Self {
        Self { content: "application/apply-patch+yaml", ..Self::send(Method::PATCH, path, body) }
    }

    fn request(&self, user: Option<&str>) -> Result<Request<Body>, Failure> {
        let impersonated = user.map(|user| (IMPERSONATE, user));
        let request = Request::builder();
        impersonated
            .into_iter()
            .fold(request, |request, (name, user)| request.header(name, user))
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::CONTENT_TYPE, self.content)
            .header(header::ACCEPT, self.accept)
            .header(header::USER_AGENT, concat!("kubectl-overlay/", env!("CARGO_PKG_VERSION")))
            .body(Body::from(self.body.clone()))
            .map_err(|error| Failure::Garbled(error.to_string()))
    }

    /// Whether making it twice does the same as making it once.
    fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.method == Method::PATCH
    }
}

impl Server {
    /// A server behind `client`.
    #[must_use]
    pub fn new(client: kube::Client, address: String, namespace: String) -> Self {
        Self {
            client,
            user: None,
            address,
            context: None,
            namespace,
            timeout: None,
            answered: AtomicBool::new(false),
            seats: Semaphore::new(AT_ONCE),
            warned: Mutex::default(),
            listener: None,
        }
    }

    /// The same server, asked in the place of another user over the same connections.
    #[must_use]
    pub fn as_user(&self, user: String) -> Self {
        let client = self.client.clone();
        let mut server = Self::new(client, self.address.clone(), self.namespace.clone());
        server.user = Some(user);
        server.context.clone_from(&self.context);
        server.timeout = self.timeout;
        server.listener.clone_from(&self.listener);
        server
    }

    /// Tells `listener` about requests and the server's warnings.
    pub fn listen(&mut self, listener: Arc<super::Listener<'static>>) {
        self.listener = Some(listener);
    }

    /// Makes a request, again where the server asks for it or went away for a moment.
    pub(super) async fn call(&self, call: &Call) -> Result<Json, Failure> {
        // The semaphore is never closed, and without a seat the request is only less polite.
        let _seat = self.seats.acquire().await.ok();
        let mut attempt = 0;
        loop {
            let outcome = self.once(call).await;
            let is_known = self.answered.load(Ordering::Relaxed);
            let failure = outcome.as_ref().err();
            let pause = failure.and_then(|failure| failure.pause(call, attempt, is_known));
            let Some(pause) = pause else {
                return outcome;
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// The answer, or `None` where there is no such object.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Json>, Failure> {
        match self.call(&Call::get(path)).await {
            Ok(json) => Ok(Some(json)),
            Err(Failure::Status(status)) if status.code == 404 => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn once(&self, call: &Call) -> Result<Json, Failure> {
        let begun = Instant::now();
        let answer = self.within(self.answer(call)).await;
        let code = match &answer {
            Ok((code, _)) => *code,
            Err(Failure::Status(status)) => status.code,
            Err(_) => 0,
        };
        self.tell_request(call, code, begun.elapsed());
        answer.map(|(_, json)| json)
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match self.timeout {
            None => work.await,
            Some(limit) => match tokio::time::timeout(limit, work).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::Timeout(limit)),
            },
        }
    }

    async fn answer(&self, call: &Call) -> Result<(u16, Json), Failure> {
        let response = self
            .client
            .send(call.request(self.user.as_deref())?)
            .await
            .map_err(|e| Failure::of(&e))?;
        self.answered.store(true, Ordering::Relaxed);
        self.tell_warnings(&response);
        let (code, pause) = (response.status(), retry_after(&response));
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES);
        let body = body.collect().await.map_err(|e| Failure::Transport(e.to_string()))?.to_bytes();
        if code.is_success() {
            let json = serde_json::from_slice(&body);
            return Ok((code.as_u16(), json.map_err(|e| Failure::Garbled(e.to_string()))?));
        }
        Err(Failure::Status(Box::new(Status::read(code.as_u16(), &body, pause))))
    }

    /// The events of a watch, until the server ends it.
    pub(super) async fn watch(
        &self,
        path: String,
    ) -> Result<impl Stream<Item = Result<Json, Failure>> + Send + use<>, Failure> {
        let call = Call::get(path);
        let begun = Instant::now();
        let response = self.within(async {
            self.client.send(call.request(self.user.as_deref())?).await.map_err(|e| Failure::of(&e))
        });
        let response = response.await?;
        self.tell_request(&call, response.status().as_u16(), begun.elapsed());
        let code = response.status();
        if !code.is_success() {
            let pause = retry_after(&response);
            let body = response.into_body().collect_bytes().await.unwrap_or_default();
            return Err(Failure::Status(Box::new(Status::read(code.as_u16(), &body, pause))));
        }
        Ok(lines(response))
    }

    fn tell_request(&self, call: &Call, code: u16, took: Duration) {
        if let Some(listener) = &self.listener {
            let method = method_name(&call.method);
            listener(Event::Request { method, path: call.path.clone(), code, took });
        }
    }

    /// Passes on warnings, each text once.
    fn tell_warnings<B>(&self, response: &Response<B>) {
        for value in response.headers().get_all(header::WARNING) {
            let Some(text) = value.to_str().ok().and_then(warning) else { continue };
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.insert(text.clone())
                && let Some(listener) = &self.listener
            {
                listener(Event::Warning(text));
            }
        }
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        _ => "DELETE",
    }
}

/// The text of a warning header: `299 - "text"` with `\"` and `\\` inside.
///
/// Source: RFC 7234, 5.5, and the API server, which sends no others.
fn warning(header: &str) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let mut text = String::new();
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some(text),
            '\\' => text.extend(letters.next()),
            // It goes to a terminal.
            _ if letter.is_control() => {}
            _ => text.push(letter),
        }
    }
    None
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// The JSON documents of a body, one a line.
fn lines(response: Response<Body>) -> impl Stream<Item = Result<Json, Failure>> + Send + use<> {
    let pieces = response.into_body().into_data_stream().boxed();
    futures::stream::unfold((pieces, Vec::new()), |(mut pieces, mut rest)| async move {
        loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let json = serde_json::from_slice(&line);
                let json = json.map_err(|error| Failure::Garbled(error.to_string()));
                return Some((json, (pieces, rest)));
            }
            match pieces.next().await? {
                Ok(piece) if rest.len() + piece.len() > ANSWER_BYTES => return None,
                Ok(piece) => rest.extend_from_slice(&piece),
                Err(error) => {
                    return Some((Err(Failure::Transport(chain(&error))), (pieces, rest)));
                }
            }
        }
    })
}

impl Failure {
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Auth(auth) => Self::Credentials(credentials(auth)),
            kube::Error::Service(inner) => Self::Transport(chain(inner.as_ref())),
            kube::Error::HyperError(inner) => Self::Transport(chain(inner)),
            _ => Self::Transport(chain(error)),
        }
    }

    /// How long to wait before the request is made again; `None` where that would not help.
    fn pause(&self, call: &Call, attempt: usize, is_known: bool) -> Option<Duration> {
        let growing = Duration::from_millis(100 << attempt.min(6));
        match self {
            Self::Transport(_) if is_known && attempt < RECONNECTS && call.is_repeatable() => {
                Some(growing * 2)
            }
            Self::Status(status) if attempt < PATIENCE => status.pause(call, growing),
            _ => None,
        }
    }

    /// The server's answer, where there is one.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }
}

impl Status {
    fn read(code: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let plain = || String::from_utf8_lossy(body).trim().chars().take(500).collect();
        let details = &json["details"];
        let cause = |cause: &Json| Cause {
            reason: text(&cause["reason"]),
            message: text(&cause["message"]),
            field: text(&cause["field"]),
        };
        Self {
            code,
            reason: text(&json["reason"]),
            message: json["message"].as_str().map_or_else(plain, str::to_owned),
            kind: text(&details["kind"]),
            causes: details["causes"].as_array().into_iter().flatten().map(cause).collect(),
            retry_after,
        }
    }

    fn pause(&self, call: &Call, growing: Duration) -> Option<Duration> {
        let asked = self.retry_after.map(|pause| pause.min(LONGEST_PAUSE).max(growing));
        match self.code {
            429 => Some(asked.unwrap_or(growing)),
            500..=599 => asked,
            // Two writers met inside the server, or their quota was counted at the same time: both
            // are gone at once. A field that somebody else owns is not.
            409 if call.is_repeatable() && self.is_lock() => Some(growing),
            _ => None,
        }
    }

    /// Whether two writers only met, and neither is wrong.
    fn is_lock(&self) -> bool {
        self.reason == "Conflict" && self.causes.is_empty()
    }

    /// The fields that somebody else owns.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let owned = self.causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
        let mut conflicts: Vec<_> = owned.map(conflict).collect();
        conflicts.sort();
        conflicts
    }
}

/// Reads `conflict with "kubectl" with subresource "scale" using apps/v1`.
fn conflict(cause: &Cause) -> Conflict {
    let said = cause.message.strip_prefix("conflict with ").unwrap_or(&cause.message);
    let quoted = said.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let (manager, detail) = quoted.unwrap_or((said, ""));
    Conflict {
        field: cause.field.clone(),
        manager: manager.to_owned(),
        detail: detail.trim().to_owned(),
    }
}

/// The innermost reason, which names the trouble, without those around it that name the layers.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    plain(&innermost.to_string())
}

/// An error of the operating system as one of ours: in lower case, without its number.
pub(super) fn plain(text: &str) -> String {
    // `Connection refused (os error 111)`
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Why there are no credentials, without what a credential program may have printed to its standard
/// output: that is where tokens are.
fn credentials(error: &kube::client::AuthError) -> String {
    match error {
        kube::client::AuthError::AuthExecRun { cmd, out } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
            format!("the credential program `{cmd}` failed: {said}")
        }
        kube::client::AuthError::AuthExecStart(error) => {
            format!("the credential program cannot be started: {error}")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unquoted() {
        let header = r#"299 - "unknown field \"spec.x\"""#;
        assert_eq!(warning(header).as_deref(), Some(r#"unknown field "spec.x""#));
        assert_eq!(warning("299 - none"), None);
        assert_eq!(warning("299 - \"open"), None);
    }

    #[test]
    fn conflicts_name_manager_and_field() {
        // Recorded from kube-apiserver 1.36.
        let body = br#"{"kind":"Status","code":409,"reason":"Conflict","details":{"causes":[
            {"reason":"FieldManagerConflict","message":"conflict with \"kubectl\" with subresource \"scale\" using apps/v1","field":".spec.replicas"},
            {"reason":"FieldManagerConflict","message":"conflict with \"a\"","field":".metadata.labels.app"}]}}"#;
        let status = Status::read(409, body, None);
        assert!(!status.is_lock());
        let conflicts = status.conflicts();
        assert_eq!(conflicts[0].manager, "a");
        assert_eq!(conflicts[1].field, ".spec.replicas");
        assert_eq!(conflicts[1].manager, "kubectl");
        assert_eq!(conflicts[1].detail, "with subresource \"scale\" using apps/v1");
    }

    #[test]
    fn an_answer_that_is_no_status_is_quoted() {
        let status = Status::read(502, b"<html>bad gateway</html>", None);
        assert_eq!((status.code, status.message.as_str()), (502, "<html>bad gateway</html>"));
    }

    type Mock = tower_test::mock::Handle<Request<Body>, Response<Body>>;

    fn mocked() -> (Server, Mock) {
        let (service, handle) = tower_test::mock::pair();
        let client = kube::Client::new(service, "default");
        (Server::new(client, "http://mock".into(), "default".into()), handle)
    }

    fn answer(code: u16, body: &str) -> Response<Body> {
        let response = Response::builder().status(code).header(header::WARNING, "299 - \"old\"");
        response.body(Body::from(body.as_bytes().to_vec())).expect("a response")
    }

    /// Answers one request after the other, and says how many were made.
    async fn serve(mut handle: Mock, answers: Vec<Response<Body>>) -> usize {
        let mut served = 0;
        for response in answers {
            let Some((_, send)) = handle.next_request().await else { break };
            send.send_response(response);
            served += 1;
        }
        served
    }

    const LOCKED: &str = r#"{"kind":"Status","reason":"Conflict","message":"the object has been modified","details":{"name":"a"}}"#;
    const OWNED: &str = r#"{"kind":"Status","reason":"Conflict","details":{"causes":[
        {"reason":"FieldManagerConflict","message":"conflict with \"a\"","field":".data.a"}]}}"#;

    async fn outcome(call: Call, answers: Vec<Response<Body>>) -> (Result<Json, Failure>, usize) {
        let (server, handle) = mocked();
        let serving = tokio::spawn(serve(handle, answers));
        tokio::time::pause();
        let outcome = server.call(&call).await;
        drop(server);
        (outcome, serving.await.expect("served"))
    }

    fn apply() -> Call {
        Call::apply("/api/v1/x", &serde_json::json!({}))
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_again() {
        let answers = vec![answer(429, ""), answer(429, ""), answer(200, "{}")];
        let (outcome, served) = outcome(apply(), answers).await;
        assert!(outcome.is_ok());
        assert_eq!(served, 3);
    }

    #[tokio::test]
    async fn a_server_that_stays_busy_is_not_asked_for_ever() {
        let answers = (0..50).map(|_| answer(429, "{}")).collect();
        let (outcome, served) = outcome(apply(), answers).await;
        assert!(outcome.is_err());
        assert_eq!(served, PATIENCE + 1);
    }

    #[tokio::test]
    async fn two_writers_that_met_try_again() {
        let (outcome, served) =
            outcome(apply(), vec![answer(409, LOCKED), answer(200, "{}")]).await;
        assert!(outcome.is_ok());
        assert_eq!(served, 2);
    }

    #[tokio::test]
    async fn a_field_of_somebody_else_is_no_reason_to_try_again() {
        let (outcome, served) = outcome(apply(), vec![answer(409, OWNED), answer(200, "{}")]).await;
        let failure = outcome.expect_err("a conflict");
        assert_eq!(failure.status().expect("an answer").conflicts()[0].manager, "a");
        assert_eq!(served, 1);
    }

    #[tokio::test]
    async fn what_depends_on_a_version_is_not_sent_twice() {
        let replace = Call::send(Method::PUT, "/api/v1/x", &serde_json::json!({}));
        let (outcome, served) =
            outcome(replace, vec![answer(409, LOCKED), answer(200, "{}")]).await;
        assert!(outcome.is_err());
        assert_eq!(served, 1);
    }

    #[tokio::test]
    async fn an_error_of_the_server_is_repeated_only_where_it_asks_for_it() {
        let (outcome, _) = outcome(apply(), vec![answer(500, "{}"), answer(200, "{}")]).await;
        assert!(outcome.is_err());
    }

    #[tokio::test]
    async fn each_warning_is_told_once() {
        let (mut server, handle) = mocked();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        server.listen(Arc::new(move |event| {
            if let Event::Warning(text) = event {
                hearing.lock().expect("nobody panics").push(text);
            }
        }));
        let serving = tokio::spawn(serve(handle, vec![answer(200, "{}"), answer(200, "{}")]));
        for _ in 0..2 {
            server.call(&apply()).await.expect("an answer");
        }
        serving.await.expect("served");
        assert_eq!(*heard.lock().expect("nobody panics"), ["old"]);
    }

    #[tokio::test]
    async fn a_watch_is_read_line_by_line_however_it_is_cut() {
        let (server, handle) = mocked();
        let body = "{\"type\":\"ADDED\"}\n{\"type\":\"BOOKMARK\"}\n";
        let serving = tokio::spawn(serve(handle, vec![answer(200, body)]));
        let events = server.watch("/api/v1/x".into()).await.expect("a watch");
        let events: Vec<_> =
            events.map(|event| event.expect("JSON")["type"].clone()).collect().await;
        assert_eq!(events, ["ADDED", "BOOKMARK"]);
        serving.await.expect("served");
    }
}
