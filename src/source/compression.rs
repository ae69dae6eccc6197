//! Gzip and zstd, recognised by their first bytes.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 1 << 20;

/// Decompresses what begins like gzip or zstd, and passes on all else as it is; chosen by the first
/// bytes, however small the pieces in which they arrive. Zstd may look back so far, as a power of 2,
/// which is what it costs in memory.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn decompress(
    mut input: impl Read + Send + 'static,
    window_log: u32,
) -> io::Result<Box<dyn Read + Send>> {
    let mut first = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut first)?;
    let is_gzip = first.starts_with(&[0x1f, 0x8b]);
    let is_zstd = matches!(
        first[..],
        // A frame, or one to be skipped, with which some compressors begin.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18]
    );
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(first).chain(input));
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else if is_zstd {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
        decoder.window_log_max(window_log)?;
        Box::new(decoder)
    } else {
        Box::new(whole)
    })
}
