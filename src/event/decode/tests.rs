use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::array_value_to_string;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::Column as C;
use super::*;

/// What stands in the columns of a row, as text; NULL is left out.
type Row = BTreeMap<Column, String>;

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let cell = |at: usize, column: Column| {
        let values = batch.column_by_name(column.name())?;
        let text = match values.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) => times.value(at).to_string(),
            None => array_value_to_string(values, at).unwrap(),
        };
        values.is_valid(at).then_some((column, text))
    };
    let columns = || ColumnSet::all().iter().filter(|column| !column.admitted());
    let row = |at| columns().filter_map(|column| cell(at, column)).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// Frames and decodes an input; checks that every reject stands where it says.
fn decoded(input: &[u8], target: usize) -> (Vec<Row>, Vec<Reject>) {
    let (mut chunks, mut found) = (Vec::new(), (Vec::new(), Vec::new()));
    let mut framer = frame::Framer::new(target);
    framer.push(input, &mut chunks);
    framer.finish(&mut chunks);
    for chunk in chunks {
        let Decoded { batch, rejects } = decode(chunk, ColumnSet::all());
        found.0.extend(rows(&batch));
        found.1.extend(rejects);
    }
    for reject in &found.1 {
        let (before, rest) = input.split_at(reject.offset as usize);
        let newlines = before.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(reject.line, 1 + newlines as u64, "{reject:?}");
        assert!(rest.starts_with(&kept(reject)), "{reject:?}");
    }
    found
}

fn kept(reject: &Reject) -> Vec<u8> {
    match &reject.base64 {
        Some(base64) => STANDARD.decode(base64).unwrap(),
        None => reject.text.clone().unwrap().into_bytes(),
    }
}

fn raws(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row[&C::Raw].as_str()).collect()
}

