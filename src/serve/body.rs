//! Bodies are held in memory: each up to its route's limit, and all of them up to a common one.

use axum::body::{Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Refusal;

/// What all bodies together may take. A body that does not tell its length counts as the longest.
const ALL_KIB: usize = 256 << 10;

/// When to come again if there is no room. Room comes with the next commit.
const RETRY_SECS: u64 = 1;

/// Room for all bodies together; one permit is one KiB.
pub(super) fn room() -> Semaphore {
    Semaphore::new(ALL_KIB)
}

/// The whole body, and the room that it takes for as long as the permit is kept.
pub(super) async fn read(
    mut request: Request,
    limit: usize,
    room: &Semaphore,
) -> Result<(Bytes, SemaphorePermit<'_>), Refusal> {
    let too_large = || Refusal::TooLarge {
        limit_bytes: limit as u64,
    };
    let length = request.body().size_hint().exact();
    let length = length.unwrap_or(limit as u64);
    if length > limit as u64 {
        return Err(too_large());
    }
    let kib = u32::try_from(length.div_ceil(1 << 10)).map_err(|_| too_large())?;
    let permit = room.try_acquire_many(kib).map_err(|_| Refusal::Busy {
        retry_after_secs: RETRY_SECS,
    })?;
    DefaultBodyLimit::max(limit).apply(&mut request);
    match Bytes::from_request(request, &()).await {
        Ok(bytes) => Ok((bytes, permit)),
        Err(fault) if fault.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Err(_) => Err(Refusal::Malformed {
            reason: "it broke off; send it again".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;

    use super::*;

    /// A body that tells its length, and one that does not.
    fn requests(text: &'static str) -> [Request; 2] {
        let chunk = Ok::<_, Infallible>(text);
        let stream = futures::stream::iter([chunk]);
        [Body::from(text), Body::from_stream(stream)].map(Request::new)
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let room = room();
        for request in requests("0123456789") {
            let (bytes, _permit) = read(request, 10, &room).await.unwrap();
            assert_eq!(&bytes[..], b"0123456789");
        }
        for request in requests("0123456789") {
            let refused = read(request, 9, &room).await.unwrap_err();
            assert_eq!(refused, Refusal::TooLarge { limit_bytes: 9 });
        }
        assert_eq!(room.available_permits(), ALL_KIB);
    }

    #[tokio::test]
    async fn all_bodies_share_their_room() {
        let room = Semaphore::new(2);
        let [told, untold] = requests("text");
        let kept = read(told, 2 << 10, &room).await.unwrap();
        assert_eq!(room.available_permits(), 1);
        let refused = read(untold, 2 << 10, &room).await.unwrap_err();
        let busy = Refusal::Busy {
            retry_after_secs: RETRY_SECS,
        };
        assert_eq!(refused, busy);
        drop(kept);
        let [_, untold] = requests("text");
        assert!(read(untold, 2 << 10, &room).await.is_ok());
    }
}
