//! One new egress, many people: whether the organisation has moved, as SQL over the events by which people
//! come on a network that is new to them.

/// So many people within an hour, and so many times as many as the network usually has newcomers in one.
const PEOPLE: u32 = 5;
const FACTOR: u32 = 10;
/// How long a person's networks are learned before one is new, and when one is forgotten; seconds.
const LEARN_SECS: i64 = 5 * 86_400;
const FORGET_SECS: i64 = 45 * 86_400;
/// How fast the usual number of newcomers follows; seconds.
const USUAL_SECS: i64 = 14 * 86_400;
const USUAL_FORGET_SECS: i64 = 90 * 86_400;

/// Whether an event is the key's first on its network; NULL if it is not.
pub(super) fn newcomer(keys: &str) -> String {
    format!(
        "first_seen(arrow_cast(asn, 'Utf8View'), event_time, {LEARN_SECS}, {FORGET_SECS}, 0) OVER (PARTITION \
         BY {keys} ORDER BY order_time, event_time, event_id)"
    )
}

/// Over rows with `newcomer`: how many people came on a network within the last hour, how many of them
/// signed in there, and how many usually come in an hour.
pub(super) fn columns() -> String {
    let people = |condition: &str, name: &str| {
        format!(
            "count(DISTINCT CASE WHEN newcomer IS NOT NULL{condition} THEN actor_id END) OVER (\n    PARTITION \
             BY asn ORDER BY order_time RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW\n  ) AS \
             {name}"
        )
    };
    format!(
        "{}, {},\n  usual(order_time, CASE WHEN newcomer IS NOT NULL THEN 1 ELSE 0 END, {USUAL_SECS}, \
         {USUAL_FORGET_SECS}) OVER (\n    PARTITION BY asn ORDER BY order_time, event_time, event_id\n  ) AS \
         usually",
        people("", "newcomers"),
        people(" AND action = 'user_login'", "newcomers_signing_in"),
    )
}

/// Whether so many people come on a network at once that it is a move of all, and not a crowd of stolen
/// sign-ins.
pub(super) fn moved() -> String {
    format!(
        "asn IS NOT NULL AND newcomers >= {PEOPLE} AND newcomers >= {FACTOR} * \
         coalesce(json_get_float(usually, 'evidence', 'per_hour'), 0.0) AND newcomers_signing_in * 2 <= \
         newcomers AND coalesce(network_kind, 'unknown') NOT IN ('hosting', 'vpn', 'relay', 'tor')"
    )
}
