//! Any file, told by its pieces, gets a verdict: no panic, and no disk beyond the limit. What is done stands in the
//! module itself, so that its tests do the same on the stable toolchain.

#![no_main]

#[allow(dead_code, reason = "the service uses more of it")]
#[path = "../../src/header/mod.rs"]
mod header;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = header::pieces::judged(bytes);
});
