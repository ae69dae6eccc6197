use super::AgentKind::{Bot, Browser, Desktop, Mobile, Script, Service, Unknown};
use super::*;

type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    AgentKind,
);

/// User agent, family, version, system (`-` for none), kind.
#[rustfmt::skip]
const CASES: &[Case] = &[
    // Slack's own programs.
    ("com.tinyspeck.chatlyio/26.09.20 (iPhone; iOS 26.6.2; Scale/3.00)", "slack-ios", "26.09.20", "iOS", Mobile),
    ("com.tinyspeck.chatlyio/26.09.20 (iPad; iPadOS 26.6; Scale/2.00)", "slack-ios", "26.09.20", "iOS", Mobile),
    ("com.tinyspeck.chatlyio.NotificationService/26.09.20 (iPhone; iOS 26.6.2; Scale/3.00)", "slack-ios-notification-service", "26.09.20", "iOS", Service),
    ("com.tinyspeck.chatlyio.share/20.06.10 (iPhone; iOS 13.6; Scale/3.00)", "slack-ios-share", "20.06.10", "iOS", Service),
    ("com.tinyspeck.chatlyio.SiriIntentsUI", "slack-ios-siri-intents-ui", "-", "iOS", Service),
    ("slack/26.09.41.0.90016209 (samsung SM-A235F; Android 14; store com.android.vending)", "slack-android", "26.09.41.0.90016209", "Android", Mobile),
    ("slack/26.09.41.0.90016209 (Google Pixel 9; Android 16; store com.android.vending)", "slack-android", "26.09.41.0.90016209", "Android", Mobile),
    ("slack/25.01.10.0 (CUBOT KINGKONG; Android 13; store )", "slack-android", "25.01.10.0", "Android", Mobile),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.36.140 Chrome/120.0.6099.227 Electron/28.2.0 Safari/537.36 Sonic Slack_SSB/4.36.140", "slack-desktop", "4.36.140", "macOS", Desktop),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.36.140 Chrome/120.0.6099.227 Electron/28.2.0 Safari/537.36", "slack-desktop", "4.36.140", "Windows", Desktop),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) AtomShell/3.4.2 Chrome/69.0.3497.128 Electron/4.1.3 Safari/537.36 Slack_SSB/3.4.2", "slack-desktop", "3.4.2", "Linux", Desktop),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_3) AppleWebKit/537.36 (KHTML, like Gecko) Slack/2.0.2 Chrome/47.0.2526.110 AtomShell/0.36.9 Safari/537.36", "slack-desktop", "2.0.2", "macOS", Desktop),
    ("Slackbot 1.0 (+https://api.slack.com/robots)", "slackbot", "1.0", "-", Bot),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "slackbot-linkexpanding", "1.0", "-", Bot),
    ("Slack-ImgProxy (+https://api.slack.com/robots)", "slack-imgproxy", "-", "-", Bot),
    // Media players and robots.
    ("AppleCoreMedia/1.0.0.18D52 (iPhone; U; CPU OS 14_4 like Mac OS X; en_us)", "apple-core-media", "1.0.0.18D52", "iOS", Service),
    ("AppleCoreMedia/1.0.0.23E224 (Macintosh; U; Intel Mac OS X 14_4; en_us)", "apple-core-media", "1.0.0.23E224", "macOS", Service),
    ("stagefright/1.2 (Linux;Android 12)", "stagefright", "1.2", "Android", Service),
    ("Player/1.4 (Linux;Android 11) ExoPlayerLib/2.19.1", "exo-player", "2.19.1", "Android", Service),
    ("Lavf/60.3.100", "lavf", "60.3.100", "-", Service),
    ("VLC/3.0.20 LibVLC/3.0.20", "vlc", "3.0.20", "-", Service),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "googlebot", "2.1", "-", Bot),
    ("acme-helper-bot/3.1 (+https://example.com/bot/)", "acme-helper-bot", "3.1", "-", Bot),
    ("Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", "yahoo-slurp", "-", "-", Bot),
    // Libraries and tools.
    ("Python/3.13.15 slackclient/3.43.0 Linux/5.15.0", "python-slackclient", "3.43.0", "Linux", Script),
    ("Bolt/1.18.0 Python/3.11.4 slackclient/3.27.1 Darwin/22.6.0", "slack-bolt", "1.18.0", "macOS", Script),
    ("Python/3.12 aiohttp/3.9.5", "python-aiohttp", "3.9.5", "-", Script),
    ("slack_bolt/1.18", "slack-bolt", "1.18", "-", Script),
    ("ApiApp/A012AB3CD @slack:socket-mode/2.0.5 @slack:bolt/4.6.0 @slack:web-api/7.13.0 node/22.1.0 linux/6.1.0", "slack-bolt", "4.6.0", "Linux", Script),
    ("@slack:web-api/7.7.0 node/18.15.0 win32/10.0.20348", "slack-node-sdk", "7.7.0", "Windows", Script),
    ("slack-api-client/1.45.3; OpenJDK 64-Bit Server VM/17.0.10; Linux/5.10;", "slack-java-sdk", "1.45.3", "Linux", Script),
    ("Slack Ruby Client/2.1.0", "slack-ruby-client", "2.1.0", "-", Script),
    ("ApiApp/1.0", "apiapp", "1.0", "-", Script),
    ("Bun/1.1.38", "bun", "1.1.38", "-", Script),
    ("python-requests/2.31.0", "python-requests", "2.31.0", "-", Script),
    ("Python-urllib/3.10", "python-urllib", "3.10", "-", Script),
    ("Go-http-client", "go-http-client", "-", "-", Script),
    ("Go-http-client/2.0", "go-http-client", "2.0", "-", Script),
    ("curl/8.5.0", "curl", "8.5.0", "-", Script),
    ("Wget/1.21.4 (linux-gnu)", "wget", "1.21.4", "Linux", Script),
    ("okhttp/4.12.0", "okhttp", "4.12.0", "-", Script),
    ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "node-fetch", "1.0", "-", Script),
    ("axios/1.6.8", "axios", "1.6.8", "-", Script),
    ("undici", "undici", "-", "-", Script),
    ("Apache-HttpClient/4.5.14 (Java/17.0.9)", "apache-httpclient", "4.5.14", "-", Script),
    ("Java/1.8.0_311", "java", "1.8.0_311", "-", Script),
    ("Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4170", "powershell", "5.1.19041.4170", "Windows", Script),
    ("PostmanRuntime/7.37.0", "postman", "7.37.0", "-", Script),
    ("HTTPie/3.2.2", "httpie", "3.2.2", "-", Script),
    ("libwww-perl/6.67", "libwww-perl", "6.67", "-", Script),
    ("Ruby", "ruby", "-", "-", Script),
    ("PHP/8.2.1", "php", "8.2.1", "-", Script),
    ("reqwest/0.12.4", "rust-reqwest", "0.12.4", "-", Script),
    ("WordPress/6.5; https://example.com", "wordpress", "6.5", "-", Script),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.6099.28 Safari/537.36", "headless-chrome", "120.0.6099.28", "Linux", Script),
    ("Playwright/1.40.0 (x64; ubuntu 22.04) node/18.19", "playwright", "1.40.0", "Linux", Script),
    ("Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1", "phantomjs", "2.1.1", "Linux", Script),
    // Browsers.
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "chrome", "131.0.0.0", "Windows", Browser),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "chrome", "131.0.0.0", "ChromeOS", Browser),
    ("Mozilla/5.0 (Linux; Android 13; ruby Build/TP1A; CUBOT X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", "chrome", "131.0.0.0", "Android", Browser),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/123.0.6312.52 Mobile/15E148 Safari/604.1", "chrome", "123.0.6312.52", "iOS", Browser),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/124.0 Mobile/15E148 Safari/605.1.15", "firefox", "124.0", "iOS", Browser),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "firefox", "131.0", "Linux", Browser),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15", "safari", "17.4", "macOS", Browser),
    ("Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1", "safari", "17.4", "iOS", Browser),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.51", "edge", "131.0.2903.51", "Windows", Browser),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36 EdgA/131.0.2903.48", "edge", "131.0.2903.48", "Android", Browser),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/122.0.2365.99 Mobile/15E148 Safari/605.1.15", "edge", "122.0.2365.99", "iOS", Browser),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0", "opera", "115.0.0.0", "Windows", Browser),
    ("Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36", "samsung-internet", "27.0", "Android", Browser),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Vivaldi/7.0.3495.6", "vivaldi", "7.0.3495.6", "Windows", Browser),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "internet-explorer", "11.0", "Windows", Browser),
    ("Newcomer/9.1 (Linux; Haiku) Chrome/140.0", "chrome", "140.0", "Linux", Browser),
    ("NEWCOMER/1 firefox/200", "firefox", "200", "-", Browser),
    // Anything else.
    ("Slack/26.09 CFNetwork/1410.0.3 Darwin/22.6.0", "slack", "26.09", "-", Unknown),
    ("Dalvik/2.1.0 (Linux; U; Android 14; SM-A235F Build/UP1A)", "dalvik", "2.1.0", "Android", Unknown),
    ("Ünïted Client/1", "nted", "-", "-", Unknown),
    ("", "unknown", "-", "-", Unknown),
    (" - ", "unknown", "-", "-", Unknown),
    ("(;)/\u{0}é", "unknown", "-", "-", Unknown),
];

