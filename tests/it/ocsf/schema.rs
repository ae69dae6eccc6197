//! What OCSF demands of a finding, and what is wrong with one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// The parts that findings use of the schema that github.com/ocsf/ocsf-schema publishes as 1.8.0.
///
/// A class or an object stands at the margin, after a colon the attributes of which it needs one at
/// least. Its attributes follow: required ones with `!`, lists with `[]`, those of a profile with `@`, and
/// after `>` the attribute that holds the caption, and the values with their captions.
const TABLE: &str = "
detection_finding
  activity_id! integer_t > activity_name: 0 Unknown | 1 Create | 2 Update | 3 Close | 99 Other
  activity_name string_t
  actor actor @host
  category_name string_t
  category_uid! integer_t > category_name: 2 Findings
  class_name string_t
  class_uid! integer_t > class_name: 2004 Detection Finding
  evidences evidences[]
  finding_info! finding_info
  is_alert boolean_t
  message string_t
  metadata! metadata
  raw_data string_t
  resources resource_details[]
  severity string_t
  severity_id! integer_t > severity: 0 Unknown | 1 Informational | 2 Low | 3 Medium | 4 High | 5 \
      Critical | 6 Fatal | 99 Other
  status string_t
  status_id integer_t > status: 0 Unknown | 1 New | 2 In Progress | 3 Suppressed | 4 Resolved | 5 \
      Archived | 6 Deleted | 99 Other
  time! timestamp_t
  type_name string_t
  type_uid! long_t > type_name: 200400 Detection Finding: Unknown | 200401 Detection Finding: Create \
      | 200402 Detection Finding: Update | 200403 Detection Finding: Close | 200499 Detection \
      Finding: Other
  unmapped object
finding_info
  uid! string_t
  title string_t
  desc string_t
  types string_t[]
  analytic analytic
  attacks attack[]
  created_time timestamp_t
  last_seen_time timestamp_t
  related_events related_event[]
metadata
  version! string_t
  uid string_t
  logged_time timestamp_t
  profiles string_t[]
  product! product
product: name uid
  name string_t
  vendor_name string_t
  version string_t
analytic: name uid
  uid string_t
  name string_t
  type_id! integer_t > type: 0 Unknown | 1 Rule | 2 Behavioral | 3 Statistical | 4 Learning (ML/DL) | \
      5 Fingerprinting | 6 Tagging | 7 Keyword Match | 8 Regular Expressions | 9 Exact Data Match | \
      10 Partial Data Match | 11 Indexed Data Match | 99 Other
  type string_t
  version string_t
attack: tactic technique sub_technique
  tactic tactic
  technique technique
  sub_technique sub_technique
tactic: name uid
  uid string_t
  name string_t
technique: name uid
  uid string_t
sub_technique: name uid
  uid string_t
related_event
  uid! string_t
  type string_t
actor: process user invoked_by session app_name app_uid
  user user
  session session
  app_uid string_t
  app_name string_t
user: account name uid
  uid string_t
  name username_t
  email_addr email_t
  type_id integer_t > type: 0 Unknown | 1 User | 2 Admin | 3 System | 4 Service | 99 Other
  type string_t
  org organization
session
  uid string_t
organization: name uid
  uid string_t
evidences: actor api connection_info data database databucket device dst_endpoint email file process \
      query src_endpoint url user job script reg_key reg_value win_service
  uid string_t
  actor actor
  api api
  http_request http_request
  src_endpoint network_endpoint
  data json_t
api
  operation! string_t
  service service
service: name uid
  name string_t
http_request
  user_agent string_t
network_endpoint: ip uid name hostname svc_name instance_uid interface_uid interface_name domain
  ip ip_t
  location location
  autonomous_system autonomous_system
location: city country postal_code region
  country string_t
  city string_t
  lat float_t
  long float_t
autonomous_system: number name
  number integer_t
  name string_t
resource_details: name uid
  uid resource_uid_t
  name string_t
  type string_t
  role_id integer_t > role: 0 Unknown | 1 Target | 2 Actor | 3 Affected | 4 Related | 99 Other
  role string_t
";

pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(TABLE));

