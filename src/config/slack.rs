//! Slack's Web API: who is who, and what answers call.

use serde_saphyr::Location;

use super::block::{Block, Check};
use super::endpoint::Endpoint;
use super::secret::Secret;

/// How Slack's Web API is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slack {
    /// Without it nothing is called.
    pub token: Option<Secret>,
    pub web_endpoint: Endpoint,
    /// Workspaces whose people and user groups are read, where the token is one of the organisation.
    pub teams: Vec<String>,
    /// From one reading of people and groups to the next; 0 for none.
    pub lists_secs: u32,
}

const WEB_ENDPOINT: &str = "https://slack.com/api/";

impl Slack {
    pub(super) fn read(block: Option<Block>, check: &mut Check) -> Option<Self> {
        let is_written = block.is_some();
        let mut settings = check.open(block, Location::UNKNOWN);
        let token = settings.secret("token", is_written);
        let web_endpoint = settings.endpoint("web_endpoint", WEB_ENDPOINT);
        let lists_secs = settings.number("lists_secs", 0..=604_800, 3_600);
        let teams = settings.texts("teams");
        for team in &teams {
            let is_id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
            if !team.value.starts_with('T') || !team.value.chars().all(is_id) {
                let message = format!(
                    "`{}` is no workspace: write its id, such as T0123ABCD",
                    team.value
                );
                settings.problem(team.referenced, message);
            }
        }
        settings.finish();
        Some(Self {
            token,
            web_endpoint: web_endpoint?,
            teams: teams.into_iter().map(|team| team.value).collect(),
            lists_secs,
        })
    }
}
