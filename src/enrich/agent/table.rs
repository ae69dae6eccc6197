//! The words by which programs and systems are known, all in lower case.

use super::AgentKind::{self, Browser, Script, Service};

/// The product names that must all stand in a user agent (the version follows the first of them),
/// the family, and the kind.
pub(super) type Program = (&'static [&'static str], &'static str, AgentKind);

/// Programs that woothee does not know or does not tell apart. The first row that fits decides:
/// what drives or wraps another program stands before it.
pub(super) const PROGRAMS: &[Program] = &[
    // Media players.
    (&["applecoremedia"], "apple-core-media", Service),
    (&["stagefright"], "stagefright", Service),
    (&["exoplayerlib"], "exo-player", Service),
    (&["exoplayer"], "exo-player", Service),
    (&["androidxmedia3"], "android-x-media3", Service),
    (&["lavf"], "lavf", Service),
    (&["vlc"], "vlc", Service),
    (&["libvlc"], "vlc", Service),
    (&["libmpv"], "mpv", Service),
    (&["mpv"], "mpv", Service),
    (&["nsplayer"], "windows-media-player", Service),
    (&["windows-media-player"], "windows-media-player", Service),
    (&["quicktime"], "quicktime", Service),
    (&["gstreamer"], "gstreamer", Service),
    // Slack's libraries. Slack's Node.js library writes `@slack:bolt` for `@slack/bolt`.
    (&["slack_bolt"], "slack-bolt", Script),
    (&["@slack:bolt"], "slack-bolt", Script),
    (&["bolt", "slackclient"], "slack-bolt", Script),
    (&["bolt-async", "slackclient"], "slack-bolt", Script),
    (&["@slack:web-api"], "slack-node-sdk", Script),
    (&["@slack:client"], "slack-node-sdk", Script),
    (&["slack-api-client"], "slack-java-sdk", Script),
    (&["slackclient"], "python-slackclient", Script),
    (&["slack ruby client"], "slack-ruby-client", Script),
    // Browsers driven by a program.
    (&["playwright"], "playwright", Script),
    (&["puppeteer"], "puppeteer", Script),
    (&["selenium"], "selenium", Script),
    (&["cypress"], "cypress", Script),
    (&["phantomjs"], "phantomjs", Script),
    (&["headlesschrome"], "headless-chrome", Script),
    (&["headlessfirefox"], "headless-firefox", Script),
    (&["jsdom"], "jsdom", Script),
    // Tools.
    (&["windowspowershell"], "powershell", Script),
    (&["powershell"], "powershell", Script),
    (&["postmanruntime"], "postman", Script),
    (&["postman"], "postman", Script),
    (&["insomnia"], "insomnia", Script),
    (&["httpie"], "httpie", Script),
    (&["curl"], "curl", Script),
    (&["wget"], "wget", Script),
    (&["scrapy"], "scrapy", Script),
    // Libraries, before the languages they are written in.
    (&["python-requests"], "python-requests", Script),
    (&["python-urllib"], "python-urllib", Script),
    (&["python-urllib3"], "python-urllib3", Script),
    (&["python-httpx"], "python-httpx", Script),
    (&["aiohttp", "python"], "python-aiohttp", Script),
    (&["aiohttp"], "aiohttp", Script),
    (&["axios"], "axios", Script),
    (&["node-fetch"], "node-fetch", Script),
    (&["undici"], "undici", Script),
    (&["node-superagent"], "superagent", Script),
    (&["got"], "got", Script),
    (&["okhttp"], "okhttp", Script),
    (&["apache-httpclient"], "apache-httpclient", Script),
    (&["go-http-client"], "go-http-client", Script),
    (&["reqwest"], "rust-reqwest", Script),
    (&["rust-reqwest"], "rust-reqwest", Script),
    (&["libwww-perl"], "libwww-perl", Script),
    (&["guzzlehttp"], "guzzle", Script),
    (&["faraday"], "faraday", Script),
    (&["rest-client"], "rest-client", Script),
    (&["restsharp"], "restsharp", Script),
    (&["bun"], "bun", Script),
    (&["deno"], "deno", Script),
    (&["java-http-client"], "java", Script),
    (&["java"], "java", Script),
    (&["dart"], "dart", Script),
    (&["php"], "php", Script),
    (&["ruby"], "ruby", Script),
    (&["python"], "python", Script),
    (&["node"], "node", Script),
    (&["node.js"], "node", Script),
    // Slack apps, where the library does not name itself after it.
    (&["apiapp"], "apiapp", Script),
    // Browsers that also name Chrome, Firefox or Safari.
    (&["samsungbrowser"], "samsung-internet", Browser),
    (&["yabrowser"], "yandex-browser", Browser),
    (&["vivaldi"], "vivaldi", Browser),
    (&["edg"], "edge", Browser),
    (&["edga"], "edge", Browser),
    (&["edgios"], "edge", Browser),
    (&["opr"], "opera", Browser),
    (&["opt"], "opera", Browser),
    (&["opx"], "opera", Browser),
    (&["ddg"], "duckduckgo", Browser),
    (&["duckduckgo"], "duckduckgo", Browser),
    (&["ucbrowser"], "uc-browser", Browser),
    (&["miuibrowser"], "miui-browser", Browser),
    (&["huaweibrowser"], "huawei-browser", Browser),
    (&["silk"], "silk", Browser),
    (&["crios"], "chrome", Browser),
    (&["fxios"], "firefox", Browser),
    (&["focus"], "firefox", Browser),
];

/// The names by which an unknown browser shows what it is built on.
pub(super) const BROWSER_ENGINES: &[Program] = &[
    (&["chrome"], "chrome", Browser),
    (&["chromium"], "chrome", Browser),
    (&["firefox"], "firefox", Browser),
    (&["safari"], "safari", Browser),
];

/// Crawlers whose names do not end in `bot`, `crawler` or `spider`.
pub(super) const CRAWLERS: &[&str] = &[
    "slackbot-linkexpanding",
    "slack-imgproxy",
    "facebookexternalhit",
    "bingpreview",
    "ia_archiver",
    "googleother",
    "apis-google",
];

/// Words of platforms and what they run, those first that stand beside words of others.
pub(super) const SYSTEMS: &[(&str, &str)] = &[
    ("windows phone", "Windows"),
    ("iphone", "iOS"),
    ("ipad", "iOS"),
    ("ipados", "iOS"),
    ("ipod", "iOS"),
    ("ios", "iOS"),
    ("like mac os x", "iOS"),
    ("android", "Android"),
    ("cros", "ChromeOS"),
    ("windows", "Windows"),
    ("win64", "Windows"),
    ("win32", "Windows"),
    ("macintosh", "macOS"),
    ("mac os x", "macOS"),
    ("macos", "macOS"),
    ("darwin", "macOS"),
    ("linux", "Linux"),
    ("ubuntu", "Linux"),
];
