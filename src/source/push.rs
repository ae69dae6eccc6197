//! Events that somebody sends, a request at a time.

use std::io::{Cursor, Read};

use bytes::Bytes;

use super::compression::decompress;
use crate::event::frame::{Chunk, Framer};

/// How far back zstd may look, as a power of 2: 8 MiB, as every encoder does unless it is told
/// otherwise.
const WINDOW_LOG: u32 = 23;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 2 << 20;

/// How a request is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As its first bytes say.
    Detected,
    /// Not at all.
    Identity,
    Gzip,
    Zstd,
}

/// Why a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("more than {limit} bytes when decompressed; send fewer events at a time")]
    TooLarge { limit: u64 },
    #[error("it is no {0}, as it says it is")]
    Mislabelled(&'static str),
    #[error("it cannot be decompressed: {0}; send it whole, as gzip, zstd or plain")]
    Broken(std::io::Error),
}

/// Cuts a request into chunks of whole events; gives them with their size in bytes.
///
/// # Errors
/// When it cannot be decompressed, or is larger than `limit` bytes then.
pub fn cut(body: Bytes, coding: Coding, limit: u64) -> Result<(Vec<Chunk>, u64), Error> {
    let mut framer = Framer::new(CHUNK_BYTES);
    let mut chunks = Vec::new();
    let mut bytes = 0;
    let mut push = |piece: &[u8], chunks: &mut Vec<Chunk>| {
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(Error::TooLarge { limit });
        }
        framer.push(piece, chunks);
        Ok(())
    };
    let is = |magic: &[u8]| body.starts_with(magic);
    match coding {
        Coding::Gzip if !is(&[0x1f, 0x8b]) => return Err(Error::Mislabelled("gzip")),
        Coding::Zstd if !is(&[0x28, 0xb5, 0x2f, 0xfd]) => return Err(Error::Mislabelled("zstd")),
        Coding::Identity => push(&body, &mut chunks)?,
        Coding::Detected | Coding::Gzip | Coding::Zstd => {
            let mut reader = decompress(Cursor::new(body), WINDOW_LOG).map_err(Error::Broken)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match reader.read(&mut buffer).map_err(Error::Broken)? {
                    0 => break,
                    read => push(&buffer[..read], &mut chunks)?,
                }
            }
        }
    }
    framer.finish(&mut chunks);
    Ok((chunks, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::frame::spans;

    const TEXT: &[u8] = b"{\"id\":\"1\"}\n{\"id\":\"2\"}\n";

    #[test]
    fn a_small_request_that_grows_is_stopped() {
        let zeros = zstd::stream::encode_all(&vec![b' '; 1 << 24][..], 3).unwrap();
        assert!(zeros.len() < 10_000);
        let error = cut(zeros.into(), Coding::Detected, 1 << 20).unwrap_err();
        assert!(
            matches!(error, Error::TooLarge { limit: 1_048_576 }),
            "{error}"
        );
    }

    #[test]
    fn every_form_gives_the_same_events() {
        let zipped = zstd::stream::encode_all(TEXT, 3).unwrap();
        let plain = TEXT.to_vec();
        for body in [zipped.clone(), plain] {
            let (chunks, bytes) = cut(body.into(), Coding::Detected, 1 << 20).unwrap();
            assert_eq!(chunks.iter().flat_map(spans).count(), 2);
            assert_eq!(bytes, TEXT.len() as u64);
        }
        let cut_off = zipped[..zipped.len() - 3].to_vec();
        assert!(matches!(
            cut(cut_off.into(), Coding::Detected, 1 << 20),
            Err(Error::Broken(_))
        ));
    }
}
