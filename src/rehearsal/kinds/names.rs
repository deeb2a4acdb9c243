//! What names, keys and values may look like, in the server's words.
//!
//! Source: apimachinery `pkg/util/validation/validation.go`, `pkg/api/validation/generic.go`.

use std::net::IpAddr;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
     or '-', and must start and end with an alphanumeric character";
const LABEL_PATTERN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN_PATTERN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
     and end with an alphanumeric character";
const NAME_PART_PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// A sentence with examples and the pattern, as the server writes it.
fn sentence(text: &str, pattern: &str, examples: &[&str]) -> String {
    let list: Vec<_> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{text} (e.g. {}regex used for validation is '{pattern}')", list.join(" or "))
}

fn too_long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

fn too_many_bytes(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_lower(*first) && is_lower(*last) && bytes.iter().all(|&byte| is_lower(byte) || byte == b'-')
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && bytes.iter().all(inner)
}

/// `my-name`: a label of the DNS.
pub(super) fn dns_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !is_label(text) {
        let pattern = LABEL_PATTERN;
        if dns_1123_subdomain_pattern(text) {
            wrong.push("must not contain dots".to_owned());
        } else {
            wrong.push(sentence(LABEL, pattern, &["my-name", "123-abc"]));
        }
    }
    wrong
}

fn dns_1123_subdomain_pattern(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `example.com`: labels with dots between.
pub(super) fn dns_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !dns_1123_subdomain_pattern(text) {
        wrong.push(sentence(SUBDOMAIN, SUBDOMAIN_PATTERN, &["example.com"]));
    }
    wrong
}

/// A domain to search in, whose labels may have underscores.
pub(super) fn dns_subdomain_with_underscores(text: &str) -> Vec<String> {
    const MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
         characters, '_', '-' or '.', and must start and end with an alphanumeric character";
    const PATTERN: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    let label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        dns_1123_subdomain_pattern(&label.replace('_', "-"))
    };
    if !text.split('.').all(label) {
        wrong.push(sentence(MESSAGE, PATTERN, &["example.com"]));
    }
    wrong
}

/// `*.example.com`.
pub(super) fn wildcard_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !text.strip_prefix("*.").is_some_and(dns_1123_subdomain_pattern) {
        let what = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS \
                    subdomain, which must consist of lower case alphanumeric characters, '-' or \
                    '.' and end with an alphanumeric character";
        let pattern = format!(r"\*\.{SUBDOMAIN_PATTERN}");
        wrong.push(sentence(what, &pattern, &["*.example.com"]));
    }
    wrong
}

