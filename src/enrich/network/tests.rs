use std::collections::BTreeMap;

use super::*;

const OFFICES: &str = "kind,network,country,city,latitude,longitude,accuracy_km,asn,as_org,note
corporate,10.0.0.0/8,de,Berlin,52.5,13.4,20,64500,\"Example, Inc.\",all offices
vpn,10.1.2.3/16,,,,,,AS64501,,truncated to 10.1.0.0/16

,192.0.2.7,FR,,,,,,,one address
corporate,2001:db8::/32,ZZ,Lyon,,,,0,,
relay,::ffff:198.51.100.0/120,,,,,,,,mapped
";

fn networks(csv: &str) -> Networks {
    let mut networks = Networks::new();
    networks.add_csv("offices.csv", csv.as_bytes()).unwrap();
    networks
}

fn at(networks: &Networks, ip: &str) -> Place {
    networks.lookup(ip.parse().unwrap())
}

#[test]
fn longest_prefix_wins() {
    let windows = "\u{feff}".to_owned() + &OFFICES.replace('\n', "\r\n");
    for networks in [networks(OFFICES), networks(&windows)] {
        let office = at(&networks, "10.2.0.1");
        assert_eq!(
            (office.country.as_deref(), office.city.as_deref()),
            (Some("DE"), Some("Berlin"))
        );
        assert_eq!(
            (office.latitude, office.longitude, office.accuracy_km),
            (Some(52.5), Some(13.4), Some(20.0))
        );
        assert_eq!(
            (office.asn, office.as_org.as_deref()),
            (Some(64500), Some("Example, Inc."))
        );
        let vpn = Place {
            asn: Some(64501),
            kind: Some(NetworkKind::Vpn),
            ..Place::default()
        };
        assert_eq!(at(&networks, "10.1.255.255"), vpn);
        assert_eq!(at(&networks, "::ffff:10.1.0.0"), vpn);
        assert_eq!(at(&networks, "192.0.2.7").country.as_deref(), Some("FR"));
        assert_eq!(at(&networks, "192.0.2.8"), Place::default());
        let six = at(&networks, "2001:db8:1::1");
        assert_eq!((six.country, six.asn), (None, None));
        assert_eq!(six.city.as_deref(), Some("Lyon"));
        assert_eq!(at(&networks, "198.51.100.9").kind, Some(NetworkKind::Relay));
    }
}

#[test]
fn later_file_replaces_a_network() {
    let mut networks = networks(OFFICES);
    let later = "Network, Kind\n10.1.0.0/16, hosting\n";
    networks.add_csv("later.csv", later.as_bytes()).unwrap();
    let place = at(&networks, "10.1.2.3");
    assert_eq!((place.kind, place.asn), (Some(NetworkKind::Hosting), None));
    assert!(Networks::new().is_empty() && !networks.is_empty());
}

#[test]
fn bad_input_is_named() {
    const ALL: &str = "network,latitude,longitude,accuracy_km,asn,kind\n10.0.0.0/8,,,,,\n\n\r\n";
    let cases = [
        ("10.0.0.0/33,,,,,", "line 5, column network: `10.0.0.0/33` "),
        (",1,2,,,", "line 5, column network: `` "),
        ("::1,91,0,,,", "line 5, column latitude: `91` "),
        ("::1,NaN,0,,,", "line 5, column latitude: `NaN` "),
        ("::1,0,-180.5,,,", "line 5, column longitude: `-180.5` "),
        ("::1,1,,,,", "line 5, column latitude: `1` has no longitude"),
        ("::1,,1,,,", "line 5, column longitude: `1` has no latitude"),
        ("::1,1,1,inf,,", "line 5, column accuracy_km: `inf` "),
        ("::1,,,5,,", "line 5, column accuracy_km: `5` has no "),
        ("::1,,,,AS,", "line 5, column asn: `AS` "),
        ("::1,,,,4294967296,", "line 5, column asn: `4294967296` "),
        (
            "::1,,,,,home",
            "line 5, column kind: `home` is not a network kind: use corporate, ",
        ),
        ("::1,,", "line 5: 3 values under 6 columns"),
    ];
    for (row, expected) in cases {
        let csv = format!("{ALL}{row}\n::2,,,,,");
        let error = Networks::new().add_csv("a.csv", csv.as_bytes());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(&format!("a.csv, {expected}")), "{error}");
    }
    let cases: [(&[u8], &str); 4] = [
        (b"", "a.csv, line 1: no column `network`"),
        (b"cidr,kind\n", "a.csv, line 1: no column `network`"),
        (b"network,ASN,asn\n", "a.csv, line 1: two columns `asn`"),
        (b"network\n::1\n\xff\n", "a.csv, line 3: not UTF-8"),
    ];
    for (csv, expected) in cases {
        let error = Networks::new().add_csv("a.csv", csv).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let missing = Networks::new().add_csv_file(Path::new("no/such.csv"));
    assert!(missing.unwrap_err().to_string().contains("no/such.csv"));
}

