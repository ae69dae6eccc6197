use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// What came out of an input: the events as (text, line, offset), and what was refused.
#[derive(Debug, Default, PartialEq)]
struct Framed {
    events: Vec<(Vec<u8>, u64, u64)>,
    refused: Vec<Refused>,
}

/// Frames the pieces and checks every event against the input it came from.
fn frame(pieces: &[&[u8]], target: usize) -> Framed {
    let mut chunks = Vec::new();
    let mut framer = Framer::new(target);
    for piece in pieces {
        framer.push(piece, &mut chunks);
    }
    framer.finish(&mut chunks);
    let input = pieces.concat();
    let mut framed = Framed::default();
    for chunk in &mut chunks {
        for span in spans(chunk) {
            let text = chunk.bytes[span.start..span.end].to_vec();
            let offset = span.offset as usize;
            assert_eq!(text, &input[offset..offset + text.len()]);
            let before = input[..offset].iter().filter(|&&byte| byte == b'\n');
            assert_eq!(span.line, 1 + before.count() as u64);
            framed.events.push((text, span.line, span.offset));
        }
        framed.refused.append(&mut chunk.refused);
    }
    for refused in &framed.refused {
        assert!(refused.text.len() <= KEPT_BYTES && refused.text.len() as u64 <= refused.bytes);
        let rest = &input[refused.offset as usize..];
        assert!(rest.starts_with(&refused.text) && rest.len() as u64 >= refused.bytes);
    }
    framed
}

fn cut<'a>(input: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places
        .iter()
        .map(|place| place.index(input.len() + 1))
        .collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in places.into_iter().chain([input.len()]) {
        pieces.push(&input[start..end]);
        start = end;
    }
    pieces
}

/// Frames the input whole and byte by byte; gives events and refused pieces as text.
fn check(input: &str) -> (Vec<String>, Vec<String>) {
    let framed = frame(&[input.as_bytes()], 1 << 20);
    let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
    assert_eq!(frame(&bytes, 64), framed, "cut into bytes: {input:?}");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let events = framed.events.iter().map(|event| text(&event.0));
    let refused = framed.refused.iter().map(|refused| {
        let (line, reason) = (refused.line, &refused.reason);
        format!("{line}: {reason}: {}", text(&refused.text))
    });
    (events.collect(), refused.collect())
}

const A: &str = r#"{"id":"a","x":{"y":[1,"}]\"{"]}}"#;
const B: &str = r#"{"id":"b"}"#;

