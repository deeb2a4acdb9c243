//! In place of `pgp` where the program is built without OpenPGP: no key is read, so no message is opened.

use zeroize::Zeroizing;

use super::{Fault, Step};

/// There is none.
pub(super) enum Identity {}

/// Refuses every export.
pub(super) fn identities(_: &[u8]) -> Step<Vec<Identity>> {
    let hint = "build it with the feature \"openpgp\"";
    Err(Fault::invalid("holds keys of OpenPGP, which this build does not read").hint(hint))
}

/// Opens nothing.
pub(super) fn open(_: &str, _: &[Identity]) -> Option<Zeroizing<Vec<u8>>> {
    None
}
