//! Typed reading of a tree: mappings with known keys, quantities, names, words. Each reader tells
//! what is wrong and gives `None`, so that all that is wrong is told at once.

use std::ops::RangeInclusive;
use std::str::FromStr;

use harness_core::diag::Span;
use harness_core::units::{Currency, Duration, Money, Quantile, Rate, Ratio, SpendRate, UnitError};

use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean, listed, nearest};
use crate::node::{Entry, Node, Spanned, Value};

/// Names are at most so long.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// What a mapping may hold. The schema is made from the same tables.
#[derive(Debug)]
pub(crate) struct Section {
    /// How messages call it: "`spec`".
    pub(crate) name: &'static str,
    /// The keys that it knows.
    pub(crate) keys: &'static [&'static str],
    /// Keys of which exactly one must stand beside them, where they are known beforehand.
    pub(crate) kinds: &'static [&'static str],
}

/// A quantity with its unit.
pub(crate) trait Quantity: FromStr<Err = UnitError> {
    /// "a duration".
    const NAME: &'static str;
}

impl Quantity for Duration {
    const NAME: &'static str = "a duration";
}
impl Quantity for Rate {
    const NAME: &'static str = "a rate";
}
impl Quantity for Ratio {
    const NAME: &'static str = "a ratio";
}
impl Quantity for Currency {
    const NAME: &'static str = "a currency";
}
impl Quantity for Money {
    const NAME: &'static str = "an amount of money";
}
impl Quantity for SpendRate {
    const NAME: &'static str = "a rate of spending";
}
impl Quantity for Quantile {
    const NAME: &'static str = "a quantile";
}

/// A mapping whose keys are known.
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    /// The place that stands for the whole: its key where it has one.
    pub(crate) place: Span,
    section: &'static Section,
}

impl<'n> Fields<'n> {
    /// Reads a mapping and tells every key that is neither known nor one of the kinds.
    pub(crate) fn read(
        node: &'n Node,
        place: Span,
        section: &'static Section,
        findings: &mut Findings,
    ) -> Option<Self> {
        Self::read_with_kinds(node, place, section, section.kinds, findings)
    }

