//! What a sync has put into the cluster, so that the next one knows what to take out again.
//!
//! It is kept in a ConfigMap beside the objects: one line for each member with its key, its UID and a
//! hash of what was sent. ConfigMap and members are marked as kubectl's ApplySets are, so that other
//! tools can tell whose they are.
//!
//! Source of labels and annotations: KEP-3659, as kubectl 1.33 writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Place, Result};

/// Marks a member; its value is the id of the set.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// Marks the ConfigMap; its value is the id of the set.
const ID: &str = "applyset.kubernetes.io/id";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Who writes inventories; the version follows in the annotation.
const TOOL: &str = "overlay";

/// From how many bytes on the members are compressed; the server takes 1 MiB in all.
const PLAIN_BYTES: usize = 256 << 10;

/// How many bytes compressed members may have, so that nobody's ConfigMap can exhaust us.
const UNPACKED_BYTES: u64 = 64 << 20;

/// What addresses an object in a cluster, whichever version of its kind is spoken.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// Empty for kinds without namespaces.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// One object of a set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Member {
    /// The version it was applied with.
    pub version: String,
    /// Which object exactly; unknown where a sync was interrupted before it was told.
    pub uid: Option<String>,
    /// The hash of what was sent.
    pub fields: Option<String>,
}

/// Where an inventory is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// The namespace of the ConfigMap.
    pub namespace: String,
    /// The name of the ConfigMap.
    pub name: String,
}

/// The overlay whose objects these are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// The address that the overlay's repository was cloned from; empty where it has none.
    pub repository: String,
    /// The overlay's place in its repository.
    pub path: String,
}

/// The members of a set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inventory {
    /// By key.
    pub members: BTreeMap<Key, Member>,
    /// Whose they are; what was recorded, where anything was.
    pub owner: Owner,
    /// The digest of the rendered overlay that was applied last.
    pub source: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group: _, kind, namespace, name } = self;
        match namespace.as_str() {
            "" => write!(f, "{kind} {name}"),
            _ => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

impl Location {
    /// The id that members are marked with.
    ///
    /// Source: KEP-3659; a SHA-256 of `name.namespace.kind.group` in URL-safe base64.
    #[must_use]
    pub fn id(&self) -> String {
        set_id(&self.name, &self.namespace, "ConfigMap", "")
    }

    /// The place to name in errors.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::file(format!("configmap {}/{}", self.namespace, self.name))
    }
}

fn set_id(name: &str, namespace: &str, kind: &str, group: &str) -> String {
    let hash = Sha256::digest(format!("{name}.{namespace}.{kind}.{group}"));
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash))
}

impl Inventory {
    /// Reads the ConfigMap that the server returned for `location`.
    ///
    /// # Errors
    /// Where it is not an inventory, belongs to another tool, or cannot be read.
    pub fn read(config_map: &Json, location: &Location) -> Result<Self> {
        let wrong = |message: &str| Error::new(ErrorKind::Refused, location.place(), message);
        let metadata = &config_map["metadata"];
        let tooling = metadata["annotations"][TOOLING].as_str().unwrap_or_default();
        if tooling.split('/').next() != Some(TOOL) {
            return Err(wrong("exists already, and is no inventory of an overlay")
                .hint("give the inventory another name with --inventory"));
        }
        // Whoever copies an inventory to another name must not get our deletions with it.
        if metadata["labels"][ID] != location.id() {
            return Err(wrong("is marked as the inventory of another name"));
        }
        let data = &config_map["data"];
        let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
        let members = match config_map["binaryData"]["members.gz"].as_str() {
            Some(packed) => {
                unpack(packed).ok_or_else(|| wrong("its members cannot be unpacked"))?
            }
            None => text("members"),
        };
        let members: Option<_> = members.lines().map(read_member).collect();
        Ok(Self {
            members: members.ok_or_else(|| wrong("its members cannot be read"))?,
            owner: Owner { repository: text("repository"), path: text("path") },
            source: text("source"),
        })
    }

