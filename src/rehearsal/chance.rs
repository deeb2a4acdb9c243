//! What the server draws at random: uids and the ends of generated names.

/// A sequence of numbers that looks random and is the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

/// The characters of generated names; without vowels, so that no words form.
///
/// Source: apimachinery `pkg/util/rand/rand.go`.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length that is left for the given part of a generated name: 63 less the five random characters.
///
/// Source: apiserver `pkg/storage/names/generate.go`.
const LONGEST_BASE: usize = 58;

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A UUID of version 4.
    pub(super) fn uid(&mut self) -> String {
        let high = self.next() & !0xf000 | 0x4000;
        let low = self.next() & !(0b11 << 62) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// A name that begins with `base`, cut so that it stays a label.
    pub(super) fn name(&mut self, base: &str) -> String {
        let mut end = base.len().min(LONGEST_BASE);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let mut name = base[..end].to_owned();
        for _ in 0..5 {
            let at = self.next() % ALPHABET.len() as u64;
            name.push(char::from(ALPHABET[at as usize]));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_names() {
        let (mut one, mut two) = (Chance::new(7), Chance::new(7));
        assert_eq!(one.uid(), two.uid());
        assert_eq!(one.name("web-"), two.name("web-"));
        assert_eq!(one.uid().len(), 36);
        assert_eq!(one.uid().as_bytes()[14], b'4');
    }

    #[test]
    fn long_bases_are_cut() {
        assert_eq!(Chance::new(1).name(&"é".repeat(80)).len(), 63);
    }
}
