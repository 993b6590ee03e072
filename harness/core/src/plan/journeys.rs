//! Journeys: users who walk through the system step by step. The closed model of load: a user sends
//! nothing while it waits for an answer, so the target's slowness thins out the requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StatusRange;
use crate::units::Duration;

/// So many users, each of whom walks one journey after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JourneysPlan {
    /// Users at once; at least 1.
    pub users: u32,
    /// They begin one after the other, evenly over this time.
    pub ramp_up: Duration,
    /// At least one. Before each visit a user draws one of them by weight.
    pub journeys: Vec<JourneyPlan>,
}

/// One way through the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JourneyPlan {
    /// Its name.
    pub name: String,
    /// Its share of all visits is this over the sum of all weights; at least 1.
    pub weight: u32,
    /// At least one. A step that does not end well is the visit's last one.
    pub steps: Vec<StepPlan>,
}

/// One request of a journey, and the pause before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepPlan {
    /// The request: its place in the load's mix. No two steps share one.
    pub request: u32,
    /// From the end of the user's request before it until the user wants to send this one.
    pub think: Think,
    /// Statuses that are good here, in place of the load's.
    pub good: Option<Vec<StatusRange>>,
    /// A regular expression that the answer's body must match.
    pub body_matches: Option<String>,
    /// Values of the answer, by the name under which later steps of the visit use them. An answer
    /// without one of them has not passed.
    pub extract: BTreeMap<String, Extract>,
}

/// How long a user pauses, drawn from the trial's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Think {
    /// Always as long.
    Fixed {
        /// How long.
        lasts: Duration,
    },
    /// Any length between two, all equally likely.
    Uniform {
        /// The shortest.
        from: Duration,
        /// The longest; not below the shortest.
        to: Duration,
    },
    /// Exponentially distributed: many short ones, a few long ones.
    Exponential {
        /// The mean, before longer ones are cut.
        mean: Duration,
        /// Longer ones are cut to this.
        at_most: Duration,
    },
}

/// Where a value stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Extract {
    /// In its JSON body.
    Json {
        /// A JSON pointer (RFC 6901): `/items/0/id`.
        pointer: String,
    },
    /// In a header.
    Header {
        /// Its name.
        name: String,
    },
    /// In its body, as text.
    Regex {
        /// The first group of the first match; the whole match of a pattern without groups.
        pattern: String,
    },
}

impl Think {
    /// The mean, in seconds.
    pub fn mean_secs(self) -> f64 {
        match self {
            Self::Fixed { lasts } => lasts.secs_f64(),
            Self::Uniform { from, to } => f64::midpoint(from.secs_f64(), to.secs_f64()),
            Self::Exponential { mean, at_most } => {
                let (mean, most) = (mean.secs_f64(), at_most.secs_f64());
                // E[min(X, m)] = mean (1 - exp(-m / mean)).
                if mean > 0.0 { mean * -(-most / mean).exp_m1() } else { 0.0 }
            }
        }
    }
}

impl JourneysPlan {
    /// Requests expected until a time since the load's start when each answer takes `answer`.
    pub fn expected_until(&self, time: Duration, answer: Duration) -> f64 {
        let (mut steps, mut secs) = (0.0, 0.0);
        for journey in &self.journeys {
            let weight = f64::from(journey.weight);
            for step in &journey.steps {
                steps += weight;
                secs += weight * (step.think.mean_secs() + answer.secs_f64());
            }
        }
        let (time, ramp) = (time.secs_f64(), self.ramp_up.secs_f64());
        let ramped = time.min(ramp);
        let ramping = if ramp > 0.0 { ramped * ramped / (2.0 * ramp) } else { 0.0 };
        let user_secs = f64::from(self.users) * (ramping + (time - ramped));
        if secs > 0.0 { user_secs * steps / secs } else { 0.0 }
    }

    /// The names of the values that a step's texts may use: those that earlier steps of the same
    /// journey extract. Sorted, each once.
    pub fn names_before(&self, request: u32) -> Vec<&str> {
        let journey = self
            .journeys
            .iter()
            .find(|journey| journey.steps.iter().any(|step| step.request == request));
        let mut names: Vec<&str> = journey.map_or_else(Vec::new, |journey| {
            let before = journey.steps.iter().take_while(|step| step.request != request);
            before.flat_map(|step| step.extract.keys().map(String::as_str)).collect()
        });
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(request: u32, think_ms: u64, names: &[&str]) -> StepPlan {
        let extract = |name: &&str| ((*name).to_owned(), Extract::Header { name: "x".to_owned() });
        StepPlan {
            request,
            think: Think::Fixed { lasts: Duration::from_millis(think_ms) },
            good: None,
            body_matches: None,
            extract: names.iter().map(extract).collect(),
        }
    }

    fn plan() -> JourneysPlan {
        let journey =
            |name: &str, weight, steps| JourneyPlan { name: name.to_owned(), weight, steps };
        JourneysPlan {
            users: 10,
            ramp_up: Duration::from_secs(2),
            journeys: vec![
                journey("browse", 3, vec![step(0, 100, &["token"])]),
                journey(
                    "buy",
                    1,
                    vec![step(1, 100, &["sku"]), step(2, 500, &["id"]), step(3, 0, &[])],
                ),
            ],
        }
    }

    #[test]
    fn users_expect_as_many_requests_as_they_have_time_for() {
        let at = |secs, answer_ms| {
            plan().expected_until(Duration::from_secs(secs), Duration::from_millis(answer_ms))
        };
        // Four visits have 6 steps and think for 0.9 s.
        let pace = 6.0 / 0.9;
        assert!((at(1, 0) - 2.5 * pace).abs() < 1e-9, "{}", at(1, 0));
        assert!((at(2, 0) - 10.0 * pace).abs() < 1e-9);
        assert!((at(5, 0) - 40.0 * pace).abs() < 1e-9);
        assert!((at(5, 100) - 40.0 * 6.0 / 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_step_knows_what_earlier_ones_of_its_journey_found() {
        assert_eq!(plan().names_before(0), [""; 0]);
        assert_eq!(plan().names_before(1), [""; 0]);
        assert_eq!(plan().names_before(3), ["id", "sku"]);
    }

    #[test]
    fn cutting_long_pauses_shortens_the_mean() {
        let ms = Duration::from_millis;
        let exponential = |at_most| Think::Exponential { mean: ms(100), at_most: ms(at_most) };
        assert!((exponential(10_000).mean_secs() - 0.1).abs() < 1e-9);
        assert!((exponential(100).mean_secs() - 0.1 * (1.0 - (-1.0_f64).exp())).abs() < 1e-9);
        let uniform = Think::Uniform { from: ms(100), to: ms(300) };
        assert!((uniform.mean_secs() - 0.2).abs() < 1e-9);
    }
}
