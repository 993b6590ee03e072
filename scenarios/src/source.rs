//! Text to tree. The only file that names the YAML crate, so that a change of crate is one file.
//!
//! Works on parser events instead of serde: each key and value keeps its place, and every duplicate
//! key is told, not only the first. Tags are refused; aliases are expanded within a budget.

use std::collections::BTreeMap;

use harness_core::diag::Span;
use serde_yaml::granit_parser::{Event, Parser, ScanError, StructureStyle, options};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Node, Spanned, Value};

/// A scenario's text is at most so many bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// A document has at most so many values, aliases counted as often as they are used.
pub const NODES_MAX: usize = 50_000;
/// Values lie at most so deep.
pub const DEPTH_MAX: usize = 64;

/// Reads all documents of a text. What is read before a fault of syntax is given back, too.
pub(crate) fn documents(text: &str, findings: &mut Findings) -> Vec<Node> {
    if text.len() > TEXT_BYTES_MAX {
        findings.push(
            Finding::error(
                codes::TOO_LARGE,
                Span::default(),
                format!("the text has {} bytes, more than {TEXT_BYTES_MAX}", text.len()),
            )
            .hint("one file holds one scenario; put recorded arrivals into a coarser form"),
        );
        return Vec::new();
    }
    let settings = options! { disallow_directives: true, emit_comments: false };
    let mut builder = Builder::new(text, findings);
    for next in Parser::new_from_str_with_options(text, settings) {
        let outcome = match next {
            Ok((event, span)) => builder.take(event, byte_span(text, &span)),
            Err(error) => {
                let finding = syntax(text, &error);
                builder.findings.push(finding);
                Err(Stopped)
            }
        };
        if outcome.is_err() {
            return Vec::new();
        }
    }
    builder.documents
}

/// Reading cannot go on; the reason is among the findings.
struct Stopped;

struct Builder<'t, 'f> {
    text: &'t str,
    findings: &'f mut Findings,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

/// A list or mapping whose end was not seen yet.
struct Open {
    span: Span,
    flow: bool,
    anchor: usize,
    nodes_before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Spanned<String>> },
}

impl<'t, 'f> Builder<'t, 'f> {
    fn new(text: &'t str, findings: &'f mut Findings) -> Self {
        Self {
            text,
            findings,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stopped> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, serde_yaml::granit_parser::ScalarStyle::Plain);
                self.refuse_tag(tag.is_some(), span)?;
                self.count(1, span)?;
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.place(Node { span, value }, anchor, 1)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.open(style, anchor, span, Content::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.open(style, anchor, span, Content::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    self.findings.push(
                        Finding::error(codes::SYNTAX, span, "this alias stands inside its anchor")
                            .hint("write the value out"),
                    );
                    return Err(Stopped);
                };
                self.count(size, span)?;
                self.place(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        span: Span,
        content: Content,
    ) -> Result<(), Stopped> {
        let nodes_before = self.nodes;
        self.count(1, span)?;
        if self.open.len() >= DEPTH_MAX {
            let message = format!("values lie more than {DEPTH_MAX} levels deep");
            self.findings.push(Finding::error(codes::TOO_LARGE, span, message));
            return Err(Stopped);
        }
        let flow = style == StructureStyle::Flow;
        self.open.push(Open { span, flow, anchor, nodes_before, content });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stopped> {
        let open = self.open.pop().expect("the parser closes only what it opened");
        let size = self.nodes - open.nodes_before;
        let (value, last) = match open.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            Content::Map { entries, .. } => {
                let last = entries.last().map(|entry| entry.node.span.end);
                (Value::Map(entries), last)
            }
        };
        // The end of a block lies behind empty lines; what people see ends with the last value.
        let end = if open.flow { end.end } else { last.unwrap_or(open.span.end) };
        let span = Span { start: open.span.start, end: end.max(open.span.start) };
        self.place(Node { span, value }, open.anchor, size)
    }

    /// Puts a finished value where it belongs: as a key, under its key, into its list, or as a
    /// document.
    fn place(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Stopped> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.documents.push(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => match key.take() {
                Some(key) => Self::entry(self.findings, entries, Entry { key, node }),
                None => match node.value {
                    Value::Scalar { text, .. } => *key = Some(Spanned::new(text, node.span)),
                    Value::List(_) | Value::Map(_) => {
                        self.findings.push(
                            Finding::error(codes::SYNTAX, node.span, "a key must be a plain word")
                                .hint("quote `${...}` and texts that begin with a bracket"),
                        );
                        return Err(Stopped);
                    }
                },
            },
        }
        Ok(())
    }

    fn entry(findings: &mut Findings, entries: &mut Vec<Entry>, entry: Entry) {
        match entries.iter().find(|known| known.key.value == entry.key.value) {
            Some(first) => findings.push(
                Finding::error(
                    codes::DUPLICATE_KEY,
                    entry.key.span,
                    format!("`{}` stands twice in one mapping", entry.key.value),
                )
                .label("again here")
                .hint("keep one of them")
                .related(first.key.span, "first here"),
            ),
            None => entries.push(entry),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stopped> {
        self.nodes += nodes;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        self.findings.push(
            Finding::error(
                codes::TOO_LARGE,
                span,
                format!("the text stands for more than {NODES_MAX} values"),
            )
            .hint("aliases count as often as they are used"),
        );
        Err(Stopped)
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) -> Result<(), Stopped> {
        if !tagged {
            return Ok(());
        }
        let before = self.text[..span.start].rfind('!').unwrap_or(span.start);
        let span = Span { start: before, end: span.end };
        self.findings.push(
            Finding::error(codes::SYNTAX, span, "tags are not part of the language")
                .hint("leave out the word that begins with `!`"),
        );
        Err(Stopped)
    }
}

fn byte_span(text: &str, span: &serde_yaml::granit_parser::Span) -> Span {
    let start = span.start.byte_offset().unwrap_or(0).min(text.len());
    let end = span.end.byte_offset().unwrap_or(start).clamp(start, text.len());
    Span { start, end }
}

/// Names the two slips that the parser's own words do not explain, else passes them on.
fn syntax(text: &str, error: &ScanError) -> Finding {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    if let Some(tab) = indent.find('\t') {
        let start = line_start + tab;
        return Finding::error(codes::SYNTAX, Span { start, end: start + 1 }, "not valid YAML")
            .label("a tab")
            .hint("indent with spaces");
    }
    let end = text[at..].chars().next().map_or(at, |next| at + next.len_utf8());
    let words = error.info();
    Finding::error(codes::SYNTAX, Span { start: at, end }, "not valid YAML")
        .label(words)
        .hint("check quotes, brackets and indentation here and in the line above")
}
