use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::*;
use crate::sink::http::Destination;

fn splunk(index: Option<&str>, channel: Option<[u8; 16]>) -> Splunk {
    let destination = Destination {
        url: "https://splunk.example:8088".parse().unwrap(),
        allow_private: false,
        ca: None,
    };
    let client = HttpClient::new(destination).ok().unwrap();
    let settings = Settings {
        token: SecretString::from("t0ken"),
        index: index.map(str::to_owned),
        host: index.map(|_| "slack.example".to_owned()),
        format: Format::Native,
        channel,
    };
    Splunk::new(client, settings).ok().unwrap()
}

#[test]
fn an_event_tells_its_time_and_what_it_is() {
    let found_at = 1_772_438_400_250_000;
    for (kind, record, index, expected) in [
        (
            Kind::Anomaly,
            r#"{"id":"a","event_time":"2026-03-02T07:59:58.000001Z"}"#,
            None,
            concat!(
                r#"{"time":1772438398.000001,"source":"gridwatch","sourcetype":"gridwatch:anomaly","#,
                r#""event":{"id":"a","event_time":"2026-03-02T07:59:58.000001Z","#,
                r#""envelope":{"found_at":"2026-03-02T08:00:00.25Z"}}}"#,
            ),
        ),
        (
            Kind::Event,
            r#"{"id":"e","date_create":1772438399}"#,
            Some("security"),
            concat!(
                r#"{"time":1772438399.000000,"host":"slack.example","source":"gridwatch","#,
                r#""sourcetype":"slack:audit","index":"security","#,
                r#""event":{"id":"e","date_create":1772438399}}"#,
            ),
        ),
        (
            Kind::Event,
            "no JSON",
            None,
            r#"{"time":1772438400.250000,"source":"gridwatch","sourcetype":"slack:audit","event":null}"#,
        ),
    ] {
        let delivery = Delivery {
            record: record.to_owned(),
            found_at,
            kind,
        };
        assert_eq!(splunk(index, None).event(&delivery), expected);
    }
}

#[test]
fn the_token_is_sent_and_not_shown() {
    let splunk = splunk(None, None);
    assert_eq!(splunk.headers[AUTHORIZATION], "Splunk t0ken");
    assert!(!format!("{:?}", splunk.headers).contains("t0ken"));
    assert_eq!(
        splunk.events.as_str(),
        "https://splunk.example:8088/services/collector/event"
    );
    assert_eq!(splunk.acknowledgments, None);
}

#[test]
fn a_channel_is_a_guid() {
    const GUID: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";
    assert_eq!(guid([0; 16]), "00000000-0000-4000-8000-000000000000");
    assert_eq!(guid([0xff; 16]), GUID);
    let splunk = splunk(None, Some([0xff; 16]));
    assert_eq!(splunk.headers["x-splunk-request-channel"], GUID);
    assert_eq!(
        splunk.acknowledgments.unwrap().as_str(),
        format!("https://splunk.example:8088/services/collector/ack?channel={GUID}")
    );
}

/// Answers as "Troubleshoot HTTP Event Collector" lists them, and as proxies in between give them.
#[test]
fn an_answer_tells_what_became_of_a_batch() {
    let splunk = splunk(None, None);
    for (status, body, expected) in [
        (200, r#"{"text":"Success","code":0}"#, "taken"),
        (200, r#"{"text":"Success","code":0,"ackId":3}"#, "taken"),
        (200, "<html>", "declined: "),
        (200, "<html>", "does not answer as Splunk does"),
        (403, r#"{"code":1}"#, "disabled"),
        (401, r#"{"code":2}"#, "no token"),
        (401, r#"{"code":3}"#, "cannot read the token"),
        (403, r#"{"code":4}"#, "does not know the token"),
        (400, r#"{"code":5}"#, "refused None"),
        (
            400,
            r#"{"code":6,"invalid-event-number":0}"#,
            "refused Some(0)",
        ),
        (400, r#"{"code":7,"invalid-event-number":1}"#, "index"),
        (500, r#"{"code":8}"#, "500 Internal Server Error"),
        (503, r#"{"code":9}"#, "busy"),
        (400, r#"{"code":10}"#, "acknowledge: true"),
        (400, r#"{"code":11}"#, "acknowledge: true"),
        (
            400,
            r#"{"code":12,"invalid-event-number":2}"#,
            "refused Some(2)",
        ),
        (
            400,
            r#"{"code":13,"invalid-event-number":2,"ackId":1}"#,
            "refused Some(2)",
        ),
        (400, r#"{"code":14}"#, "acknowledge: false"),
        (400, r#"{"code":16}"#, "without a query"),
        (400, r#"{"code":99}"#, "declined: "),
        (400, "<html>", "declined: "),
        (403, "<html>", "declined: "),
        (413, "<html>", "refused None"),
        (404, "", "404 Not Found"),
        (503, r#"{"code":23}"#, "503 Service Unavailable"),
    ] {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            body: body.as_bytes().to_vec(),
        };
        let found = match splunk.outcome(&answer, &Reply::of(&answer)) {
            Outcome::Taken => "taken".to_owned(),
            Outcome::Refused { at, .. } => format!("refused {at:?}"),
            Outcome::Declined(error) => format!("declined: {error}"),
            Outcome::Failed(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{status} {body}: {found}");
        assert!(!found.contains("html"), "{found}");
    }
}

#[test]
fn what_is_acknowledged_is_read() {
    let answer = Answer {
        status: StatusCode::OK,
        retry_after: None,
        body: br#"{"acks":{"3":true,"4":false}}"#.to_vec(),
    };
    let acks = Reply::of(&answer).acks;
    assert_eq!((acks["3"], acks["4"]), (true, false));
}

#[test]
fn a_body_is_compressed_events_one_after_the_other() {
    let splunk = splunk(None, None);
    let events: Vec<String> = (0..3)
        .map(|id| {
            splunk.event(&Delivery {
                record: format!("{{\"id\":\"{id}\"}}"),
                found_at: 0,
                kind: Kind::Event,
            })
        })
        .collect();
    let body = compressed(&events.concat()).unwrap();
    let mut text = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    let read = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let ids: Vec<Value> = read
        .map(|event| event.unwrap()["event"]["id"].clone())
        .collect();
    assert_eq!(ids, ["0", "1", "2"]);
}
