//! Draws diagnostics for people: the place in the text, the words, the hint.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use harness_core::diag::{Diagnostic, Severity, Span};

/// Draws all diagnostics of a text, one after the other, with a line for each count at the end.
/// `colour` adds terminal escapes; the words are the same.
pub fn render(file_name: &str, text: &str, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut drawn = String::new();
    for diagnostic in diagnostics {
        drawn.push_str(&renderer.render(&[group(file_name, text, diagnostic)]));
        drawn.push_str("\n\n");
    }
    drawn
}

fn group<'a>(file_name: &'a str, text: &'a str, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut primary = AnnotationKind::Primary.span(within(text, diagnostic.span));
    if !diagnostic.label.is_empty() {
        primary = primary.label(diagnostic.label.as_str());
    }
    let related = diagnostic.related.iter().map(|(span, words)| {
        AnnotationKind::Context.span(within(text, *span)).label(words.as_str())
    });
    let snippet = Snippet::source(text).path(file_name).annotation(primary).annotations(related);
    let group = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str())
        .element(snippet);
    if diagnostic.hint.is_empty() {
        return group;
    }
    group.element(Level::HELP.with_name("hint").message(diagnostic.hint.as_str()))
}

/// The span as the renderer takes it: inside the text, on whole letters, and within one line where
/// it would only draw a long frame around what the first line says.
fn within(text: &str, span: Span) -> std::ops::Range<usize> {
    let clamp = |at: usize| {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (clamp(span.start), clamp(span.end.max(span.start)));
    let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    start..end.min(line_end).max(start)
}
