//! The Audit Logs API: events of the organisation, a page at a time.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Metadata, read};
use super::{Client, Error};

/// Entries that Slack lets one call ask for at most.
pub const MOST_ENTRIES: u16 = 9_999;

/// The name of the call in errors.
const METHOD: &str = "audit logs";

/// What to ask for. Slack's cursor does not remember it, so it goes along with every page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Unix seconds. Events of this second are in.
    pub oldest: Option<i64>,
    /// Unix seconds. Events of this second are in.
    pub latest: Option<i64>,
    /// Entries of a page, [`MOST_ENTRIES`] at most; 0 leaves it to Slack. A page may hold more, when
    /// several events happened in its last second.
    pub limit: u16,
    /// [`Page::next_cursor`] of the page before.
    pub cursor: Option<String>,
}

/// One page, the newest event first.
#[derive(Clone, Debug)]
pub struct Page {
    /// As Slack sent it: JSON with an array `entries`.
    pub body: Bytes,
    /// How many entries there are, whatever they look like. A page in the middle may have none.
    pub entries: usize,
    /// The latest `date_create` of its entries, in Unix seconds; `None` if none of them has one.
    pub newest: Option<i64>,
    /// The earliest one.
    pub oldest: Option<i64>,
    /// What to ask for the page of older events with; `None` on the last page.
    pub next_cursor: Option<String>,
    /// Slack's clock when it answered, in Unix seconds.
    pub server_time: Option<i64>,
}

impl Page {
    /// Reads what a page holds, without a copy of it. Entries are not judged: one that is no event
    /// counts among the entries, and for no time.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the body is not one whole JSON object with an array `entries`.
    pub fn parse(body: Bytes, server_time: Option<i64>) -> Result<Self, Error> {
        let envelope: Envelope<'_> = read(METHOD, &body, "an object with an array `entries`")?;
        let entries = envelope.entries.len();
        let seconds: Vec<i64> = envelope.entries.into_iter().filter_map(second).collect();
        let next_cursor = Metadata::cursor(envelope.response_metadata);
        Ok(Self {
            body,
            entries,
            newest: seconds.iter().copied().max(),
            oldest: seconds.iter().copied().min(),
            next_cursor,
            server_time,
        })
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
    response_metadata: Option<Metadata>,
}

/// When the entry happened, in Unix seconds, which may be written as a string.
fn second(entry: &RawValue) -> Option<i64> {
    #[derive(Deserialize)]
    struct Dated<'a> {
        #[serde(borrow)]
        date_create: &'a RawValue,
    }
    // `serde` takes an array for a structure, too.
    let text = Some(entry.get()).filter(|text| text.starts_with('{'))?;
    let dated: Dated<'_> = serde_json::from_str(text).ok()?;
    dated.date_create.get().trim_matches('"').parse().ok()
}

