//! What else an event tells; many tell nothing.

use super::super::Organisation;
use super::super::attack::NEW_NETWORK;
use super::super::dice::mix;
use super::super::event::{Action, By, Record};
use super::super::line::Line;
use super::super::name;
use super::{channel_id, reasons, user_object, workspace, workspace_id};

pub(super) fn write(org: &Organisation, record: &Record, line: &mut Line) {
    let scattered = record.key.scattered();
    match record.action {
        Action::UserLogin | Action::UserLoginFailed => {
            line.raw(",\"details\":{\"authentication_method\":\"saml\",\"idp_config_id\":\"");
            line.id("Ide", mix(org.seed))
                .raw("\",\"config_type\":\"saml\",");
            line.raw("\"idp_entity_id_hash\":\"")
                .hex(mix(!org.seed), 16);
            line.raw("\",\"label\":\"Example SSO\"}");
        }
        Action::FileDownloaded | Action::FileUploaded => {
            line.raw(",\"details\":{\"url_private\":\"https:\\/\\/files.slack.com\\/files-pri\\/");
            file_path(org, record, line);
            line.raw("\"}");
        }
        Action::FileShared => {
            line.raw(",\"details\":{\"shared_with\":{\"channel_id\":\"");
            channel_id(org, scattered % org.channels(), line);
            line.raw("\",\"access_level\":\"read\"},\"is_ext_shared\":false}");
        }
        Action::ChannelJoin => membership(org, record, line),
        Action::CanvasOpened | Action::CanvasEdited if scattered.is_multiple_of(3) => {
            line.raw(",\"details\":{\"is_channel_canvas\":true,\"linked_channel_id\":\"");
            channel_id(org, scattered % org.channels(), line);
            line.raw("\"}");
        }
        Action::ListCellUpdated => {
            let second = org.start + i64::from(record.time);
            line.raw(",\"details\":{\"column_id\":\"")
                .id("Col", scattered);
            line.raw("\",\"row_id\":\"").id("Rec", mix(scattered));
            line.raw("\",\"cell_date_updated\":")
                .number(second.max(0) as u64);
            line.raw("}");
        }
        Action::SessionReset => {
            line.raw(",\"details\":{\"mobile_only\":false,\"web_only\":false}");
        }
        Action::Anomaly => finding(org, record, line),
        _ => {}
    }
}

fn file_path(org: &Organisation, record: &Record, line: &mut Line) {
    let file = name::file(record.object);
    workspace_id(org, workspace(record.key.person()), line);
    line.id("-F", record.object >> 14)
        .raw("\\/")
        .slug(file.stem);
    line.raw("_")
        .number(file.number)
        .raw(".")
        .raw(file.extension);
}

fn membership(org: &Organisation, record: &Record, line: &mut Line) {
    let By::Inviter(inviter) = record.by else {
        line.raw(",\"details\":{\"type\":\"JOINED\",\"is_workflow\":false}");
        return;
    };
    line.raw(",\"details\":{\"type\":\"INVITED\",\"is_workflow\":false,\"inviter\":");
    user_object(org, inviter, line);
    line.raw("}");
}

/// A finding of Slack's own: the moment of what it found is in microseconds, about 50 s ago.
fn finding(org: &Organisation, record: &Record, line: &mut Line) {
    let scattered = record.key.scattered();
    let delay_micros = 47_000_000 + scattered % 5_500_000;
    let created_micros = (org.start + i64::from(record.time)).max(0) as u64 * 1_000_000;
    line.raw(",\"details\":{\"reason\":[")
        .raw(reasons(record.object));
    line.raw("],\"action_timestamp\":")
        .number(created_micros.saturating_sub(delay_micros));
    line.raw(",\"location\":\"")
        .escaped(&org.world.location(record.ip));
    line.raw("\",\"previous_ip_address\":\"");
    if let By::Slack(previous @ 1..) = record.by {
        line.address(previous);
    }
    line.raw("\",\"previous_ua\":\"\"");
    if record.object == NEW_NETWORK {
        line.raw(",\"ip_address_details\":[\"new-asn\"]");
    }
    line.raw("}");
}
