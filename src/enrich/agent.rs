//! The program behind a user agent string.
//!
//! Slack's own programs, libraries and media players are told by the tables here, browsers by
//! woothee. Families never depend on a version, so that an update is not a new program.

mod table;
#[cfg(test)]
mod tests;

use woothee::parser::Parser;

use self::table::{BROWSER_ENGINES, CRAWLERS, PROGRAMS, SYSTEMS};

/// The most bytes of a user agent that are read; real ones have some hundreds.
const MOST_READ: usize = 2048;
/// The most characters of a family.
const LONGEST_FAMILY: usize = 48;
/// The most characters of a version.
const LONGEST_VERSION: usize = 32;

/// What kind of program sends requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgentKind {
    /// Slack's desktop app.
    Desktop,
    /// Slack's app on a phone or tablet.
    Mobile,
    /// A browser, on whatever device.
    Browser,
    /// A library, a tool or a browser driven by a program.
    Script,
    /// A crawler, or a robot that names itself one.
    Bot,
    /// A part of an app or system that acts beside its user: a media player, an app extension.
    Service,
    Unknown,
}

impl AgentKind {
    /// The word used in the column `agent_kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Browser => "browser",
            Self::Script => "script",
            Self::Bot => "bot",
            Self::Service => "service",
            Self::Unknown => "unknown",
        }
    }
}

/// What a user agent string says; it is the sender's claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Stable over versions: 1 to 48 characters of `[a-z0-9._-]`.
    pub family: String,
    /// Begins with a digit; at most 32 characters.
    pub version: Option<String>,
    /// Windows, macOS, Linux, iOS, Android or ChromeOS.
    pub os: Option<String>,
    pub kind: AgentKind,
}

/// Reads a user agent string, of which only the first 2048 bytes count. Any string gives an agent;
/// one that says nothing gives the family `unknown`.
pub fn parse(user_agent: &str) -> Agent {
    let text = user_agent.trim();
    let text = &text[..text.floor_char_boundary(MOST_READ)];
    let read = Text {
        whole: text,
        lower: text.to_ascii_lowercase(),
        products: products(text),
    };
    let mut agent = slack_app(&read)
        .or_else(|| crawler(&read))
        .or_else(|| listed(&read, PROGRAMS))
        .or_else(|| browser(&read))
        .or_else(|| listed(&read, BROWSER_ENGINES))
        .unwrap_or_else(|| unlisted(&read, AgentKind::Unknown));
    if agent.os.is_none() {
        agent.os = system(&read.lower).map(str::to_owned);
    }
    agent
}

/// A user agent in the forms that are searched, all with the same byte positions.
struct Text<'a> {
    whole: &'a str,
    lower: String,
    /// In lower case, with what stands in parentheses blanked: a device may be called `ruby`.
    products: String,
}

impl Text<'_> {
    /// Where the product `name` ends, outside of parentheses.
    fn product(&self, name: &str) -> Option<usize> {
        find(&self.products, name, "-_")
    }

    /// The version that stands at `end`, after a slash or a space.
    fn version(&self, end: usize) -> Option<String> {
        let rest = self.whole.get(end..)?;
        let rest = rest.strip_prefix(['/', ' '])?;
        let rest = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "._+-".contains(*c);
        let version: String = rest
            .chars()
            .take_while(allowed)
            .take(LONGEST_VERSION)
            .collect();
        Some(version.trim_end_matches(['.', '_', '+', '-']).to_owned())
    }

    fn agent(&self, family: &str, kind: AgentKind, end: usize) -> Agent {
        Agent {
            family: family.to_owned(),
            version: self.version(end),
            os: None,
            kind,
        }
    }
}

fn products(text: &str) -> String {
    let mut depth = 0_usize;
    let mut products = String::with_capacity(text.len());
    for c in text.chars() {
        depth += usize::from(c == '(');
        if depth == 0 {
            products.push(c.to_ascii_lowercase());
        } else {
            products.extend(std::iter::repeat_n(' ', c.len_utf8()));
        }
        depth = depth.saturating_sub(usize::from(c == ')'));
    }
    products
}

/// Where the first `word` ends that no letter, digit or character of `joining` extends.
fn find(text: &str, word: &str, joining: &str) -> Option<usize> {
    let extends = |c: char| c.is_ascii_alphanumeric() || joining.contains(c);
    text.match_indices(word).find_map(|(start, _)| {
        let end = start + word.len();
        let free = !text[..start].ends_with(extends) && !text[end..].starts_with(extends);
        free.then_some(end)
    })
}

fn system(lower: &str) -> Option<&'static str> {
    // Darwin under CFNetwork is iOS or macOS.
    if lower.contains("cfnetwork/") && find(lower, "darwin", "").is_some() {
        return None;
    }
    let mut known = SYSTEMS.iter();
    let (_, system) = known.find(|(word, _)| find(lower, word, "").is_some())?;
    Some(system)
}

fn slack_app(text: &Text) -> Option<Agent> {
    ios_app(text)
        .or_else(|| desktop_app(text))
        .or_else(|| android_app(text))
}

