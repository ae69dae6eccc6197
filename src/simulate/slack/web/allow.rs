//! Networks that Slack's own detections trust.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::super::asked::{Arguments, Code};
use super::super::state::State;
use super::Request;

/// Both lists, as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::simulate::slack) struct Allowed {
    /// IPv4; the bits behind the prefix may be set.
    pub cidrs: Vec<String>,
    pub asns: Vec<u32>,
}

/// `admin.audit.anomaly.allow.getItem`
pub(super) fn get(state: &mut State, _: &Request<'_>) -> Result<Value, Code> {
    let Allowed { cidrs, asns } = &state.allowed;
    Ok(json!({"trusted_cidr": cidrs, "trusted_asns": asns}))
}

/// `admin.audit.anomaly.allow.updateItem`: overwrites both lists. Slack does not say what becomes of
/// one that is left out; here it is cleared.
pub(super) fn update(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    let cidrs = either(request.arguments, "trusted_cidr", "trusted_cidrs");
    let cidrs: Option<Vec<String>> = cidrs.iter().map(cidr).collect();
    let asns = either(request.arguments, "trusted_asns", "trusted_asn");
    let asns: Option<Vec<u32>> = asns.iter().map(asn).collect();
    let (Some(cidrs), Some(asns)) = (cidrs, asns) else {
        return Err("invalid_field_or_data");
    };
    state.allowed = Allowed { cidrs, asns };
    Ok(json!({}))
}

/// The list under either of the names that Slack's documentation gives it.
fn either(arguments: &Arguments, name: &str, other: &str) -> Vec<Value> {
    let list = arguments.list(name).or_else(|| arguments.list(other));
    list.unwrap_or_default()
}

fn cidr(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    text.parse::<Ipv4Net>().ok().map(|_| text.to_owned())
}

fn asn(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.parse().ok(),
        number => u32::try_from(number.as_u64()?).ok(),
    }
}
