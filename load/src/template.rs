//! Texts with places for data: `{{feed}}` and `{{feed.column}}`, read once, filled per request.
//!
//! Pure: what a request gets depends on the seed and the request's number alone. Does not know
//! what the text is for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use harness_core::plan::Feed;

use crate::draw::{Purpose, below, draw, uuid};

/// Why a text is not a template over the plan's feeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("`{{{{` without `}}}}` in {text:?}")]
    Open {
        /// The whole text.
        text: String,
    },
    /// No feed has this name.
    #[error("no feed is called `{feed}`")]
    Feed {
        /// The name in the text.
        feed: String,
    },
    /// The feed has rows, and the text names no column, or one that a row lacks.
    #[error("the rows of feed `{feed}` have no column `{column}` throughout")]
    Column {
        /// The feed.
        feed: String,
        /// The column; empty when none is named.
        column: String,
    },
    /// The feed has no columns.
    #[error("feed `{feed}` has no columns, so `{column}` names nothing")]
    NoColumns {
        /// The feed.
        feed: String,
        /// The column.
        column: String,
    },
    /// A feed without values.
    #[error("feed `{feed}` is empty")]
    Empty {
        /// The feed.
        feed: String,
    },
}

/// What one request is filled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data<'a> {
    /// Chooses the values of the feeds: the number of the request, or of a user's visit.
    pub(crate) number: u64,
    /// What earlier steps of the visit found, by name.
    pub(crate) found: &'a BTreeMap<String, String>,
}

impl Data<'static> {
    /// The values of the feeds alone.
    pub(crate) fn of_feeds(number: u64) -> Self {
        const NOTHING: &BTreeMap<String, String> = &BTreeMap::new();
        Self { number, found: NOTHING }
    }
}

/// The feeds of a plan in a fixed order, with the trial's seed.
#[derive(Debug, Clone)]
pub(crate) struct Feeds {
    feeds: Vec<(String, Feed)>,
    seed: u64,
}

impl Feeds {
    /// All feeds of a plan.
    pub(crate) fn new(feeds: &BTreeMap<String, Feed>, seed: u64) -> Self {
        let feeds = feeds.iter().map(|(name, feed)| (name.clone(), feed.clone())).collect();
        Self { feeds, seed }
    }

    fn find(&self, name: &str) -> Option<(u32, &Feed)> {
        let place = self.feeds.iter().position(|(known, _)| known == name)?;
        Some((u32::try_from(place).ok()?, &self.feeds[place].1))
    }

    /// Appends the value of a feed for one request.
    fn write(&self, out: &mut String, feed: u32, column: Option<&str>, number: u64) {
        let bits = || draw(self.seed, Purpose::Feed(feed), number);
        match &self.feeds[feed as usize].1 {
            Feed::Uuid {} => out.push_str(&uuid(self.seed, Purpose::FeedUuid(feed), number)),
            Feed::Sequence {} => {
                write!(out, "{number}").expect("a String takes all that is written");
            }
            Feed::Choice { of } => out.push_str(&of[place(below(bits(), of.len() as u64))]),
            Feed::Rows { rows, in_turn } => {
                let count = rows.len() as u64;
                let row = if *in_turn { number % count } else { below(bits(), count) };
                let value = column.and_then(|column| rows[place(row)].get(column));
                out.push_str(value.expect("every row was seen to have the column"));
            }
        }
    }
}

fn place(index: u64) -> usize {
    usize::try_from(index).expect("below the length of a list in memory")
}

/// A text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value { feed: u32, column: Option<String> },
    Found(String),
}

impl Template {
    /// Reads a text; every name in it must be a feed's, or one of those that were `found` before.
    pub(crate) fn parse(text: &str, feeds: &Feeds, found: &[&str]) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after
                .split_once("}}")
                .ok_or_else(|| TemplateError::Open { text: text.to_owned() })?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let name = name.trim();
            pieces.push(if found.contains(&name) {
                Piece::Found(name.to_owned())
            } else {
                parse_value(name, feeds)?
            });
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// The text when it is the same for all requests.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with its data; a bug when something that it needs was not found.
    pub(crate) fn render(&self, feeds: &Feeds, data: Data<'_>) -> Cow<'_, str> {
        if let Some(text) = self.fixed() {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value { feed, column } => {
                    feeds.write(&mut out, *feed, column.as_deref(), data.number);
                }
                Piece::Found(name) => {
                    out.push_str(data.found.get(name).expect("a visit ends at a missing value"));
                }
            }
        }
        Cow::Owned(out)
    }
}

