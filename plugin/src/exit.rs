//! Exit codes: what a script may branch on.

use overlay::error::{Error, ErrorKind};

/// Everything is as the overlay says.
pub const OK: u8 = 0;
/// Something failed.
pub const ERROR: u8 = 1;
/// `diff` found changes.
pub const CHANGES: u8 = 1;
/// The command line is wrong; for `diff` any failure, as with `kubectl diff`.
pub const USAGE: u8 = 2;
/// A field is owned by somebody else, and nothing of its object was written.
pub const CONFLICT: u8 = 3;
/// Objects would have been deleted that may not be.
pub const REFUSED: u8 = 4;
/// All is applied, but not all became healthy, or not in time.
pub const UNHEALTHY: u8 = 5;
/// The plan was declined, or the run was interrupted.
pub const CANCELLED: u8 = 6;

/// The code of a failed command.
#[must_use]
pub fn of(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Conflict => CONFLICT,
        ErrorKind::Refused => REFUSED,
        ErrorKind::Unhealthy => UNHEALTHY,
        ErrorKind::Cancelled => CANCELLED,
        _ => ERROR,
    }
}

/// The word for a code in summaries.
#[must_use]
pub fn name(code: u8) -> &'static str {
    match code {
        OK => "in-sync",
        CONFLICT => "conflict",
        REFUSED => "refused",
        UNHEALTHY => "unhealthy",
        CANCELLED => "cancelled",
        _ => "failed",
    }
}

/// The part of `sync --help` and `delete --help` that documents them.
pub const HELP: &str = "\
Exit codes:
  0  the cluster is as the overlay says
  1  something failed
  2  the command line is wrong
  3  a field is owned by somebody else; nothing of its object was written
  4  refused to delete
  5  applied, but not everything became healthy in time
  6  declined or interrupted";

/// The part of `diff --help` that documents them.
pub const DIFF_HELP: &str = "\
Exit codes:
  0   no changes
  1   changes
  >1  something failed";

/// The part of `flux diff --help` that shows how to use it.
pub const FLUX_DIFF_HELP: &str = "\
Examples:
  kubectl overlay flux diff
  kubectl overlay flux diff apps --revision origin/main...
  kubectl overlay flux diff apps --with-helm
  kubectl overlay flux diff clusters/production --revision v1.0..v1.1 -o json
  kubectl overlay flux diff clusters/production --live
  kubectl overlay flux diff kustomization apps --path ./apps

Exit codes:
  0   no changes
  1   changes
  >1  something failed";

/// The part of `status --help` that documents them.
pub const STATUS_HELP: &str = "\
Exit codes:
  0  every object is healthy
  1  something failed, or the overlay was never synced
  2  the command line is wrong
  5  not every object is healthy";
