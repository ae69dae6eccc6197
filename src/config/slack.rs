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
        settings.finish();
        Some(Self {
            token,
            web_endpoint: web_endpoint?,
            lists_secs,
        })
    }
}
