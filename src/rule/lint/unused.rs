//! Columns that a rule defines and does not use.

use datafusion::sql::sqlparser::ast::Expr;

use super::each;

/// Those of the names that no expression of the query reads.
pub fn unused<'a>(names: impl Iterator<Item = &'a str>, sql: &str) -> Vec<&'a str> {
    let mut read = Vec::new();
    each(sql, |part| match part {
        Expr::Identifier(name) => read.push(name.value.clone()),
        Expr::CompoundIdentifier(path) => read.extend(path.last().map(|name| name.value.clone())),
        _ => {}
    });
    names
        .filter(|name| !read.iter().any(|read| read == name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::unused;

    #[test]
    fn what_no_expression_reads_is_unused() {
        let sql =
            "SELECT e.a FROM (SELECT *, ip AS a, asn AS b, city AS c FROM events) e WHERE c = 'x'";
        assert_eq!(unused(["a", "b", "c"].into_iter(), sql), ["b"]);
    }
}
