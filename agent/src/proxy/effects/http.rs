//! Effects on single HTTP/1.1 requests of a connection: answered here, delayed, or passed. No I/O.
//!
//! One request at a time: the next is looked at when the answer to this one is whole, so answers
//! never overtake each other. What is no HTTP/1.1 passes.

use bytes::{Bytes, BytesMut};
use injectors::proxy::wire::{HttpEffect, ProxyEffect};

use super::Chance;
use crate::proxy::answer::{Kind, Messages, Persistence, Step};

/// The requests of one connection under an effect.
#[derive(Debug)]
pub(in crate::proxy) struct Exchange {
    effect: HttpEffect,
    chance: Chance,
    requests: Messages,
    answers: Messages,
    /// Bytes of requests that were not looked at yet.
    input: BytesMut,
    /// The head that is decided upon, and other bytes that may go on.
    output: BytesMut,
    phase: Phase,
    /// The callee has answered a request before it was whole.
    early: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests, or in the head of one.
    Head,
    /// A request waits until then, in monotonic nanoseconds.
    Delayed(u64),
    /// The body of a request that passes.
    Passing,
    /// The body of a request that is answered here.
    Swallowing,
    /// The request has passed; its answer is not whole.
    AwaitingAnswer,
    /// It is no HTTP/1.1: all passes.
    Raw,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Action {
    /// Send this to the callee.
    Forward(Bytes),
    /// Answer the caller with this status.
    Answer(u16, Persistence),
    /// Come again at this instant, in monotonic nanoseconds.
    Wait(u64),
    /// Read more of the caller.
    ReadCaller,
    /// Only the callee can say something now.
    ReadCallee,
}

enum Fate {
    Pass,
    Answer,
    Delay,
}

impl Exchange {
    /// Begins between two requests. `ticket` tells connections apart.
    pub(in crate::proxy) fn new(effect: &HttpEffect, ticket: u64) -> Self {
        let chance = Chance(effect.seed.wrapping_add(ticket.wrapping_mul(0x9E37_79B9)));
        Self {
            effect: effect.clone(),
            chance,
            requests: Messages::new(Kind::Requests),
            answers: Messages::new(Kind::Answers),
            input: BytesMut::new(),
            output: BytesMut::new(),
            phase: Phase::Head,
            early: false,
        }
    }

    /// Whether it carries out this effect.
    pub(in crate::proxy) fn carries_out(&self, effect: Option<&ProxyEffect>) -> bool {
        matches!(effect, Some(ProxyEffect::Http(http)) if *http == self.effect)
    }

    /// Takes bytes of the caller.
    pub(in crate::proxy) fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Takes notice of bytes of the callee, which pass.
    pub(in crate::proxy) fn note_answer(&mut self, mut bytes: &[u8]) {
        while !self.early && matches!(self.phase, Phase::Passing | Phase::AwaitingAnswer) {
            match self.answers.feed(bytes) {
                Step::More => return,
                // Switching protocols: HTTP ends here.
                Step::Head { .. } if self.answers.status() == 101 => self.phase = Phase::Raw,
                Step::Head { used } => bytes = &bytes[used..],
                Step::End { .. } if self.phase == Phase::Passing => self.early = true,
                Step::End { .. } => self.phase = Phase::Head,
                Step::Lost => self.phase = Phase::Raw,
            }
        }
    }

    /// What comes next. `now` is in monotonic nanoseconds.
    pub(in crate::proxy) fn next(&mut self, now: u64) -> Action {
        loop {
            match self.phase {
                Phase::Delayed(due) if due > now => return Action::Wait(due),
                Phase::Delayed(_) => self.phase = Phase::Passing,
                Phase::Raw => {
                    let all = self.input.split();
                    self.output.unsplit(all);
                    return self.forward().unwrap_or(Action::ReadCaller);
                }
                Phase::AwaitingAnswer => return self.forward().unwrap_or(Action::ReadCallee),
                Phase::Head | Phase::Passing | Phase::Swallowing => {
                    if let Some(action) = self.follow(now) {
                        return action;
                    }
                }
            }
        }
    }

