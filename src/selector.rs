//! Which resources a patch or replacement is meant for.