/// `my-name`, which must begin with a letter.
pub(super) fn dns_1035_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    let letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !letter || !is_label(text) {
        let what = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
                    start with an alphabetic character, and end with an alphanumeric character";
        wrong.push(sentence(what, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    wrong
}

/// `example.com/MyName`: the key of a label or an annotation.
pub(super) fn qualified_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let examples = ["MyName", "my.name", "123-abc"];
    let parts: Vec<_> = text.split('/').collect();
    let name = match *parts {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                let list = dns_subdomain(prefix).into_iter();
                wrong.extend(list.map(|message| format!("prefix part {message}")));
            }
            name
        }
        _ => {
            let what =
                sentence(&format!("a valid label key {NAME_PART}"), NAME_PART_PATTERN, &examples);
            wrong.push(format!(
                "{what} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return wrong;
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", too_many_bytes(63)));
    }
    if !is_name_part(name) {
        wrong.push(sentence(&format!("name part {NAME_PART}"), NAME_PART_PATTERN, &examples));
    }
    wrong
}

/// The value of a label.
pub(super) fn label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_many_bytes(63));
    }
    if !text.is_empty() && !is_name_part(text) {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, \
                    '-', '_' or '.', and must start and end with an alphanumeric character";
        let pattern = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
        wrong.push(sentence(what, pattern, &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// What may stand between the slashes of a URL: the least that a name must be.
pub(super) fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|part| text.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// A key of a ConfigMap or a Secret.
pub(super) fn config_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        let what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        wrong.push(sentence(what, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match text {
        "." => wrong.push("must not be '.'".to_owned()),
        ".." => wrong.push("must not be '..'".to_owned()),
        text if text.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// The name of an environment variable.
pub(super) fn env_name(text: &str) -> Vec<String> {
    if text.is_empty() || text.bytes().any(|byte| !(0x20..0x7f).contains(&byte) || byte == b'=') {
        let what = "a valid environment variable name must consist only of printable ASCII \
                    characters other than '='";
        return vec![what.to_owned()];
    }
    Vec::new()
}

/// The name of a port, as other objects refer to it.
pub(super) fn port_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 15 {
        wrong.push(too_long(15));
    }
    if text.is_empty() || !text.bytes().all(|byte| is_lower(byte) || byte == b'-') {
        wrong.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".to_owned());
    }
    wrong
}

/// The number of a port.
pub(super) fn port_number(number: i64) -> Vec<String> {
    if (1..=65535).contains(&number) {
        return Vec::new();
    }
    vec!["must be between 1 and 65535, inclusive".to_owned()]
}

/// The number of a user or a group.
pub(super) fn user_id(number: i64) -> Vec<String> {
    if (0..=i64::from(i32::MAX)).contains(&number) {
        return Vec::new();
    }
    vec!["must be between 0 and 2147483647, inclusive".to_owned()]
}

/// A domain with at least one dot, as webhooks are named.
pub(super) fn fully_qualified(text: &str) -> Vec<String> {
    let wrong = dns_subdomain(text);
    if !wrong.is_empty() {
        return wrong;
    }
    if text.split('.').count() < 3 {
        return vec![
            "should be a domain with at least three segments separated by dots".to_owned(),
        ];
    }
    wrong
}

/// What the server has against an address, unless it was there before.
///
/// Source: apimachinery `pkg/util/validation/ip.go`, `IsValidIPForLegacyField`.
pub(super) fn address_fault(text: &str) -> Option<&'static str> {
    match (sloppy_address(text), text.parse::<IpAddr>()) {
        (None, _) => Some(BAD_IP),
        (_, Err(_)) => Some("must not have leading 0s"),
        (_, Ok(IpAddr::V6(ip))) if ip.to_ipv4_mapped().is_some() => {
            Some("must not be an IPv4-mapped IPv6 address")
        }
        _ => None,
    }
}

/// An address as the server once read it: numbers may begin with zeros, and a mapped address is one of the older
/// family.
///
/// Source: k8s.io/utils `internal/third_party/forked/golang/net/ip.go`.
pub(super) fn sloppy_address(text: &str) -> Option<IpAddr> {
    let bare = |part: &str| {
        let digits = part.trim_start_matches('0');
        let bare = if digits.is_empty() && !part.is_empty() { "0" } else { digits };
        bare.to_owned()
    };
    let (begin, dotted) = match (text.rfind(':'), text.contains('.')) {
        (Some(at), true) => text.split_at(at + 1),
        (None, true) => ("", text),
        _ => (text, ""),
    };
    let dotted: Vec<_> = dotted.split('.').map(bare).collect();
    let ip: IpAddr = format!("{begin}{}", dotted.join(".")).parse().ok()?;
    Some(ip.to_canonical())
}

/// An IP address; the server's newer parser knows neither leading zeros nor mapped addresses.
pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// The address and the length of the prefix of a network, as the server once read them.
pub(super) fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let most = if address.contains(':') { 128 } else { 32 };
    let address = sloppy_address(address)?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    (length <= most).then_some((address, length))
}

/// What the server has against a network, unless it was there before.
///
/// Source: apimachinery `pkg/util/validation/ip.go`, `IsValidCIDRForLegacyField`.
pub(super) fn network_fault(text: &str) -> Option<&'static str> {
    let Some((_, length)) = cidr(text) else { return Some(BAD_CIDR) };
    let (address, digits) = text.split_once('/')?;
    let has_zero = digits.len() > 1 && digits.starts_with('0');
    let (ip, size) = match address.parse() {
        Ok(IpAddr::V4(ip)) if !has_zero => (u128::from(ip.to_bits()), 32),
        Ok(IpAddr::V6(ip)) if !has_zero && ip.to_ipv4_mapped().is_some() => {
            return Some("must not have an IPv4-mapped IPv6 address");
        }
        Ok(IpAddr::V6(ip)) if !has_zero => (ip.to_bits(), 128),
        _ => return Some("must not have leading 0s in IP or prefix length"),
    };
    let beyond = size - u32::from(length);
    let rest = ip & 1_u128.checked_shl(beyond).map_or(u128::MAX, |bit| bit - 1);
    (rest != 0).then_some("must not have bits set beyond the prefix length")
}

/// In refusals of addresses.
pub(super) const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// In refusals of networks.
pub(super) const BAD_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// A `generateName` as the server looks at it: with a letter for the dash that it ends with.
pub(super) fn mask_trailing_dash(name: &str) -> String {
    if name.len() < 2 || !name.ends_with('-') {
        return name.to_owned();
    }
    let mut kept = name.len() - 2;
    while !name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}a", &name[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_dots_is_told_so() {
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert!(dns_label("a-b").is_empty());
        assert_eq!(dns_label("A").len(), 1);
    }

    #[test]
    fn keys_have_at_most_one_slash() {
        assert!(qualified_name("example.com/Name").is_empty());
        assert!(qualified_name("a/b/c")[0].ends_with("(e.g. 'example.com/MyName')"));
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
    }

    #[test]
    fn networks_need_a_length() {
        assert!(cidr("10.0.0.0/8").is_some() && network_fault("10.0.0.0/8").is_none());
        for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "/8"] {
            assert_eq!((cidr(wrong), network_fault(wrong)), (None, Some(BAD_CIDR)), "{wrong}");
        }
        for (odd, fault) in [
            ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
            ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
            ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
            ("fd00::1/0", "must not have bits set beyond the prefix length"),
            ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ] {
            assert_eq!(network_fault(odd), Some(fault), "{odd}");
        }
        assert_eq!((network_fault("0.0.0.0/0"), network_fault("::/0")), (None, None));
    }
}
