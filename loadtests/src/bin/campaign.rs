//! The fault campaign.
fn main() {}