fn parse_value(name: &str, feeds: &Feeds) -> Result<Piece, TemplateError> {
    let (feed_name, column) = match name.split_once('.') {
        Some((feed, column)) => (feed.trim(), Some(column.trim())),
        None => (name, None),
    };
    let owned = || feed_name.to_owned();
    let (feed, kind) =
        feeds.find(feed_name).ok_or_else(|| TemplateError::Feed { feed: owned() })?;
    match kind {
        Feed::Rows { rows, .. } => {
            let column = column.unwrap_or_default();
            if rows.is_empty() {
                return Err(TemplateError::Empty { feed: owned() });
            }
            if !rows.iter().all(|row| row.contains_key(column)) {
                return Err(TemplateError::Column { feed: owned(), column: column.to_owned() });
            }
        }
        Feed::Choice { of } if of.is_empty() => {
            return Err(TemplateError::Empty { feed: owned() });
        }
        Feed::Choice { .. } | Feed::Uuid {} | Feed::Sequence {} => {
            if let Some(column) = column {
                let column = column.to_owned();
                return Err(TemplateError::NoColumns { feed: owned(), column });
            }
        }
    }
    Ok(Piece::Value { feed, column: column.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feeds() -> Feeds {
        let row = |user: &str, city: &str| {
            BTreeMap::from([
                ("user".to_owned(), user.to_owned()),
                ("city".to_owned(), city.to_owned()),
            ])
        };
        let rows = vec![row("ada", "london"), row("alan", "wilmslow"), row("grace", "new york")];
        let all = BTreeMap::from([
            ("id".to_owned(), Feed::Uuid {}),
            ("n".to_owned(), Feed::Sequence {}),
            ("sku".to_owned(), Feed::Choice { of: vec!["a".to_owned(), "b".to_owned()] }),
            ("people".to_owned(), Feed::Rows { rows: rows.clone(), in_turn: true }),
            ("anyone".to_owned(), Feed::Rows { rows, in_turn: false }),
        ]);
        Feeds::new(&all, 11)
    }

    fn render(text: &str, number: u64) -> String {
        let feeds = feeds();
        let template = Template::parse(text, &feeds, &[]).unwrap();
        template.render(&feeds, Data::of_feeds(number)).into_owned()
    }

    #[test]
    fn values_take_their_places() {
        assert_eq!(render("/plain", 0), "/plain");
        assert_eq!(render("", 0), "");
        assert_eq!(
            render("/u/{{people.user}}/{{ n }}?c={{people.city}}", 4),
            "/u/alan/4?c=wilmslow"
        );
        assert_eq!(render("{{n}}", 7), "7");
        assert_eq!(render("{{id}}", 7), render("{{id}}", 7));
        assert_ne!(render("{{id}}", 7), render("{{id}}", 8));
    }

    #[test]
    fn what_was_found_stands_beside_the_feeds() {
        let feeds = feeds();
        let template = Template::parse("/{{ token }}/{{n}}", &feeds, &["token"]).unwrap();
        let found = BTreeMap::from([("token".to_owned(), "t-1".to_owned())]);
        assert_eq!(template.render(&feeds, Data { number: 4, found: &found }), "/t-1/4");
        let error = Template::parse("{{token}}", &feeds, &[]).unwrap_err();
        assert_eq!(error.to_string(), "no feed is called `token`");
    }

    #[test]
    fn one_request_sees_one_row_and_all_rows_come() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200 {
            let text = render("{{anyone.user}} in {{anyone.city}}", number);
            let known = ["ada in london", "alan in wilmslow", "grace in new york"];
            assert!(known.contains(&text.as_str()), "{text}");
            seen.insert(text);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let feeds = feeds();
        let check = |text: &str, expected: &str| {
            let error = Template::parse(text, &feeds, &[]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("{{n", "`{{` without `}}` in \"{{n\"");
        check("{{who}}", "no feed is called `who`");
        check("{{people}}", "the rows of feed `people` have no column `` throughout");
        check("{{people.age}}", "the rows of feed `people` have no column `age` throughout");
        check("{{n.x}}", "feed `n` has no columns, so `x` names nothing");
    }
}
