//! The SQL that all kinds share: the rows that a rule reads, and suppression.

use super::draft::{Common, Matches};
use crate::detect::{Table, column};

/// What windows and records are ordered by.
pub(super) const ORDER: &str = "order_time, event_time, event_id";

/// The table, with the columns that the rule defines.
pub(super) fn relation(define: &[(String, String)], table: Table) -> String {
    let table = table.name();
    if define.is_empty() {
        return table.to_owned();
    }
    let columns: String = define
        .iter()
        .map(|(name, expression)| format!(", {expression} AS {name}"))
        .collect();
    format!("(SELECT *{columns} FROM {table})")
}

/// The condition for the rows that a kind reads: the rule's own, those of the kind, and a key.
pub(super) fn condition(common: &Common, needed: &[&str]) -> String {
    let own = common.filter.iter().map(|filter| format!("({filter})"));
    let needed = needed.iter().map(|condition| (*condition).to_owned());
    let keys = common.key.iter().map(|key| format!("{key} IS NOT NULL"));
    own.chain(needed)
        .chain(keys)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The events at which a keyed function finds something: `call` over those that the rule reads, those
/// of one `partition` together.
pub(super) fn found(common: Common, call: &str, partition: &str, needed: &[&str]) -> Matches {
    let sql = format!(
        "SELECT {columns} FROM (\n  SELECT *, {call} OVER ({partition}ORDER BY {ORDER}) AS finding\n  FROM \
         {relation}\n  WHERE {condition}\n) WHERE finding IS NOT NULL",
        columns = common.columns(&[column::FINDING]),
        relation = common.relation,
        condition = condition(&common, needed),
    );
    Matches {
        sql,
        key: common.key,
        wait_secs: 0,
        may_lack_key: false,
        conditions: Vec::new(),
        members: None,
    }
}

/// A text as SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Of the matches of one key and level the first in each aligned period. A match without a key
/// stands alone. One that is excepted is kept, but neither stands nor suppresses.
pub(super) fn suppressed(matches: &Matches, suppress_secs: i64, has_exceptions: bool) -> String {
    if suppress_secs == 0 {
        return matches.sql.clone();
    }
    let mut parts = matches.key.clone();
    parts.push("level".to_owned());
    let mut stands = "standing = 1".to_owned();
    if has_exceptions {
        let exception = column::EXCEPTION;
        parts.push(format!("{exception} IS NULL"));
        stands += &format!(" OR {exception} IS NOT NULL");
    }
    parts.push(format!(
        "date_bin(INTERVAL '{suppress_secs} seconds', order_time)"
    ));
    if matches.may_lack_key {
        let lacks = matches.key.iter().map(|key| format!("{key} IS NULL"));
        let lacks = lacks.collect::<Vec<_>>().join(" OR ");
        parts.push(format!("CASE WHEN {lacks} THEN event_id END"));
    }
    format!(
        "SELECT * FROM (\n  SELECT *, row_number() OVER (\n    PARTITION BY {}\n    ORDER BY \
         {ORDER}\n  ) AS standing FROM (\n{}\n)\n) WHERE {stands}",
        parts.join(", "),
        matches.sql,
    )
}
