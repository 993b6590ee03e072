//! What a scenario claims: `expect`, `automation`, and `slis` and `slos`, which they may refer to.
//! They stand in `spec`, or in a file of their own.

use harness_core::diag::Span;

use crate::findings::Findings;
use crate::node::Node;

use super::automation::AutomationAst;
use super::expect::{ExpectAst, read as read_expect};
use super::objectives::ObjectivesAst;

/// Claims as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClaimsAst {
    pub(crate) expect: Vec<ExpectAst>,
    pub(crate) automation: Vec<AutomationAst>,
    pub(crate) objectives: ObjectivesAst,
}

impl ClaimsAst {
    /// Reads the sections; `section` finds one of them with the place of its key.
    pub(crate) fn read<'n>(
        section: impl Fn(&str, &mut Findings) -> Option<(&'n Node, Span)>,
        findings: &mut Findings,
    ) -> Self {
        let indicators = section("slis", findings).map(|(node, _)| node);
        let objectives = section("slos", findings).map(|(node, _)| node);
        let automation = section("automation", findings);
        let expect = section("expect", findings);
        Self {
            objectives: ObjectivesAst::read(indicators, objectives, findings),
            automation: automation.map_or_else(Vec::new, |(node, place)| {
                AutomationAst::read_all(node, place, findings)
            }),
            expect: expect
                .map_or_else(Vec::new, |(node, place)| read_expect(node, place, findings)),
        }
    }
}
