//! The event's columns: one table that rule authors, the decoder and the archive share.
//!
//! The names are API: rules are written against them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Time zone of every timestamp column.
pub const UTC: &str = "UTC";

/// A column of the table `events`, in schema order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Column {
    EventId,
    EventTime,
    OrderTime,
    Action,
    ActorType,
    ActorId,
    ActorName,
    ActorEmail,
    ActorTeam,
    EntityType,
    EntityId,
    EntityName,
    LocationType,
    LocationId,
    LocationName,
    LocationDomain,
    Ip,
    UserAgent,
    SessionId,
    AppId,
    AppName,
    OwnContext,
    Details,
    Raw,
    Country,
    City,
    Latitude,
    Longitude,
    AccuracyKm,
    Asn,
    AsOrg,
    NetworkKind,
    AgentFamily,
    AgentVersion,
    AgentOs,
    AgentKind,
    ArrivalTime,
    Source,
    Late,
}

use Column as C;

/// Every column with its name in SQL, in the order of the schema.
pub const COLUMNS: [(Column, &str); 39] = [
    (C::EventId, "event_id"),
    (C::EventTime, "event_time"),
    (C::OrderTime, "order_time"),
    (C::Action, "action"),
    (C::ActorType, "actor_type"),
    (C::ActorId, "actor_id"),
    (C::ActorName, "actor_name"),
    (C::ActorEmail, "actor_email"),
    (C::ActorTeam, "actor_team"),
    (C::EntityType, "entity_type"),
    (C::EntityId, "entity_id"),
    (C::EntityName, "entity_name"),
    (C::LocationType, "location_type"),
    (C::LocationId, "location_id"),
    (C::LocationName, "location_name"),
    (C::LocationDomain, "location_domain"),
    (C::Ip, "ip"),
    (C::UserAgent, "user_agent"),
    (C::SessionId, "session_id"),
    (C::AppId, "app_id"),
    (C::AppName, "app_name"),
    (C::OwnContext, "own_context"),
    (C::Details, "details"),
    (C::Raw, "raw"),
    (C::Country, "country"),
    (C::City, "city"),
    (C::Latitude, "latitude"),
    (C::Longitude, "longitude"),
    (C::AccuracyKm, "accuracy_km"),
    (C::Asn, "asn"),
    (C::AsOrg, "as_org"),
    (C::NetworkKind, "network_kind"),
    (C::AgentFamily, "agent_family"),
    (C::AgentVersion, "agent_version"),
    (C::AgentOs, "agent_os"),
    (C::AgentKind, "agent_kind"),
    (C::ArrivalTime, "arrival_time"),
    (C::Source, "source"),
    (C::Late, "late"),
];

impl Column {
    /// The name that rules use.
    pub fn name(self) -> &'static str {
        COLUMNS[self as usize].1
    }

    /// The column of this name, if there is one.
    pub fn by_name(name: &str) -> Option<Self> {
        COLUMNS.iter().find(|(_, n)| *n == name).map(|(c, _)| *c)
    }

    /// The Arrow type; text is `Utf8View`, times are microseconds in UTC.
    pub fn data_type(self) -> DataType {
        match self {
            C::EventTime | C::OrderTime | C::ArrivalTime => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
            }
            C::Action => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            C::OwnContext | C::Late => DataType::Boolean,
            C::Latitude | C::Longitude | C::AccuracyKm => DataType::Float64,
            C::Asn => DataType::Int64,
            _ => DataType::Utf8View,
        }
    }

    /// Whether a row may lack the value; what every event must have is never NULL.
    pub fn nullable(self) -> bool {
        !matches!(
            self,
            C::EventId | C::EventTime | C::OrderTime | C::Action | C::OwnContext | C::Raw | C::Late
        )
    }

    /// True for what is looked up by address or user agent rather than decoded.
    pub fn enriched(self) -> bool {
        self >= C::Country && !self.admitted()
    }

    /// True for what only the service knows, which writes it when it takes the event in. An event of a
    /// file has no arrival and no source, and is not late.
    pub fn admitted(self) -> bool {
        self >= C::ArrivalTime
    }

    fn field(self) -> Field {
        Field::new(self.name(), self.data_type(), self.nullable())
    }
}

/// A set of columns; iterates in schema order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnSet(u64);

impl ColumnSet {
    /// Every column there is.
    pub fn all() -> Self {
        COLUMNS.iter().map(|(c, _)| *c).collect()
    }

    /// Adds a column.
    pub fn insert(&mut self, column: Column) {
        self.0 |= 1 << column as u8;
    }

    /// Whether the column is in the set.
    pub fn contains(self, column: Column) -> bool {
        self.0 & (1 << column as u8) != 0
    }

    /// What is in either set.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The columns in schema order.
    pub fn iter(self) -> impl Iterator<Item = Column> {
        COLUMNS
            .iter()
            .map(|(c, _)| *c)
            .filter(move |c| self.contains(*c))
    }

    /// The schema of a batch that holds just these columns.
    pub fn schema(self) -> SchemaRef {
        Arc::new(Schema::new(
            self.iter().map(Column::field).collect::<Vec<_>>(),
        ))
    }
}

impl FromIterator<Column> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        let mut set = Self::default();
        for column in columns {
            set.insert(column);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_column() {
        for (at, (column, name)) in COLUMNS.iter().enumerate() {
            assert_eq!(*column as usize, at);
            assert_eq!(Column::by_name(name), Some(*column));
        }
    }
}
