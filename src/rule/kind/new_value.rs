//! `new_value`: a value that the key never had.

use serde_saphyr::Spanned;

use super::super::draft::{Draft, Matches};
use super::super::sql;
use super::{Kind, settings};

settings! {
    /// Nothing is found in the first `learn` of a key; a value unseen for `forget` is new again.
    NewValue {
        /// An expression; NULL is no value.
        value: Option<Spanned<String>>,
        learn: Option<Spanned<String>>,
        forget: Option<Spanned<String>>,
    }
}

impl Kind for NewValue {
    const NAME: &'static str = "new_value";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let common = draft.common(&self.settings());
        let value = draft.required("value", self.value.as_ref());
        let learn_secs = draft.duration(self.learn.as_ref(), "7d", 0);
        let forget_secs = draft.duration(self.forget.as_ref(), "90d", 1);
        let common = common?;
        let (value, _) = draft.expression(value?, &common.relation)?;
        let sql = format!(
            "SELECT {columns} FROM (\n  SELECT *, first_seen(arrow_cast({value}, 'Utf8View'), \
             event_time, {learn_secs}, {forget_secs}) OVER (\n    PARTITION BY {keys} ORDER BY \
             {order}\n  ) AS finding\n  FROM {relation}\n  WHERE {condition}\n) WHERE finding IS NOT \
             NULL",
            columns = common.columns(&["finding"]),
            keys = common.keys(),
            order = sql::ORDER,
            relation = common.relation,
            condition = sql::condition(&common, &[]),
        );
        Some(Matches {
            sql,
            key: common.key,
            wait_secs: 0,
            may_lack_key: false,
            conditions: Vec::new(),
            members: None,
        })
    }
}
