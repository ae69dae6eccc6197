//! User agent strings, in the shapes that Slack's programs, browsers and libraries send.

use super::Organisation;
use super::calendar::DAY;
use super::dice::{Purpose, hash};
use super::line::Line;

/// The program that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    DesktopWindows,
    DesktopMac,
    DesktopLinux,
    Ios,
    /// The part of the iOS app that fetches notifications, in the session of the app.
    IosNotification,
    Android,
    ChromeWindows,
    ChromeMac,
    Safari,
    Firefox,
    Edge,
    MediaPlayer,
    PythonRequests,
    PythonSlack,
    PythonAiohttp,
    Curl,
    /// No user agent at all.
    None,
}

/// A program with what its user agent string says beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) family: Family,
    /// Releases since [`FIRST_RELEASE`].
    release: u8,
    /// Decides the model and the system's version: one number for each person.
    traits: u16,
}

/// 2026-01-05T00:00:00Z in Unix seconds. A release follows every 14 days.
const FIRST_RELEASE: i64 = 1_767_571_200;
const RELEASE_PERIOD: i64 = 14 * DAY;

impl Organisation {
    /// The program of that family on the person's device. Four of five people have a release
    /// within 5 days.
    pub(super) fn agent(&self, person: u32, family: Family, time: i64) -> Agent {
        let traits = hash(self.seed, Purpose::Device, person.into(), 0);
        let unit = (traits >> 32) as f64 / (1_u64 << 32) as f64;
        let days = (-(1.0 - unit).ln() * 5.0 / 5.0_f64.ln()).min(13.0);
        let delay = (days * DAY as f64) as i64;
        let release = (time - delay - FIRST_RELEASE).div_euclid(RELEASE_PERIOD);
        Agent {
            family,
            release: release.clamp(0, 255) as u8,
            traits: traits as u16,
        }
    }
}

impl Agent {
    /// A user agent that is not sent.
    pub(super) const NONE: Self = Self {
        family: Family::None,
        release: 0,
        traits: 0,
    };

    /// The same device with another program.
    pub(super) fn with(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// Appends the string; it holds nothing that JSON escapes.
    pub(super) fn write(self, line: &mut Line) {
        let release = u64::from(self.release);
        let traits = usize::from(self.traits);
        match self.family {
            Family::DesktopWindows => desktop(WINDOWS, release, line),
            Family::DesktopMac => desktop(MAC, release, line),
            Family::DesktopLinux => desktop(LINUX, release, line),
            Family::Ios => ios("", release, traits, line),
            Family::IosNotification => ios(".NotificationService", release, traits, line),
            Family::Android => android(release, traits, line),
            Family::ChromeWindows => chrome(WINDOWS, release, line),
            Family::ChromeMac => chrome(MAC, release, line),
            Family::Edge => {
                chrome(WINDOWS, release, line);
                line.raw(" Edg/").number(143 + release / 2).raw(".0.0.0");
            }
            Family::Safari => {
                line.raw("Mozilla/5.0 (")
                    .raw(MAC)
                    .raw(") AppleWebKit/605.1.15 ");
                line.raw("(KHTML, like Gecko) Version/26.")
                    .number(release / 4);
                line.raw(" Safari/605.1.15");
            }
            Family::Firefox => {
                let version = 147 + release / 2;
                line.raw("Mozilla/5.0 (")
                    .raw(LINUX)
                    .raw("; rv:")
                    .number(version);
                line.raw(".0) Gecko/20100101 Firefox/")
                    .number(version)
                    .raw(".0");
            }
            Family::MediaPlayer => {
                line.raw("AppleCoreMedia/1.0.0.23D")
                    .number(100 + traits as u64 % 40);
                line.raw(" (iPhone; U; CPU OS 26_3 like Mac OS X; en_us)");
            }
            Family::PythonRequests => {
                line.raw("python-requests/2.32.").number(traits as u64 % 5);
            }
            Family::PythonSlack => {
                line.raw("Python/3.13.").number(traits as u64 % 9);
                line.raw(" slackclient/3.40.1 Linux/6.12.")
                    .number(traits as u64 % 60);
            }
            Family::PythonAiohttp => {
                line.raw("Python/3.12 aiohttp/3.12.")
                    .number(traits as u64 % 15);
            }
            Family::Curl => {
                line.raw("curl/8.").number(5 + traits as u64 % 9).raw(".0");
            }
            Family::None => {}
        }
    }
}

impl Family {
    /// Whether both are one program to whoever reads the string, whatever the system.
    pub(super) fn is_same_program(self, other: Self) -> bool {
        self.program() == other.program()
    }

    fn program(self) -> Self {
        match self {
            Self::DesktopMac | Self::DesktopLinux => Self::DesktopWindows,
            Self::ChromeMac => Self::ChromeWindows,
            other => other,
        }
    }
}

const WINDOWS: &str = "Windows NT 10.0; Win64; x64";
const MAC: &str = "Macintosh; Intel Mac OS X 10_15_7";
const LINUX: &str = "X11; Linux x86_64";

const ANDROID_MODELS: &[&str] = &[
    "samsung SM-A235F",
    "samsung SM-S921B",
    "Google Pixel 8",
    "Google Pixel 9 Pro",
    "OnePlus CPH2581",
    "Xiaomi 2312DRA50G",
    "motorola moto g84 5G",
];

fn desktop(system: &str, release: u64, line: &mut Line) {
    let (minor, patch) = (47 + release, 65 + release * 29 % 80);
    line.raw("Mozilla/5.0 (").raw(system);
    line.raw(") AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.");
    line.number(minor).raw(".").number(patch);
    line.raw(" Chrome/").number(142 + release / 2);
    line.raw(".0.7444.").number(patch);
    line.raw(" Electron/").number(39 + release / 4);
    line.raw(".2.").number(release % 4);
    line.raw(" Safari/537.36 Sonic Slack_SSB/4.");
    line.number(minor).raw(".").number(patch);
}

fn ios(service: &str, release: u64, traits: usize, line: &mut Line) {
    let device = pick(&["iPhone", "iPhone", "iPhone", "iPad"], traits >> 4);
    let system = pick(&["26.3.1", "26.2", "26.3", "18.7.4"], traits);
    line.raw("com.tinyspeck.chatlyio").raw(service).raw("/");
    mobile_version(release, line);
    line.raw(" (").raw(device).raw("; iOS ").raw(system);
    line.raw("; Scale/3.00)");
}

fn android(release: u64, traits: usize, line: &mut Line) {
    line.raw("slack/");
    mobile_version(release, line);
    line.raw(".0.").number(90_016_209 + release * 41).raw(" (");
    line.raw(pick(ANDROID_MODELS, traits >> 4));
    line.raw("; Android ").number(13 + traits as u64 % 4);
    line.raw("; store com.android.vending)");
}

/// Year, month and a number within the year: `26.03.14`.
fn mobile_version(release: u64, line: &mut Line) {
    let (year, fortnight) = (26 + release / 26, release % 26);
    let month = fortnight * 12 / 26 + 1;
    line.number(year).raw(if month < 10 { ".0" } else { "." });
    line.number(month).raw(".").number(10 + fortnight);
}

fn chrome(system: &str, release: u64, line: &mut Line) {
    line.raw("Mozilla/5.0 (").raw(system);
    line.raw(") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/");
    line.number(143 + release / 2).raw(".0.0.0 Safari/537.36");
}

fn pick<'a>(list: &[&'a str], number: usize) -> &'a str {
    list[number % list.len()]
}
