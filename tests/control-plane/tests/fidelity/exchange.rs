//! One request, and what the real server and the one in memory answer.

use bytes::Bytes;
use control_plane::ControlPlane;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT, WARNING};
use overlay::rehearsal::{Body, Rehearsal};
use serde_json::Value;

/// Who writes where no field manager is named.
const AGENT: &str = "fidelity/1.0";

/// A request that both servers get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    /// With its query.
    pub(crate) path: String,
    pub(crate) accept: Option<&'static str>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: String,
}

/// An answer, as far as clients see it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) body: String,
}

/// The two that are asked.
pub(crate) enum Server {
    Real(&'static ControlPlane),
    Memory(Rehearsal),
}

impl Question {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), ..Self::default() }
    }

    pub(crate) fn send(method: &'static str, path: impl Into<String>, body: &Value) -> Self {
        let (content_type, body) = (Some("application/json"), body.to_string());
        Self { method, path: path.into(), content_type, body, ..Self::default() }
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.path.contains("watch=1")
    }

    fn request<B>(&self, body: B) -> http::Request<B> {
        let mut builder =
            http::Request::builder().method(self.method).uri(&self.path).header(USER_AGENT, AGENT);
        let headers = [(ACCEPT, self.accept), (CONTENT_TYPE, self.content_type)];
        for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            builder = builder.header(name, value);
        }
        builder.body(body).unwrap_or_else(|why| panic!("{} {}: {why}", self.method, self.path))
    }
}

impl Server {
    pub(crate) fn ask(&self, question: &Question) -> Reply {
        match self {
            Self::Real(plane) => {
                let request = question.request(question.body.clone().into_bytes());
                let answer = plane.exchange(request);
                Reply::read(&answer.unwrap_or_else(|why| panic!("the real server: {why}")))
            }
            Self::Memory(api) => {
                let answer = api.handle(question.request(question.body.clone().into()));
                Reply::read(&answer.map(Body::into_bytes))
            }
        }
    }

    /// The object at a path, nothing where there is none.
    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        let reply = self.ask(&Question::get(path));
        (reply.status == 200).then(|| reply.json()).flatten()
    }
}

impl Reply {
    fn read(answer: &http::Response<Bytes>) -> Self {
        let text = |name| {
            let value: Option<&http::HeaderValue> = answer.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let warnings = answer.headers().get_all(WARNING).iter();
        Self {
            status: answer.status().as_u16(),
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            retry_after: text(RETRY_AFTER),
            warnings: warnings
                .map(|text| String::from_utf8_lossy(text.as_bytes()).into())
                .collect(),
            body: String::from_utf8_lossy(answer.body()).into_owned(),
        }
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
