//! What the path and the query of a request say.
//!
//! Source: apiserver `pkg/endpoints/request/requestinfo.go`.

/// The place in the API that a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// Empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    /// Empty for what is not in a namespace, and for all namespaces.
    pub(super) namespace: String,
    /// The plural, e.g. `deployments`.
    pub(super) resource: String,
    /// Empty for the collection.
    pub(super) name: String,
    /// E.g. `status`; empty for the object itself.
    pub(super) subresource: String,
    /// Whether it is one of the old paths with `watch` in it.
    pub(super) watch: bool,
}

impl Spot {
    /// What a path under `/api/VERSION/` or `/apis/GROUP/VERSION/` is about; `None` for discovery
    /// and for everything else.
    pub(super) fn read(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decode);
        let mut spot = Self::default();
        match parts.next()?.as_str() {
            "api" => {}
            "apis" => spot.group = parts.next()?,
            _ => return None,
        }
        spot.version = parts.next()?;
        let mut parts: Vec<String> = parts.collect();
        if parts.first().is_some_and(|part| part == "watch") {
            spot.watch = true;
            parts.remove(0);
        }
        // `namespaces/x/finalize` is about the namespace, `namespaces/x/pods` is in it.
        let in_namespace = parts.len() > 2
            && parts[0] == "namespaces"
            && !(spot.group.is_empty()
                && parts.len() == 3
                && matches!(&*parts[2], "status" | "finalize"));
        if in_namespace {
            spot.namespace = parts[1].clone();
            parts.drain(..2);
        }
        let mut parts = parts.into_iter();
        spot.resource = parts.next()?;
        spot.name = parts.next().unwrap_or_default();
        spot.subresource = parts.collect::<Vec<_>>().join("/");
        Some(spot)
    }
}

/// The parameters of a query, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(&value.replace('+', " ")))
        });
        Self(pairs.collect())
    }

    /// The first value of a parameter; empty where it is not there.
    pub(super) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.all(key).next().is_some()
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// Whether a switch is on: any value but `0` and `false`, also none.
    ///
    /// Source: apimachinery `pkg/runtime/converter.go`, `Convert_Slice_string_To_bool`.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.all(key)
            .next()
            .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "false"))
    }
}

/// Why a name cannot be a part of a path.
///
/// Source: apimachinery `pkg/api/validation/path/name.go`.
pub(super) fn not_a_segment(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        _ if name.contains('/') => Some("may not contain '/'"),
        _ if name.contains('%') => Some("may not contain '%'"),
        _ => None,
    }
}

/// Resolves `%20` and the like; what is not well formed stays as it is.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_group_namespace_resource_and_subresource() {
        let spot = Spot::read("/apis/apps/v1/namespaces/shop/deployments/web/scale").unwrap();
        assert_eq!(
            (&*spot.group, &*spot.namespace, &*spot.resource),
            ("apps", "shop", "deployments")
        );
        assert_eq!((&*spot.name, &*spot.subresource), ("web", "scale"));
    }

    #[test]
    fn a_namespace_is_a_resource_too() {
        let spot = Spot::read("/api/v1/namespaces/shop/finalize").unwrap();
        assert_eq!(
            (&*spot.resource, &*spot.name, &*spot.subresource),
            ("namespaces", "shop", "finalize")
        );
        assert_eq!(Spot::read("/api/v1/namespaces/shop").unwrap().namespace, "");
    }

    #[test]
    fn discovery_is_no_resource() {
        assert_eq!(Spot::read("/apis/apps/v1"), None);
        assert_eq!(Spot::read("/version"), None);
    }

    #[test]
    fn a_query_is_decoded_and_keeps_later_equals_signs() {
        let parameters = Parameters::read(Some("labelSelector==x&fieldSelector=a%3Db%zz&watch"));
        assert_eq!(parameters.get("labelSelector"), "=x");
        assert_eq!(parameters.get("fieldSelector"), "a=b%zz");
        assert!(parameters.is_on("watch"));
        assert!(!parameters.is_on("limit"));
    }
}