    /// The same with kinds that are only known now: those of a registry.
    pub(crate) fn read_with_kinds(
        node: &'n Node,
        place: Span,
        section: &'static Section,
        kinds: &[&str],
        findings: &mut Findings,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let at = if node.is_nothing() { place } else { node.span };
            findings.push(
                Finding::error(
                    codes::WRONG_TYPE,
                    at,
                    format!("{} must be a mapping, not {}", section.name, node.describe()),
                )
                .hint(format!("known keys are {}", listed(&all(section, kinds)))),
            );
            return None;
        };
        for entry in entries {
            let key = entry.key.value.as_str();
            if !section.keys.contains(&key) && !kinds.contains(&key) {
                let message = format!("{} has no key `{key}`", section.name);
                findings.push(
                    Finding::error(codes::UNKNOWN_KEY, entry.key.span, message)
                        .label("unknown key")
                        .hint(did_you_mean(key, all(section, kinds))),
                );
            }
        }
        Some(Self { entries, place, section })
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key.value == key)
    }

    /// The value of a key; nothing after the key is told and counts as absent.
    pub(crate) fn node(&self, key: &str, findings: &mut Findings) -> Option<&'n Node> {
        let entry = self.entry(key)?;
        if entry.node.is_nothing() {
            findings.push(
                Finding::error(codes::WRONG_TYPE, entry.key.span, format!("`{key}` needs a value"))
                    .label("nothing follows"),
            );
            return None;
        }
        Some(&entry.node)
    }

    /// Tells that a key is missing, unless it is there (and was told for another reason).
    pub(crate) fn require<T>(
        &self,
        key: &str,
        value: Option<T>,
        findings: &mut Findings,
    ) -> Option<T> {
        if value.is_none() && self.entry(key).is_none() && !self.has_misspelt(key) {
            findings.push(
                Finding::error(
                    codes::MISSING_KEY,
                    self.place,
                    format!("{} needs `{key}`", self.section.name),
                )
                .hint(format!("add `{key}: ...`")),
            );
        }
        value
    }

    /// Whether a key that is not known, and was told, most likely means this one.
    fn has_misspelt(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| {
            let said = entry.key.value.as_str();
            !self.section.keys.contains(&said) && nearest(said, &[key]).is_some()
        })
    }

    /// Exactly one of these keys; tells when there is none or more than one.
    pub(crate) fn one_of(&self, kinds: &[&str], findings: &mut Findings) -> Option<&'n Entry> {
        let mut found =
            self.entries.iter().filter(|entry| kinds.contains(&entry.key.value.as_str()));
        let first = found.next();
        match (first, found.next()) {
            (Some(first), Some(second)) => {
                findings.push(
                    Finding::error(
                        codes::NOT_ONE_KIND,
                        second.key.span,
                        format!("{} takes one of {}", self.section.name, listed(kinds)),
                    )
                    .label("a second one")
                    .related(first.key.span, "the first one"),
                );
                None
            }
            (None, _) => {
                // A misspelt kind was told as an unknown key already.
                let told = self.entries.iter().any(|entry| {
                    let key = entry.key.value.as_str();
                    !self.section.keys.contains(&key)
                });
                if !told {
                    findings.push(
                        Finding::error(
                            codes::NOT_ONE_KIND,
                            self.place,
                            format!("{} needs one of {}", self.section.name, listed(kinds)),
                        )
                        .label("none of them is here"),
                    );
                }
                None
            }
            (Some(first), None) => Some(first),
        }
    }

    /// A quantity with its unit.
    pub(crate) fn quantity<T: Quantity>(
        &self,
        key: &str,
        findings: &mut Findings,
    ) -> Option<Spanned<T>> {
        let node = self.node(key, findings)?;
        quantity(node, key, findings)
    }

    /// A length of time above zero.
    pub(crate) fn positive(&self, key: &str, findings: &mut Findings) -> Option<Spanned<Duration>> {
        let duration = self.quantity::<Duration>(key, findings)?;
        if duration.value == Duration::ZERO {
            findings.push(
                Finding::error(codes::OUT_OF_RANGE, duration.span, format!("`{key}` is zero"))
                    .hint("write a length of time above zero"),
            );
            return None;
        }
        Some(duration)
    }

    /// A text.
    pub(crate) fn text(&self, key: &str, findings: &mut Findings) -> Option<Spanned<String>> {
        let node = self.node(key, findings)?;
        text(node, key, findings)
    }

    /// A whole number within a range.
    pub(crate) fn whole(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        findings: &mut Findings,
    ) -> Option<Spanned<u64>> {
        let node = self.node(key, findings)?;
        whole(node, key, range, findings)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str, findings: &mut Findings) -> Option<Spanned<bool>> {
        self.word(key, &[("true", true), ("false", false)], findings)
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        findings: &mut Findings,
    ) -> Option<Spanned<T>> {
        let text = self.text(key, findings)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(Spanned::new(*meaning, text.span));
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        findings.push(
            Finding::error(
                codes::UNKNOWN_WORD,
                text.span,
                format!("`{key}` cannot be `{}`", text.value),
            )
            .label(format!("not one of {}", known.join(", ")))
            .hint(did_you_mean(&text.value, known)),
        );
        None
    }

    /// The entries of a list; absent is empty.
    pub(crate) fn list(&self, key: &str, findings: &mut Findings) -> &'n [Node] {
        match self.node(key, findings) {
            Some(node) => list(node, key, findings),
            None => &[],
        }
    }
}

