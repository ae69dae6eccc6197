//! What a user agent string tells of a device.

use serde::Serialize;

/// A device, in the words of `admin.users.session.list`; what is not told is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Device<'a> {
    #[serde(rename = "device_hardware")]
    pub hardware: &'a str,
    pub os: &'static str,
    pub os_version: &'a str,
    #[serde(rename = "slack_client_version")]
    pub client_version: &'a str,
}

/// How systems begin where they are named, with their names.
const SYSTEMS: [(&str, &str); 5] = [
    ("iOS ", "iOS"),
    ("Android ", "Android"),
    ("Windows NT ", "Windows"),
    ("Intel Mac OS X ", "macOS"),
    ("Linux", "Linux"),
];

/// Whether the program is one for phones and tablets.
pub(super) fn is_mobile(agent: &str) -> bool {
    agent.starts_with("com.tinyspeck.chatlyio") || agent.starts_with("slack/")
}

impl<'a> Device<'a> {
    /// Reads the string of a program of Slack's, or of a browser.
    pub fn read(agent: &'a str) -> Self {
        let brackets = agent.split_once('(').map_or("", |(_, rest)| rest);
        let inside = brackets.split(')').next().unwrap_or_default();
        let mut parts = inside.split("; ");
        let (os, os_version) = parts.clone().find_map(system).unwrap_or_default();
        let is_mobile = is_mobile(agent);
        let program = if is_mobile { "/" } else { "Slack/" };
        let version = agent.split_once(program).map_or("", |(_, rest)| rest);
        Self {
            hardware: parts.next().filter(|_| is_mobile).unwrap_or_default(),
            os,
            os_version,
            client_version: version.split(' ').next().unwrap_or_default(),
        }
    }
}

fn system(part: &str) -> Option<(&'static str, &str)> {
    SYSTEMS.iter().find_map(|(prefix, os)| {
        let version = part.strip_prefix(prefix)?;
        let is_version = version.starts_with(|c: char| c.is_ascii_digit());
        Some((*os, if is_version { version } else { "" }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_slack_are_read() {
        for (agent, is_on_phone, device) in [
            (
                "com.tinyspeck.chatlyio/26.03.14 (iPhone; iOS 26.3.1; Scale/3.00)",
                true,
                ["iPhone", "iOS", "26.3.1", "26.03.14"],
            ),
            (
                "com.tinyspeck.chatlyio.NotificationService/26.03.14 (iPad; iOS 26.2; Scale/3.00)",
                true,
                ["iPad", "iOS", "26.2", "26.03.14"],
            ),
            (
                "slack/26.03.14.0.90016209 (Google Pixel 8; Android 14; store com.android.vending)",
                true,
                ["Google Pixel 8", "Android", "14", "26.03.14.0.90016209"],
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Slack/4.47.65 Chrome/142",
                false,
                ["", "Windows", "10.0", "4.47.65"],
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/143.0.0.0 Safari/537.36",
                false,
                ["", "macOS", "10_15_7", ""],
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0",
                false,
                ["", "Linux", "", ""],
            ),
            ("python-requests/2.32.1", false, [""; 4]),
            ("slack/", true, [""; 4]),
            ("", false, [""; 4]),
        ] {
            assert_eq!(is_mobile(agent), is_on_phone, "{agent}");
            let read = Device::read(agent);
            let read = [read.hardware, read.os, read.os_version, read.client_version];
            assert_eq!(read, device, "{agent}");
        }
    }
}
