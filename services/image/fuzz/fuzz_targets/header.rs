//! Any file, told by its pieces, gets a verdict: no panic, and no disk beyond the limit.

#![no_main]

#[allow(dead_code, reason = "the service uses more of it")]
#[path = "../../src/header/mod.rs"]
mod header;

use header::{inspect, pieces::Pieces};

const MOST: u64 = 1 << 40;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = Pieces::parse(bytes);
    if let Ok(found) = inspect(&file, file.size, MOST) {
        assert!(found.virtual_size_bytes > 0 && found.virtual_size_bytes <= MOST);
    }
});
