//! The triggering event as records show it.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use crate::anomaly::{Actor, Context, Entity, Location};
use crate::event::schema::Column;

/// Who, what and where of one event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trigger {
    pub actor: Actor,
    pub entity: Entity,
    pub context: Context,
}

impl Trigger {
    /// Reads a row of a batch of events; a column that the batch lacks counts as NULL.
    pub fn read(batch: &RecordBatch, row: usize) -> Self {
        let column = |column: Column| batch.column_by_name(column.name());
        let text = |name: Column| column(name).and_then(|array| text(array, row));
        let float = |name: Column| {
            let values = column(name)?.as_primitive_opt::<Float64Type>()?;
            values.is_valid(row).then(|| values.value(row))
        };
        let asn = column(Column::Asn)
            .and_then(|array| array.as_primitive_opt::<Int64Type>())
            .filter(|values| values.is_valid(row))
            .map(|values| values.value(row));
        Self {
            actor: Actor {
                id: text(Column::ActorId),
                name: text(Column::ActorName),
                email: text(Column::ActorEmail),
                kind: text(Column::ActorType),
                team: text(Column::ActorTeam),
            },
            entity: Entity {
                kind: text(Column::EntityType),
                id: text(Column::EntityId),
                name: text(Column::EntityName),
            },
            context: Context {
                action: text(Column::Action),
                ip: text(Column::Ip),
                user_agent: text(Column::UserAgent),
                session_id: text(Column::SessionId),
                country: text(Column::Country),
                city: text(Column::City),
                latitude: float(Column::Latitude),
                longitude: float(Column::Longitude),
                accuracy_km: float(Column::AccuracyKm),
                asn,
                as_org: text(Column::AsOrg),
                network_kind: text(Column::NetworkKind),
                agent_family: text(Column::AgentFamily),
                agent_version: text(Column::AgentVersion),
                agent_os: text(Column::AgentOs),
                agent_kind: text(Column::AgentKind),
                app_id: text(Column::AppId),
                app_name: text(Column::AppName),
                location: Location {
                    kind: text(Column::LocationType),
                    id: text(Column::LocationId),
                    name: text(Column::LocationName),
                    domain: text(Column::LocationDomain),
                },
            },
        }
    }
}

/// A text, whether it stands in a dictionary or not.
fn text(array: &ArrayRef, row: usize) -> Option<String> {
    let value = cast(&array.slice(row, 1), &DataType::Utf8View).ok()?;
    let value = value.as_string_view();
    value.is_valid(0).then(|| value.value(0).to_owned())
}
