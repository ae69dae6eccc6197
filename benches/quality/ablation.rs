//! The same organisations, with one part of the detection taken away each.

use anyhow::{Context, Result, ensure};
use csv::StringRecord;
use gridwatch::detect::plan::Planner;
use gridwatch::rule::Rule;

use super::rules::{self, DOWNLOAD, TRAVEL};

/// What is taken away.
struct Ablation {
    name: &'static str,
    /// The rule whose figures it is about: it must change, unless the networks do.
    rule: &'static str,
    part: Part,
}

enum Part {
    /// A setting of the rule, and what it is set to.
    Setting(&'static str, &'static str),
    /// Words in the rule's SQL, and what they become.
    Sql(&'static str, &'static str),
    /// Words in the SQL of every rule that has them.
    EverySql(&'static str, &'static str),
    Networks(Column),
}

/// A column of the networks, and what its values become.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    becomes: fn(&str) -> &str,
}

const ABLATIONS: [Ablation; 8] = [
    Ablation {
        name: "no radius",
        rule: TRAVEL,
        part: Part::Networks(Column {
            name: "accuracy_km",
            becomes: exact,
        }),
    },
    Ablation {
        name: "no habits",
        rule: TRAVEL,
        part: Part::Setting("habit_days", "1000000"),
    },
    Ablation {
        name: "no lists",
        rule: TRAVEL,
        part: Part::Networks(Column {
            name: "kind",
            becomes: unlisted,
        }),
    },
    Ablation {
        name: "no own context",
        rule: TRAVEL,
        part: Part::EverySql("own_context", "true"),
    },
    Ablation {
        name: "sign-ins only",
        rule: TRAVEL,
        part: Part::EverySql("own_context", "(action = 'user_login')"),
    },
    Ablation {
        name: "no session",
        rule: TRAVEL,
        part: Part::Setting("new_session", "400d"),
    },
    Ablation {
        name: "no egress rule",
        rule: TRAVEL,
        part: Part::Sql("newcomers >= 5", "newcomers >= 1000000"),
    },
    Ablation {
        name: "no surge",
        rule: DOWNLOAD,
        part: Part::Setting("surge", "false"),
    },
];

/// A radius, as though every place were known to the point.
fn exact(radius: &str) -> &str {
    // What has no place has none.
    if radius.is_empty() { radius } else { "0" }
}

/// The kind of a network, as though nobody had listed offices and relays.
fn unlisted(kind: &str) -> &str {
    match kind {
        "corporate" | "relay" => "unknown",
        other => other,
    }
}

/// What is run in place of the whole.
pub struct Variant {
    pub name: &'static str,
    pub rules: Vec<Rule>,
    /// How many of them differ.
    pub changed_rules: usize,
    column: Option<Column>,
}

impl Variant {
    /// All of them over these rules, and the names of those that would tell nothing, since the rule that
    /// they are about is not among these.
    ///
    /// # Errors
    /// When one would change nothing, or the changed rules cannot run.
    pub fn all(planner: &Planner, rules: &[Rule]) -> Result<(Vec<Self>, Vec<&'static str>)> {
        let (mut variants, mut left_out) = (Vec::new(), Vec::new());
        for ablation in &ABLATIONS {
            if rules.iter().all(|rule| rule.name != ablation.rule) {
                left_out.push(ablation.name);
                continue;
            }
            let variant = Self::new(planner, rules, ablation);
            let name = ablation.name;
            variants.push(variant.with_context(|| format!("ablation `{name}`"))?);
        }
        Ok((variants, left_out))
    }

    fn new(planner: &Planner, rules: &[Rule], ablation: &Ablation) -> Result<Self> {
        let (mut changed_rules, mut is_target_changed) = (0, false);
        let mut changed = Vec::new();
        for rule in rules {
            let is_target = rule.name == ablation.rule;
            let other = match ablation.part {
                Part::Setting(name, value) if is_target => {
                    Some(rules::with_setting(planner, rule, name, value)?)
                }
                Part::Sql(from, to) if is_target => rules::with_sql(planner, rule, from, to)?,
                Part::EverySql(from, to) => rules::with_sql(planner, rule, from, to)?,
                Part::Setting(..) | Part::Sql(..) | Part::Networks(_) => None,
            };
            // Members alone find nothing else.
            is_target_changed |= is_target
                && other
                    .as_ref()
                    .is_some_and(|other| other.program.sql != rule.program.sql);
            changed_rules += usize::from(other.is_some());
            changed.push(other.unwrap_or_else(|| rule.clone()));
        }
        let column = match ablation.part {
            Part::Networks(column) => Some(column),
            Part::Setting(..) | Part::Sql(..) | Part::EverySql(..) => None,
        };
        ensure!(
            is_target_changed || column.is_some(),
            "it leaves {} as it was",
            ablation.rule
        );
        Ok(Self {
            name: ablation.name,
            rules: changed,
            changed_rules,
            column,
        })
    }

    /// The networks that it is judged with.
    ///
    /// # Errors
    /// When it should change them and does not.
    pub fn networks(&self, csv: &str) -> Result<String> {
        let Some(column) = self.column else {
            return Ok(csv.to_owned());
        };
        let name = self.name;
        column
            .changed(csv)
            .with_context(|| format!("ablation `{name}`"))
    }
}

impl Column {
    fn changed(self, csv: &str) -> Result<String> {
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header = reader.headers()?.clone();
        let at = header.iter().position(|title| title == self.name);
        let at = at.with_context(|| format!("the networks have no column `{}`", self.name))?;
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&header)?;
        let mut is_changed = false;
        for record in reader.records() {
            let record = record?;
            let values = record.iter().enumerate();
            let values = values.map(|(place, value)| match place == at {
                true => (self.becomes)(value),
                false => value,
            });
            let changed: StringRecord = values.collect();
            is_changed |= changed != record;
            writer.write_record(&changed)?;
        }
        ensure!(
            is_changed,
            "it leaves `{}` of the networks as it was",
            self.name
        );
        let bytes = writer.into_inner().context("cannot write the networks")?;
        Ok(String::from_utf8(bytes)?)
    }
}
