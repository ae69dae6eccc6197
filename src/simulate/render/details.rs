//! What else an event tells; many tell nothing.

use super::super::Organisation;
use super::super::attack::NEW_NETWORK;
use super::super::dice::mix;
use super::super::event::{Action, By, Form, Record};
use super::super::line::Line;
use super::super::name;
use super::{SCOPES, channel_id, reasons, scopes, user_id, user_object, workspace, workspace_id};

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
        Action::FileSharedOutside => shared_outside(org, record, line),
        Action::FileMalware => {
            line.raw(",\"details\":{\"md5_hash\":\"");
            line.hex(mix(record.object), 16)
                .hex(mix(!record.object), 16);
            line.raw("\"}");
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
        Action::AppInstalled | Action::AppScopesExpanded => app(org, record, line),
        Action::ExportStarted => export(org, record, line),
        Action::TwoFactorChanged => {
            line.raw(",\"details\":{\"new_value\":false,\"previous_value\":true}");
        }
        Action::ResponseChanged => {
            line.raw(",\"details\":{\"new_value\":[],");
            line.raw("\"previous_value\":[\"tor\",\"data_scraping\",\"excessive_downloads\"]}");
        }
        _ => {}
    }
}

/// A share into a channel that another organisation sees, whose workspace is named.
fn shared_outside(org: &Organisation, record: &Record, line: &mut Line) {
    const PARTNERS: u64 = 6;
    let channel = record.key.scattered() % org.channels();
    line.raw(",\"details\":{\"shared_with\":{\"channel_id\":\"");
    channel_id(org, channel, line);
    line.raw("\",\"access_level\":\"read\"},\"is_ext_shared\":true,\"teams_shared_with\":[\"");
    // Numbers of workspaces end far below.
    workspace_id(org, (1 << 32) + channel % PARTNERS, line);
    line.raw("\"]}");
}

/// What an app may do: all of it, or what is new beside what was there before.
fn app(org: &Organisation, record: &Record, line: &mut Line) {
    if record.action == Action::AppScopesExpanded {
        line.raw(",\"details\":{\"previous_scopes\":").raw(SCOPES);
        let more = match record.form {
            Form::Wide => scopes(Form::Wide),
            _ => "[\"commands\",\"chat:write\",\"reactions:read\"]",
        };
        line.raw(",\"new_scopes\":").raw(more);
    } else {
        line.raw(",\"details\":{\"app_owner_id\":\"");
        user_id(org, record.key.person(), line);
        line.raw("\",\"scopes\":").raw(scopes(record.form));
        line.raw(",\"bot_scopes\":[]");
    }
    line.raw(",\"is_internal_integration\":false}");
}

/// All that was written within a year.
fn export(org: &Organisation, record: &Record, line: &mut Line) {
    const YEAR: u64 = 31_536_000;
    let now = (org.start + i64::from(record.time)).max(0) as u64;
    line.raw(",\"details\":{\"export_type\":\"STANDARD\",\"export_start_ts\":")
        .number(now.saturating_sub(YEAR));
    line.raw(",\"export_end_ts\":").number(now).raw("}");
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
