//! The server itself: who asks, for what, and which part answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::rehearsal::answer::{Answer, Body};
use crate::rehearsal::catalogue::{Catalogue, Resource};
use crate::rehearsal::chance::Chance;
use crate::rehearsal::discovery::Site;
use crate::rehearsal::faults::{Fault, Faults, Outage, Within};
use crate::rehearsal::kinds::Addresses;
use crate::rehearsal::media::{self, Form, Wanted};
use crate::rehearsal::path::{self, Parameters, Spot};
use crate::rehearsal::refusals::{
    LARGEST_BODY, Named, bad_request, body_too_large, internal, method_not_allowed,
    no_such_resource,
};
use crate::rehearsal::rights::{self, User};
use crate::rehearsal::store::Store;
use crate::rehearsal::waiting::Waiting;
use crate::rehearsal::{
    Clock, Failure, create, custom, delete, fields, list, patch, reviews, subresources, update,
    watch,
};
use crate::schema::kubernetes::{self, Minor};
use crate::ssa::schema::{Schema, TypeId};

/// How a rehearsal begins.
#[derive(Clone, Debug)]
pub struct Options {
    /// The minor of Kubernetes 1, e.g. 36; one of
    /// [`kubernetes::MINORS`](crate::schema::kubernetes::MINORS).
    pub minor: u32,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where uids and the ends of generated names begin: the same seed gives the same ones.
    pub seed: u64,
    /// Host and port that discovery names, e.g. `127.0.0.1:6443`.
    pub address: String,
    /// How many bytes of objects it takes; etcd takes 2 GiB unless told otherwise.
    pub bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            minor: kubernetes::MEASURED,
            clock: Clock::System,
            seed: 0,
            address: "127.0.0.1:6443".into(),
            bytes: 2 << 30,
        }
    }
}

/// A Kubernetes API in memory. A clone is the same API.
#[derive(Clone, Debug)]
pub struct Rehearsal(Arc<Mutex<State>>);

/// All that a rehearsal holds.
#[derive(Debug)]
pub(super) struct State {
    pub(super) minor: &'static Minor,
    pub(super) clock: Clock,
    /// By how much the clock was moved on.
    pub(super) moved: Duration,
    pub(super) chance: Chance,
    pub(super) store: Store,
    pub(super) catalogue: Catalogue,
    pub(super) addresses: Addresses,
    /// Host and port that discovery names.
    pub(super) address: String,
    /// How many bytes of objects it takes.
    bytes: usize,
    /// What is to go wrong.
    pub(super) faults: Faults,
    /// Those who wait for the next change.
    pub(super) waiting: Waiting,
}

/// One request to a resource, read.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) spot: Spot,
    pub(super) parameters: Parameters,
    pub(super) resource: Arc<Resource>,
    pub(super) wanted: Wanted,
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
    pub(super) user: User,
    /// Whether the spec in the body had empty lists or maps, which nothing keeps.
    pub(super) hollow: bool,
    /// What the client calls itself.
    pub(super) agent: String,
    /// What the answer warns of.
    pub(super) warnings: Vec<String>,
}

impl Call {
    /// What the request is about, as messages name it.
    pub(super) fn named(&self) -> Named<'_> {
        self.named_as(&self.spot.name)
    }

    pub(super) fn named_as<'a>(&'a self, name: &'a str) -> Named<'a> {
        Named { group: &self.resource.kind.group, resource: &self.resource.plural, name }
    }

    /// The name under which its changes are recorded.
    ///
    /// Source: apiserver `pkg/endpoints/handlers/create.go`, `managerOrUserAgent`.
    pub(super) fn manager(&self) -> String {
        match self.parameters.get("fieldManager") {
            "" => {
                let name = self.agent.split('/').next().unwrap_or_default();
                name.chars().take(128).filter(|c| !c.is_control()).collect()
            }
            given => given.to_owned(),
        }
    }

    /// The subresource, `None` for the object itself.
    pub(super) fn subresource(&self) -> Option<&str> {
        Some(&*self.spot.subresource).filter(|subresource| !subresource.is_empty())
    }
}

impl Rehearsal {
    /// An API as a new cluster has it; `None` for a minor that is not known.
    pub fn new(options: &Options) -> Option<Self> {
        let minor = kubernetes::minor(options.minor)?;
        let mut state = State {
            minor,
            clock: options.clock,
            moved: Duration::ZERO,
            chance: Chance::new(options.seed),
            store: Store::default(),
            catalogue: Catalogue::built_in(minor),
            addresses: Addresses::default(),
            address: options.address.clone(),
            bytes: options.bytes,
            faults: Faults::default(),
            waiting: Waiting::default(),
        };
        state.begin();
        Some(Self(Arc::new(Mutex::new(state))))
    }

