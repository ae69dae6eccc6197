//! What an event is about.

use super::super::Organisation;
use super::super::dice::mix;
use super::super::event::{Action, Form, Record};
use super::super::line::Line;
use super::super::name;
use super::{channel_id, scopes, user_id, user_object, workspace_id};

pub(super) fn write(org: &Organisation, record: &Record, line: &mut Line) {
    match record.action {
        Action::FileDownloaded
        | Action::FileUploaded
        | Action::FileShared
        | Action::FileDeleted
        | Action::FileLinkCreated
        | Action::FileMalware
        | Action::FileSharedOutside => file(record.object, line),
        Action::SensitiveLink => secret(record.object, line),
        Action::CanvasOpened | Action::CanvasEdited | Action::CanvasCreated => {
            canvas(record.object, line);
        }
        Action::ChannelPreview
        | Action::ChannelJoin
        | Action::ChannelLeave
        | Action::ChannelCreated
        | Action::ChannelMadePublic => channel(org, record, line),
        Action::ListCellUpdated | Action::ListOpened | Action::ListRowCreated => {
            line.raw("{\"type\":\"list\",\"list\":{\"id\":\"");
            line.id("F", record.object >> 13).raw("\"}}");
        }
        Action::HuddleJoined | Action::HuddleLeft => huddle(org, record, line),
        Action::MessageTombstoned => message(org, record, line),
        Action::GuestCreated
        | Action::SessionReset
        | Action::RoleToAdmin
        | Action::RoleToUser
        | Action::UserDeactivated
        | Action::UserReactivated => user_object(org, record.object as u32, line),
        Action::AppApproved
        | Action::AppInstalled
        | Action::AppScopesExpanded
        | Action::AppUninstalled => app(record.object, record.form, line),
        Action::LogsSearched
        | Action::ExportStarted
        | Action::TwoFactorChanged
        | Action::DlpRuleOff
        | Action::ResponseChanged => {
            line.raw("{\"type\":\"enterprise\",\"enterprise\":{\"id\":\"");
            line.id("E", mix(org.seed));
            line.raw("\",\"name\":\"Example Corporation\",\"domain\":\"example-corp\"}}");
        }
        Action::UserLogin
        | Action::UserLoginFailed
        | Action::UserLogout
        | Action::ProfileUpdated
        | Action::Anomaly => user_object(org, record.key.person(), line),
    }
}

fn file(object: u64, line: &mut Line) {
    let file = name::file(object);
    line.raw("{\"type\":\"file\",\"file\":{\"id\":\"")
        .id("F", object >> 14);
    line.raw("\",\"name\":\"")
        .escaped(file.stem)
        .raw(" ")
        .number(file.number);
    line.raw(".").raw(file.extension);
    line.raw("\",\"filetype\":\"").raw(file.filetype);
    line.raw("\",\"title\":\"").escaped(file.stem);
    line.raw(" ").number(file.number).raw("\"}}");
}

/// A file whose name says that it holds a secret, with Slack's word for its type.
fn secret(object: u64, line: &mut Line) {
    const NAMES: [(&str, &str); 8] = [
        ("id_rsa", "text"),
        ("id_ed25519", "text"),
        ("passwords.xlsx", "xlsx"),
        ("credentials.csv", "csv"),
        ("vault.kdbx", "binary"),
        ("gateway.pem", "text"),
        ("production.env", "text"),
        ("recovery codes.txt", "text"),
    ];
    let (name, filetype) = NAMES[(object % NAMES.len() as u64) as usize];
    line.raw("{\"type\":\"file\",\"file\":{\"id\":\"")
        .id("F", object >> 14);
    line.raw("\",\"name\":\"").escaped(name);
    line.raw("\",\"filetype\":\"").raw(filetype);
    line.raw("\",\"title\":\"").escaped(name).raw("\"}}");
}

fn canvas(object: u64, line: &mut Line) {
    line.raw("{\"type\":\"canvas\",\"canvas\":{\"id\":\"")
        .id("F", object >> 12);
    line.raw("\",\"filetype\":\"quip\",\"title\":\"");
    line.escaped(name::file(object).stem).raw("\"}}");
}

fn channel(org: &Organisation, record: &Record, line: &mut Line) {
    // Nobody previews or creates a private channel here; some of those that people join are.
    let is_private = matches!(record.action, Action::ChannelJoin | Action::ChannelLeave)
        && record.object.is_multiple_of(5);
    let is_shared = record.object % 17 == 3;
    line.raw("{\"type\":\"channel\",\"channel\":{\"id\":\"");
    channel_id(org, record.object, line);
    line.raw("\",\"privacy\":\"")
        .raw(if is_private { "private" } else { "public" });
    let (topic, project, number) = name::channel(record.object);
    line.raw("\",\"name\":\"").raw(topic).raw("-").raw(project);
    line.raw("-").number(number);
    line.raw("\",\"is_shared\":")
        .raw(if is_shared { "true" } else { "false" });
    line.raw(",\"is_org_shared\":")
        .raw(if is_shared { "true" } else { "false" });
    line.raw(",\"teams_shared_with\":[");
    if is_shared {
        line.raw("\"");
        workspace_id(org, record.object % 3, line);
        line.raw("\"");
    }
    line.raw("]}}");
}

fn huddle(org: &Organisation, record: &Record, line: &mut Line) {
    let start = org.start + i64::from(record.time) - (record.object % 1_500) as i64;
    line.raw("{\"type\":\"huddle\",\"huddle\":{\"id\":\"")
        .id("R", record.object >> 11);
    line.raw("\",\"date_start\":").number(start.max(0) as u64);
    line.raw(",\"date_end\":0,\"participants\":[\"");
    user_id(org, record.key.person(), line);
    line.raw("\"]}}");
}

fn message(org: &Organisation, record: &Record, line: &mut Line) {
    let number = record.key.scattered();
    let sent = org.start + i64::from(record.time) - (number % 40_000) as i64;
    line.raw("{\"type\":\"message\",\"message\":{\"team\":\"")
        .id("E", mix(org.seed));
    line.raw("\",\"channel\":\"");
    channel_id(org, record.object, line);
    line.raw("\",\"timestamp\":\"").number(sent.max(0) as u64);
    line.raw(".").number(100_000 + number % 900_000).raw("\"}}");
}

fn app(object: u64, form: Form, line: &mut Line) {
    line.raw("{\"type\":\"app\",\"app\":{\"id\":\"")
        .id("A", mix(object));
    line.raw("\",\"name\":\"Example Add-on ")
        .number(object % 90);
    line.raw("\",\"is_distributed\":true,\"is_directory_approved\":true,");
    line.raw("\"is_workflow_app\":false,\"scopes\":")
        .raw(scopes(form))
        .raw("}}");
}
