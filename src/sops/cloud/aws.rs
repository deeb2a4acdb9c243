//! AWS KMS, by requests that are signed with an access key.
//!
//! Source: AWS KMS API, `Decrypt`; SOPS `kms/keysource.go`.

use serde_json::json;
use zeroize::Zeroizing;

use super::{Answer, decoded, field, post};
use crate::remote::signature::{self, AccessKey, Signed};
use crate::value::Value;

/// An access key.
pub struct AwsKeys {
    key: AccessKey,
    /// Where KMS is asked instead of its public address.
    endpoint: Option<String>,
}

impl AwsKeys {
    /// An access key, with the token of its session where there is one.
    #[must_use]
    pub fn new(id: String, secret: String, session: Option<String>) -> Self {
        Self { key: AccessKey::new(id, secret, session), endpoint: None }
    }

    /// Asks at another address: a private endpoint.
    #[must_use]
    pub fn at(self, endpoint: impl Into<String>) -> Self {
        Self { endpoint: Some(endpoint.into()), ..self }
    }

    /// Source: kustomize-controller `internal/sops/awskms/config.go`.
    pub(super) fn read(fields: &Value) -> Result<Self, &'static str> {
        let session = fields.text_at(&["aws_session_token"]).filter(|token| !token.is_empty());
        let (id, secret) =
            (field(fields, &["aws_access_key_id"])?, field(fields, &["aws_secret_access_key"])?);
        Ok(Self::new(id, secret, session.map(str::to_owned)))
    }

    pub(super) fn open(
        &self,
        arn: &str,
        role: &str,
        context: &[(String, String)],
        sealed: &str,
    ) -> Answer<Zeroizing<Vec<u8>>> {
        if !role.is_empty() {
            return Err("takes a role that has to be taken on, which is not done here".to_owned());
        }
        let (partition, region) = region(arn).ok_or("is no ARN of a key")?;
        let suffix = if partition == "aws-cn" { ".com.cn" } else { ".com" };
        let public = format!("https://kms.{region}.amazonaws{suffix}");
        let url = self.endpoint.as_deref().unwrap_or(&public).trim_end_matches('/');
        let host = url.split_once("://").map_or(url, |(_, host)| host);
        let context: serde_json::Map<_, _> =
            context.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = json!({ "CiphertextBlob": sealed, "EncryptionContext": context, "KeyId": arn });
        let body = body.to_string();
        let time = signature::now();
        let kind = "application/x-amz-json-1.1";
        let mut headers = vec![("content-type", kind)];
        if let Some(session) = self.key.session() {
            headers.push(("x-amz-security-token", session));
        }
        headers.push(("x-amz-target", "TrentService.Decrypt"));
        let (service, method) = ("kms", "POST");
        let signed = Signed {
            host,
            region,
            service,
            method,
            path: "/",
            query: "",
            time: &time,
            headers: &headers,
            body: body.as_bytes(),
        };
        let authorization = self.key.authorization(&signed);
        headers.push(("x-amz-date", &time));
        headers.push(("authorization", &authorization));
        let answer = post(&format!("{url}/"), &headers, body.as_bytes())?;
        decoded(&answer, "/Plaintext")
    }
}

/// Partition and region of `arn:aws:kms:REGION:ACCOUNT:key/ID`.
fn region(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.split(':');
    let (start, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let region = parts.next()?;
    let plain = |text: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !text.is_empty() && text.bytes().all(fits)
    };
    (start == "arn" && service == "kms" && plain(partition) && plain(region))
        .then_some((partition, region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_a_key_is_no_way_elsewhere() {
        assert_eq!(region("arn:aws:kms:eu-west-1:1:key/a"), Some(("aws", "eu-west-1")));
        assert_eq!(region("arn:aws:kms:evil.example/:1:key/a"), None);
        assert_eq!(region("arn:aws:s3:eu-west-1:1:key/a"), None);
        assert_eq!(region("key"), None);
    }
}
