//! An answer of Slack: what it says of the call, and how its JSON is read.

use bytes::Bytes;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Response;
use reqwest::header::{DATE, HeaderName, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::Error;
use super::error::Refusal;

/// What stands before the body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub status: u16,
    pub retry_after_secs: Option<u64>,
    /// The clock of the server, in Unix seconds.
    pub server_time: Option<i64>,
}

impl Head {
    pub fn of(response: &Response) -> Self {
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        Self {
            status: response.status().as_u16(),
            retry_after_secs: header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()),
            server_time: header(DATE).and_then(second),
        }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The Unix second of a date such as `Mon, 02 Mar 2026 08:00:00 GMT`.
fn second(date: &str) -> Option<i64> {
    let time = DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(time.as_second())
}

/// An answer that does not refuse the call.
#[derive(Debug)]
pub(super) struct Answer {
    pub body: Bytes,
    /// Whether it says `ok: true`. The Audit Logs API never says so, the Web API always.
    pub is_ok: bool,
    /// The clock of the server, in Unix seconds.
    pub server_time: Option<i64>,
}

impl Answer {
    /// Takes the answer for what its status and its body say.
    ///
    /// # Errors
    /// When the status is not 2xx, or the body says `ok: false`.
    pub fn judge(method: &str, head: Head, body: Bytes) -> Result<Self, Error> {
        let verdict = Verdict::read(&body);
        let ok = verdict.ok.as_bool();
        if head.is_success() && ok != Some(false) {
            return Ok(Self {
                body,
                is_ok: ok == Some(true),
                server_time: head.server_time,
            });
        }
        let needed = harmless(&verdict.needed, "_.-:,");
        let refusal = Refusal {
            status: head.status,
            code: harmless(&verdict.error, "_.-"),
            needed: Some(needed).filter(|needed| !needed.is_empty()),
            retry_after_secs: head.retry_after_secs,
        };
        Err(Error::refused(method, refusal))
    }
}

/// What a body says of the call. All of it may be absent: a token that is no good may be answered by an
/// empty body, a fault by a page of HTML.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Verdict {
    ok: Value,
    error: Value,
    needed: Value,
}

impl Verdict {
    fn read(body: &[u8]) -> Self {
        let verdict = is_object(body).then(|| serde_json::from_slice(body).ok());
        verdict.flatten().unwrap_or_default()
    }
}

/// The ASCII letters, digits and these marks of a text, the first 64 of them. They do no harm in a log
/// or on a terminal.
fn harmless(text: &Value, marks: &str) -> String {
    let is_harmless = |letter: &char| letter.is_ascii_alphanumeric() || marks.contains(*letter);
    let letters = text.as_str().unwrap_or_default().chars();
    letters.filter(is_harmless).take(64).collect()
}

/// What Slack adds to a list that may go on.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    next_cursor: Option<String>,
}

impl Metadata {
    /// Where the list goes on; an empty cursor means the end, like one that is missing.
    pub fn cursor(metadata: Option<Self>) -> Option<String> {
        metadata?.next_cursor.filter(|cursor| !cursor.is_empty())
    }
}

/// Reads the whole body as a JSON object of this form.
///
/// # Errors
/// When it is none. The reason tells where it departs from the form, and repeats none of its text.
pub(super) fn read<'a, T: Deserialize<'a>>(
    method: &str,
    body: &'a [u8],
    form: &str,
) -> Result<T, Error> {
    let departs = |problem: String, offset: usize| {
        let place = format!("byte {offset} of {}", body.len());
        Error::malformed(method, format!("it {problem}, at {place}"))
    };
    if !is_object(body) {
        return Err(departs(format!("is not {form}"), 0));
    }
    serde_json::from_slice(body).map_err(|error| {
        let problem = match error.classify() {
            Category::Eof => "ends too early".to_owned(),
            Category::Syntax | Category::Io => "is no JSON".to_owned(),
            Category::Data => format!("is not {form}"),
        };
        departs(problem, offset(body, &error))
    })
}

/// Whether it can be an object. `serde` takes an array for a structure, too.
fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// Where in the body the error is, in bytes. Its column counts bytes since the line break before.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    let before = lines.take(error.line().saturating_sub(1));
    before.map(<[u8]>::len).sum::<usize>() + error.column()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_http_has_it() {
        for (date, expected) in [
            ("Mon, 02 Mar 2026 08:00:00 GMT", Some(1_772_438_400)),
            ("Mon, 2 Mar 2026 09:00:00 +0100", Some(1_772_438_400)),
            ("2026-03-02T08:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(second(date), expected, "{date}");
        }
    }

    #[test]
    fn a_code_keeps_nothing_that_does_harm() {
        for (error, code) in [
            (r#""invalid_cursor""#, "invalid_cursor"),
            (r#""a\n\u001b[2J<b>\u202e""#, "a2Jb"),
            (r#"{"code": "x"}"#, ""),
            ("null", ""),
            (
                format!("\"{}\"", "x".repeat(500)).as_str(),
                "x".repeat(64).as_str(),
            ),
        ] {
            let body = format!(r#"{{"ok": false, "error": {error}}}"#);
            let head = Head {
                status: 200,
                ..Head::default()
            };
            let refused = Answer::judge("users.list", head, body.into()).unwrap_err();
            assert_eq!(refused.code(), code, "{error}");
        }
    }

    #[test]
    fn a_reason_tells_where_and_quotes_nothing() {
        #[derive(Debug, Deserialize)]
        struct Named {
            #[expect(dead_code, reason = "only whether it can be read counts")]
            name: u8,
        }
        for (body, expected) in [
            ("", "is not a name, at byte 0 of 0"),
            ("[5]", "is not a name, at byte 0 of 3"),
            ("<html>", "is not a name, at byte 0 of 6"),
            ("{\"name\":\n\"secret\"}", "is not a name, at byte 17 of 18"),
            ("{\n\n\"name\": 5", "ends too early, at byte 12 of 12"),
            ("{\"name\": secret}", "is no JSON, at byte 10 of 16"),
            ("{\"name\": 5} secret", "is no JSON, at byte 13 of 18"),
        ] {
            let error = read::<Named>("users.list", body.as_bytes(), "a name").unwrap_err();
            let expected = Error::malformed("users.list", format!("it {expected}"));
            assert_eq!(error, expected, "{body}");
        }
        assert!(read::<Named>("users.list", b" {\"name\": 5}\n", "a name").is_ok());
    }
}
