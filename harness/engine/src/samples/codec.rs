//! One window as bytes and back. Histograms are HDR histograms in the format V2 with deflate; an
//! empty one has no bytes at all.

use std::io::{self, Cursor};

use harness_core::ids::{RequestKind, TrialIndex};
use harness_core::load::{KindSamples, RequestOutcome, WindowSamples, latency_histogram};
use harness_core::time::RunTime;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// Request kinds and outcomes of one window at most.
const ENTRIES_MAX: u32 = 4096;
/// Bytes of one text at most.
const TEXT_BYTES_MAX: u32 = 4096;

pub(super) fn encode(window: &WindowSamples) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(&window.trial.0.to_le_bytes());
    out.extend_from_slice(&window.index.to_le_bytes());
    out.extend_from_slice(&window.start.nanos().to_le_bytes());
    out.push(u8::from(window.paused));
    put_histogram(&mut out, &window.lag_us)?;
    put_count(&mut out, window.kinds.len(), ENTRIES_MAX)?;
    for (kind, samples) in &window.kinds {
        put_text(&mut out, kind.as_str())?;
        out.extend_from_slice(&samples.planned.to_le_bytes());
        out.extend_from_slice(&samples.good.to_le_bytes());
        put_count(&mut out, samples.outcomes.len(), ENTRIES_MAX)?;
        for (outcome, count) in &samples.outcomes {
            put_text(&mut out, &outcome.to_string())?;
            out.extend_from_slice(&count.to_le_bytes());
        }
        put_histogram(&mut out, &samples.latency_us)?;
        put_histogram(&mut out, &samples.service_us)?;
    }
    Ok(out)
}

fn put_count(out: &mut Vec<u8>, count: usize, max: u32) -> io::Result<()> {
    let count = u32::try_from(count).ok().filter(|count| *count <= max);
    let count = count.ok_or_else(|| io::Error::other("too many entries in a window"))?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    put_count(out, text.len(), TEXT_BYTES_MAX)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram<u64>) -> io::Result<()> {
    let mut bytes = Vec::new();
    if !histogram.is_empty() {
        V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(io::Error::other)?;
    }
    put_count(out, bytes.len(), super::RECORD_BYTES_MAX)?;
    out.extend_from_slice(&bytes);
    Ok(())
}

/// Words say what does not fit.
pub(super) fn decode(bytes: &[u8]) -> Result<WindowSamples, String> {
    let mut input = Input(bytes);
    let trial = TrialIndex(input.u32()?);
    let index = input.u32()?;
    let mut window = WindowSamples::new(trial, index, RunTime::from_nanos(input.u64()?));
    window.paused = match input.take(1)? {
        [0] => false,
        [1] => true,
        _ => return Err("a flag that is neither 0 nor 1".to_owned()),
    };
    window.lag_us = input.histogram()?;
    for _ in 0..input.count(ENTRIES_MAX)? {
        let kind = RequestKind::new(input.text()?);
        let mut samples =
            KindSamples { planned: input.u64()?, good: input.u64()?, ..KindSamples::default() };
        for _ in 0..input.count(ENTRIES_MAX)? {
            let outcome: RequestOutcome = input.text()?.parse()?;
            samples.outcomes.insert(outcome, input.u64()?);
        }
        samples.latency_us = input.histogram()?;
        samples.service_us = input.histogram()?;
        window.kinds.insert(kind, samples);
    }
    if input.0.is_empty() { Ok(window) } else { Err("more bytes than it says".to_owned()) }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("fewer bytes than it says")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn count(&mut self, max: u32) -> Result<u32, String> {
        let count = self.u32()?;
        if count <= max { Ok(count) } else { Err("a count that cannot be".to_owned()) }
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let count = self.count(TEXT_BYTES_MAX)?;
        std::str::from_utf8(self.take(count as usize)?).map_err(|error| error.to_string())
    }

    fn histogram(&mut self) -> Result<Histogram<u64>, String> {
        let count = self.count(super::RECORD_BYTES_MAX)?;
        let bytes = self.take(count as usize)?;
        let mut histogram = latency_histogram();
        if !bytes.is_empty() {
            let read: Histogram<u64> = Deserializer::new()
                .deserialize(&mut Cursor::new(bytes))
                .map_err(|error| error.to_string())?;
            histogram.add(&read).map_err(|error| error.to_string())?;
        }
        Ok(histogram)
    }
}
