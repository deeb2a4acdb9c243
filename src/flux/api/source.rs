//! Where files come from.

use ecow::EcoString;

use super::checked::{self, Duration};
use super::kustomization::ObjectRef;
use super::{Meta, each, fields, object};
use crate::kustomization::node::{Decode, Node};
use crate::value::Value;

/// A Git repository.
#[derive(Clone, Debug, Default)]
pub struct GitRepository {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// `https`, `http` or `ssh`.
    pub url: EcoString,
    /// What of it; the branch `master` where nothing is said.
    pub reference: GitReference,
    /// Patterns of files that are left out, as in `.gitignore`.
    pub ignore: Option<EcoString>,
    /// Whether submodules are fetched too.
    pub recurse_submodules: bool,
    /// Other repositories that are copied in.
    pub include: Vec<Include>,
    /// The only directories that are fetched.
    pub sparse_checkout: Vec<EcoString>,
    /// The Secret with credentials.
    pub secret_ref: Option<EcoString>,
    /// How to sign in without one.
    pub provider: EcoString,
    /// The service account that signs in.
    pub service_account_name: EcoString,
    /// How often it is fetched.
    pub interval: Option<Duration>,
    /// What fetching may take.
    pub timeout: Option<Duration>,
    /// Whether it is not fetched.
    pub suspend: bool,
    /// What the controller has written.
    pub status: Value,
}

/// What of a repository; the first that is set in this order counts: commit, name, semver, tag, branch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GitReference {
    /// A branch.
    pub branch: EcoString,
    /// A tag.
    pub tag: EcoString,
    /// A range of versions that tags are.
    pub semver: EcoString,
    /// A full name, as `refs/heads/main`.
    pub name: EcoString,
    /// A commit.
    pub commit: EcoString,
}

/// A repository that is copied into another one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Include {
    /// The name of its GitRepository.
    pub repository: Option<EcoString>,
    /// What of it.
    pub from_path: EcoString,
    /// Where to.
    pub to_path: EcoString,
}

/// A repository of OCI artifacts.
#[derive(Clone, Debug, Default)]
pub struct OciRepository {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// `oci://` and what follows.
    pub url: EcoString,
    /// What of it; the tag `latest` where nothing is said.
    pub reference: OciReference,
    /// Which layer counts, by its media type; the first where it is empty.
    pub layer_media_type: EcoString,
    /// `extract` or `copy`.
    pub layer_operation: EcoString,
    /// Patterns of files that are left out.
    pub ignore: Option<EcoString>,
    /// Whether the registry speaks plain HTTP.
    pub insecure: bool,
    /// How to sign in.
    pub provider: EcoString,
    /// The Secret with credentials.
    pub secret_ref: Option<EcoString>,
    /// The service account that signs in.
    pub service_account_name: EcoString,
    /// How often it is fetched.
    pub interval: Option<Duration>,
    /// What fetching may take.
    pub timeout: Option<Duration>,
    /// Whether it is not fetched.
    pub suspend: bool,
    /// What the controller has written.
    pub status: Value,
}

/// What of an OCI repository: the digest before the range before the tag.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OciReference {
    /// A digest.
    pub digest: EcoString,
    /// A range of versions that tags are.
    pub semver: EcoString,
    /// Which tags take part in that, as a regular expression.
    pub semver_filter: EcoString,
    /// A tag.
    pub tag: EcoString,
}

/// A bucket of an object store.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// Its name there.
    pub bucket_name: EcoString,
    /// The server.
    pub endpoint: EcoString,
    /// Whose it is; `generic` for S3.
    pub provider: EcoString,
    /// Where it is.
    pub region: EcoString,
    /// What the keys that count begin with.
    pub prefix: EcoString,
    /// Whether the server speaks plain HTTP.
    pub insecure: bool,
    /// Patterns of files that are left out.
    pub ignore: Option<EcoString>,
    /// The Secret with credentials.
    pub secret_ref: Option<EcoString>,
    /// The service account that signs in.
    pub service_account_name: EcoString,
    /// How often it is fetched.
    pub interval: Option<Duration>,
    /// What fetching may take.
    pub timeout: Option<Duration>,
    /// Whether it is not fetched.
    pub suspend: bool,
    /// What the controller has written.
    pub status: Value,
}

/// An artifact that somebody else provides.
#[derive(Clone, Debug, Default)]
pub struct ExternalArtifact {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// What provides it.
    pub source_ref: Option<ObjectRef>,
    /// Where the artifact is.
    pub status: Value,
}

/// Sources are fetched within minutes: there are no hours.
pub(super) fn short(into: &mut Option<Duration>, node: &Node<'_>) {
    let mut read = Duration::default();
    checked::decode_duration(&mut read, node, true);
    *into = (!node.is_null()).then_some(read);
}

fn word(into: &mut EcoString, node: &Node<'_>, words: &[&str]) {
    into.decode(node);
    checked::one_of(node, into, words);
}

object!(GitRepository);

