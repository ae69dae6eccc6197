//! Enrichment: the columns that are looked up by address and by user agent.
//!
//! Each distinct value is looked up once and remembered. Nothing here fails: what is not known is
//! NULL.

pub mod agent;
mod cache;
mod mmdb;
pub mod network;

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray,
    UInt32Array,
};
use arrow::compute::take;

use self::agent::Agent;
use self::cache::Cache;
use self::network::{Networks, Place};
use crate::event::schema::{Column, ColumnSet};

/// Looks up networks and agents for batch after batch, from any thread.
pub struct Enricher {
    networks: Networks,
    places: Cache<Place>,
    agents: Cache<Agent>,
}

impl Enricher {
    /// An enricher over the operator's network data, which may be empty.
    pub fn new(networks: Networks) -> Self {
        Self {
            networks,
            places: Cache::default(),
            agents: Cache::default(),
        }
    }

    /// What the columns wanted are looked up by: these must stand in the batch.
    pub fn inputs(wanted: ColumnSet) -> ColumnSet {
        wanted.iter().filter_map(looked_up_by).collect()
    }

    /// The batch with the columns wanted, in schema order. What is neither in the batch nor looked
    /// up here is left out.
    pub fn enrich(&self, batch: &RecordBatch, wanted: ColumnSet) -> RecordBatch {
        let places = Distinct::of(batch, Column::Ip, |ip| {
            self.places.get(ip, || match ip.parse::<IpAddr>() {
                Ok(ip) => self.networks.lookup(ip),
                Err(_) => Place::default(),
            })
        });
        let agents = Distinct::of(batch, Column::UserAgent, |text| {
            self.agents.get(text, || agent::parse(text))
        });
        let mut columns = ColumnSet::default();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for column in wanted.iter() {
            let array = match looked_up_by(column) {
                Some(Column::Ip) => places.as_ref().map(|known| known.column(column, of_place)),
                Some(_) => agents.as_ref().map(|known| known.column(column, of_agent)),
                None => batch.column_by_name(column.name()).map(Arc::clone),
            };
            if let Some(array) = array {
                columns.insert(column);
                arrays.push(array);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        match RecordBatch::try_new_with_options(columns.schema(), arrays, &options) {
            Ok(batch) => batch,
            // Every array has the schema's type and a value for each row.
            Err(error) => unreachable!("enriched columns do not fit their schema: {error}"),
        }
    }
}

/// The column by whose value the column is looked up.
fn looked_up_by(column: Column) -> Option<Column> {
    use Column as C;
    match column {
        C::Country
        | C::City
        | C::Latitude
        | C::Longitude
        | C::AccuracyKm
        | C::Asn
        | C::AsOrg
        | C::NetworkKind => Some(C::Ip),
        C::AgentFamily | C::AgentVersion | C::AgentOs | C::AgentKind => Some(C::UserAgent),
        _ => None,
    }
}

/// What is known of each distinct value of a column, and which row has which.
struct Distinct<T> {
    known: Vec<Arc<T>>,
    /// NULL where the value is.
    rows: UInt32Array,
}

impl<T> Distinct<T> {
    /// `None` if the batch has no such column.
    fn of(batch: &RecordBatch, column: Column, look_up: impl Fn(&str) -> Arc<T>) -> Option<Self> {
        let values = batch.column_by_name(column.name())?.as_string_view_opt()?;
        let mut known = Vec::new();
        let mut seen = hashbrown::HashMap::with_hasher(foldhash::fast::FixedState::default());
        let rows = values
            .iter()
            .map(|value| {
                let value = value?;
                Some(*seen.entry(value).or_insert_with(|| {
                    known.push(look_up(value));
                    known.len() as u32 - 1
                }))
            })
            .collect();
        Some(Self { known, rows })
    }

    fn column(&self, column: Column, values: impl Fn(&[Arc<T>], Column) -> ArrayRef) -> ArrayRef {
        let values = values(&self.known, column);
        match take(&values, &self.rows, None) {
            Ok(array) => array,
            // Every index was made from the length of `known`.
            Err(error) => unreachable!("a row refers to no value: {error}"),
        }
    }
}

fn of_place(places: &[Arc<Place>], column: Column) -> ArrayRef {
    let text = |get: fn(&Place) -> Option<&str>| texts(places.iter().map(|place| get(place)));
    let number = |get: fn(&Place) -> Option<f64>| -> ArrayRef {
        Arc::new(
            places
                .iter()
                .map(|place| get(place))
                .collect::<Float64Array>(),
        )
    };
    match column {
        Column::Country => text(|place| place.country.as_deref()),
        Column::City => text(|place| place.city.as_deref()),
        Column::AsOrg => text(|place| place.as_org.as_deref()),
        Column::Latitude => number(|place| place.latitude),
        Column::Longitude => number(|place| place.longitude),
        Column::AccuracyKm => number(|place| place.accuracy_km),
        Column::Asn => {
            let numbers = places.iter().map(|place| place.asn.map(i64::from));
            Arc::new(numbers.collect::<Int64Array>())
        }
        // An address of which nothing is known is of an unknown kind.
        _ => text(|place| Some(place.kind.map_or("unknown", |kind| kind.as_str()))),
    }
}

fn of_agent(agents: &[Arc<Agent>], column: Column) -> ArrayRef {
    let text = |get: fn(&Agent) -> Option<&str>| texts(agents.iter().map(|agent| get(agent)));
    match column {
        Column::AgentFamily => text(|agent| Some(&agent.family)),
        Column::AgentVersion => text(|agent| agent.version.as_deref()),
        Column::AgentOs => text(|agent| agent.os.as_deref()),
        _ => text(|agent| Some(agent.kind.as_str())),
    }
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringViewArray>())
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;
    use crate::event::decode::decode;
    use crate::event::frame::Framer;

    const LINES: &str = concat!(
        r#"{"id":"1","date_create":1,"action":"a","context":{"ip_address":"192.0.2.1","ua":"curl/8"}}"#,
        "\n",
        r#"{"id":"2","date_create":1,"action":"a","context":{"ip_address":"192.0.3.1","ua":"curl/9"}}"#,
        "\n",
        r#"{"id":"3","date_create":1,"action":"a","context":{"ip_address":"nowhere"}}"#,
        "\n",
        r#"{"id":"4","date_create":1,"action":"a"}"#,
        "\n",
    );

    fn enriched() -> RecordBatch {
        let mut networks = Networks::new();
        let csv = "network,country,latitude,longitude,asn\n192.0.2.0/24,DE,52.5,13.4,64500\n";
        networks.add_csv("test", csv.as_bytes()).unwrap();
        let mut chunks = Vec::new();
        let mut framer = Framer::new(1 << 20);
        framer.push(LINES.as_bytes(), &mut chunks);
        framer.finish(&mut chunks);
        let decoded = decode(chunks.remove(0), ColumnSet::all());
        Enricher::new(networks).enrich(&decoded.batch, ColumnSet::all())
    }

    fn text(batch: &RecordBatch, column: Column) -> Vec<Option<String>> {
        let array = batch.column_by_name(column.name()).unwrap();
        array
            .as_string_view()
            .iter()
            .map(|text| text.map(str::to_owned))
            .collect()
    }

    #[test]
    fn what_is_known_stands_and_what_is_not_is_null() {
        let batch = enriched();
        assert_eq!(batch.schema(), ColumnSet::all().schema());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            text(&batch, Column::Country),
            [some("DE"), None, None, None]
        );
        let kinds = [some("unknown"), some("unknown"), some("unknown"), None];
        assert_eq!(text(&batch, Column::NetworkKind), kinds);
        let families = [some("curl"), some("curl"), None, None];
        assert_eq!(text(&batch, Column::AgentFamily), families);
        let asn = batch.column_by_name("asn").unwrap();
        assert_eq!(asn.null_count(), 3);
    }
}
