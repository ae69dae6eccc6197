//! Networks that a rule trusts by lists.

use serde_saphyr::Spanned;

use super::draft::Draft;
use super::sql;

impl Draft<'_> {
    /// Whether each of the lists has the address or its autonomous system, as SQL.
    pub fn trusted(&mut self, lists: &[Spanned<String>], relation: &str) -> Option<Vec<String>> {
        let mut asked = Vec::new();
        for list in lists {
            let name = sql::quoted(&list.value);
            let ask = format!("in_list({name}, ip) OR in_list({name}, asn)");
            let ask = Spanned::new(ask, list.referenced, list.defined);
            asked.push(self.expression(&ask, relation)?.0);
        }
        Some(asked)
    }
}
