//! Names that a rule asks for and that are not there: actions, fields of `details`, words of columns that
//! have few, rules.

use arrow::array::StringArray;
use arrow::compute::like;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
};

use super::{column, compared, each, text};
use crate::config::yaml::nearest;
use crate::event::schema::Column;
use crate::event::{action, details};

/// A name that a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Slack has no such action, as far as the catalogue knows.
    Action(String),
    /// A rule over anomalies names it.
    Rule(String),
    /// What is wrong with another name.
    Other { name: String, message: String },
}

/// The words of columns that have few.
const WORDS: [(Column, &[&str]); 5] = [
    (Column::ActorType, &["user", "app"]),
    (
        Column::EntityType,
        &[
            "account_type_role",
            "app",
            "barrier",
            "canvas",
            "channel",
            "enterprise",
            "external_auth_oauth2_token",
            "file",
            "function",
            "huddle",
            "legal_hold_policy",
            "list",
            "message",
            "role",
            "template",
            "user",
            "usergroup",
            "workflow",
            "workflow_v2",
            "workspace",
        ],
    ),
    (Column::LocationType, &["workspace", "enterprise"]),
    (
        Column::NetworkKind,
        &[
            "corporate",
            "residential",
            "mobile",
            "hosting",
            "vpn",
            "relay",
            "tor",
            "unknown",
        ],
    ),
    (
        Column::AgentKind,
        &[
            "desktop", "mobile", "browser", "script", "bot", "service", "unknown",
        ],
    ),
];

/// The names in a query that are not there, and those of rules; each once.
pub fn names(sql: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let (mut actions, mut fields) = (Vec::new(), Vec::new());
    each(sql, |part| {
        for (column, constant) in compared(part) {
            let Some(word) = text(constant) else { continue };
            if column == Column::Action {
                actions.push(word.to_owned());
                if action::find(word).is_none() {
                    found.push(Named::Action(word.to_owned()));
                }
            }
            found.extend(no_word(column, word));
        }
        found.extend(no_action_like(part));
        found.extend(rules(part).into_iter().map(Named::Rule));
        fields.extend(field(part).map(str::to_owned));
    });
    found.extend(fields.iter().filter_map(|name| no_field(name, &actions)));
    let mut once: Vec<Named> = Vec::new();
    for named in found {
        if !once.contains(&named) {
            once.push(named);
        }
    }
    once
}

impl Named {
    /// What is wrong if there is no such thing.
    pub fn message(&self) -> String {
        match self {
            Self::Action(name) => {
                let near = nearest(name, action::catalogue().iter().map(|action| action.name));
                let hint = near.map(|near| format!("; did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| ": the rule will not see any".to_owned());
                format!("Slack has no action `{name}`{hint}")
            }
            Self::Rule(name) => {
                format!("there is no rule `{name}`, whose anomalies this one reads")
            }
            Self::Other { message, .. } => message.clone(),
        }
    }

    /// The name itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Action(name) | Self::Rule(name) | Self::Other { name, .. } => name,
        }
    }
}

/// A pattern that no action meets.
fn no_action_like(part: &Expr) -> Option<Named> {
    let Expr::Like {
        negated: false,
        any: false,
        expr,
        pattern,
        ..
    } = part
    else {
        return None;
    };
    let pattern = text(pattern).filter(|_| column(expr) == Some(Column::Action))?;
    let names = action::catalogue().iter().map(|action| Some(action.name));
    let names: StringArray = names.collect();
    let met = like(&names, &StringArray::new_scalar(pattern)).ok()?;
    (met.true_count() == 0).then(|| Named::Other {
        name: pattern.to_owned(),
        message: format!("Slack has no action like `{pattern}`"),
    })
}

