//! Durations as rules write them: `90s`, `10m`, `1h`, `14d`.

/// Seconds of the duration; `None` if it is not a whole number with one of the units s, m, h, d, or
/// longer than a century.
pub fn parse(text: &str) -> Option<i64> {
    const CENTURY_SECS: i64 = 36_525 * 86_400;
    let unit = text.chars().last()?;
    let number = &text[..text.len() - unit.len_utf8()];
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = is_number.then(|| number.parse().ok())??;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= CENTURY_SECS)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("14d", Some(1_209_600)),
            ("", None),
            ("h", None),
            ("10", None),
            ("1.5h", None),
            ("-1h", None),
            ("1 h", None),
            ("1µ", None),
            ("9999999999d", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }
}
