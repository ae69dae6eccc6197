//! Messages to people and channels.

use serde::Deserialize;
use serde_json::json;

use super::answer::read;
use super::{Client, Error};

const OPEN: &str = "conversations.open";

const POST: &str = "chat.postMessage";

/// Characters of a message at most, as it is sent. Slack advises fewer than 4,000.
const MOST: usize = 3_000;

/// Characters of one piece of somebody else's text at most, so that it does not push ours out.
const MOST_OF_THEIRS: usize = 300;

/// What a cut text ends with.
const ELLIPSIS: &str = "…";

/// The text of a message, of pieces in their order. It has at most 3,000 characters; what comes behind is
/// cut off, and an ellipsis tells so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    text: String,
    /// Characters of the pieces; more than [`MOST`] once the text is cut.
    length: usize,
    /// Bytes of the text behind which an ellipsis fits.
    kept: usize,
}

impl Text {
    /// An empty one, which Slack does not take.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is written in the program, as it is: it may hold Slack's markup, such as `<!here>`.
    #[must_use]
    pub fn ours(mut self, text: &'static str) -> Self {
        for letter in text.chars() {
            self.push(letter.encode_utf8(&mut [0; 4]));
        }
        self
    }

    /// Adds what anybody may have written, such as a name, so that it is shown as it reads. It links and
    /// mentions nothing, stays in its line, and is cut after 300 characters.
    #[must_use]
    pub fn theirs(mut self, text: &str) -> Self {
        let mut letters = text.chars();
        for letter in letters.by_ref().take(MOST_OF_THEIRS) {
            match letter {
                '&' => self.push("&amp;"),
                '<' => self.push("&lt;"),
                '>' => self.push("&gt;"),
                letter if is_misleading(letter) => self.push(" "),
                letter => self.push(letter.encode_utf8(&mut [0; 4])),
            }
        }
        if letters.next().is_some() {
            self.push(ELLIPSIS);
        }
        self
    }

    /// The text as Slack takes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds this as a whole, or cuts the text.
    fn push(&mut self, unit: &str) {
        if self.length > MOST {
            return;
        }
        self.length += unit.chars().count();
        if self.length > MOST {
            self.text.truncate(self.kept);
            self.text.push_str(ELLIPSIS);
            return;
        }
        self.text.push_str(unit);
        if self.length < MOST {
            self.kept = self.text.len();
        }
    }
}

