//! Kubernetes service accounts that stand for one of a cloud.
//!
//! Source: kustomize `api/filters/iampolicygenerator/iampolicygenerator.go`.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::kustomization::plugin::IamPolicy;
use crate::resource::{Origin, Resource};
use crate::value::Value;

/// Makes the service account that an `IAMPolicyGenerator` describes.
///
/// # Errors
/// Where the cloud is not known.
pub fn iam_policy(policy: &IamPolicy, place: &Place) -> Result<Resource> {
    if policy.cloud != "gke" {
        let message = format!("cloud \"{}\" is not known", policy.cloud);
        let error = Error::new(ErrorKind::Invalid, place.clone(), message);
        return Err(error.hint("write \"cloud: gke\""));
    }
    let account = format!("{}@{}.iam.gserviceaccount.com", policy.account, policy.project);
    let mut value = Value::map();
    value.set(&["apiVersion"], Value::string("v1"));
    value.set(&["kind"], Value::string("ServiceAccount"));
    let annotation = ["metadata", "annotations", "iam.gke.io/gcp-service-account"];
    value.set(&annotation, Value::plain(account));
    value.set(&["metadata", "name"], Value::plain(policy.name.clone()));
    if !policy.namespace.is_empty() {
        value.set(&["metadata", "namespace"], Value::plain(policy.namespace.clone()));
    }
    Ok(Resource::new(value, Origin { file: place.file.clone(), document: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_annotated() {
        let policy = IamPolicy {
            cloud: "gke".into(),
            name: "ksa".into(),
            account: "gsa".into(),
            project: "p".into(),
            ..IamPolicy::default()
        };
        let made = iam_policy(&policy, &Place::file("g.yaml")).expect("known");
        let annotation =
            made.annotations().and_then(|map| map.get("iam.gke.io/gcp-service-account"));
        assert_eq!(annotation.and_then(Value::as_text), Some("gsa@p.iam.gserviceaccount.com"));
        let other = IamPolicy { cloud: "aks".into(), ..policy };
        assert!(iam_policy(&other, &Place::file("g.yaml")).is_err());
    }
}
