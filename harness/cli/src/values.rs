//! Values of options that clap has no good words for: each parser says what to write.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A parser of a whole number in a range.
pub(crate) fn whole<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            format!("write a whole number from {} to {}", range.start(), range.end())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_in_its_range() {
        let trials = whole::<u32>(1..=10_000);
        assert_eq!((trials("1"), trials("10000")), (Ok(1), Ok(10_000)));
        for wrong in ["0", "10001", "many", "-1", "1.5", "", "99999999999999999999"] {
            let words = "write a whole number from 1 to 10000";
            assert_eq!(trials(wrong), Err(words.to_owned()), "{wrong}");
        }
    }

    #[test]
    fn a_pair_has_a_name() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
