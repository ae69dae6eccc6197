//! `new_value`: a value that the key never had.

use serde_saphyr::Spanned;

use super::super::draft::{Common, Draft, Matches};
use super::super::sql;
use super::{Kind, settings};

settings! {
    /// Nothing is found in the first `learn` of a key; a value unseen for `forget` is new again.
    NewValue {
        /// An expression; NULL is no value.
        value: Option<Spanned<String>>,
        learn: Option<Spanned<String>>,
        forget: Option<Spanned<String>>,
        /// How many events there must have been before, 0 by default.
        history: Option<Spanned<u32>>,
        /// To whom a value must be new: `key` by default, `group` or `organisation`.
        per: Option<Spanned<String>>,
        /// The list that says which group a key is in, where it is `per: group`.
        groups: Option<Spanned<String>>,
    }
}

impl NewValue {
    /// Whose values are remembered together, as SQL, and what must hold beside.
    fn remembered(&self, draft: &mut Draft<'_>, common: &Common) -> Option<(String, Vec<String>)> {
        let per = self.per.as_ref();
        let word = per.map_or("key", |per| &per.value);
        match (word, per, &self.groups) {
            ("key" | "organisation", _, Some(groups)) => {
                let message = format!("`groups` has no meaning with `per: {word}`");
                draft.problem(groups.referenced, message);
                None
            }
            ("key", ..) => Some((format!("PARTITION BY {} ", common.keys()), Vec::new())),
            ("organisation", ..) => Some((String::new(), Vec::new())),
            ("group", _, Some(groups)) => {
                let [key] = common.key.as_slice() else {
                    let message =
                        "`per: group` asks for the group of one key, and there are several";
                    draft.problem(groups.referenced, message);
                    return None;
                };
                let name = sql::quoted(&groups.value);
                let group = format!("group_of({name}, {key})");
                let text = Spanned::new(group, groups.referenced, groups.defined);
                let (group, _) = draft.expression(&text, &common.relation)?;
                Some((
                    format!("PARTITION BY {group} "),
                    vec![format!("{group} IS NOT NULL")],
                ))
            }
            ("group", Some(per), None) => {
                let message = "`per: group` needs `groups`, the name of a list with groups";
                draft.problem(per.referenced, message);
                None
            }
            (other, per, _) => {
                let message = format!("`{other}` is no `per`: use key, group or organisation");
                draft.problem(per.map_or(draft.place, |per| per.referenced), message);
                None
            }
        }
    }
}

impl Kind for NewValue {
    const NAME: &'static str = "new_value";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let common = draft.common(&self.settings());
        let value = draft.required("value", self.value.as_ref());
        let learn_secs = draft.duration(self.learn.as_ref(), "7d", 0);
        let forget_secs = draft.duration(self.forget.as_ref(), "90d", 1);
        let history = self.history.as_ref().map_or(0, |history| history.value);
        let common = common?;
        let remembered = self.remembered(draft, &common);
        let (value, _) = draft.expression(value?, &common.relation)?;
        let (partition, needed) = remembered?;
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let call = format!(
            "first_seen(arrow_cast({value}, 'Utf8View'), event_time, {learn_secs}, {forget_secs}, {history})"
        );
        Some(sql::found(common, &call, &partition, &needed))
    }
}
