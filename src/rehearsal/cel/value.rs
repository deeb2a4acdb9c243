//! Values of expressions.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value as Json;

use super::time::Timestamp;

/// What an expression has or gives.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without a sign.
    UInt(u64),
    /// A float.
    Double(f64),
    /// Text.
    Text(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<Vec<Self>>),
    /// A map, or an object.
    Map(Arc<BTreeMap<Key, Self>>),
    /// A moment.
    Timestamp(Timestamp),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A type, by its name.
    Type(&'static str),
    /// A value that may be absent.
    Optional(Option<Arc<Self>>),
    /// An amount, in billionths.
    Quantity(i128),
    /// An address.
    Ip(IpAddr),
    /// A network: its address as written, and the length of the prefix.
    Cidr(IpAddr, u8),
    /// A version.
    Semver(Arc<Semver>),
    /// A URL.
    Url(Arc<Url>),
    /// A named format of texts.
    Format(&'static str),
}

/// A key of a map; whole numbers are one kind of keys, signed or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A truth.
    Bool(bool),
    /// A number.
    Int(i128),
    /// Text.
    Text(Arc<str>),
}

/// A semantic version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semver {
    pub(super) numbers: [u64; 3],
    pub(super) pre: Vec<String>,
    pub(super) text: String,
}

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub(super) text: String,
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: String,
    pub(super) path: String,
    pub(super) query: String,
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        match key {
            Key::Bool(flag) => Self::Bool(flag),
            Key::Text(text) => Self::Text(text),
            Key::Int(number) => match i64::try_from(number) {
                Ok(number) => Self::Int(number),
                Err(_) => Self::UInt(u64::try_from(number).unwrap_or(u64::MAX)),
            },
        }
    }
}

impl Value {
    /// A list.
    pub(super) fn list(values: Vec<Self>) -> Self {
        Self::List(Arc::new(values))
    }

    /// A JSON value without a schema: objects are maps.
    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::Int(integer),
                None => Self::Double(number.as_f64().unwrap_or(f64::INFINITY)),
            },
            Json::String(text) => Self::from(&**text),
            Json::Array(list) => Self::list(list.iter().map(Self::from_json).collect()),
            Json::Object(map) => Self::Map(Arc::new(
                map.iter()
                    .map(|(name, value)| (Key::Text(name.as_str().into()), Self::from_json(value)))
                    .collect(),
            )),
        }
    }

    /// The name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::UInt(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Ip(_) => "net.IP",
            Self::Cidr(..) => "net.CIDR",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Url(_) => "kubernetes.URL",
            Self::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// As a key of a map.
    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Bool(flag) => Some(Key::Bool(*flag)),
            Self::Int(number) => Some(Key::Int((*number).into())),
            Self::UInt(number) => Some(Key::Int((*number).into())),
            Self::Text(text) => Some(Key::Text(Arc::clone(text))),
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 1e18 => {
                Some(Key::Int(*number as i128))
            }
            _ => None,
        }
    }

    /// Whether two values are equal: numbers by what they are worth, other types never.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.equals(b)))
            }
            (Self::Type(a), Self::Type(b)) | (Self::Format(a), Self::Format(b)) => a == b,
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (None, None) => true,
                _ => false,
            },
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a, m), Self::Cidr(b, n)) => a == b && m == n,
            (Self::Semver(a), Self::Semver(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (a, b) => a.compare(b) == Some(Ordering::Equal),
        }
    }

    /// The order of two values that have one.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Quantity(a), Self::Quantity(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Double(a), b) => a.partial_cmp(&b.float()?),
            (a, Self::Double(b)) => a.float()?.partial_cmp(b),
            (a, b) => Some(a.whole()?.cmp(&b.whole()?)),
        }
    }

    /// A whole number of any sign.
    fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some((*number).into()),
            Self::UInt(number) => Some((*number).into()),
            _ => None,
        }
    }

    /// A number as a float.
    #[expect(clippy::cast_precision_loss, reason = "as the language converts it")]
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::UInt(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// How many parts a walk over the value would touch, for what it costs.
    pub(super) fn size(&self) -> u64 {
        let length = match self {
            Self::Text(text) => text.len() / 10,
            Self::Bytes(bytes) => bytes.len() / 10,
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            _ => 0,
        };
        u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Semver {
    /// Reads `1.2.3-pre+build`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (core, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
        let (core, pre) = core.split_once('-').map_or((core, None), |(a, b)| (a, Some(b)));
        let number = |part: &str| -> Option<u64> {
            let plain = part == "0" || !part.starts_with('0');
            (plain && part.chars().all(|c| c.is_ascii_digit())).then(|| part.parse().ok())?
        };
        let parts: Vec<_> = core.split('.').collect();
        let [major, minor, patch] = *parts else { return None };
        let words = |list: Option<&str>| -> Option<Vec<String>> {
            let Some(list) = list else { return Some(Vec::new()) };
            let fits = |word: &str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            };
            list.split('.').map(|word| fits(word).then(|| word.to_owned())).collect()
        };
        let pre = words(pre)?;
        words(build)?;
        let numbers = [number(major)?, number(minor)?, number(patch)?];
        Some(Self { numbers, pre, text: text.to_owned() })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let word = |a: &String, b: &String| match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => (self.pre.iter().zip(&other.pre))
                    .map(|(a, b)| word(a, b))
                    .find(|order| order.is_ne())
                    .unwrap_or_else(|| self.pre.len().cmp(&other.pre.len())),
            }
        })
    }
}

impl Url {
    /// Reads an absolute URL, or a path that begins with a slash.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.chars().any(|c| c.is_ascii_control() || c == ' ') {
            return None;
        }
        let (rest, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = match rest.split_once(':') {
            Some((scheme, rest)) if !rest.is_empty() && !scheme.contains('/') => (scheme, rest),
            _ if rest.starts_with('/') => ("", rest),
            _ => return None,
        };
        let scheme_fits = scheme.is_empty()
            || (scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
            None => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let port = match host.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port,
            _ => "",
        };
        let fits = scheme_fits && port.chars().all(|c| c.is_ascii_digit());
        fits.then(|| Self {
            text: text.to_owned(),
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_owned(),
            port: port.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }
}
