//! Requests that go wrong on purpose, to see what a client makes of it.
//!
//! ```
//! use overlay::rehearsal::{Fault, Options, Outage, Rehearsal};
//!
//! let api = Rehearsal::new(&Options::default()).expect("the default minor is known");
//! api.inject(Fault { outage: Outage::Busy { seconds: 2 }, ..Fault::default() });
//! let ask = || api.handle(http::Request::get("/version").body(Default::default()).expect("good"));
//! assert_eq!(ask().headers()["retry-after"], "2");
//! assert_eq!(ask().status(), 200);
//! ```

use http::Method;
use serde_json::json;

use crate::rehearsal::Failure;
use crate::rehearsal::path::Spot;
use crate::rehearsal::refusals::Named;

/// What goes wrong, with which requests, how often.
#[derive(Clone, Debug)]
pub struct Fault {
    /// E.g. `PATCH`; all where it is `None`.
    pub method: Option<Method>,
    /// What the path must contain; empty for every path.
    pub path: String,
    /// How many matching requests go right before the first goes wrong.
    pub after: u32,
    /// How many go wrong then.
    pub times: u32,
    /// What goes wrong.
    pub outage: Outage,
}

/// A way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// 409: somebody else was faster.
    Conflict,
    /// 429: too much to do, ask again in so many seconds.
    Busy {
        /// Of `Retry-After`.
        seconds: u32,
    },
    /// 500: a failure of the server itself.
    Broken,
    /// 503: nobody is there behind the load balancer; it does not answer in the API's words.
    Away,
    /// 504: the request was begun, and what became of it nobody knows. It is done.
    Lost,
}

impl Default for Fault {
    /// Every request, once, with 500.
    fn default() -> Self {
        Self { method: None, path: String::new(), after: 0, times: 1, outage: Outage::Broken }
    }
}

/// Marks a request of the rehearsal itself, e.g. of its controllers, which goes right always.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within;

/// The faults that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with a request; each fault that matches it counts it.
    pub(super) fn strike(&mut self, method: &Method, path: &str) -> Option<Outage> {
        let mut struck = None;
        for fault in &mut self.0 {
            let meant = fault.method.as_ref().is_none_or(|wanted| wanted == method);
            if struck.is_some() || !meant || !path.contains(&fault.path) || fault.times == 0 {
                continue;
            }
            match fault.after {
                0 => {
                    fault.times -= 1;
                    struck = Some(fault.outage);
                }
                _ => fault.after -= 1,
            }
        }
        self.0.retain(|fault| fault.times > 0);
        struck
    }
}

impl Outage {
    /// The refusal; `None` where there is no answer of the API at all.
    pub(super) fn failure(self, path: &str) -> Option<Failure> {
        let spot = Spot::read(path).unwrap_or_default();
        let failure = match self {
            Self::Conflict => {
                Named { group: &spot.group, resource: &spot.resource, name: &spot.name }.stale()
            }
            Self::Busy { seconds } => Failure {
                details: Some(json!({"retryAfterSeconds": seconds})),
                ..Failure::new(
                    429,
                    "TooManyRequests",
                    "The server is currently unable to handle the request, please try again later",
                )
            },
            Self::Broken => Failure {
                details: Some(json!({"causes": [{"message": "etcdserver: request timed out"}]})),
                ..Failure::new(
                    500,
                    "InternalError",
                    "Internal error occurred: etcdserver: request timed out",
                )
            },
            Self::Lost => Failure {
                details: Some(json!({})),
                ..Failure::new(
                    504,
                    "Timeout",
                    "Timeout: request did not complete within the allotted timeout",
                )
            },
            Self::Away => return None,
        };
        Some(failure)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::rehearsal::{Options, Rehearsal};

    fn api() -> Rehearsal {
        Rehearsal::new(&Options::default()).unwrap()
    }

    fn create(api: &Rehearsal, name: &str) -> u16 {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let request = http::Request::post("/api/v1/namespaces/default/configmaps")
            .body(Bytes::from(body.to_string()));
        api.handle(request.unwrap()).status().as_u16()
    }

    fn get(api: &Rehearsal, name: &str) -> u16 {
        let path = format!("/api/v1/namespaces/default/configmaps/{name}");
        api.handle(http::Request::get(path).body(Bytes::new()).unwrap()).status().as_u16()
    }

    #[test]
    fn a_fault_strikes_what_it_means_and_no_more() {
        let api = api();
        let fault = Fault {
            method: Some(Method::POST),
            path: "/configmaps".into(),
            after: 1,
            times: 2,
            outage: Outage::Conflict,
        };
        api.inject(fault);
        assert_eq!(get(&api, "none"), 404);
        let codes = ["a", "b", "c", "d"].map(|name| create(&api, name));
        assert_eq!(codes, [201, 409, 409, 201]);
    }

    #[test]
    fn what_is_lost_was_done_all_the_same() {
        let api = api();
        api.inject(Fault { outage: Outage::Lost, ..Fault::default() });
        assert_eq!(create(&api, "a"), 504);
        assert_eq!(get(&api, "a"), 200);
    }

    #[test]
    fn controllers_are_not_struck() {
        let api = api();
        api.inject(Fault { times: u32::MAX, ..Fault::default() });
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}});
        assert_eq!(api.apply(&object, "default", "before").map_err(|why| why.code), Ok(()));
        crate::rehearsal::controllers::Controllers::new(&api).settle(10);
        api.mend();
        assert_eq!(get(&api, "kube-root-ca.crt"), 200);
    }

    #[test]
    fn a_server_that_is_away_comes_back() {
        let api = api();
        api.inject(Fault { outage: Outage::Away, times: u32::MAX, ..Fault::default() });
        assert_eq!([get(&api, "x"), get(&api, "x")], [503, 503]);
        api.mend();
        assert_eq!(get(&api, "x"), 404);
    }
}