/// An event with what each must have, and more.
fn event(more: &str) -> String {
    format!(r#"{{"id":"e","date_create":1521214343,"action":"user_login"{more}}}"#)
}

/// More of an event, and what columns hold then.
const FIELDS: &str = r#"
"id":7,"action":"brand_new" | event_id=7 | action=brand_new
"date_create":"2018-03-16T15:32:24Z" | event_time=1521214344000000
"new_attribute":{"x":[{}]} | event_time=1521214343000000
"context":{"session_id":913888259765} | session_id=913888259765
"context":{"session_id":"12177102026566"} | session_id=12177102026566
"context":{"ip_address":"203.0.113.7","new":{"ua":"x"}} | ip=203.0.113.7 | user_agent=NULL
"context":{"session_id":null,"ip_address":"","ua":""} | session_id=NULL | ip=NULL | user_agent=NULL
"context":{"location":{"type":"workspace","id":""},"app":null} | location_id= | app_name=NULL
"cont\u0065xt":{"ua":"a\/b \"c\" \ud83d\ude00"} | user_agent=a/b "c" 😀
"context":{"app":{"name":"Bot"}} | app_id=NULL | app_name=Bot
"details":null | details=NULL
"details": { "a" : [ 1, null ] }  | details={ "a" : [ 1, null ] }
"details":[{"a":1}] | details=[{"a":1}]
"details":"a\/b" | details="a\/b"
"actor":{"type":"user","user":{"id":"U1","new":{}}} | actor_id=U1 | own_context=true
"actor":{"user":{"id":"U1"},"type":"user"},"acting_agent":null | own_context=true
"actor":{"type":"user","user":{"id":"U1"}},"acting_agent":"Slackbot" | own_context=false
"actor":{"type":"user","user":{"id":"U1"}},"context":{"acting_agent":"x"} | own_context=false
"actor":{"type":"user","user":{"id":"U1"}},"context":{"app":{"name":"x"}} | own_context=false
"actor":{"type":"app","app":{"id":"A1"}} | actor_type=app | actor_id=A1 | own_context=false
"actor":"U1","context":[{"ua":"x"}] | actor_type=NULL | actor_id=NULL | user_agent=NULL
"actor":{"type":"user","user":["U1"]} | actor_type=user | actor_id=NULL
"entity":{"type":"wormhole","wormhole":{"name":"Bajor"}} | entity_type=wormhole | entity_name=Bajor
"entity":{"type":"canvas","canvas":{"id":"F1","title":"Plan"}} | entity_name=Plan
"entity":{"type":"file","file":{"name":"","title":"Plan"}} | entity_name=Plan
"entity":{"file":{"id":"F1"},"type":"file"} | entity_id=F1 | entity_type=file
"entity":{"new":{"id":"N1"},"type":"file","file":{"id":"F1"}} | entity_id=F1
"#;

#[test]
fn a_column_holds_what_its_field_says() {
    for line in FIELDS.trim().lines() {
        let (more, columns) = line.split_once(" | ").unwrap();
        let text = event(&format!(",{more}"));
        let (rows, rejects) = decoded(text.as_bytes(), 1 << 20);
        assert_eq!((raws(&rows), rejects), (vec![&text[..]], vec![]));
        for cell in columns.split(" | ") {
            let (name, expected) = cell.split_once('=').unwrap();
            let found = rows[0].get(&Column::by_name(name).unwrap());
            assert_eq!(found.map_or("NULL", String::as_str), expected, "{line}");
        }
    }
    // What is missing is NULL.
    let (rows, _) = decoded(event("").as_bytes(), 1 << 20);
    let always = ColumnSet::all().iter();
    let always = always.filter(|column| !column.nullable() && !column.admitted());
    assert!(rows[0].keys().copied().eq(always), "{:?}", rows[0]);
    assert_eq!(rows[0][&C::OwnContext], "false");
}

#[test]
fn a_broken_event_costs_itself_and_a_lone_surrogate_one_character() {
    let (first, last) = (event(r#","id":1"#), event(r#","id":2"#));
    let lone = event(r#","actor":{"user":{"name":"a\ude00b"}},"details":{"n":"\ud83d x"}"#);
    let hidden = event(r#","details":{"n":"\ud83d x"},"new":"\ud83d""#);
    let broken = r#"{"id":"\ud83d","action":7}"#;
    for input in [
        format!("{first}\n{lone}\n{broken}\n{hidden}\n{last}\n"),
        format!("[{first},{lone},{broken},{hidden},{last}]"),
        format!("{first}\n {{\"ok\":1,\"entries\": [{lone}, {broken}, {hidden},{last}]}}\n"),
    ] {
        let (rows, rejects) = decoded(input.as_bytes(), 1 << 20);
        assert_eq!(raws(&rows), [&first, &lone, &hidden, &last]);
        assert_eq!(rows[1][&C::ActorName], "a\u{fffd}b");
        assert_eq!(rows[1][&C::Details], r#"{"n":"\ufffd x"}"#);
        assert_eq!(rows[2][&C::Details], r#"{"n":"\ufffd x"}"#);
        assert!(rejects.iter().map(kept).eq([broken.as_bytes()]));
    }
}

/// How a reason begins, and a line that is rejected for it.
const BROKEN: &str = r#"
not a JSON object | oops
key must be a string | {not json}
EOF while parsing | {"id":"a","date_create":1521214343,"action":"user_login"
trailing characters | {"id":"a","date_create":1521214343,"action":"user_login"} {}
`id` is missing | {"date_create":1521214343,"action":"user_login"}
`id` is missing | {"id":"","date_create":1521214343,"action":"user_login"}
`id` is missing | {"actor":{"user":{"name":"\ud83d"}}}
`date_create` is missing | {"id":"a","action":"user_login"}
`date_create` is `1521214343000000`, not | {"id":"a","date_create":1521214343000000,"action":"x"}
`date_create` is `today`, not | {"id":"a","date_create":"today","action":"user_login"}
`action` is missing | {"id":"a","date_create":1521214343}
`action` is missing | {"id":"a","date_create":1521214343,"action":null}
a page of entries | {"date_create":1521214343,"action":"user_login","entries":[]}
a page of entries | {"date_create":1521214343,"entries":[],"action":"user_login"}
"#;

#[test]
fn a_reject_says_where_it_stands_and_why() {
    let lines = BROKEN.trim().lines();
    let cases = lines.map(|line| line.split_once(" | ").unwrap());
    let mut table: Vec<(&str, Vec<u8>)> = cases.map(|(why, line)| (why, line.into())).collect();
    let nested = |n| event(&format!(r#","x":{}{}"#, "[".repeat(n), "]".repeat(n)));
    let long = format!(r#","x":"{}""#, "x".repeat(frame::MAX_EVENT_BYTES));
    table.extend([
        ("nested deeper than 64 levels", nested(64).into()),
        ("nested deeper than 64 levels", nested(100_000).into()),
        ("the line has", event(&long).into()),
        ("not UTF-8 at byte 7", b"{\"id\":\"\xff\"}".to_vec()),
    ]);
    let (good, deep) = (event(""), nested(63));
    for (reason, line) in table {
        let input = [good.as_bytes(), b"\r\n\n", &line, b"\n", deep.as_bytes()].concat();
        let (rows, rejects) = decoded(&input, 1 << 20);
        assert_eq!(raws(&rows), [&good, &deep], "{reason}");
        assert_eq!(rejects.len(), 1, "{reason}");
        let reject = &rejects[0];
        assert!(reject.reason.starts_with(reason), "{}", reject.reason);
        assert_eq!((reject.line, reject.offset), (3, good.len() as u64 + 3));
        assert_eq!(reject.bytes, line.len() as u64, "{reason}");
        assert!(line.len() > frame::MAX_EVENT_BYTES || kept(reject) == line);
        assert_eq!(reject.base64.is_some(), reason.starts_with("not UTF-8"));
    }
}

#[test]
fn pages_inside_pages_neither_overflow_nor_vanish() {
    let (first, last) = (event(r#","id":1"#), event(r#","id":2"#));
    for open in [r#"{"entries":["#, r#"{"x":0,"entries":["#] {
        for inside in ["", &event("")] {
            let nested = open.repeat(20_000) + inside + &"]}".repeat(20_000);
            for before in ["", &first] {
                let input = format!("{before}\n{nested}\n{last}\n");
                let (rows, rejects) = decoded(input.as_bytes(), 1 << 20);
                assert_eq!(raws(&rows).last(), Some(&last.as_str()));
                assert_eq!(rejects.len(), 1, "{open}{inside}");
            }
        }
    }
}

/// A line that is neither page nor array: an event with something else in one place.
fn hostile_line() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[u8] = b"{ } ] \" \\ : , 1 \0 \r \\ud83d \\\" null {} \"id\" \xc3 \xa9 \xff";
    let words: Vec<&[u8]> = WORDS.split(|&byte| byte == b' ').collect();
    let more = vec(select(words), 0..6);
    let whole = event(r#","actor":{"type":"user","user":{"name":"é"}},"details":{"n":1}"#);
    let gone = prop_oneof![0_usize..4, 0_usize..200];
    (any::<Index>(), gone, more).prop_map(move |(at, gone, more)| {
        let (before, after) = whole.as_bytes().split_at(at.index(whole.len() + 1));
        [before, &more.concat(), &after[gone.min(after.len())..]].concat()
    })
}

/// Text columns and where in the wire form they come from.
const WIRE: &str = "event_id=/id event_time=/date_create order_time=/date_create action=/action \
    actor_type=/actor/type actor_id=/actor/user/id actor_name=/actor/user/name \
    actor_email=/actor/user/email actor_team=/actor/user/team entity_type=/entity/type \
    entity_id=/entity/file/id entity_name=/entity/file/title entity_name=/entity/file/name \
    location_type=/context/location/type location_id=/context/location/id \
    location_name=/context/location/name location_domain=/context/location/domain \
    ip=/context/ip_address user_agent=/context/ua session_id=/context/session_id \
    app_id=/context/app/id app_name=/context/app/name";

/// An event in the wire form, with any of its fields and others, of any type.
fn wire_event() -> impl Strategy<Value = String> {
    const MORE: &str = "/actor /actor/user /entity /entity/file/new /context /context/new \
        /context/app /context/location /new /details /details/é /details/type";
    let value = prop_oneof![
        4 => "(?s).{0,8}".prop_map(Value::from),
        4 => "[a-z\"\\\\/{}\\[\\],:\n\té😀]{0,16}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        2 => select(vec!["app", "file", "user"]).prop_map(Value::from),
        3 => select(vec![Value::Null, json!(true), json!({}), json!([{"id": "x"}, 1.5])]),
    ];
    let words = WIRE.split([' ', '=']).chain(MORE.split(' '));
    let pointers: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
    let fields = btree_map(select(pointers), value, 0..50);
    let needed = ("(?s).{1,8}", ".{1,9}", 1_i64..9_214_646_400);
    (needed, fields, any::<bool>()).prop_map(|(needed, fields, is_ascii)| {
        let mut event = json!({});
        let mut put = |pointer: &str, value: Value| {
            let mut place = &mut event;
            for key in pointer[1..].split('/') {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[key];
            }
            *place = value;
        };
        for (pointer, value) in fields {
            put(pointer, value);
        }
        put("/id", needed.0.into());
        put("/action", needed.1.into());
        put("/date_create", needed.2.into());
        let escape = |unit: u16| match u8::try_from(unit) {
            Ok(byte @ ..0x80) => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        };
        let text = event.to_string();
        let escaped = is_ascii.then(|| text.encode_utf16().map(escape).collect());
        escaped.unwrap_or(text)
    })
}

/// What the columns of the event must hold, but for `own_context`.
fn expected(raw: &str) -> Row {
    let event: Value = serde_json::from_str(raw).unwrap();
    let mut row = Row::new();
    for field in WIRE.split(' ') {
        let (name, pointer) = field.split_once('=').unwrap();
        let text = match event.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => continue,
        };
        if !text.is_empty() || name.starts_with("location") {
            row.insert(Column::by_name(name).unwrap(), text);
        }
    }
    for column in [C::EventTime, C::OrderTime] {
        row.entry(column).or_default().push_str("000000");
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw).unwrap();
    let details = fields.get("details").map(|value| value.get());
    let details = details.filter(|text| *text != "null");
    row.extend(details.map(|text| (C::Details, text.to_owned())));
    row.insert(C::Raw, raw.to_owned());
    row
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_line_is_a_row_or_a_reject(lines in vec(hostile_line(), 0..6), target in 1_usize..999) {
        let bytes = [event("").into_bytes(), lines.join(&b'\n')].join(&b'\n');
        let (rows, rejects) = decoded(&bytes, target);
        let (mut rows, mut rejects) = (rows.iter(), rejects.iter().peekable());
        let layout = frame::Layout::Lines { line: 1, offset: 0 };
        let whole = Chunk { bytes, layout, refused: Vec::new() };
        for span in frame::spans(&whole) {
            let found = match rejects.next_if(|reject| reject.offset == span.offset) {
                Some(reject) => Some(kept(reject)),
                None => rows.next().map(|row| row[&C::Raw].clone().into_bytes()),
            };
            prop_assert_eq!(found.as_deref(), Some(&whole.bytes[span.start..span.end]));
        }
        prop_assert!(rows.next().is_none() && rejects.next().is_none());
    }

    #[test]
    fn no_bytes_panic(pieces in vec((0..5_usize, hostile_line(), vec(any::<u8>(), 0..9)), 0..9)) {
        const WORDS: [&str; 5] = ["\n", "{\"entries\":[", "{\"x\":1,\"entries\":[", "]}", ","];
        let pieces = pieces.iter().map(|(at, a, b)| [WORDS[*at].as_bytes(), a, b].concat());
        decoded(&pieces.collect::<Vec<_>>().concat(), 64);
    }

    #[test]
    fn every_form_says_what_its_events_say(
        lines in vec(wire_event(), 1..8),
        target in prop_oneof![64_usize..4000, Just(1 << 20)],
    ) {
        let rows_expected: Vec<Row> = lines.iter().map(|line| expected(line)).collect();
        let (first, all, rest) = (&lines[0], lines.join(","), lines[1..].join(", "));
        let next = r#""response_metadata":{"next_cursor":""}"#;
        let raw = decode_raw(lines.iter().map(String::as_str), ColumnSet::all());
        let mut found = vec![(rows(&raw), vec![])];
        for input in [
            lines.join("\n"),
            lines.join("\r\n\r\n") + "\r\n",
            format!("[{all}]"),
            format!("{{\"entries\":[{all}],{next}}}\n"),
            format!("{{{next},\"entries\":[{all}]}}"),
            format!("{first}\n{{\"entries\":[{rest}],{next}}}\n"),
            format!("{first}\n{{{next},\"entries\":[{rest}]}}\n"),
        ] {
            found.push(decoded(input.as_bytes(), target));
        }
        for (mut rows, rejects) in found {
            rows.iter_mut().for_each(|row| drop(row.remove(&C::OwnContext)));
            prop_assert_eq!(&rows, &rows_expected);
            prop_assert_eq!(rejects, vec![]);
        }
    }
}