impl Client {
    /// Asks for a page of events; the API counts calls for the whole organisation, some 50 a minute.
    ///
    /// # Errors
    /// Any [`Error`]. A cursor that is too old is [`Error::Refused`] with the code `invalid_cursor`,
    /// where Slack says one.
    pub async fn logs(&self, query: &Query) -> Result<Page, Error> {
        let limit = Some(query.limit.min(MOST_ENTRIES)).filter(|limit| *limit > 0);
        let parameters = [
            ("oldest", query.oldest.map(|second| second.to_string())),
            ("latest", query.latest.map(|second| second.to_string())),
            ("limit", limit.map(|limit| limit.to_string())),
            ("cursor", query.cursor.clone()),
        ];
        let answer = self.get(METHOD, "logs", &parameters).await?;
        Page::parse(answer.body, answer.server_time)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> Result<Page, Error> {
        Page::parse(Bytes::copy_from_slice(body.as_bytes()), None)
    }

    #[test]
    fn a_cursor_that_says_nothing_is_the_end() {
        for (rest, cursor) in [
            ("", None),
            (r#","response_metadata":null"#, None),
            (r#","response_metadata":{}"#, None),
            (r#","response_metadata":{"next_cursor":null}"#, None),
            (r#","response_metadata":{"next_cursor":""}"#, None),
            (
                r#","response_metadata":{"next_cursor":"bmV4dA==","warnings":[]}"#,
                Some("bmV4dA=="),
            ),
        ] {
            let page = parse(&format!(r#"{{"entries":[]{rest}}}"#)).unwrap();
            assert_eq!(page.next_cursor.as_deref(), cursor, "{rest}");
            assert_eq!((page.entries, page.newest, page.oldest), (0, None, None));
        }
    }

    #[test]
    fn entries_without_a_time_count_for_no_time() {
        for (entry, expected) in [
            (r#"{"date_create":5}"#, Some(5)),
            (r#"{"x":[{}],"date_create": "5" ,"y":"\ud800"}"#, Some(5)),
            (r#"{"date_create":-5}"#, Some(-5)),
            (r#"{"date_create":5.5}"#, None),
            (r#"{"date_create":99999999999999999999}"#, None),
            (r#"{"date_create":"today"}"#, None),
            (r#"{"date_create":null}"#, None),
            (r#"{"id":"1"}"#, None),
            ("[5]", None),
            ("5", None),
            ("null", None),
        ] {
            let page = parse(&format!(r#"{{"entries":[{entry}]}}"#)).unwrap();
            assert_eq!(page.entries, 1, "{entry}");
            assert_eq!((page.newest, page.oldest), (expected, expected), "{entry}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for body in [
            "",
            "null",
            "<html>",
            "{}",
            r#"{"ok":true}"#,
            r#"{"entries":{}}"#,
            r#"{"entries":null}"#,
            r#"[[{"date_create":5}],null]"#,
            r#"{"entries":[]} {"entries":[]}"#,
            r#"{"entries":[{]}"#,
            r#"{"entries":[],"response_metadata":{"next_cursor":5}}"#,
        ] {
            let error = parse(body).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{body}: {error}");
        }
    }

    fn page(seconds: &[i64], cursor: &str) -> String {
        let entry = |second: &i64| json!({"id": "ä\"", "date_create": second, "details": {}});
        let entries: Vec<_> = seconds.iter().map(entry).collect();
        json!({"entries": entries, "response_metadata": {"next_cursor": cursor}}).to_string()
    }

    proptest! {
        #[test]
        fn a_page_tells_its_times_and_its_cursor(
            seconds in proptest::collection::vec(any::<i64>(), 0..9),
            cursor in "[a-zA-Z0-9+/=]{1,20}",
        ) {
            let body = page(&seconds, &cursor);
            let page = parse(&body).unwrap();
            prop_assert_eq!(page.entries, seconds.len());
            prop_assert_eq!(page.newest, seconds.iter().copied().max());
            prop_assert_eq!(page.oldest, seconds.iter().copied().min());
            prop_assert_eq!(page.next_cursor, Some(cursor));
            prop_assert_eq!(page.body, body);
        }

        #[test]
        fn a_page_that_is_cut_off_is_no_page(
            seconds in proptest::collection::vec(any::<i64>(), 0..4),
        ) {
            let body = Bytes::from(page(&seconds, "bmV4dA=="));
            for end in 0..body.len() {
                prop_assert!(Page::parse(body.slice(..end), None).is_err(), "cut at {}", end);
            }
        }

        #[test]
        fn any_bytes_are_a_page_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            entries in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,40}",
        ) {
            let mut inside = b"{\"entries\":[".to_vec();
            inside.extend_from_slice(&bytes);
            for body in [bytes, inside, format!("{{\"entries\":[{entries}]}}").into_bytes()] {
                let size = body.len();
                if let Ok(page) = Page::parse(body.into(), Some(1)) {
                    prop_assert!(page.entries <= size && page.server_time == Some(1));
                }
            }
        }
    }
}
