//! Where events come from: bytes, decompressed, and nothing of what they say.

pub mod file;
