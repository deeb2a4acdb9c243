//! Requests to AWS, and to what speaks as it does, signed with an access key.
//!
//! Source: AWS Signature Version 4.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2_10::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::calendar::date_of;

/// Who asks.
pub(crate) struct AccessKey {
    id: String,
    secret: Zeroizing<String>,
    session: Option<Zeroizing<String>>,
}

/// What a signature is over.
pub(crate) struct Signed<'a> {
    pub(crate) host: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    /// Escaped, from the root.
    pub(crate) path: &'a str,
    /// Escaped, sorted by name.
    pub(crate) query: &'a str,
    /// `YYYYMMDDTHHMMSSZ`
    pub(crate) time: &'a str,
    /// Headers besides host and time, in lower case and sorted.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

impl AccessKey {
    /// An access key, with the token of its session where there is one.
    pub(crate) fn new(id: String, secret: String, session: Option<String>) -> Self {
        Self { id, secret: secret.into(), session: session.map(Zeroizing::new) }
    }

    /// The token of the session.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_ref().map(|token| token.as_str())
    }

    /// The header that says who asks.
    ///
    /// Source: AWS, "Create a signed AWS API request".
    pub(crate) fn authorization(&self, signed: &Signed<'_>) -> String {
        let Signed { host, region, service, method, path, query, time, headers, body } = signed;
        let mut all = vec![("host", *host), ("x-amz-date", *time)];
        all.extend(*headers);
        all.sort_unstable();
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical =
            format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{}", hex(&Sha256::digest(body)));
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

fn code(key: &[u8], data: &[u8]) -> Zeroizing<Vec<u8>> {
    let code = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("keys may have any length");
    Zeroizing::new(code.chain_update(data).finalize().into_bytes().to_vec())
}

/// Digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The time, as `YYYYMMDDTHHMMSSZ`.
pub(crate) fn now() -> String {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days.cast_signed());
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hours:02}{minutes:02}{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_as_in_the_example_of_aws() {
        // The case `get-vanilla` of the signature's test suite.
        let keys = AccessKey::new(
            "AKIDEXAMPLE".into(),
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            None,
        );
        let signed = Signed {
            host: "example.amazonaws.com",
            region: "us-east-1",
            service: "service",
            method: "GET",
            path: "/",
            query: "",
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
}