#[test]
fn corpus() {
    for (text, family, version, os, kind) in CASES {
        let agent = parse(text);
        let said = (
            agent.family.as_str(),
            agent.version.as_deref().unwrap_or("-"),
            agent.os.as_deref().unwrap_or("-"),
            agent.kind,
        );
        assert_eq!(said, (*family, *version, *os, *kind), "{text}");
    }
}

#[test]
fn updates_keep_the_family() {
    for (text, family, _, _, kind) in CASES {
        for digit in ["0", "7", "123"] {
            let mut in_version = false;
            let updated: String = text
                .chars()
                .map(|c| {
                    in_version = c == '/' || in_version && (c.is_ascii_digit() || c == '.');
                    let changes = in_version && c.is_ascii_digit();
                    if changes {
                        digit.to_owned()
                    } else {
                        c.to_string()
                    }
                })
                .collect();
            let agent = parse(&updated);
            assert_eq!(
                (agent.family.as_str(), agent.kind),
                (*family, *kind),
                "{updated}"
            );
        }
    }
}

#[test]
fn any_string_gives_an_agent() {
    let pieces = [
        "/",
        " ",
        "(",
        ")",
        ";",
        ".",
        "-",
        "\u{0}",
        "é",
        "👩‍💻",
        "İ",
        "9",
        "v1.",
        "bot",
        "Slack/",
        "slack_ssb",
        "Chrome/",
        "com.tinyspeck.chatlyio",
        ".Ünï",
        "Mozilla/5.0",
        "compatible; ",
        "MSIE 9;",
        "Android",
        "\u{202e}",
        "Z",
    ];
    let mut state = 7_u64;
    for length in (0..1000).map(|round| round % 40) {
        let text: String = (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                pieces[(state >> 33) as usize % pieces.len()]
            })
            .collect();
        for text in [text.repeat(60), text] {
            let agent = parse(&text);
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            assert!((1..=48).contains(&agent.family.len()), "{text:?}");
            assert!(agent.family.chars().all(allowed), "{text:?}");
            assert!(agent.version.is_none_or(|v| v.len() <= 32), "{text:?}");
        }
    }
}
