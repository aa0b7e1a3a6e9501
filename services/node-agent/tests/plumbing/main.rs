//! Networks on real links, each test in network namespaces made for it, in one program: linking each by itself takes
//! longer than running it. Needs root, as the agent does.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by unwrapping")]

mod client;
mod client6;
mod dhcp;
mod guard;
mod inside;
mod overlay;
mod segment;
mod shell;