/// Whether the character breaks the line, turns the direction of what follows, or is a control.
fn is_misleading(letter: char) -> bool {
    let is_direction = matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    is_direction || letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

impl Client {
    /// Sends the text to a channel, or to a person in a direct message. Either is an id: those of people
    /// begin with `U` or `W`. Slack makes no link, mention, preview or bold letters of the text, except
    /// where [`Text::ours`] asks for it in angle brackets. It needs the scope `chat:write`, and `im:write`
    /// for a person.
    ///
    /// # Errors
    /// Any [`Error`]. When the connection fails, the message may have been sent.
    pub async fn message(&self, channel_or_user: &str, text: &Text) -> Result<(), Error> {
        let channel = if channel_or_user.starts_with(['U', 'W']) {
            self.direct_message(channel_or_user).await?
        } else {
            channel_or_user.to_owned()
        };
        let arguments = json!({
            "channel": channel,
            "text": text.as_str(),
            "parse": "none",
            "link_names": false,
            "mrkdwn": false,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        self.post_json(POST, &arguments).await?;
        Ok(())
    }

    /// The id of the direct message with this person, which Slack opens if there is none.
    async fn direct_message(&self, user: &str) -> Result<String, Error> {
        let body = self.post(OPEN, &[("users", user)]).await?;
        let opened: Opened = read(OPEN, &body, "an object with a `channel` that has an id")?;
        Ok(opened.channel.id)
    }
}

#[derive(Deserialize)]
struct Opened {
    channel: Channel,
}

#[derive(Deserialize)]
struct Channel {
    id: String,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Endpoint;
    use crate::simulate::slack::{FakeSlack, Options};

    const OWNER: &str = "U00000OWNER";

    async fn open() -> (FakeSlack, Client) {
        let starting = FakeSlack::start(Options::default(), Clock::system());
        let fake = starting.await.unwrap();
        let endpoint = Endpoint::parse(&fake.web_endpoint()).unwrap();
        let client = Client::new(endpoint, fake.token().into()).unwrap();
        (fake, client)
    }

    #[tokio::test]
    async fn a_message_comes_to_a_channel_and_to_a_person() {
        let (fake, client) = open().await;
        let text = Text::new().ours("Signed out: ").theirs("<!channel>");
        for (to, kind) in [("C1", 'C'), (OWNER, 'D'), (OWNER, 'D')] {
            assert_eq!(client.message(to, &text).await, Ok(()));
            let messages = fake.messages();
            let message = messages.last().unwrap();
            let channel = message["channel"].as_str().unwrap();
            assert!(channel.starts_with(kind), "{to}: {channel}");
            assert_eq!(message["text"], "Signed out: &lt;!channel&gt;");
        }
        assert_eq!(fake.messages().len(), 3);
    }

    #[tokio::test]
    async fn who_is_not_there_gets_no_message() {
        let (fake, client) = open().await;
        for (to, code) in [
            ("WX", "user_not_found"),
            ("security", "channel_not_found"),
            ("", "channel_not_found"),
        ] {
            let text = Text::new().ours("Hello");
            let error = client.message(to, &text).await.unwrap_err();
            assert_eq!(error.code(), code, "{to}");
            assert!(error.is_permanent(), "{error}");
        }
        assert_eq!(fake.messages().len(), 0);
    }

    #[test]
    fn what_is_theirs_is_only_text() {
        for (theirs, expected) in [
            ("Ann", "Ann"),
            ("<!here>", "&lt;!here&gt;"),
            ("<https://x|y>", "&lt;https://x|y&gt;"),
            ("&lt;", "&amp;lt;"),
            ("a\r\n\tb\u{1b}[2J\u{7f}\u{9f}c", "a   b [2J  c"),
            (
                "a\u{202e}b\u{2069}c\u{200f}d\u{2028}e\u{61c}f",
                "a b c d e f",
            ),
            ("ä 日本 👋", "ä 日本 👋"),
            ("", ""),
        ] {
            let text = Text::new().theirs(theirs);
            assert_eq!(text.as_str(), expected, "{theirs:?}");
        }
        let text = Text::new().ours("<!here>\n").theirs("&").ours("&");
        assert_eq!(text.as_str(), "<!here>\n&amp;&");
    }

    #[test]
    fn what_is_theirs_leaves_room_for_ours() {
        for (theirs, expected) in [
            ("<".repeat(300), "&lt;".repeat(300)),
            ("ä".repeat(301), format!("{}…", "ä".repeat(300))),
            ("a".repeat(99_999), format!("{}…", "a".repeat(300))),
        ] {
            let text = Text::new().theirs(&theirs).ours(" was signed out");
            assert_eq!(text.as_str(), format!("{expected} was signed out"));
        }
    }

    /// A text of so many characters, of which the last six are one `&` of theirs and one `x` of ours.
    fn long(length: usize) -> Text {
        let mut text = Text::new();
        for _ in 0..length - 6 {
            text = text.ours("ä");
        }
        text.theirs("&").ours("x")
    }

    #[test]
    fn a_text_is_cut_between_two_of_its_characters() {
        let filled = |length: usize, end: &str| format!("{}{end}", "ä".repeat(length));
        for (length, expected) in [
            (2_999, filled(2_993, "&amp;x")),
            (3_000, filled(2_994, "&amp;x")),
            (3_001, filled(2_995, "…")),
            (3_002, filled(2_996, "…")),
            (3_005, filled(2_999, "…")),
            (3_006, filled(2_999, "…")),
            (3_100, filled(2_999, "…")),
        ] {
            let text = long(length);
            assert_eq!(text.as_str(), expected, "{length}");
            let longer = text.clone().ours("x").theirs("x");
            assert_eq!(longer == text, length > 3_000, "{length}");
        }
    }

    /// The text that a reader sees.
    fn shown(text: &str) -> String {
        let text = text.replace("&lt;", "<").replace("&gt;", ">");
        text.replace("&amp;", "&")
    }

    proptest! {
        #[test]
        fn no_text_of_theirs_is_markup_or_too_long(
            pieces in vec(("([<>&;]|amp|lt|\\PC|.){0,30}", 1..20_usize), 0..20),
        ) {
            let add = |text: Text, (piece, times): &(String, usize)| {
                text.theirs(&piece.repeat(*times))
            };
            let text = pieces.iter().fold(Text::new(), add);
            let text = text.as_str();
            prop_assert!(text.chars().count() <= MOST);
            prop_assert!(!text.contains(['<', '>']) && !text.contains(char::is_control));
            let names = ["amp;", "lt;", "gt;"];
            let is_whole = |rest: &str| names.iter().any(|name| rest.starts_with(name));
            let mut behind = text.split('&').skip(1);
            prop_assert!(behind.all(is_whole), "{}", text);
        }

        #[test]
        fn a_short_text_of_theirs_is_shown_whole(theirs in "([<>&;]|amp|lt|\\PC){0,75}") {
            let text = Text::new().theirs(&theirs);
            let expected: String = theirs
                .chars()
                .map(|letter| if is_misleading(letter) { ' ' } else { letter })
                .collect();
            prop_assert_eq!(shown(text.as_str()), expected);
        }
    }
}
