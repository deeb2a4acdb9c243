//! Percent signs in URLs.

/// A part of a URL: letters, digits, `-._~` and the characters of `kept` stay, all else is escaped.
///
/// Source: RFC 3986, 2.1 and 2.3.
#[cfg(feature = "remote")]
pub(crate) fn escaped(text: &str, kept: &str) -> String {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| match stays(byte) || kept.as_bytes().contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// The text of a part of a query, in which `+` is a blank; nothing where an escape is broken or what it
/// says is no UTF-8.
pub(crate) fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [char::from(rest.next()?), char::from(rest.next()?)];
                let digit = |at: usize| digits[at].to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit(0)? * 16 + digit(1)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_and_read_again() {
        let name = "a b/ü+c&d%.yaml";
        assert_eq!(escaped(name, "/"), "a%20b/%C3%BC%2Bc%26d%25.yaml");
        assert_eq!(unescaped(&escaped(name, "")).as_deref(), Some(name));
        assert_eq!(unescaped("a%2"), None);
        assert_eq!(unescaped("a%zz"), None);
        assert_eq!(unescaped("a%+f"), None);
        assert_eq!(unescaped("%FF"), None);
    }
}
