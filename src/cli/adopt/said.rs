//! What a person says of the agent on the command line.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use perpro_core::api::{Owner, OwnerKind};

/// `user:jane@example.com`, `group:support`.
pub(super) fn owner(text: &str) -> Result<Owner, String> {
    let (kind, name) = text.split_once(':').unwrap_or(("", text));
    let kind = match kind.to_ascii_lowercase().as_str() {
        "user" => OwnerKind::User,
        "group" => OwnerKind::Group,
        _ => return Err("say user:NAME or group:NAME, named as the API server names them".to_owned()),
    };
    if name.is_empty() {
        return Err("say user:NAME or group:NAME".to_owned());
    }
    Ok(Owner { kind, name: name.to_owned() })
}

/// `90d` from now, `2027-06-30`, or a time by RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    time_from(text, Timestamp::now())
}

fn time_from(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("\"{text}\" is neither a number of days, as 90d, nor a date, as 2027-06-30");
    if let Some(days) = text.strip_suffix('d') {
        let days: u32 = days.parse().map_err(|_| wrong())?;
        let later = now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).map_err(|_| wrong())?;
        // Stored times have whole seconds.
        return Timestamp::from_second(later.as_second()).map_err(|_| wrong());
    }
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("90d", Some("2027-01-30T12:00:00Z"))]
    #[case("2027-06-30", Some("2027-06-30T00:00:00Z"))]
    #[case("2027-06-30T08:00:00+02:00", Some("2027-06-30T06:00:00Z"))]
    #[case("90", None)]
    #[case("-1d", None)]
    #[case("4294967295d", None)]
    #[case("soon", None)]
    fn a_time_is_days_or_a_date(#[case] text: &str, #[case] expected: Option<&str>) {
        let now = "2026-11-01T12:00:00.5Z".parse().unwrap();
        assert_eq!(time_from(text, now).ok().map(|t| t.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case("user:jane@example.com", Some("User:jane@example.com"))]
    #[case("Group:oidc:support", Some("Group:oidc:support"))]
    #[case("jane", None)]
    #[case("user:", None)]
    fn an_owner_is_a_user_or_a_group(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(owner(text).ok().map(|o| o.reference()).as_deref(), expected);
    }
}
