use serde_json::Value;

/// A number as records hold it: whole numbers as they are, others to 6 significant digits, so that
/// the last bits of a float never decide whether two records are equal. Not-a-number and infinities
/// become null.
pub fn rounded(number: f64) -> Value {
    const DIGITS: i32 = 6;
    if !number.is_finite() {
        return Value::Null;
    }
    if number == number.trunc() && number.abs() < 1e15 {
        return Value::from(number as i64);
    }
    let text = format!("{number:.*e}", (DIGITS - 1) as usize);
    match text.parse::<f64>() {
        Ok(short) if short == short.trunc() && short.abs() < 1e15 => Value::from(short as i64),
        Ok(short) => Value::from(short),
        Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn six_significant_digits_stand() {
        for (number, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (1234.56789, "1234.57"),
            (0.000123456789, "0.000123457"),
            (999999.99, "1000000"),
            (f64::NAN, "null"),
            (-3.25, "-3.25"),
        ] {
            assert_eq!(rounded(number).to_string(), text);
        }
    }
}
