//! AWS KMS, by requests that are signed with an access key.
//!
//! Source: AWS KMS API, `Decrypt`; AWS Signature Version 4; SOPS `kms/keysource.go`.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use serde_json::json;
use sha2_10::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Answer, decoded, field, now, post};
use crate::value::Value;

/// An access key.
pub struct AwsKeys {
    id: String,
    secret: Zeroizing<String>,
    session: Option<Zeroizing<String>>,
    /// Where KMS is asked instead of its public address.
    endpoint: Option<String>,
}

/// What a signature is over.
struct Signed<'a> {
    host: &'a str,
    region: &'a str,
    service: &'a str,
    method: &'a str,
    /// `YYYYMMDDTHHMMSSZ`
    time: &'a str,
    /// Headers besides host and time, in lower case and sorted.
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
}

impl AwsKeys {
    /// An access key, with the token of its session where there is one.
    #[must_use]
    pub fn new(id: String, secret: String, session: Option<String>) -> Self {
        Self { id, secret: secret.into(), session: session.map(Zeroizing::new), endpoint: None }
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
        let time = timestamp(now());
        let kind = "application/x-amz-json-1.1";
        let mut headers = vec![("content-type", kind)];
        if let Some(session) = &self.session {
            headers.push(("x-amz-security-token", session));
        }
        headers.push(("x-amz-target", "TrentService.Decrypt"));
        let (service, method) = ("kms", "POST");
        let signed = Signed {
            host,
            region,
            service,
            method,
            time: &time,
            headers: &headers,
            body: body.as_bytes(),
        };
        let authorization = self.authorization(&signed);
        headers.push(("x-amz-date", &time));
        headers.push(("authorization", &authorization));
        let answer = post(&format!("{url}/"), &headers, body.as_bytes())?;
        decoded(&answer, "/Plaintext")
    }

    /// Source: AWS, "Create a signed AWS API request".
    fn authorization(&self, signed: &Signed<'_>) -> String {
        let Signed { host, region, service, method, time, headers, body } = signed;
        let mut all = vec![("host", *host), ("x-amz-date", *time)];
        all.extend(*headers);
        all.sort_unstable();
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{method}\n/\n\n{lines}\n{names}\n{}", hex(&Sha256::digest(body)));
        let date = &time[..8];
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let first = Zeroizing::new(format!("AWS4{}", self.secret.as_str()));
        let key = [date, region, service, "aws4_request"]
            .iter()
            .fold(Zeroizing::new(first.as_bytes().to_vec()), |key, part| {
                code(&key, part.as_bytes())
            });
        let signature = hex(&code(&key, to_sign.as_bytes()));
        let id = &self.id;
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
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

fn code(key: &[u8], data: &[u8]) -> Zeroizing<Vec<u8>> {
    let code = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("keys may have any length");
    Zeroizing::new(code.chain_update(data).finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `YYYYMMDDTHHMMSSZ`
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that a leap day is the last of its year; an era has 400 years.
    let since = days + 719_468;
    let (era, day) = (since / 146_097, since % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hours:02}{minutes:02}{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_as_in_the_example_of_aws() {
        // The case `get-vanilla` of the signature's test suite.
        let keys = AwsKeys::new(
            "AKIDEXAMPLE".into(),
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            None,
        );
        let signed = Signed {
            host: "example.amazonaws.com",
            region: "us-east-1",
            service: "service",
            method: "GET",
            time: "20150830T123600Z",
            headers: &[],
            body: b"",
        };
        assert!(keys.authorization(&signed).ends_with(
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        ));
    }

    #[test]
    fn times_are_dates_of_our_calendar() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(951_827_696), "20000229T123456Z");
        assert_eq!(timestamp(1_440_938_160), "20150830T123600Z");
        assert_eq!(timestamp(4_107_542_399), "21000228T235959Z");
    }

    #[test]
    fn the_region_of_a_key_is_no_way_elsewhere() {
        assert_eq!(region("arn:aws:kms:eu-west-1:1:key/a"), Some(("aws", "eu-west-1")));
        assert_eq!(region("arn:aws:kms:evil.example/:1:key/a"), None);
        assert_eq!(region("arn:aws:s3:eu-west-1:1:key/a"), None);
        assert_eq!(region("key"), None);
    }
}
