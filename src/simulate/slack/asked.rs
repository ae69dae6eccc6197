//! What a request asks for.

use std::str::FromStr;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use axum::http::{HeaderMap, Method};
use serde_json::{Map, Value};

/// A code of Slack's for what is wrong with a call.
pub(super) type Code = &'static str;

/// Which of the two interfaces is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Audit,
    Web,
}

impl Api {
    /// The code for too many calls; each interface has its own.
    pub fn limited(self) -> Code {
        match self {
            Self::Audit => "rate_limited",
            Self::Web => "ratelimited",
        }
    }
}

/// A request that was read whole.
#[derive(Debug)]
pub(super) struct Asked {
    pub api: Api,
    /// The last part of the address.
    pub method: String,
    pub is_get: bool,
    /// Who asks, if it is said in the way in which Slack wants it.
    pub token: Option<String>,
    /// The program that asks.
    pub agent: String,
    pub arguments: Result<Arguments, Code>,
}

impl Asked {
    pub async fn read(api: Api, method: String, request: Request) -> Self {
        let headers = request.headers();
        let token = text(headers, &AUTHORIZATION).strip_prefix("Bearer ");
        Self {
            api,
            method,
            is_get: request.method() == Method::GET,
            token: token.map(str::to_owned),
            agent: text(headers, &USER_AGENT).to_owned(),
            arguments: Arguments::read(request).await,
        }
    }

    pub fn has_cursor(&self) -> bool {
        let arguments = self.arguments.as_ref();
        arguments.is_ok_and(|arguments| arguments.text("cursor").is_some())
    }
}

/// The header's text, or nothing.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

/// The arguments of a call by name, whether they came in its address, as a form or as JSON. Of several
/// with one name the last counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    async fn read(request: Request) -> Result<Self, Code> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(pairs) = pairs.map_err(|_| "invalid_arguments")?;
        let mut all = Self::of_pairs(pairs);
        let kind = text(request.headers(), &CONTENT_TYPE);
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "" => {}
            "application/json" => {
                let body = Bytes::from_request(request, &()).await;
                let body = body.map_err(|_| "invalid_json")?;
                let fields: Map<String, Value> =
                    serde_json::from_slice(&body).map_err(|_| "invalid_json")?;
                all.0.extend(fields);
            }
            "application/x-www-form-urlencoded" => {
                let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
                let Form(pairs) = form.map_err(|_| "invalid_form_data")?;
                all.0.extend(Self::of_pairs(pairs).0);
            }
            _ => return Err("invalid_post_type"),
        }
        Ok(all)
    }

    fn of_pairs(pairs: Vec<(String, String)>) -> Self {
        let values = pairs.into_iter();
        Self(values.map(|(name, text)| (name, text.into())).collect())
    }

    /// The argument as text; `None` if it is not there, or empty.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(is_true) => Some(is_true.to_string()),
            _ => None,
        }
    }

    /// The argument as what it should be; `None` if it is not there.
    ///
    /// # Errors
    /// `invalid_arguments` if it is something else.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Code> {
        let parsed = self.text(name).map(|text| text.parse::<T>());
        parsed.transpose().map_err(|_| "invalid_arguments")
    }

    /// Whether the argument says yes.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("true" | "1"))
    }

    /// The argument as a list: one of JSON, also within a text, or words with commas between them.
    pub fn list(&self, name: &str) -> Option<Vec<Value>> {
        match self.0.get(name)? {
            Value::Array(values) => Some(values.clone()),
            Value::String(text) => Some(serde_json::from_str(text).unwrap_or_else(|_| {
                let words = text.split(',').map(str::trim);
                let words = words.filter(|word| !word.is_empty());
                words.map(Value::from).collect()
            })),
            _ => None,
        }
    }

    /// All of them.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    impl From<Value> for Arguments {
        fn from(value: Value) -> Self {
            Self(value.as_object().unwrap().clone())
        }
    }

    #[test]
    fn a_list_comes_in_several_forms() {
        for (given, list) in [
            (json!(["a", 1]), Some(json!(["a", 1]))),
            (json!("[\"a\",1]"), Some(json!(["a", 1]))),
            (json!("a, b"), Some(json!(["a", "b"]))),
            (json!(""), Some(json!([]))),
            (json!("[]"), Some(json!([]))),
            (json!(7), None),
        ] {
            let arguments = Arguments::from(json!({"x": given}));
            assert_eq!(arguments.list("x").map(Value::from), list, "{given}");
            assert_eq!(arguments.list("y"), None);
        }
    }

    #[test]
    fn numbers_and_flags_may_be_texts() {
        let arguments = Arguments::from(json!({"a": "7", "b": 7, "c": "x", "d": true, "e": "1"}));
        assert_eq!(arguments.parsed::<u32>("a"), Ok(Some(7)));
        assert_eq!(arguments.parsed::<u32>("b"), Ok(Some(7)));
        assert_eq!(arguments.parsed::<u32>("c"), Err("invalid_arguments"));
        assert_eq!(arguments.parsed::<u32>("z"), Ok(None));
        assert!(arguments.flag("d") && arguments.flag("e"));
        assert!(!arguments.flag("a") && !arguments.flag("z"));
    }
}
