//! Secrets: the file says where one is, never the secret itself.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Where a secret is: `{env: NAME}` or `{file: PATH}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In the environment variable of this name.
    Env(String),
    /// In a file, whose path is taken from the folder of the configuration file.
    File(PathBuf),
}

/// Why a secret cannot be had. The cause, where there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the environment variable `{0}` is not set: set it to the secret")]
    Unset(String),
    #[error("the environment variable `{0}` is empty: set it to the secret")]
    EmptyVariable(String),
    #[error("cannot read the secret in {}: check that the file exists and is readable", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is empty: write the secret into it", .0.display())]
    EmptyFile(PathBuf),
}

impl Secret {
    /// The secret itself, without the line break at its end. Paths are taken from the folder; `env`
    /// says what an environment variable holds.
    ///
    /// # Errors
    /// When there is none.
    pub fn resolve(
        &self,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, Error> {
        match self {
            Self::Env(name) => {
                let text = env(name).ok_or_else(|| Error::Unset(name.clone()))?;
                trimmed(text).ok_or_else(|| Error::EmptyVariable(name.clone()))
            }
            Self::File(path) => {
                let path = folder.join(path);
                match fs::read_to_string(&path) {
                    Ok(text) => trimmed(text).ok_or(Error::EmptyFile(path)),
                    Err(source) => Err(Error::Read { path, source }),
                }
            }
        }
    }
}

/// The text without the line break at its end; `None` if nothing is left.
fn trimmed(mut text: String) -> Option<SecretString> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    let is_empty = text.trim().is_empty();
    (!is_empty).then(|| SecretString::from(text))
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Its errors never repeat what is written: it may be the secret.
struct Reader;

const NOT_HERE: &str = "a secret is not written here: use {env: NAME} or {file: PATH}";
const ONE_KEY: &str = "a secret is {env: NAME} or {file: PATH}, with one key and a text";
const NO_NAME: &str = "`env` takes the name of a variable, made of letters, digits and _, not the secret: set the \
                       variable to that";

impl<'de> Visitor<'de> for Reader {
    type Value = Secret;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("{env: NAME} or {file: PATH}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let mut secret = None;
        while let Some(key) = map.next_key::<String>()? {
            let Value::String(text) = map.next_value()? else {
                return Err(A::Error::custom(ONE_KEY));
            };
            let read = match key.as_str() {
                "env" if is_variable(&text) => Secret::Env(text),
                "env" => return Err(A::Error::custom(NO_NAME)),
                "file" if !text.is_empty() => Secret::File(text.into()),
                _ => return Err(A::Error::custom(ONE_KEY)),
            };
            if secret.replace(read).is_some() {
                return Err(A::Error::custom(ONE_KEY));
            }
        }
        secret.ok_or_else(|| A::Error::custom(ONE_KEY))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Secret, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Secret, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Err(A::Error::custom(NOT_HERE))
    }
}

/// Whether an environment variable may be called so. Tokens of Slack are not.
fn is_variable(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_word)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::yaml;

    const TOKEN: &str = "xoxp-1234-abcd";

    #[derive(Debug, Deserialize)]
    struct Settings {
        token: Secret,
    }

    #[test]
    fn a_secret_is_in_a_variable_or_a_file() {
        for (text, secret) in [
            ("{env: SLACK_TOKEN}", Secret::Env("SLACK_TOKEN".to_owned())),
            ("{file: token.txt}", Secret::File("token.txt".into())),
        ] {
            let (read, problems) = yaml::read::<Settings>("f.yaml", &format!("token: {text}"));
            assert_eq!(read.unwrap().token, secret, "{problems:?}");
        }
    }

    #[test]
    fn what_is_written_instead_is_refused_and_not_repeated() {
        for (text, remedy) in [
            (TOKEN, NOT_HERE),
            ("'xoxp-1234-abcd'", NOT_HERE),
            ("1234", NOT_HERE),
            ("-1234", NOT_HERE),
            ("12.34", NOT_HERE),
            ("1234e5678", "if it is a text, put it in quotes"),
            ("true", NOT_HERE),
            ("", NOT_HERE),
            ("[xoxp-1234-abcd]", NOT_HERE),
            ("{}", ONE_KEY),
            ("{env: A, file: B}", ONE_KEY),
            ("{xoxp-1234-abcd: A}", ONE_KEY),
            ("{value: xoxp-1234-abcd}", ONE_KEY),
            ("{file: [xoxp-1234-abcd]}", ONE_KEY),
            ("{env: 1234}", ONE_KEY),
            ("{file: ''}", ONE_KEY),
            ("{env: xoxp-1234-abcd}", NO_NAME),
            ("{env: ''}", NO_NAME),
        ] {
            let (read, problems) = yaml::read::<Settings>("f.yaml", &format!("token: {text}"));
            assert!(read.is_none(), "{text}");
            let problem = problems[0].to_string();
            assert!(problem.starts_with("f.yaml:1:"), "{text}: {problem}");
            assert!(problem.ends_with(remedy), "{text}: {problem}");
            assert!(
                !format!("{problems:?}").contains("1234"),
                "{text}: {problem}"
            );
        }
    }

    #[test]
    fn a_secret_loses_its_line_break_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let none = |_: &str| None::<String>;
        for (text, secret) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            (" s3cret \n\n", " s3cret \n"),
        ] {
            fs::write(folder.path().join("token"), text).unwrap();
            let file = Secret::File("token".into()).resolve(folder.path(), &none);
            let variable = |name: &str| (name == "TOKEN").then(|| text.to_owned());
            let variable = Secret::Env("TOKEN".to_owned()).resolve(Path::new(""), &variable);
            for read in [file.unwrap(), variable.unwrap()] {
                assert_eq!(read.expose_secret(), secret);
                assert!(!format!("{read:?}").contains("s3cret"));
            }
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("empty"), " \n").unwrap();
        let env = |name: &str| (name == "EMPTY").then(|| "\n".to_owned());
        for (secret, wanted) in [
            (
                Secret::Env("TOKEN".to_owned()),
                "variable `TOKEN` is not set",
            ),
            (Secret::Env("EMPTY".to_owned()), "variable `EMPTY` is empty"),
            (
                Secret::File("none".into()),
                "none: check that the file exists",
            ),
            (
                Secret::File("empty".into()),
                "empty is empty: write the secret",
            ),
        ] {
            let error = secret.resolve(folder.path(), &env).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