    /// What still waits when the effect ends goes on at once. `None`: the request that is answered
    /// here has not ended; the exchange goes on until it has.
    pub(in crate::proxy) fn rest(&mut self) -> Option<Bytes> {
        if self.phase == Phase::Swallowing {
            return None;
        }
        if self.phase == Phase::Head {
            self.output.extend_from_slice(self.requests.begun());
        }
        let input = self.input.split();
        self.output.unsplit(input);
        Some(self.output.split().freeze())
    }

    /// Whether bytes of a request may have gone on that are not answered.
    pub(in crate::proxy) fn is_awaiting_answer(&self) -> bool {
        matches!(self.phase, Phase::AwaitingAnswer | Phase::Passing)
    }

    fn forward(&mut self) -> Option<Action> {
        let all = self.output.split();
        (!all.is_empty()).then(|| Action::Forward(all.freeze()))
    }

    /// Follows the input by one step; `None` when there is more to follow.
    fn follow(&mut self, now: u64) -> Option<Action> {
        let begun = BytesMut::from(self.requests.begun());
        match self.requests.feed(&self.input) {
            Step::More => {
                let all = self.input.split();
                if self.phase == Phase::Passing {
                    self.output.unsplit(all);
                }
                Some(self.forward().unwrap_or(Action::ReadCaller))
            }
            Step::Lost => {
                self.output.unsplit(begun);
                self.phase = Phase::Raw;
                None
            }
            Step::Head { used } => {
                let head = self.input.split_to(used);
                self.phase = match self.fate() {
                    Fate::Answer => Phase::Swallowing,
                    Fate::Pass => Phase::Passing,
                    Fate::Delay => Phase::Delayed(now + self.effect.delay.micros() * 1000),
                };
                if self.phase != Phase::Swallowing {
                    self.output.unsplit(begun);
                    self.output.unsplit(head);
                    let to_head = self.requests.first_line().starts_with("HEAD ");
                    let kind = if to_head { Kind::AnswersToHead } else { Kind::Answers };
                    self.answers = Messages::new(kind);
                }
                None
            }
            Step::End { used, then } => {
                let body = self.input.split_to(used);
                if self.phase == Phase::Swallowing {
                    self.phase = Phase::Head;
                    return Some(Action::Answer(self.effect.status, then));
                }
                self.output.unsplit(body);
                let early = std::mem::take(&mut self.early);
                self.phase = if early { Phase::Head } else { Phase::AwaitingAnswer };
                None
            }
        }
    }