fn no_word(column: Column, word: &str) -> Option<Named> {
    let (_, words) = WORDS.iter().find(|(known, _)| *known == column)?;
    if words.contains(&word) {
        return None;
    }
    let hint = nearest(word, words.iter().copied());
    let hint = hint.map_or_else(
        || format!("it has {}", words.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    let name = column.name();
    Some(Named::Other {
        name: word.to_owned(),
        message: format!("`{name}` is never `{word}`; {hint}"),
    })
}

/// What is wrong with a field of `details` of these actions.
fn no_field(name: &str, actions: &[String]) -> Option<Named> {
    let message = match details::actions_with(name) {
        None => {
            let near = nearest(name, details::fields());
            let hint = near.map(|near| format!("; did you mean `{near}`?"));
            format!(
                "no event has a field `{name}` in `details`, as far as is known{}",
                hint.unwrap_or_default()
            )
        }
        Some([]) => return None,
        Some(having) => {
            let is_there = |action: &String| having.contains(&action.as_str());
            if actions.is_empty() || actions.iter().any(is_there) {
                return None;
            }
            format!(
                "no event of {} has a field `{name}` in `details`, which {} has",
                actions.join(", "),
                having.join(", ")
            )
        }
    };
    Some(Named::Other {
        name: name.to_owned(),
        message,
    })
}

/// The rules that the column `rule` is compared with.
fn rules(part: &Expr) -> Vec<String> {
    let is_rule = |side: &Expr| matches!(side, Expr::Identifier(name) if name.value == "rule");
    match part {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq | BinaryOperator::NotEq,
            right,
        } => {
            let sides = [(left, right), (right, left)];
            let named = sides.iter().filter(|(side, _)| is_rule(side));
            named
                .filter_map(|(_, constant)| text(constant))
                .map(str::to_owned)
                .collect()
        }
        Expr::InList { expr, list, .. } if is_rule(expr) => {
            list.iter().filter_map(text).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The field of `details` that an expression reads: the first step of its path.
fn field(part: &Expr) -> Option<&str> {
    let is_details = |side: &Expr| matches!(side, Expr::Identifier(name) if name.value == Column::Details.name());
    match part {
        Expr::BinaryOp { left, op, right }
            if matches!(op, BinaryOperator::Arrow | BinaryOperator::LongArrow)
                && is_details(left) =>
        {
            text(right)
        }
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else {
                return None;
            };
            let name = function.name.to_string().to_ascii_lowercase();
            let mut arguments = list.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
                _ => None,
            });
            let reads = arguments.next().flatten().is_some_and(is_details);
            (name.starts_with("json_") && reads)
                .then(|| arguments.next().flatten().and_then(text))
                .flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_that_are_not_there_are_found_once() {
        for (condition, wanted) in [
            (
                "action = 'user_login' OR action IN ('user_logn', 'dlp_policy_updated')",
                &["user_logn", "dlp_policy_updated"][..],
            ),
            (
                "action = 'user_logn' AND action <> 'user_logn'",
                &["user_logn"],
            ),
            ("json_get_str(details, 'new_scope') = 'x'", &["new_scope"]),
            (
                "json_get_str(details, 'new_scopes', 0) = 'x' AND (details->>'reason') = 'y'",
                &[],
            ),
            (
                "action = 'user_login' AND (details->>'previous_ua') = 'x'",
                &["previous_ua"],
            ),
            (
                "action IN ('user_login', 'anomaly') AND (details->>'previous_ua') = 'x'",
                &[],
            ),
            (
                "network_kind = 'datacenter' AND agent_kind IN ('script', 'robot')",
                &["datacenter", "robot"],
            ),
            ("entity_type = 'files'", &["files"]),
            ("rule = 'travel_imposible'", &["travel_imposible"]),
            (
                "action LIKE '%export_startd' OR action LIKE '%export_started'",
                &["%export_startd"],
            ),
            ("concat(action, 'x') = 'y' AND session_id = '7'", &[]),
        ] {
            let found = names(&format!("SELECT * FROM events WHERE {condition}"));
            let found: Vec<&str> = found.iter().map(super::Named::name).collect();
            assert_eq!(found, wanted, "{condition}");
        }
    }
}