#[test]
fn databases_fill_what_the_rows_leave_blank() {
    let nested = map([
        ("country", map([("iso_code", text("SE"))])),
        (
            "city",
            map([("names", map([("en", text("Malmö")), ("sv", text("Malmö"))]))]),
        ),
        (
            "location",
            map([
                ("accuracy_radius", Value::Short(5)),
                ("latitude", Value::Double(55.6)),
                ("longitude", Value::Double(13.0)),
            ]),
        ),
        (
            "traits",
            map([
                ("is_anonymous_vpn", Value::Bool(true)),
                ("user_type", text("hosting")),
            ]),
        ),
    ]);
    let flat = map([
        ("country_code", text("no")),
        ("city", text("Oslo")),
        ("latitude", text("59.9")),
        ("longitude", text("10.7")),
        ("autonomous_system_number", Value::Long(64510)),
        ("autonomous_system_organization", text("Example Net")),
    ]);
    let odd = map([
        ("country", text("Norway")),
        ("city", map([("names", text("?"))])),
        ("latitude", text("0.0")),
        ("longitude", Value::Double(0.0)),
        ("asn", text("AS64511")),
        ("country_code", Value::Long(7)),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let mut networks =
        networks("network,country,kind\n192.0.2.128/25,FI,\n192.0.2.0/25,,unknown\n");
    for (name, records) in [
        ("city.mmdb", vec![("192.0.2.0/24", nested)]),
        (
            "flat.mmdb",
            vec![("192.0.0.0/16", flat), ("2001:db8::/32", odd)],
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, mmdb(&records)).unwrap();
        networks.add_mmdb_file(&path).unwrap();
    }

    let city = at(&networks, "::ffff:192.0.2.1");
    assert_eq!(
        (city.country.as_deref(), city.city.as_deref()),
        (Some("SE"), Some("Malmö"))
    );
    assert_eq!(
        (city.latitude, city.longitude, city.accuracy_km),
        (Some(55.6), Some(13.0), Some(5.0))
    );
    assert_eq!(
        (city.asn, city.as_org.as_deref()),
        (Some(64510), Some("Example Net"))
    );
    assert_eq!(city.kind, Some(NetworkKind::Unknown));

    let row = at(&networks, "192.0.2.200");
    assert_eq!(
        (row.country.as_deref(), row.city, row.latitude),
        (Some("FI"), None, None)
    );
    assert_eq!((row.asn, row.kind), (Some(64510), Some(NetworkKind::Vpn)));

    let flat = at(&networks, "192.0.3.1");
    assert_eq!(
        (flat.country.as_deref(), flat.latitude),
        (Some("NO"), Some(59.9))
    );
    let odd = at(&networks, "2001:db8::1");
    assert_eq!((odd.country, odd.city, odd.latitude), (None, None, None));
    assert_eq!(odd.asn, Some(64511));
    assert_eq!(at(&networks, "203.0.113.1"), Place::default());

    let broken = folder.path().join("broken.mmdb");
    std::fs::write(&broken, &mmdb(&[("192.0.2.0/24", text("x"))])[..99]).unwrap();
    let error = networks.add_mmdb_file(&broken).unwrap_err().to_string();
    assert!(error.contains("broken.mmdb"), "{error}");
}

/// A value of the MaxMind DB format, version 2.0.
enum Value {
    Text(&'static str),
    Double(f64),
    Short(u16),
    Long(u32),
    Huge(u64),
    Bool(bool),
    EmptyList,
    Map(BTreeMap<&'static str, Value>),
}

fn text(text: &'static str) -> Value {
    Value::Text(text)
}

fn map<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    Value::Map(entries.into())
}

/// Writes one value; a size from 29 takes a further byte, as does a type from 8.
fn encode(value: &Value, out: &mut Vec<u8>) {
    let (kind, size, bytes) = match value {
        Value::Text(text) => (2, text.len(), text.as_bytes().to_vec()),
        Value::Double(number) => (3, 8, number.to_be_bytes().to_vec()),
        Value::Short(number) => (5, 2, number.to_be_bytes().to_vec()),
        Value::Long(number) => (6, 4, number.to_be_bytes().to_vec()),
        Value::Huge(number) => (9, 8, number.to_be_bytes().to_vec()),
        Value::Bool(truth) => (14, usize::from(*truth), Vec::new()),
        Value::EmptyList => (11, 0, Vec::new()),
        Value::Map(entries) => (7, entries.len(), Vec::new()),
    };
    out.push(if kind > 7 { 0 } else { kind << 5 } | size.min(29) as u8);
    if kind > 7 {
        out.push(kind - 7);
    }
    if size >= 29 {
        out.push((size - 29) as u8);
    }
    out.extend(bytes);
    if let Value::Map(entries) = value {
        for (key, value) in entries {
            encode(&text(key), out);
            encode(value, out);
        }
    }
}

/// A database for both families, IPv4 at `::/96`. Records are told from nodes by being negative
/// until the number of nodes is known.
fn mmdb(records: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[0_i64; 2]];
    let mut data = vec![0; 16];
    for (network, value) in records {
        let (address, prefix) = match network.parse().unwrap() {
            IpNet::V4(four) => (u128::from(u32::from(four.addr())), 96 + four.prefix_len()),
            IpNet::V6(six) => (u128::from(six.addr()), six.prefix_len()),
        };
        let mut node = 0;
        for depth in 0..prefix {
            let bit = (address >> (127 - depth) & 1) as usize;
            if depth + 1 == prefix {
                nodes[node][bit] = -(data.len() as i64);
            } else if nodes[node][bit] <= 0 {
                nodes[node][bit] = nodes.len() as i64;
                nodes.push([0; 2]);
            }
            node = nodes[node][bit].max(0) as usize;
        }
        encode(value, &mut data);
    }
    let count = nodes.len() as i64;
    let mut file = Vec::new();
    for record in nodes.into_iter().flatten() {
        let number = match record {
            0 => count,
            node if node > 0 => node,
            data => count - data,
        };
        file.extend(&(number as u32).to_be_bytes());
    }
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = map([
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Huge(1)),
        ("database_type", text("test")),
        ("description", map([])),
        ("ip_version", Value::Short(6)),
        ("languages", Value::EmptyList),
        ("node_count", Value::Long(count as u32)),
        ("record_size", Value::Short(32)),
    ]);
    encode(&metadata, &mut file);
    file
}