impl GitRepository {
    fn decode_spec(&mut self, node: &Node<'_>) {
        let names = [
            "url",
            "ref",
            "ignore",
            "recurseSubmodules",
            "include",
            "sparseCheckout",
            "secretRef",
            "provider",
            "serviceAccountName",
            "interval",
            "timeout",
            "suspend",
            "verify",
            "proxySecretRef",
            "gitImplementation",
            "accessFrom",
        ];
        let mut ignored = None;
        let present = each(node, &names, &["url", "interval"], |name, node| match name {
            "url" => {
                self.url.decode(node);
                checked::scheme(node, &self.url, &["https", "http", "ssh"]);
            }
            "ref" => self.reference.decode(node),
            "ignore" => self.ignore.decode(node),
            "recurseSubmodules" => self.recurse_submodules.decode(node),
            "include" => self.include.decode(node),
            "sparseCheckout" => self.sparse_checkout.decode(node),
            "secretRef" => checked::local_name(&mut self.secret_ref, node),
            "provider" => word(&mut self.provider, node, &["generic", "aws", "azure", "github"]),
            "serviceAccountName" => self.service_account_name.decode(node),
            "interval" => self.interval.decode(node),
            "timeout" => short(&mut self.timeout, node),
            "suspend" => self.suspend.decode(node),
            "proxySecretRef" => checked::local_name(&mut ignored, node),
            _ => {}
        });
        let signs_in = matches!(self.provider.as_str(), "aws" | "azure");
        if node.is_strict() && present.contains(&"serviceAccountName") && !signs_in {
            let message = "\"serviceAccountName\" goes with the providers azure and aws only";
            node.problem_under("serviceAccountName", message, None);
        }
    }
}

fields!(GitReference {
    "branch": branch,
    "tag": tag,
    "semver": semver,
    "name": name,
    "commit": commit,
});

impl Decode for Include {
    fn decode(&mut self, node: &Node<'_>) {
        each(
            node,
            &["repository", "fromPath", "toPath"],
            &["repository"],
            |name, node| match name {
                "repository" => checked::local_name(&mut self.repository, node),
                "fromPath" => self.from_path.decode(node),
                _ => self.to_path.decode(node),
            },
        );
    }
}

object!(OciRepository);

impl OciRepository {
    fn decode_spec(&mut self, node: &Node<'_>) {
        let names = [
            "url",
            "ref",
            "layerSelector",
            "ignore",
            "insecure",
            "provider",
            "secretRef",
            "serviceAccountName",
            "interval",
            "timeout",
            "suspend",
            "verify",
            "certSecretRef",
            "proxySecretRef",
        ];
        let mut ignored = None;
        each(node, &names, &["url", "interval"], |name, node| match name {
            "url" => {
                self.url.decode(node);
                checked::scheme(node, &self.url, &["oci"]);
            }
            "ref" => self.reference.decode(node),
            "layerSelector" => {
                each(node, &["mediaType", "operation"], &[], |name, node| match name {
                    "mediaType" => self.layer_media_type.decode(node),
                    _ => word(&mut self.layer_operation, node, &["extract", "copy"]),
                });
            }
            "ignore" => self.ignore.decode(node),
            "insecure" => self.insecure.decode(node),
            "provider" => word(&mut self.provider, node, &["generic", "aws", "azure", "gcp"]),
            "secretRef" => checked::local_name(&mut self.secret_ref, node),
            "serviceAccountName" => self.service_account_name.decode(node),
            "interval" => self.interval.decode(node),
            "timeout" => short(&mut self.timeout, node),
            "suspend" => self.suspend.decode(node),
            "certSecretRef" | "proxySecretRef" => checked::local_name(&mut ignored, node),
            _ => {}
        });
    }
}

fields!(OciReference {
    "digest": digest,
    "semver": semver,
    "semverFilter": semver_filter,
    "tag": tag,
});

object!(Bucket);

impl Bucket {
    fn decode_spec(&mut self, node: &Node<'_>) {
        let names = [
            "bucketName",
            "endpoint",
            "provider",
            "region",
            "prefix",
            "insecure",
            "ignore",
            "secretRef",
            "serviceAccountName",
            "interval",
            "timeout",
            "suspend",
            "sts",
            "certSecretRef",
            "proxySecretRef",
            "accessFrom",
        ];
        let mut ignored = None;
        let needed = ["bucketName", "endpoint", "interval"];
        let present = each(node, &names, &needed, |name, node| match name {
            "bucketName" => self.bucket_name.decode(node),
            "endpoint" => self.endpoint.decode(node),
            "provider" => word(&mut self.provider, node, &["generic", "aws", "gcp", "azure"]),
            "region" => self.region.decode(node),
            "prefix" => self.prefix.decode(node),
            "insecure" => self.insecure.decode(node),
            "ignore" => self.ignore.decode(node),
            "secretRef" => checked::local_name(&mut self.secret_ref, node),
            "serviceAccountName" => self.service_account_name.decode(node),
            "interval" => self.interval.decode(node),
            "timeout" => short(&mut self.timeout, node),
            "suspend" => self.suspend.decode(node),
            "certSecretRef" | "proxySecretRef" => checked::local_name(&mut ignored, node),
            _ => {}
        });
        if !node.is_strict() {
            return;
        }
        let is_generic = matches!(self.provider.as_str(), "" | "generic");
        let has = |field| present.contains(&field);
        if has("serviceAccountName") && (is_generic || has("secretRef")) {
            let message = if is_generic {
                "\"serviceAccountName\" does not go with the provider generic"
            } else {
                "\"serviceAccountName\" and \"secretRef\" exclude each other"
            };
            node.problem_under("serviceAccountName", message, None);
        }
        if has("sts") && !is_generic && self.provider != "aws" {
            let message = "\"sts\" goes with the providers aws and generic only";
            node.problem_under("sts", message, None);
        }
    }
}

object!(ExternalArtifact);

impl ExternalArtifact {
    fn decode_spec(&mut self, node: &Node<'_>) {
        each(node, &["sourceRef"], &[], |_, node| self.source_ref.decode(node));
    }
}
