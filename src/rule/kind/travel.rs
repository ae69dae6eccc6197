//! `travel`: one person at two places between which nobody can have travelled.

use serde_saphyr::Spanned;

use super::super::draft::{Common, Draft, Matches};
use super::super::{crowd, sql};
use super::{Kind, settings};
use crate::detect::column;

settings! {
    /// Reads only events whose context is the actor's own and has coordinates. The function weighs
    /// what it finds; `level_by` cannot.
    Travel {
        /// What nobody exceeds, 900 by default.
        speed_kmh: Option<Spanned<f64>>,
        /// What is too near to judge, 500 by default.
        distance_km: Option<Spanned<f64>>,
        /// How far back positions are compared, 12h by default.
        within: Option<Spanned<String>>,
        /// How old a new session may be, 2h by default.
        new_session: Option<Spanned<String>>,
        /// How long a person is young, 5d by default.
        learn: Option<Spanned<String>>,
        /// Lists of networks or systems by which the organisation's own people come.
        #[serde(default)]
        trusted: Vec<Spanned<String>>,
        /// On how many days two systems must have been seen to make a habit, 3 by default.
        habit_days: Option<Spanned<u32>>,
        /// After how long without an event a person begins anew, 90d by default.
        forget: Option<Spanned<String>>,
    }
}

impl Kind for Travel {
    const NAME: &'static str = "travel";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        if let Some(condition) = self.level_by.values().next() {
            draft.problem(
                condition.referenced,
                "`level_by` is not for travel, which weighs its findings",
            );
        }
        let common = draft.common(&self.settings());
        let speed_kmh = draft.positive("speed_kmh", self.speed_kmh.as_ref(), 900.0);
        let distance_km = draft.positive("distance_km", self.distance_km.as_ref(), 500.0);
        let within_secs = draft.duration(self.within.as_ref(), "12h", 60);
        let session_secs = draft.duration(self.new_session.as_ref(), "2h", 0);
        let learn_secs = draft.duration(self.learn.as_ref(), "5d", 0);
        let forget_secs = draft.duration(self.forget.as_ref(), "90d", 1);
        let habit_days = self.habit_days.as_ref().map_or(3, |days| days.value);
        let common = common?;
        let trusted = draft.trusted(&self.trusted, &common.relation)?;
        let trusted = match trusted.is_empty() {
            true => "0".to_owned(),
            false => format!("CASE WHEN {} THEN 1 ELSE 0 END", trusted.join(" OR ")),
        };
        let call = format!(
            "travel(\n    latitude, longitude, accuracy_km, ip, asn, network_kind, country, city,\n    \
             coalesce(session_id, CASE WHEN action = 'user_login' THEN event_id END), event_time, \
             event_id,\n    {speed_kmh:?}, {distance_km:?}, {within_secs}, {session_secs}, {learn_secs}, \
             {forget_secs},\n    {trusted}, {habit_days}\n  )"
        );
        Some(judged(common, &call))
    }
}

/// The journeys that are told, each at its level: while a crowd of people appears on a network that is new
/// to all of them, the organisation has most likely moved, and two levels less are enough.
fn judged(mut common: Common, call: &str) -> Matches {
    let (keys, order) = (common.keys(), sql::ORDER);
    let level = "json_get_str(finding, 'level')";
    common.level = format!(
        "CASE WHEN {moved} THEN CASE {level} WHEN 'high' THEN 'low' ELSE 'informational' END ELSE {level} \
         END",
        moved = crowd::moved()
    );
    let sql = format!(
        "SELECT {columns} FROM (\n  SELECT *, {crowd} FROM (\n  SELECT *, {call} OVER (PARTITION BY {keys} \
         ORDER BY {order}) AS finding,\n  {newcomer} AS newcomer\n  FROM {relation}\n  WHERE \
         {condition}\n) WHERE finding IS NOT NULL OR newcomer IS NOT NULL\n) WHERE finding IS NOT NULL",
        columns = common.columns(&[column::FINDING]),
        crowd = crowd::columns(),
        newcomer = crowd::newcomer(&keys),
        relation = common.relation,
        condition = sql::condition(&common, &["own_context"]),
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

impl Draft<'_> {
    fn positive(&mut self, name: &str, number: Option<&Spanned<f64>>, default: f64) -> f64 {
        let Some(number) = number else {
            return default;
        };
        let is_right = number.value > 0.0 && number.value < 1e9;
        if !is_right {
            let message = format!("`{name}` is `{}`: write a number above 0", number.value);
            self.problem(number.referenced, message);
        }
        if is_right { number.value } else { default }
    }
}
