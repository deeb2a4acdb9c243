//! Bytes in text, found with what every processor of an architecture has.
//!
//! The functions of [`memchr`] ask once what else the processor can do. On a virtual machine each of these two
//! dozen questions goes to whoever runs it, which together takes a thirtieth of a small build: longer than
//! all that is found faster by the answers.

#[cfg(target_arch = "x86_64")]
use memchr::arch::x86_64::sse2::{
    memchr::{One, Three, Two},
    packedpair::Finder,
};

/// Where the first `byte` is.
#[inline]
#[must_use]
pub fn byte(byte: u8, text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(one) = One::new(byte) {
        return one.find(text);
    }
    memchr::memchr(byte, text)
}

/// Where the last `byte` is.
#[inline]
#[must_use]
pub fn last_byte(byte: u8, text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(one) = One::new(byte) {
        return one.rfind(text);
    }
    memchr::memrchr(byte, text)
}

/// How often there is `byte`.
#[inline]
#[must_use]
pub fn count(byte: u8, text: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(one) = One::new(byte) {
        return one.count(text);
    }
    memchr::memchr_iter(byte, text).count()
}

/// Where the first of two bytes is.
#[inline]
#[must_use]
pub fn either(bytes: [u8; 2], text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(two) = Two::new(bytes[0], bytes[1]) {
        return two.find(text);
    }
    memchr::memchr2(bytes[0], bytes[1], text)
}

/// Where all of two bytes are.
pub fn each_of(bytes: [u8; 2], text: &[u8]) -> impl Iterator<Item = usize> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + either(bytes, text.get(from..)?)?;
        from = at + 1;
        Some(at)
    })
}

/// Where the first of three bytes is.
#[inline]
#[must_use]
pub fn any(bytes: [u8; 3], text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(three) = Three::new(bytes[0], bytes[1], bytes[2]) {
        return three.find(text);
    }
    memchr::memchr3(bytes[0], bytes[1], bytes[2], text)
}

/// Where the first `part` begins.
#[inline]
#[must_use]
pub fn part(part: &[u8], text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(finder) = Finder::new(part) {
        return match text.len() >= finder.min_haystack_len() {
            true => finder.find(text, part),
            false => text.windows(part.len()).position(|window| window == part),
        };
    }
    memchr::memmem::find(text, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of all lengths around those of vectors, with what is looked for in every place.
    #[test]
    fn finds_what_memchr_finds() {
        for length in 0..70 {
            for at in 0..=length {
                let mut text = vec![b'.'; length];
                text.get_mut(at..)
                    .into_iter()
                    .flatten()
                    .zip(b"\n---")
                    .for_each(|(to, of)| *to = *of);
                assert_eq!(byte(b'\n', &text), memchr::memchr(b'\n', &text));
                assert_eq!(last_byte(b'-', &text), memchr::memrchr(b'-', &text));
                assert_eq!(count(b'-', &text), memchr::memchr_iter(b'-', &text).count());
                assert_eq!(either(*b"-\n", &text), memchr::memchr2(b'-', b'\n', &text));
                assert!(each_of(*b"-\n", &text).eq(memchr::memchr2_iter(b'-', b'\n', &text)));
                assert_eq!(any(*b"\r-\n", &text), memchr::memchr3(b'\r', b'-', b'\n', &text));
                for parts in [&b"\n---"[..], b"--", b"-", b"", b"..\n"] {
                    assert_eq!(part(parts, &text), memchr::memmem::find(&text, parts));
                }
            }
        }
    }
}
