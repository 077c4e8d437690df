//! What a plain scalar means: as kubectl reads it, not as YAML 1.2 says.
//!
//! kubectl reads YAML with sigs.k8s.io/yaml, a fork of go-yaml v2: YAML 1.1, where `yes`, `on` and `y` are
//! booleans and `0777` is octal, less its sexagesimal numbers; and what looks like a time stays text.

use super::node::Data;
use granit_parser::{ScalarStyle, Tag};
use serde_json::Number;
use std::borrow::Cow;

/// The value of a scalar.
///
/// # Errors
/// What is wrong with it.
pub(super) fn resolve(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Data, String> {
    match tag.and_then(Tag::core_suffix) {
        Some("str") => return Ok(Data::Text(text.into_owned())),
        Some("binary") => return Err("has the tag !!binary; write the text itself".to_owned()),
        Some(_) if style != ScalarStyle::Plain => {
            return plain(&text).map(|p| p.unwrap_or(Data::Text(text.into_owned())));
        }
        _ => {}
    }
    if style != ScalarStyle::Plain || tag.is_some_and(|t| t.core_suffix().is_none()) {
        return Ok(Data::Text(text.into_owned()));
    }
    plain(&text).map(|p| p.unwrap_or_else(|| Data::Text(text.into_owned())))
}

/// Whether kubectl reads it as text where it stands without quotes.
pub(crate) fn is_text(text: &str) -> bool {
    matches!(plain(text), Ok(None))
}

/// What a plain scalar is if it is no text.
fn plain(text: &str) -> Result<Option<Data>, String> {
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Data::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Data::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err(format!("{text} is no number that JSON has")),
        _ => match text.as_bytes()[0] {
            b'0'..=b'9' | b'+' | b'-' | b'.' => return number(text).map(|n| n.map(Data::Number)),
            _ => return Ok(None),
        },
    }))
}

/// A number as Go's strconv reads it with base 0, underscores apart.
fn number(text: &str) -> Result<Option<Number>, String> {
    let digits: Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(integer) = integer(&digits) {
        return Ok(Some(integer));
    }
    if !is_float(&digits) {
        return Ok(None);
    }
    let float: Option<f64> = digits.trim_start_matches('+').parse().ok();
    // Go's encoder writes a whole float without a point, so that it is an integer to an API server.
    if let Some(whole) = float.map(|f| f.to_string()) {
        let integer = whole.parse::<u64>().map(Number::from);
        if let Ok(integer) = integer.or_else(|_| whole.parse::<i64>().map(Number::from)) {
            return Ok(Some(integer));
        }
    }
    float.map(|f| Number::from_f64(f).ok_or_else(|| format!("{text} is no number that JSON has"))).transpose()
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0i64.checked_sub_unsigned(value).map(Number::from) } else { Some(Number::from(value)) }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, as go-yaml has it.
fn is_float(text: &str) -> bool {
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent = exponent.map(|e| e.strip_prefix(['-', '+']).unwrap_or(e));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && all_digits(e))
}

/// The name of a field, which JSON wants as text.
///
/// # Errors
/// When it is none that kubectl turns into text.
pub(super) fn key(data: Data) -> Result<String, String> {
    match data {
        Data::Text(text) => Ok(text),
        Data::Bool(value) => Ok(value.to_string()),
        Data::Number(number) => Ok(number.to_string()),
        Data::Null => Err("a field has no name".to_owned()),
        Data::List(_) | Data::Map(_) => Err("a field has a list or a map for a name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        super::super::node::Node { line: 1, data: resolve(text.into(), ScalarStyle::Plain, None).unwrap() }
            .to_json()
    }

    #[rstest]
    #[case("", json!(null))]
    #[case("~", json!(null))]
    #[case("yes", json!(true))]
    #[case("y", json!(true))]
    #[case("Off", json!(false))]
    #[case("oN", json!("oN"))]
    #[case("12", json!(12))]
    #[case("-12", json!(-12))]
    #[case("+12", json!(12))]
    #[case("0777", json!(511))]
    #[case("0o17", json!(15))]
    #[case("08", json!(8))]
    #[case("0x1F", json!(31))]
    #[case("0b101", json!(5))]
    #[case("1_000", json!(1000))]
    #[case("1.5", json!(1.5))]
    #[case("80.0", json!(80))]
    #[case("-2.0", json!(-2))]
    #[case(".5", json!(0.5))]
    #[case("1e3", json!(1000))]
    #[case("18446744073709551615", json!(u64::MAX))]
    #[case("-9223372036854775808", json!(i64::MIN))]
    #[case("18446744073709551616", json!(18_446_744_073_709_551_616.0))]
    #[case("1:30", json!("1:30"))]
    #[case("1.2.3", json!("1.2.3"))]
    #[case("-", json!("-"))]
    #[case("--1", json!("--1"))]
    #[case("+-1", json!("+-1"))]
    #[case(".", json!("."))]
    #[case("1e", json!("1e"))]
    #[case("0x", json!("0x"))]
    #[case("50m", json!("50m"))]
    #[case("2027-01-01T00:00:00Z", json!("2027-01-01T00:00:00Z"))]
    fn a_plain_scalar_is_what_kubectl_makes_of_it(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(read(text), expected);
    }

    #[test]
    fn what_json_has_no_number_for_is_told() {
        for text in [".inf", "-.Inf", ".NaN", "1e999"] {
            assert!(resolve(text.into(), ScalarStyle::Plain, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quoted_scalar_is_text() {
        let quoted = resolve("yes".into(), ScalarStyle::DoubleQuoted, None).unwrap();
        assert!(matches!(quoted, Data::Text(text) if text == "yes"));
    }
}