    /// Answers a request, at once; only a watch goes on.
    ///
    /// Who asks is a [`User`] among the extensions of the request, an administrator where there is
    /// none; the headers of impersonation are heeded.
    pub fn handle(&self, request: http::Request<Bytes>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let mut user = parts.extensions.get().cloned().unwrap_or_else(User::admin);
        rights::impersonate(&mut user, &parts.headers);
        let asked = Asked {
            method: parts.method.clone(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            accept: header(ACCEPT.as_str()),
            user,
        };
        if body.len() > LARGEST_BODY {
            return body_too_large().send(false, &[]);
        }
        let mut state = self.state();
        let outage = match parts.extensions.get::<Within>() {
            Some(_) => None,
            None => state.faults.strike(&asked.method, asked.path),
        };
        let path = asked.path;
        match outage {
            None => state.answer(self, asked, body),
            Some(Outage::Away) => Answer::text(503, "upstream connect error\n").send(false, &[]),
            Some(outage) => {
                if outage == Outage::Lost {
                    state.answer(self, asked, body);
                }
                let failure = outage.failure(path);
                failure.map_or_else(http::Response::default, |failure| failure.send(false, &[]))
            }
        }
    }

    /// Lets requests go wrong. Faults strike in the order in which they came.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Ends all faults.
    pub fn mend(&self) {
        self.state().faults.clear();
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.moved = state.moved.saturating_add(by);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request before it is known what it is about.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    accept: Option<&'a str>,
    user: User,
}

impl State {
    /// What every cluster has from its beginning.
    fn begin(&mut self) {
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            create::namespace(self, name);
        }
    }

    /// Now, as the API writes times.
    pub(super) fn now(&self) -> String {
        super::clock::text(self.seconds())
    }

    /// Now, in seconds since 1970.
    pub(super) fn seconds(&self) -> u64 {
        self.clock.seconds(self.moved)
    }

    /// The types of a resource, as ownership sees them.
    pub(super) fn schema(&self, resource: &Resource) -> Option<(Arc<Schema>, TypeId)> {
        let kind = &resource.kind;
        self.minor.schema(&kind.group, &kind.version, &kind.kind)
    }

    fn answer(&mut self, api: &Rehearsal, asked: Asked<'_>, body: Bytes) -> http::Response<Body> {
        let text = |name| asked.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(spot) = Spot::read(asked.path) else {
            return self.beside(&asked);
        };
        let Some(resource) = self.catalogue.find(&spot.group, &spot.version, &spot.resource) else {
            return self.unknown(&spot.group);
        };
        let resource = Arc::clone(resource);
        // A path is not mended.
        if asked.path.trim_matches('/').contains("//") {
            return no_such_resource().send(false, &[]);
        }
        if let Some(why) = path::not_a_segment(&spot.name) {
            let message = format!("Name parameter invalid: {:?}: {why}", spot.name);
            return bad_request(message).send(false, &[]);
        }
        if !resource.has(&spot.subresource) {
            let named = Named { group: &spot.group, resource: &spot.resource, name: &spot.name };
            let failure = match resource.custom {
                true => named.not_found(),
                false => no_such_resource(),
            };
            return failure.send(false, &[]);
        }
        let one_everywhere =
            resource.namespaced && spot.namespace.is_empty() && !spot.name.is_empty();
        if one_everywhere || !resource.namespaced && !spot.namespace.is_empty() {
            return self.unknown(&spot.group);
        }
        let wanted = match media::wanted(asked.accept, spot.name.is_empty(), resource.custom) {
            Ok(wanted) => wanted,
            Err(failure) => return failure.send(false, &[]),
        };
        let mut content_type = text(CONTENT_TYPE).map(str::to_owned);
        let deletes = asked.method == Method::DELETE;
        let has_object = match asked.method {
            Method::DELETE => !body.is_empty(),
            Method::POST | Method::PUT => !resource.custom,
            _ => false,
        };
        let is_binary = media::plain(content_type.as_deref()) == media::PROTOBUF;
        let body = match has_object && is_binary {
            true => {
                let expected = Some(&resource.kind).filter(|_| !deletes);
                match fields::protobuf::read(&body, self.minor, expected) {
                    Ok(object) => {
                        content_type = None;
                        object.to_string().into()
                    }
                    Err(failure) => return failure.send(false, &[]),
                }
            }
            false => body,
        };
        let mut call = Call {
            method: asked.method,
            spot,
            parameters: Parameters::read(asked.query),
            resource,
            wanted,
            content_type,
            body,
            user: asked.user,
            hollow: false,
            agent: text(USER_AGENT).unwrap_or("unknown").to_owned(),
            warnings: Vec::new(),
        };
        let answer = self.dispatch(api, &mut call);
        let yaml = call.wanted.yaml;
        let mut response = match answer {
            Ok(answer) => answer.send(yaml, &call.warnings),
            Err(failure) => failure.send(yaml, &call.warnings),
        };
        list::timed_out(&call, &mut response);
        response
    }

    /// Finds the part that answers.
    fn dispatch(&mut self, api: &Rehearsal, call: &mut Call) -> Result<Answer, Failure> {
        let verb = verb(call);
        let collection = call.spot.name.is_empty();
        // A collection over all namespaces can be read, but not written.
        let everywhere = call.resource.namespaced && call.spot.namespace.is_empty();
        let misplaced = match verb {
            "list" | "watch" => false,
            // Of custom resources the name in the path of a create is not looked at.
            "create" => {
                let named = !collection && call.spot.subresource.is_empty();
                everywhere || named && !call.resource.custom
            }
            // Of custom resources it is found out later that no object is named.
            "update" | "patch" => collection && !call.resource.custom,
            _ => everywhere,
        };
        if misplaced {
            return Err(method_not_allowed());
        }
        rights::check(self, call, verb)?;
        if collection && matches!(verb, "update" | "patch") {
            return Err(bad_request("name must be provided"));
        }
        if !call.resource.allows(&call.spot.subresource, verb) {
            return Err(method_not_allowed());
        }
        if matches!(verb, "create" | "update" | "patch") && self.store.bytes() >= self.bytes {
            return Err(internal("etcdserver: mvcc: database space exceeded"));
        }
        call.warnings.extend(deprecation(self, &call.resource));
        match (verb, call.subresource()) {
            ("watch", _) => watch::start(self, api, call),
            ("list", _) => list::list(self, call),
            ("create", None) if reviews::answers(&call.resource) => reviews::review(self, call),
            ("create", None) => create::create(self, call),
            ("deletecollection", _) => delete::collection(self, call),
            ("delete", None) => delete::delete(self, call),
            ("get", None) => list::get(self, call),
            ("update", None) => update::update(self, call),
            ("patch", None) => patch::patch(self, call),
            (_, Some(_)) if !collection => subresources::answer(self, call, verb),
            _ => Err(no_such_resource()),
        }
    }

    /// What is not a resource of the API.
    fn beside(&mut self, asked: &Asked<'_>) -> http::Response<Body> {
        let custom = custom::shown(self);
        let site = Site { minor: self.minor, custom: &custom, address: &self.address };
        let path = match asked.query {
            Some(query) => format!("{}?{query}", asked.path),
            None => asked.path.to_owned(),
        };
        let page = site.page(&path, asked.accept.unwrap_or_default());
        let Some(page) =
            page.filter(|_| asked.method == Method::GET || asked.method == Method::HEAD)
        else {
            return Answer::text(404, "404 page not found\n").send(false, &[]);
        };
        let mut response = http::Response::new(Body::Whole(page.body.into()));
        *response.status_mut() = http::StatusCode::from_u16(page.code).unwrap_or_default();
        if !page.content_type.is_empty() {
            let kind = HeaderValue::from_static(page.content_type);
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    }

    /// A path of the API where nothing is.
    fn unknown(&self, group: &str) -> http::Response<Body> {
        if self.catalogue.has_group(group) {
            return no_such_resource().send(false, &[]);
        }
        Answer::text(404, "404 page not found\n").send(false, &[])
    }
}

/// What is said to every request to a version that will go, or has a successor.
///
/// Source: the `APILifecycleDeprecated` of Kubernetes' types.
fn deprecation(state: &State, resource: &Resource) -> Option<String> {
    if let Some(version) = resource.version() {
        return version.warning.clone();
    }
    let (kind, since, instead) = match (resource.kind.pair(), state.minor.number) {
        (("", "Endpoints"), 33..) => ("Endpoints", 33, "; use discovery.k8s.io/v1 EndpointSlice"),
        (("", "ComponentStatus"), _) => ("ComponentStatus", 19, ""),
        _ => return None,
    };
    Some(format!("{} {kind} is deprecated in v1.{since}+{instead}", resource.kind.version))
}

/// What a request does, as rights name it.
fn verb(call: &Call) -> &'static str {
    let collection = call.spot.name.is_empty();
    match call.method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if collection => "deletecollection",
        Method::DELETE => "delete",
        Method::GET if call.spot.watch || collection && call.parameters.is_on("watch") => "watch",
        Method::GET | Method::HEAD if collection => "list",
        Method::GET | Method::HEAD => "get",
        _ => "",
    }
}

/// An object in the form in which it is wanted.
pub(super) fn shown(state: &State, call: &Call, code: u16, object: Value) -> Answer {
    let value = match call.wanted.form {
        Form::Object => object,
        Form::Metadata | Form::MetadataList => list::metadata_only(&object),
        Form::Table => super::table::table(state, call, vec![object], None),
    };
    Answer { code, content: super::answer::Content::Tree(value) }
}
