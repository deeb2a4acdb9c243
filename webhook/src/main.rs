//! `overlay-webhook`: serves admission reviews.

fn main() {}
