//! Addresses of services that are called.

use std::net::IpAddr;

use reqwest::Url;

/// The address of an API, under which its methods stand: it ends in `/`. It is `https`, or plain `http` to
/// this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// # Errors
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut url = url(text)?;
        if url.scheme() == "http" && !is_this_machine(&url) {
            return Err("is not encrypted: write https, or http to this machine".to_owned());
        }
        if url.query().is_some() {
            return Err("has a query: write it without".to_owned());
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }

    pub fn url(&self) -> &Url {
        &self.0
    }
}

/// An address that a request may go to, without anything secret in it.
///
/// # Errors
/// What is wrong with the text, and what to write instead.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err("is no address of a web server: write https://HOST/PATH".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a password: use the settings for secrets".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a part after #: write it without".to_owned());
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let address = host.trim_start_matches('[').trim_end_matches(']');
            let address = address.parse::<IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_encrypted_or_on_this_machine() {
        for (text, wanted) in [
            (
                "https://api.slack.com/audit/v1/",
                Ok("https://api.slack.com/audit/v1/"),
            ),
            ("https://slack.com/api", Ok("https://slack.com/api/")),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/")),
            ("http://[::1]:8080/a/", Ok("http://[::1]:8080/a/")),
            ("http://localhost/a", Ok("http://localhost/a/")),
            ("http://slack.com/api/", Err("not encrypted")),
            ("http://127.0.0.1.example/", Err("not encrypted")),
            ("http://localhost.example/", Err("not encrypted")),
            ("https://me:hunter2@slack.com/", Err("password")),
            ("https://slack.com/?token=1", Err("query")),
            ("https://slack.com/#a", Err("after #")),
            ("ftp://slack.com/", Err("no address of a web server")),
            ("slack.com", Err("is no address")),
        ] {
            match (Endpoint::parse(text), wanted) {
                (Ok(endpoint), Ok(wanted)) => assert_eq!(endpoint.url().as_str(), wanted),
                (Err(error), Err(wanted)) => {
                    assert!(error.contains(wanted), "{text}: {error}");
                    assert!(!error.contains("hunter2"), "{error}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