    /// The ConfigMap that holds this inventory; `before` is the one it replaces.
    #[must_use]
    pub fn write(&self, location: &Location, before: Option<&Json>) -> Json {
        let mut object = before.cloned().unwrap_or_else(|| {
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": location.name, "namespace": location.namespace },
            })
        });
        if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
            metadata.remove("managedFields");
        }
        object["metadata"]["labels"][ID] = location.id().into();
        object["metadata"]["labels"][MANAGED_BY] = TOOL.into();
        let annotations = &mut object["metadata"]["annotations"];
        annotations[TOOLING] = format!("{TOOL}/v{}", env!("CARGO_PKG_VERSION")).into();
        annotations[KINDS] = self.kinds().into();
        annotations[NAMESPACES] = self.namespaces(&location.namespace).into();
        self.write_data(&mut object);
        object
    }

    fn write_data(&self, object: &mut Json) {
        let members: Vec<_> = self.members.iter().map(write_member).collect();
        let members = members.join("\n");
        object["data"] = json!({
            "path": self.owner.path,
            "repository": self.owner.repository,
            "source": self.source,
        });
        let packed = (members.len() > PLAIN_BYTES).then(|| pack(&members));
        object["binaryData"] = match packed {
            Some(packed) => json!({ "members.gz": packed }),
            None => {
                object["data"]["members"] = members.into();
                Json::Null
            }
        };
    }

    /// `Kind.group` of all members, sorted.
    fn kinds(&self) -> String {
        let name = |key: &Key| match key.group.as_str() {
            "" => key.kind.clone(),
            group => format!("{}.{group}", key.kind),
        };
        let kinds: BTreeSet<_> = self.members.keys().map(name).collect();
        kinds.into_iter().collect::<Vec<_>>().join(",")
    }

    /// The namespaces of all members but `own`, sorted.
    fn namespaces(&self, own: &str) -> String {
        let all = self.members.keys().map(|key| key.namespace.as_str());
        let others: BTreeSet<_> = all.filter(|name| !name.is_empty() && *name != own).collect();
        others.into_iter().collect::<Vec<_>>().join(",")
    }
}

fn write_member((key, member): (&Key, &Member)) -> String {
    json!({
        "group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name,
        "version": member.version, "uid": member.uid, "fields": member.fields,
    })
    .to_string()
}

fn read_member(line: &str) -> Option<(Key, Member)> {
    let json: Json = serde_json::from_str(line).ok()?;
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let key = Key {
        group: text("group")?,
        kind: text("kind")?,
        namespace: text("namespace")?,
        name: text("name")?,
    };
    Some((key, Member { version: text("version")?, uid: text("uid"), fields: text("fields") }))
}

fn pack(text: &str) -> String {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // A vector takes whatever is written to it.
    let _ = encoder.write_all(text.as_bytes());
    STANDARD.encode(encoder.finish().unwrap_or_default())
}

fn unpack(packed: &str) -> Option<String> {
    let bytes = STANDARD.decode(packed).ok()?;
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(bytes.as_slice()).take(UNPACKED_BYTES);
    decoder.read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> Location {
        Location { namespace: "default".into(), name: "overlay-shop".into() }
    }

    fn inventory(members: usize) -> Inventory {
        let member = |number: usize| {
            let key = Key {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: "shop".into(),
                name: format!("web-{number}"),
            };
            let uid = Some(format!("{number:036}"));
            (key, Member { version: "v1".into(), uid, fields: None })
        };
        Inventory {
            members: (0..members).map(member).collect(),
            owner: Owner { repository: "https://example.org/shop".into(), path: "prod".into() },
            source: "sha256:0".into(),
        }
    }

    #[test]
    fn ids_are_those_of_kubectl() {
        // Measured with kubectl 1.33.
        assert_eq!(
            set_id("set1", "default", "Secret", ""),
            "applyset-TJSViJwF6UhFlL4bnPXMWRnXnH4yPVy5hhP1Y3SCHVU-v1"
        );
    }

    #[test]
    fn what_is_written_can_be_read() {
        for members in [0, 3, 5_000] {
            let written = inventory(members).write(&location(), None);
            let read = Inventory::read(&written, &location()).expect("our own");
            assert_eq!(read, inventory(members));
        }
    }

    #[test]
    fn many_members_stay_below_the_limit_of_a_config_map() {
        let written = inventory(50_000).write(&location(), None).to_string();
        assert!(written.len() < 1 << 20, "{}", written.len());
    }

    #[test]
    fn what_others_have_noted_on_the_config_map_stays() {
        let mut before = inventory(1).write(&location(), None);
        before["metadata"]["resourceVersion"] = "7".into();
        before["metadata"]["labels"]["team"] = "shop".into();
        let after = inventory(2).write(&location(), Some(&before));
        assert_eq!(after["metadata"]["labels"]["team"], "shop");
        assert_eq!(after["metadata"]["resourceVersion"], "7");
        assert_eq!(after["metadata"]["annotations"][KINDS], "Deployment.apps");
        assert_eq!(after["metadata"]["annotations"][NAMESPACES], "shop");
    }

    #[test]
    fn a_config_map_of_somebody_else_is_refused() {
        let error = Inventory::read(&json!({}), &location()).expect_err("no inventory");
        assert_eq!(
            error.to_string(),
            "configmap default/overlay-shop: exists already, and is no inventory of an overlay\n\
             hint: give the inventory another name with --inventory"
        );
        let copied = inventory(1).write(&Location { name: "x".into(), ..location() }, None);
        assert!(Inventory::read(&copied, &location()).is_err());
    }

    #[test]
    fn damaged_members_are_an_error() {
        for members in ["{", "[]", "{\"kind\":1}"] {
            let mut written = inventory(1).write(&location(), None);
            written["data"]["members"] = members.into();
            assert!(Inventory::read(&written, &location()).is_err(), "{members}");
        }
    }
}
