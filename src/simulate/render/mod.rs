//! From the compact record to the line of text, in the form in which Slack writes events.

mod details;
mod entity;

use super::Organisation;
use super::dice::mix;
use super::event::{Action, By, Form, Record};
use super::line::Line;
use super::{attack, name, person};

/// Appends the event and a line feed.
pub(super) fn event(org: &Organisation, record: &Record, line: &mut Line) {
    let second = org.start.saturating_add(record.time.into());
    line.raw("{\"id\":\"").uuid(record.key.uuid(org.seed));
    line.raw("\",\"date_create\":").number(second.max(0) as u64);
    line.raw(",\"action\":\"").raw(record.action.name());
    line.raw("\",\"actor\":");
    user_object(org, record.key.person(), line);
    line.raw(",\"entity\":");
    entity::write(org, record, line);
    line.raw(",\"context\":");
    context(org, record, line);
    details::write(org, record, line);
    line.raw("}\n");
}

/// A user with the word that says so.
fn user_object(org: &Organisation, person: u32, line: &mut Line) {
    line.raw("{\"type\":\"user\",\"user\":");
    user(org, person, line);
    line.raw("}");
}

fn user(org: &Organisation, person: u32, line: &mut Line) {
    let name = org.name(person);
    line.raw("{\"id\":\"");
    user_id(org, person, line);
    line.raw("\",\"name\":\"").escaped(name.first.shown);
    if let Some(nickname) = name.nickname {
        line.raw(" \\\"").raw(nickname).raw("\\\"");
    }
    line.raw(" ").escaped(name.last.shown);
    line.raw("\",\"email\":\"").slug(name.first.ascii);
    line.raw(".").slug(name.last.ascii);
    line.raw(".").number(person.into());
    line.raw("@corp.example\",\"team\":\"");
    workspace_id(org, workspace(person), line);
    line.raw("\"}");
}

/// The person's Slack id; no two people share one.
pub(super) fn user_id(org: &Organisation, person: u32, line: &mut Line) {
    // Odd, so that people keep different numbers; 50 bits of it are written.
    const SPREAD: u64 = 0x2_6b1f_95a3_c7d5;
    line.id(
        "U",
        u64::from(person)
            .wrapping_mul(SPREAD)
            .wrapping_add(mix(org.seed)),
    );
}

fn channel_id(org: &Organisation, channel: u64, line: &mut Line) {
    line.id("C", mix(org.seed ^ mix(channel)));
}

fn workspace_id(org: &Organisation, workspace: u64, line: &mut Line) {
    line.id("T", mix(org.seed ^ !workspace));
}

/// At most 40 workspaces of three teams or more.
fn workspace(person: u32) -> u64 {
    const TEAMS: u32 = 3;
    const MOST: u32 = 40;
    u64::from(person / person::TEAM_SIZE / TEAMS % MOST)
}

fn context(org: &Organisation, record: &Record, line: &mut Line) {
    line.raw("{\"location\":");
    location(org, record, line);
    line.raw(",\"ua\":\"");
    record.agent.write(line);
    line.raw("\",\"ip_address\":\"");
    match record.form {
        Form::Plain | Form::Wide => line.address(record.ip),
        Form::Loopback => line.raw("127.0.0.1"),
        Form::Empty => line,
    };
    line.raw("\",\"session_id\":");
    session(record, line);
    if let By::App(app) = record.by {
        line.raw(",\"app\":");
        self::app(org, app, line);
    }
    line.raw("}");
}

/// Mostly a number, now and then the same as a string.
fn session(record: &Record, line: &mut Line) {
    match record.session {
        0 => line.raw("null"),
        session if record.key.scattered().is_multiple_of(16) => {
            line.raw("\"").number(session).raw("\"")
        }
        session => line.number(session),
    };
}

fn location(org: &Organisation, record: &Record, line: &mut Line) {
    let on_enterprise = matches!(
        record.action,
        Action::UserLogin
            | Action::UserLoginFailed
            | Action::UserLogout
            | Action::SessionReset
            | Action::LogsSearched
            | Action::Anomaly
            | Action::RoleToAdmin
            | Action::RoleToUser
            | Action::UserDeactivated
            | Action::UserReactivated
            | Action::ExportStarted
            | Action::TwoFactorChanged
            | Action::DlpRuleOff
            | Action::ResponseChanged
    );
    if on_enterprise {
        line.raw("{\"type\":\"enterprise\",\"id\":\"")
            .id("E", mix(org.seed));
        line.raw("\",\"name\":\"Example Corporation\",\"domain\":\"example-corp\"}");
    } else {
        let number = workspace(record.key.person());
        line.raw("{\"type\":\"workspace\",\"id\":\"");
        workspace_id(org, number, line);
        line.raw("\",\"name\":\"Example ")
            .raw(name::workspace(number));
        line.raw(" ").number(number);
        line.raw("\",\"domain\":\"example-")
            .slug(name::workspace(number));
        line.raw("-").number(number).raw("\"}");
    }
}

fn app(org: &Organisation, number: u8, line: &mut Line) {
    const NAMES: [&str; super::activity::APPS as usize] = [
        "Ticket Sync",
        "Build Notifier",
        "Travel Desk",
        "Report Builder",
        "On-call Rota",
        "Document Archive",
    ];
    line.raw("{\"id\":\"")
        .id("A", mix(org.seed ^ u64::from(number) << 32));
    line.raw("\",\"name\":\"")
        .raw(NAMES[usize::from(number) % NAMES.len()]);
    line.raw("\",\"is_distributed\":false,\"is_directory_approved\":false,");
    line.raw("\"is_workflow_app\":false,\"scopes\":[\"files:read\",\"files:write\",");
    line.raw("\"channels:join\",\"canvases:write\"],\"creator\":\"");
    user_id(org, u32::from(number) % org.users.max(1), line);
    line.raw("\",\"team\":\"").id("E", mix(org.seed)).raw("\"}");
}

/// What an app of the directory asks for, as a JSON array.
const SCOPES: &str = "[\"commands\",\"chat:write\"]";

/// What an app asks for, as a JSON array. Wide is what administrates, and reads all that is written.
fn scopes(form: Form) -> &'static str {
    match form {
        Form::Wide => {
            "[\"commands\",\"chat:write\",\"admin\",\"channels:history\",\"groups:history\",\"files:read\"]"
        }
        _ => SCOPES,
    }
}

/// The codes of a finding, as the inside of a JSON array.
fn reasons(object: u64) -> &'static str {
    attack::REASONS[object as usize % attack::REASONS.len()]
}