    fn fate(&mut self) -> Fate {
        let mut words = self.requests.first_line().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default();
        let HttpEffect { method: wanted, path: beginning, errors, delayed, .. } = &self.effect;
        let meant = wanted.as_ref().is_none_or(|wanted| wanted == method)
            && beginning.as_ref().is_none_or(|beginning| path.starts_with(beginning.as_str()));
        if !meant {
            Fate::Pass
        } else if self.chance.hits(errors.billionths()) {
            Fate::Answer
        } else if self.chance.hits(delayed.billionths()) {
            Fate::Delay
        } else {
            Fate::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::units::{Duration, Ratio};

    use super::*;

    const GET: &[u8] = b"GET /a?x=1 HTTP/1.1\r\n\r\n";
    const POST: &[u8] = b"POST /charge HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    fn effect(errors: u64, delayed: u64) -> HttpEffect {
        HttpEffect {
            method: None,
            path: None,
            errors: Ratio::from_percent(errors),
            status: 503,
            delayed: Ratio::from_percent(delayed),
            delay: Duration::from_millis(100),
            seed: 1,
        }
    }

    /// All that is done until something more must be read.
    fn all(exchange: &mut Exchange, now: u64) -> (Vec<u8>, usize, Action) {
        let (mut forwarded, mut answered) = (Vec::new(), 0);
        loop {
            match exchange.next(now) {
                Action::Forward(bytes) => forwarded.extend_from_slice(&bytes),
                Action::Answer(..) => answered += 1,
                last => return (forwarded, answered, last),
            }
        }
    }

    #[test]
    fn requests_that_pass_pass_byte_for_byte_and_one_at_a_time() {
        let mut exchange = Exchange::new(&effect(0, 0), 0);
        exchange.take(&[POST, GET].concat());
        assert_eq!(all(&mut exchange, 0), (POST.to_vec(), 0, Action::ReadCallee));
        exchange.note_answer(&OK[..20]);
        assert_eq!(all(&mut exchange, 0), (Vec::new(), 0, Action::ReadCallee));
        exchange.note_answer(&OK[20..]);
        assert_eq!(all(&mut exchange, 0), (GET.to_vec(), 0, Action::ReadCallee));
        exchange.note_answer(OK);
        assert_eq!(all(&mut exchange, 0), (Vec::new(), 0, Action::ReadCaller));
    }

    #[test]
    fn requests_cut_anywhere_are_answered_whole_and_never_passed_in_part() {
        for size in 1..POST.len() {
            let mut exchange = Exchange::new(&effect(100, 0), 0);
            let (mut forwarded, mut answered) = (Vec::new(), 0);
            for piece in [POST, GET, POST].concat().chunks(size) {
                exchange.take(piece);
                let (more, now_answered, last) = all(&mut exchange, 0);
                forwarded.extend(more);
                answered += now_answered;
                assert_eq!(last, Action::ReadCaller);
            }
            assert_eq!((forwarded.len(), answered), (0, 3), "pieces of {size}");
        }
    }

    #[test]
    fn only_the_method_and_the_path_that_are_meant_are_hit() {
        let meant = |method: Option<&str>, path: Option<&str>, request: &[u8]| {
            let (method, path) = (method.map(str::to_owned), path.map(str::to_owned));
            let effect = HttpEffect { method, path, ..effect(100, 0) };
            let mut exchange = Exchange::new(&effect, 0);
            exchange.take(request);
            all(&mut exchange, 0).1 == 1
        };
        assert!(meant(Some("POST"), Some("/cha"), POST));
        assert!(meant(None, Some("/a"), GET));
        assert!(!meant(Some("POST"), None, GET));
        assert!(!meant(None, Some("/charges"), POST));
    }

    #[test]
    fn a_delayed_request_waits_and_goes_on_when_the_effect_ends() {
        let mut exchange = Exchange::new(&effect(0, 100), 0);
        exchange.take(POST);
        assert_eq!(all(&mut exchange, 5), (Vec::new(), 0, Action::Wait(100_000_005)));
        assert_eq!(all(&mut exchange, 100_000_005).0, POST);
        let mut exchange = Exchange::new(&effect(0, 100), 0);
        exchange.take(POST);
        all(&mut exchange, 0);
        assert_eq!(exchange.rest().unwrap(), POST);
    }

    #[test]
    fn the_end_of_the_effect_loses_no_byte_and_repeats_none() {
        let both = [POST, GET].concat();
        for cut in 0..both.len() {
            let mut exchange = Exchange::new(&effect(0, 0), 0);
            exchange.take(&both[..cut]);
            let (mut forwarded, _, _) = all(&mut exchange, 0);
            forwarded.extend(exchange.rest().unwrap());
            assert_eq!(forwarded, both[..cut], "cut at {cut}");
        }
        // A request that is being answered here is not passed on in part.
        let mut exchange = Exchange::new(&effect(100, 0), 0);
        exchange.take(&POST[..POST.len() - 1]);
        all(&mut exchange, 0);
        assert_eq!(exchange.rest(), None);
        exchange.take(&POST[POST.len() - 1..]);
        assert_eq!(all(&mut exchange, 0).1, 1);
        assert_eq!(exchange.rest().unwrap(), b""[..]);
    }

    #[test]
    fn an_answer_that_comes_before_the_end_of_its_request_is_not_awaited_again() {
        let mut exchange = Exchange::new(&effect(0, 0), 0);
        exchange.take(&POST[..POST.len() - 1]);
        all(&mut exchange, 0);
        exchange.note_answer(OK);
        exchange.take(&[&POST[POST.len() - 1..], GET].concat());
        assert_eq!(all(&mut exchange, 0), ([b"o", GET].concat(), 0, Action::ReadCallee));
    }

    #[test]
    fn what_is_no_http_passes() {
        let mut exchange = Exchange::new(&effect(100, 0), 0);
        exchange.take(b"\x16\x03\x01 hello\r\n\r\n more");
        assert_eq!(all(&mut exchange, 0).0, b"\x16\x03\x01 hello\r\n\r\n more");
        exchange.take(b" and more");
        assert_eq!(all(&mut exchange, 0).0, b" and more");
    }
}