fn all<'a>(section: &'static Section, kinds: &[&'a str]) -> Vec<&'a str> {
    kinds.iter().chain(section.keys).copied().collect()
}

/// The entries of a list.
pub(crate) fn list<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> &'n [Node] {
    if let Value::List(items) = &node.value {
        return items;
    }
    findings.push(
        Finding::error(
            codes::WRONG_TYPE,
            node.span,
            format!("`{what}` must be a list, not {}", node.describe()),
        )
        .hint("write `- ` before each entry, or `[..., ...]`"),
    );
    &[]
}

/// The entries of a mapping whose keys are names that the user chooses.
pub(crate) fn named<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> &'n [Entry] {
    if let Value::Map(entries) = &node.value {
        return entries;
    }
    findings.push(
        Finding::error(
            codes::WRONG_TYPE,
            node.span,
            format!("`{what}` must be a mapping from names, not {}", node.describe()),
        )
        .hint(format!("write `{what}: {{name: ...}}`")),
    );
    &[]
}

/// A text, also one that looks like a number. What still holds a `${...}` was told before.
pub(crate) fn text(node: &Node, what: &str, findings: &mut Findings) -> Option<Spanned<String>> {
    let Some(text) = node.scalar().filter(|_| !node.is_nothing()) else {
        findings.push(Finding::error(
            codes::WRONG_TYPE,
            node.span,
            format!("`{what}` must be a text, not {}", node.describe()),
        ));
        return None;
    };
    (!text.contains("${")).then(|| Spanned::new(text.to_owned(), node.span))
}

/// A whole number within a range.
pub(crate) fn whole(
    node: &Node,
    what: &str,
    range: RangeInclusive<u64>,
    findings: &mut Findings,
) -> Option<Spanned<u64>> {
    let text = text(node, what, findings)?;
    let Ok(number) = text.value.parse::<u64>() else {
        findings.push(
            Finding::error(codes::WRONG_TYPE, node.span, format!("`{what}` needs a whole number"))
                .label("not a whole number")
                .hint(format!("for example `{}`", range.start())),
        );
        return None;
    };
    if !range.contains(&number) {
        findings.push(
            Finding::error(codes::OUT_OF_RANGE, node.span, format!("`{what}` is out of range"))
                .label(format!("from {} to {}", range.start(), range.end())),
        );
        return None;
    }
    Some(Spanned::new(number, node.span))
}

/// A quantity with its unit.
pub(crate) fn quantity<T: Quantity>(
    node: &Node,
    what: &str,
    findings: &mut Findings,
) -> Option<Spanned<T>> {
    let text = text(node, what, findings)?;
    match text.value.parse::<T>() {
        Ok(value) => Some(Spanned::new(value, node.span)),
        Err(error) => {
            findings.push(bad_quantity(what, T::NAME, node.span, &error));
            None
        }
    }
}

/// Tells that a text is not the quantity that belongs there.
pub(crate) fn bad_quantity(what: &str, kind: &str, span: Span, error: &UnitError) -> Finding {
    Finding::error(codes::BAD_QUANTITY, span, format!("`{what}` needs {kind}"))
        .label(error.to_string())
        .hint(error.hint())
}

/// A name: letters, digits, `-` and `_`, beginning with a letter.
pub(crate) fn name(
    text: Spanned<String>,
    what: &str,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    let well_formed = text.value.chars().next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && text.value.len() <= NAME_BYTES_MAX;
    if well_formed {
        return Some(text);
    }
    findings.push(
        Finding::error(
            codes::BAD_NAME,
            text.span,
            format!("`{}` cannot be the name of {what}", text.value),
        )
        .hint(format!(
            "a letter, then letters, digits, `-` and `_`; at most {NAME_BYTES_MAX} of them"
        )),
    );
    None
}

/// Tells that a part of the language is not there yet.
pub(crate) fn not_supported(key: &Spanned<String>, instead: &str) -> Finding {
    Finding::error(
        codes::NOT_SUPPORTED,
        key.span,
        format!("`{}` is not supported by this build", key.value),
    )
    .label("known, but not built in yet")
    .hint(instead)
}
