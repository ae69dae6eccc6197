//! Where events come from: bytes, decompressed, and nothing of what they say.

mod compression;
pub mod file;
pub mod page;
pub mod push;
pub mod slack;
