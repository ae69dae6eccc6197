use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The id of an anomaly: the first 128 bits of the SHA-256 of rule id, key values and triggering
/// event, each preceded by its length so that no two lists of parts read alike. A missing key value
/// differs from an empty one. No replay gives a second id for the same finding.
pub fn derive(rule_id: &str, key: &[Option<&str>], event_id: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: Option<&str>| {
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(text.unwrap_or_default());
    };
    part(Some(rule_id));
    for value in key {
        part(*value);
    }
    part(Some(event_id));
    let digest = hash.finalize();
    let mut id = String::with_capacity(32);
    for byte in digest.iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn ids_tell_parts_apart() {
        let id = derive("rule", &[Some("U1")], "e1");
        assert_eq!(id.len(), 32);
        assert_eq!(id, derive("rule", &[Some("U1")], "e1"));
        for other in [
            derive("rule", &[Some("U1e")], "1"),
            derive("rul", &[Some("eU1")], "e1"),
            derive("rule", &[None], "e1"),
            derive("rule", &[Some("")], "e1"),
            derive("rule", &[Some("U1"), None], "e1"),
        ] {
            assert_ne!(id, other);
        }
    }
}