/// `com.tinyspeck.chatlyio/26.09.20 (iPhone; …)`, or `com.tinyspeck.chatlyio.Extension/…`.
fn ios_app(text: &Text) -> Option<Agent> {
    const BUNDLE: &str = "com.tinyspeck.chatlyio";
    let rest = text
        .lower
        .starts_with(BUNDLE)
        .then(|| &text.whole[BUNDLE.len()..])?;
    let name = rest.split(['/', ' ', '(']).next()?;
    let extension = match name.strip_prefix('.') {
        Some(extension) => kebab(extension),
        None if name.is_empty() => String::new(),
        None => return None,
    };
    let (family, kind) = if extension.is_empty() {
        ("slack-ios".to_owned(), AgentKind::Mobile)
    } else {
        let family = cut(&format!("slack-ios-{extension}"));
        (family, AgentKind::Service)
    };
    let agent = text.agent(&family, kind, BUNDLE.len() + name.len());
    Some(on("iOS", agent))
}

/// Slack's desktop app is built on Electron, once called AtomShell. Which names stand in the text
/// depends on its age; the version after `AtomShell` is Slack's only where no other name is.
fn desktop_app(text: &Text) -> Option<Agent> {
    let atom_shell = text.product("atomshell");
    let is_electron = atom_shell.or_else(|| text.product("electron")).is_some();
    let end = text
        .product("slack_ssb")
        .or_else(|| text.product("slack").filter(|_| is_electron))
        .or(atom_shell)?;
    Some(text.agent("slack-desktop", AgentKind::Desktop, end))
}

/// `slack/26.09.41.0.90016209 (samsung SM-A235F; Android 14; store com.android.vending)`.
fn android_app(text: &Text) -> Option<Agent> {
    let is_android = find(&text.lower, "android", "").is_some() || text.lower.contains("; store ");
    let is_app = text.lower.starts_with("slack/") && is_android;
    let agent = || text.agent("slack-android", AgentKind::Mobile, "slack".len());
    is_app.then(|| on("Android", agent()))
}

/// A listed crawler, or a product that ends in `bot`, `crawler` or `spider`. Such a word elsewhere
/// may be a device or part of an address.
fn crawler(text: &Text) -> Option<Agent> {
    let listed = CRAWLERS
        .iter()
        .find_map(|name| find(&text.lower, name, "-_").map(|end| (end - name.len(), end)));
    let (start, end) = listed.or_else(|| named_crawler(&text.lower))?;
    Some(text.agent(&family(&text.lower[start..end])?, AgentKind::Bot, end))
}

fn named_crawler(lower: &str) -> Option<(usize, usize)> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut start = 0;
    for word in lower.split(|c| !in_word(c)) {
        let end = start + word.len();
        let (before, after) = (&lower[..start], &lower[end..]);
        let is_crawler = ["bot", "crawler", "spider"]
            .iter()
            .any(|suffix| word.ends_with(suffix));
        let is_product = after.starts_with('/') && !before.ends_with(['/', '=', '?', '&']);
        if is_crawler && (is_product || start == 0 || before.ends_with("compatible; ")) {
            return Some((start, end));
        }
        start = end + after.chars().next().map_or(0, char::len_utf8);
    }
    None
}

/// The first row of `programs` all of whose names stand in the text.
fn listed(text: &Text, programs: &[table::Program]) -> Option<Agent> {
    programs.iter().find_map(|(names, family, kind)| {
        let mut ends = names.iter().map(|name| text.product(name));
        let first = ends.next()??;
        let all = ends.all(|end| end.is_some());
        all.then(|| text.agent(family, *kind, first))
    })
}

/// What woothee makes of the text, if that is a browser, a crawler or a library.
fn browser(text: &Text) -> Option<Agent> {
    let found = Parser::new().parse(text.whole)?;
    let kind = match (found.category, found.browser_type, found.name) {
        ("crawler", ..) => AgentKind::Bot,
        (_, "browser", _) => AgentKind::Browser,
        (.., "HTTP Library") => AgentKind::Script,
        _ => return None,
    };
    if matches!(found.name, "misc crawler" | "HTTP Library") {
        return Some(unlisted(text, kind));
    }
    let has_version = found.version.starts_with(|c: char| c.is_ascii_digit());
    let version: String = found.version.chars().take(LONGEST_VERSION).collect();
    Some(Agent {
        family: cut(&kebab(found.name)),
        version: has_version.then(|| version.trim_end_matches('.').to_owned()),
        os: None,
        kind,
    })
}

/// Named by its first product.
fn unlisted(text: &Text, kind: AgentKind) -> Agent {
    let name = text.lower.split(['/', ' ', '(']).next().unwrap_or_default();
    let family = family(name).unwrap_or_else(|| "unknown".to_owned());
    text.agent(&family, kind, name.len())
}

fn on(system: &str, agent: Agent) -> Agent {
    Agent {
        os: Some(system.to_owned()),
        ..agent
    }
}

/// What of `name` may stand in a family; `None` without any letter or digit.
fn family(name: &str) -> Option<String> {
    let allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    let family = cut(&name.chars().filter(allowed).collect::<String>());
    family
        .contains(|c: char| c.is_ascii_alphanumeric())
        .then_some(family)
}

fn cut(family: &str) -> String {
    family.chars().take(LONGEST_FAMILY).collect()
}

/// `NotificationService`, `Internet Explorer` and `notification.service` in lower case with one
/// hyphen between words, in ASCII letters and digits alone.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let ends_acronym = before.is_ascii_uppercase()
            && rest.peek().is_some_and(|next| next.is_ascii_lowercase());
        let begins = c.is_ascii_uppercase() && (!before.is_ascii_uppercase() || ends_acronym);
        if (begins || !c.is_ascii_alphanumeric()) && !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
        }
        if c.is_ascii_alphanumeric() {
            kebab.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    kebab.trim_end_matches('-').to_owned()
}