/// Classes and objects by name.
pub struct Schema(BTreeMap<&'static str, Object>);

struct Object {
    /// One of these is there, if there are any.
    needed: Vec<&'static str>,
    attributes: BTreeMap<&'static str, Attribute>,
}

struct Attribute {
    is_required: bool,
    is_list: bool,
    /// The name of a type or of an object.
    kind: &'static str,
    profile: Option<&'static str>,
    /// The attribute with the caption, and the captions by value.
    captions: Option<(&'static str, BTreeMap<i64, &'static str>)>,
}

impl Schema {
    fn read(table: &'static str) -> Self {
        let mut objects: BTreeMap<&str, Object> = BTreeMap::new();
        let mut last = "";
        for line in table.lines().filter(|line| !line.is_empty()) {
            if let Some(attribute) = line.strip_prefix("  ") {
                let (name, attribute) = Attribute::read(attribute);
                let object = objects.get_mut(last).unwrap();
                object.attributes.insert(name, attribute);
            } else {
                let (name, needed) = line.split_once(": ").unwrap_or((line, ""));
                last = name;
                let needed = needed.split_whitespace().collect();
                let attributes = BTreeMap::new();
                objects.insert(name, Object { needed, attributes });
            }
        }
        Self(objects)
    }

    /// What is wrong with a Detection Finding, each with its place.
    pub fn violations(&self, finding: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.check("detection_finding", finding, "", &mut found);
        let number = |name: &str| finding[name].as_i64().unwrap_or_default();
        if number("type_uid") != 100 * number("class_uid") + number("activity_id") {
            found.push("/type_uid: does not follow from class and activity".to_owned());
        }
        if finding["metadata"]["version"] != "1.8.0" {
            found.push("/metadata/version: not that of this schema".to_owned());
        }
        let profiles = &finding["metadata"]["profiles"];
        let profiles = profiles.as_array().map(Vec::as_slice).unwrap_or_default();
        for (name, attribute) in &self.0["detection_finding"].attributes {
            let is_named = |profile: &str| profiles.iter().any(|named| named == profile);
            let is_allowed = attribute.profile.is_none_or(is_named);
            if finding.get(name).is_some() && !is_allowed {
                found.push(format!("/{name}: its profile is not named"));
            }
        }
        found
    }

    fn check(&self, name: &str, value: &Value, place: &str, found: &mut Vec<String>) {
        let object = &self.0[name];
        let Some(fields) = value.as_object() else {
            found.push(format!("{place}: no {name}"));
            return;
        };
        for (field, value) in fields {
            let place = format!("{place}/{field}");
            match object.attributes.get(field.as_str()) {
                Some(attribute) => {
                    self.check_attribute(attribute, value, &place, found);
                    attribute.check_caption(fields, value, &place, found);
                }
                None => found.push(format!("{place}: unknown")),
            }
        }
        for (field, attribute) in &object.attributes {
            if attribute.is_required && !fields.contains_key(*field) {
                found.push(format!("{place}/{field}: missing"));
            }
        }
        let needed = &object.needed;
        if !needed.is_empty() && !needed.iter().any(|field| fields.contains_key(*field)) {
            found.push(format!("{place}: none of {needed:?}"));
        }
    }

    fn check_attribute(
        &self,
        attribute: &Attribute,
        value: &Value,
        place: &str,
        found: &mut Vec<String>,
    ) {
        match value.as_array() {
            Some(values) if attribute.is_list => {
                for (at, value) in values.iter().enumerate() {
                    self.check_value(attribute.kind, value, &format!("{place}/{at}"), found);
                }
            }
            _ if attribute.is_list => found.push(format!("{place}: no list")),
            _ => self.check_value(attribute.kind, value, place, found),
        }
    }

    fn check_value(&self, kind: &str, value: &Value, place: &str, found: &mut Vec<String>) {
        if self.0.contains_key(kind) {
            self.check(kind, value, place, found);
        } else if !is_of(kind, value) {
            found.push(format!("{place}: {value} is no {kind}"));
        }
    }
}

impl Attribute {
    fn read(line: &'static str) -> (&'static str, Self) {
        let (words, captions) = match line.split_once(" > ") {
            Some((words, captions)) => (words, Some(captions)),
            None => (line, None),
        };
        let words: Vec<&str> = words.split(' ').collect();
        let (name, kind) = (words[0], words[1]);
        let attribute = Self {
            is_required: name.ends_with('!'),
            is_list: kind.ends_with("[]"),
            kind: kind.trim_end_matches("[]"),
            profile: words.get(2).map(|word| word.trim_start_matches('@')),
            captions: captions.map(|captions| {
                let (sibling, captions) = captions.split_once(": ").unwrap();
                let captions = captions.split(" | ").map(|caption| {
                    let (value, caption) = caption.split_once(' ').unwrap();
                    (value.parse().unwrap(), caption)
                });
                (sibling, captions.collect())
            }),
        };
        (name.trim_end_matches('!'), attribute)
    }

    /// A value of a list of values has its caption beside it; 99 is for what has another one.
    fn check_caption(
        &self,
        fields: &Map<String, Value>,
        value: &Value,
        place: &str,
        found: &mut Vec<String>,
    ) {
        const OTHER: i64 = 99;
        let Some((sibling, captions)) = &self.captions else {
            return;
        };
        let number = value.as_i64();
        let Some(caption) = number.and_then(|number| captions.get(&number)) else {
            found.push(format!("{place}: {value} has no meaning"));
            return;
        };
        let written = fields.get(*sibling);
        if number != Some(OTHER) && written.is_some_and(|written| written != *caption) {
            found.push(format!("{place}: {sibling} does not say {caption}"));
        }
    }
}

/// Whether a value is of a type of the schema's dictionary.
fn is_of(kind: &str, value: &Value) -> bool {
    // From 2020 to 2100: seconds and microseconds lie far outside.
    const MILLISECONDS: std::ops::Range<i64> = 1_577_836_800_000..4_102_444_800_000;
    let text = value.as_str();
    match kind {
        "string_t" | "username_t" | "resource_uid_t" => text.is_some(),
        "ip_t" => text.is_some_and(|text| text.len() <= 40 && text.parse::<IpAddr>().is_ok()),
        "email_t" => text.is_some_and(is_email),
        "boolean_t" => value.is_boolean(),
        "integer_t" | "long_t" => value.is_i64(),
        "timestamp_t" => value
            .as_i64()
            .is_some_and(|time| MILLISECONDS.contains(&time)),
        "float_t" => value.is_number(),
        "object" => value.is_object(),
        "json_t" => true,
        _ => panic!("{kind} is no type"),
    }
}

/// ``^[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$``, where `+-/` is a range.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let parts = parts.and_then(|(local, domain)| Some((local, domain.split_once('.')?)));
    let Some((local, (first, others))) = parts else {
        return false;
    };
    let all = |part: &str, others: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        !part.is_empty() && part.chars().all(is_allowed)
    };
    all(local, "!#$%&'*+,-./=?^_`{|}~") && all(first, "-") && all(others, "-.")
}