#[test]
fn every_form_gives_its_events() {
    let pretty = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    let array = format!("[{A},{B}]");
    let page = format!(r#"{{"entries":[{A},{B}],"response_metadata":{{"next_cursor":""}}}}"#);
    let late = format!(r#"{{"ok":true,"response_metadata":{{"n":[]}},"entries" : [{A},{B}]}}"#);
    let forms = [
        format!("{A}\n{B}\n"),
        format!("{A}\r\n\r\n  \r\n{B}"),
        format!("\u{feff}{A}\n\n\n \t{B} \t\n"),
        format!("\n \n\u{feff}{A}\n\u{feff}{B}\n"),
        format!("{A}{B}"),
        format!("{A} {B}\n"),
        format!("{A},\n{B},\n"),
        array.clone(),
        format!("\u{feff}  {array}\n"),
        format!("[\n{A},\n{B}\n]\n"),
        format!("[{A}] [{B}]"),
        format!("[{A}]\n[]\n\n[{B}]\n"),
        page.clone(),
        late.clone(),
        format!("{{\n\"entries\"\n:\n[\n{A}\n,\n{B}\n]\n}}\n"),
        format!("{{\"entries\":[{A}]}}\n{{\"entries\":[]}}\n{{\"entries\":[{B}]}}\n"),
        format!("[{{\"entries\":[{A}]}},{{\"entries\":[{B}]}}]"),
        format!("{A}\n[{B}]\n"),
        format!("{A}\n{{ \"entries\": [\n{B}\n]}}\n"),
        format!("[{A}]\n{B}\n"),
        format!("{{\"entries\":[{A}]}}\n{B}\n"),
        format!("{{\"entries\":[{A}]}}\n\u{feff}{{\"entries\":[{B}]}}\n"),
        format!(r#"{{"entries":[{A}],"entries":[{B}]}}"#),
    ];
    for input in forms {
        let expected = vec![A.to_owned(), B.to_owned()];
        assert_eq!(check(&input), (expected, vec![]), "{input:?}");
    }
    for input in [&array, &page, &late] {
        let (events, refused) = check(&pretty(input));
        let events: Vec<serde_json::Value> = events
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect();
        let expected: Vec<serde_json::Value> = [A, B]
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect();
        assert_eq!((events, refused), (expected, vec![]), "{input}");
    }
}

#[test]
fn one_event_may_be_a_document() {
    let inputs = [
        "{\n  \"id\": \"a\",\n  \"entries\": null\n}",
        "{\n\"id\":\"a\",\"details\":{\"entries\":[{\"x\":1}]}\n}",
        "{\n\"x\":\"entries\",\"y\":[\"entries\",[{}]]\n}",
    ];
    for input in inputs {
        assert_eq!(check(input), (vec![input.to_owned()], vec![]));
    }
}

#[test]
fn what_is_broken_costs_itself() {
    let table: [(String, &[&str], &[&str]); 19] = [
        // In lines every line is left to the decoder, whatever it holds.
        (
            format!("{A}\nwhat\n{{\"id\":\n{B}\n"),
            &[A, "what", "{\"id\":", B],
            &[],
        ),
        (format!("what\n{A}\n"), &["what", A], &[]),
        (format!("{{not json}}\n{A}\n"), &["{not json}", A], &[]),
        (format!("{{\"cut\n{A}\n"), &["{\"cut", A], &[]),
        (
            format!("{{\"id\":\"cut\"\n{A}\n{B}\n"),
            &[A, B],
            &["1: the object does not end before the next begins: {\"id\":\"cut\""],
        ),
        (
            format!("{A}\n[INFO] started\n{B}\n"),
            &[A, B],
            &[
                "2: an element that is not an object: INFO",
                "2: neither an event nor a page: started",
            ],
        ),
        (
            format!("{A}\n[INFO\n{B}\n"),
            &[A, B],
            &[
                "2: an element that is not an object: INFO",
                "4: the input ends inside an array: ",
            ],
        ),
        (
            format!("[{A}, 17 ,\"x,]\", null,[{B}],{B}]"),
            &[A, B],
            &[
                "1: an element that is not an object: 17",
                "1: an element that is not an object: \"x,]\"",
                "1: an element that is not an object: null",
                "1: an element that is not an object: [{\"id\":\"b\"}]",
            ],
        ),
        (
            format!("[{A}] \n what else \r\n[{B}]}}"),
            &[A, B],
            &[
                "2: neither an event nor a page: what else",
                "3: neither an event nor a page: }",
            ],
        ),
        (
            format!("[\n{{\"id\":\"cut,\n{A},\n{B}]"),
            &[A, B],
            &["2: a string does not end on its line: {\"id\":\"cut,"],
        ),
        (
            format!("[\n{{\"id\":[}},{B},\n{A}]"),
            &[A],
            &["2: brackets that do not match: {\"id\":[},{\"id\":\"b\"},"],
        ),
        (
            format!("[{A},{B}"),
            &[A, B],
            &["1: the input ends inside an array: "],
        ),
        (
            format!("{{\"entries\":[{A},\n{{\"id\":\"c\",\"x"),
            &[A],
            &["2: the input ends inside an object: {\"id\":\"c\",\"x"],
        ),
        (
            format!("{{\"entries\":[{A},{B}],\"response_"),
            &[A, B],
            &["1: the input ends inside a page: ,\"response_"],
        ),
        (
            format!("{{\"entries\":[{A},{B},"),
            &[A, B],
            &["1: the input ends inside a page: "],
        ),
        (
            format!("{{\"entries\":[{A}\n{{\"entries\":[{B}]}}\n"),
            &[A, B],
            &[],
        ),
        (
            "{\n\"id\": 1".to_owned(),
            &[],
            &["1: the input ends inside an object: {\n\"id\": 1"],
        ),
        ("\u{feff}".to_owned(), &[], &[]),
        (
            format!("[{A}]\n\u{f8ff}\n[{B}]"),
            &[A, B],
            &["2: neither an event nor a page: \u{f8ff}"],
        ),
    ];
    for (input, events, refused) in table {
        let (found, lost) = check(&input);
        assert_eq!(found, events, "{input:?}");
        assert_eq!(lost, refused, "{input:?}");
    }
}

#[test]
fn depth_costs_nothing_but_the_check_of_brackets() {
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    let input = format!("[{deep},{A}]");
    assert_eq!(check(&input), (vec![deep, A.to_owned()], vec![]));
}

/// An event of exactly so many bytes, an odd number.
fn event_of(bytes: usize) -> String {
    format!(r#"{{"id":"{}"}}"#, "é".repeat((bytes - 9) / 2))
}

/// Frames the input whole, in halves and in pieces of 1000 bytes.
fn check_long(input: &str) -> Framed {
    let framed = frame(&[input.as_bytes()], 1 << 16);
    for size in [1000, input.len() / 2] {
        let pieces: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
        assert_eq!(frame(&pieces, 1 << 21), framed);
    }
    framed
}

#[test]
fn the_limit_is_per_event() {
    let fits = event_of(MAX_EVENT_BYTES - 1);
    let exceeds = event_of(MAX_EVENT_BYTES + 1);
    assert_eq!(exceeds.len(), MAX_EVENT_BYTES + 1);
    let beginning = Refused::new(Place::FIRST, exceeds.len() as u64, "", exceeds.as_bytes()).text;
    assert!(beginning.len() < KEPT_BYTES && std::str::from_utf8(&beginning).is_ok());

    let page = format!(r#"{{"entries":[{fits},{exceeds},{B}]}}"#);
    let table = [
        (
            format!("{A}\n{fits}\n{exceeds}\n{B}\n"),
            "line",
            3,
            vec![A, &fits, B],
        ),
        (
            format!("{A}\n{fits}\n{B}\n{exceeds}"),
            "line",
            4,
            vec![A, &fits, B],
        ),
        (
            format!("{exceeds}\n{A}\n{fits}\n{B}"),
            "event",
            1,
            vec![A, &fits, B],
        ),
        (
            format!("[{A},{fits},{exceeds},{B}]"),
            "event",
            1,
            vec![A, &fits, B],
        ),
        (page.clone(), "event", 1, vec![&fits, B]),
        (
            format!("{A}\n{page}\n{A}\n"),
            "event",
            2,
            vec![A, &fits, B, A],
        ),
        (
            format!("[{A}]\n{exceeds}\n{fits}\n{B}\n"),
            "event",
            2,
            vec![A, &fits, B],
        ),
    ];
    for (input, what, line, events) in table {
        let framed = check_long(&input);
        let found = framed.events.iter().map(|event| &event.0[..]);
        assert!(found.eq(events.iter().map(|event| event.as_bytes())));
        let [refused] = &framed.refused[..] else {
            panic!("{:?}", framed.refused);
        };
        let reason = format!("the {what} has 1048577 bytes, more than the 1048576 allowed");
        assert_eq!((&refused.reason, refused.bytes), (&reason, 1_048_577));
        assert_eq!((&refused.text, refused.line), (&beginning, line));
    }
}

#[test]
fn a_page_is_found_behind_any_length_of_other_keys() {
    let filler = "x".repeat(2 * MAX_EVENT_BYTES);
    let input = format!(r#"{{"x":"{filler}","entries":[{A},{B}],"y":"{filler}"}}"#);
    let framed = check_long(&input);
    let found = framed.events.iter().map(|event| &event.0[..]);
    assert!(found.eq([A.as_bytes(), B.as_bytes()]));
    assert_eq!(framed.refused, vec![]);
}

#[test]
fn chunks_are_about_as_large_as_asked() {
    let line = format!("{A}\n");
    for input in [
        line.repeat(40_000),
        format!("[\n{},\n{B}]", line.repeat(40_000)),
    ] {
        let mut chunks = Vec::new();
        let mut framer = Framer::new(300_000);
        framer.push(input.as_bytes(), &mut chunks);
        framer.finish(&mut chunks);
        let (_, full) = chunks.split_last().unwrap();
        assert!(!full.is_empty());
        for chunk in full {
            assert!(chunk.bytes.len() > 100_000 && chunk.bytes.len() <= 300_000 + STEP_BYTES);
        }
    }
}

#[test]
fn a_framer_frames_one_input_after_the_other() {
    let mut framer = Framer::new(1 << 20);
    for input in [format!("[{A}"), format!("{A}\n{B}"), format!("[{B}]")] {
        let (mut chunks, mut fresh) = (Vec::new(), Vec::new());
        framer.push(input.as_bytes(), &mut chunks);
        framer.finish(&mut chunks);
        let mut another = Framer::new(1 << 20);
        another.push(input.as_bytes(), &mut fresh);
        another.finish(&mut fresh);
        assert_eq!(format!("{chunks:?}"), format!("{fresh:?}"));
    }
}

/// Inputs that meet every state of the machine in any order.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[u8] =
        b"{ } [ ] \" \\ \n \n \r\n , : x 1 \0 \\\" \xef \xbb \xef\xbb\xbf \"entries\" \
        {\"entries\":[ ]} \"entries\":[ {\"id\":\"cut {\"id\":1,";
    let mut words: Vec<&[u8]> = WORDS.split(|&byte| byte == b' ').collect();
    words.extend([A.as_bytes(), B.as_bytes(), b" "]);
    let piece = prop_oneof![
        9 => select(words).prop_map(<[u8]>::to_vec),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A JSON object with text that tries to look like structure.
fn event() -> impl Strategy<Value = serde_json::Value> {
    let text = "[a-z{}\\[\\]\",:\\\\\n\r\té\u{feff}]{0,12}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(text, inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::hash_map(text, value, 0..5).prop_map(|mut map| {
        map.insert("id".to_owned(), "a".into());
        serde_json::Value::Object(map.into_iter().collect())
    })
}

/// The events in every form, by name.
fn forms(events: &[serde_json::Value]) -> Vec<(&'static str, String)> {
    use serde_json::{json, to_string_pretty};
    let lines = |end: &str| events.iter().map(|event| format!("{event}{end}")).collect();
    let array = json!(events);
    let page = json!({"entries": events, "response_metadata": {"next_cursor": "x"}});
    // The keys are written in the order of the alphabet.
    let late = json!({"a": {"entries": [{"no": 1}]}, "entries": events, "z": [[{}]]});
    let pages = events.chunks(2);
    vec![
        ("ndjson", lines("\n")),
        ("ndjson with CRLF and blank lines", lines("\r\n\r\n")),
        ("side by side", lines("")),
        ("array", array.to_string()),
        ("array, pretty", format!("{array:#}")),
        ("page", page.to_string()),
        ("page, pretty", format!("{page:#}")),
        ("page, entries late", late.to_string()),
        ("page, entries late, pretty", format!("{late:#}")),
        (
            "a page a line",
            pages
                .clone()
                .map(|page| format!("{}\n", json!({"entries": page})))
                .collect(),
        ),
        (
            "pages, pretty",
            pages
                .clone()
                .map(|page| format!("{:#}\n", json!({"entries": page})))
                .collect(),
        ),
        (
            "pages in an array",
            json!(
                pages
                    .map(|page| json!({"entries": page}))
                    .collect::<Vec<_>>()
            )
            .to_string(),
        ),
        (
            "events, pretty",
            events
                .iter()
                .map(|event| to_string_pretty(event).unwrap() + "\n")
                .collect(),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_never_show(
        input in hostile(),
        places in prop::collection::vec(any::<Index>(), 0..6),
        target in 1_usize..300,
    ) {
        let whole = frame(&[&input], 1 << 20);
        prop_assert_eq!(&frame(&cut(&input, &places), target), &whole);
        let ends = whole.events.iter().map(|event| event.2 + event.0.len() as u64);
        let next = whole.events.iter().skip(1).map(|event| event.2);
        prop_assert!(ends.zip(next).all(|(end, next)| end <= next));
    }

    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..400)) {
        frame(&[&input], 64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_form_gives_exactly_its_events(
        events in prop::collection::vec(event(), 0..6),
        places in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        for (name, input) in forms(&events) {
            let framed = frame(&cut(input.as_bytes(), &places), 200);
            let found: Vec<serde_json::Value> = framed
                .events
                .iter()
                .map(|event| serde_json::from_slice(&event.0).unwrap())
                .collect();
            prop_assert_eq!(&found, &events, "{}: {}", name, input);
            prop_assert_eq!(&framed.refused, &vec![], "{}", name);
        }
    }
}
