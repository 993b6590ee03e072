//! Windows as an interval log of `HdrHistogram` (version 1.3 of the log, V2 compressed histograms),
//! as public tools read it: one line per window and request kind, latency in us from the intended
//! send time, of requests that ended well.

use std::io::{self, Write};
use std::time::{Duration as StdDuration, SystemTime};

use harness_core::load::{WINDOW, WindowSamples};
use harness_core::time::{RunTime, WallTime};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// The column of largest values is in ms.
const MAX_DIVISOR: f64 = 1000.0;

/// Writes a log line by line; keeps nothing.
pub struct HdrLog<W> {
    out: W,
    serializer: V2DeflateSerializer,
    /// The load's start.
    from: RunTime,
}

impl<W: Write> HdrLog<W> {
    /// Begins a log of a load that starts at `from`, which is `wall` on the wall clock.
    pub fn new(mut out: W, from: RunTime, wall: WallTime) -> io::Result<Self> {
        let millis = StdDuration::from_millis(u64::try_from(wall.0).unwrap_or(0));
        let start = SystemTime::UNIX_EPOCH + millis;
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[latency in microseconds from the intended send time]")
            .with_start_time(start)
            .with_base_time(start)
            .with_max_value_divisor(MAX_DIVISOR)
            .begin_log_with(&mut out, &mut serializer)?;
        Ok(Self { out, serializer, from })
    }

    /// Adds one window.
    pub fn window(&mut self, window: &WindowSamples) -> io::Result<()> {
        let start = StdDuration::from_nanos(window.start.nanos() - self.from.nanos());
        for (kind, samples) in &window.kinds {
            if samples.latency_us.is_empty() {
                continue;
            }
            let name = kind.as_str().replace([',', ' ', '\r', '\n'], "_");
            let mut text = Vec::new();
            IntervalLogWriterBuilder::new()
                .with_max_value_divisor(MAX_DIVISOR)
                .begin_log_with(&mut text, &mut self.serializer)?
                .write_histogram(&samples.latency_us, start, WINDOW.as_std(), Tag::new(&name))
                .map_err(io::Error::other)?;
            // The library begins each log with a head; only the line is wanted.
            let end = text.len().saturating_sub(1);
            let line = text[..end].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            self.out.write_all(line)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Ends the log.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use harness_core::ids::TrialIndex;
    use harness_core::load::KindSamples;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn a_log_can_be_read_back() {
        let from = RunTime::from_nanos(5_000_000_000);
        let mut log = HdrLog::new(Vec::new(), from, WallTime(1_700_000_000_000)).unwrap();
        let mut written = Vec::new();
        for index in 0..3_u32 {
            let start = from + WINDOW.times(u64::from(index));
            let mut window = WindowSamples::new(TrialIndex(0), index, start);
            let mut samples = KindSamples::default();
            samples.latency_us.record(u64::from(index) * 1000 + 17).unwrap();
            written.push(samples.latency_us.clone());
            window.kinds.insert("GET /a,b".into(), samples);
            window.kinds.insert("GET /never".into(), KindSamples::default());
            log.window(&window).unwrap();
        }
        let text = log.finish().unwrap();
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(line) = entry.unwrap() {
                assert_eq!(line.tag().unwrap().as_str(), "GET_/a_b");
                assert_eq!(
                    line.start_timestamp(),
                    StdDuration::from_millis(read.len() as u64 * 100)
                );
                assert_eq!(line.duration(), StdDuration::from_millis(100));
                let bytes = decode(line.encoded_histogram());
                let histogram: Histogram<u64> =
                    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                read.push(histogram);
            }
        }
        assert_eq!(read, written);
    }

    /// Base64 by RFC 4648, section 4.
    fn decode(text: &str) -> Vec<u8> {
        let value = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
        let bits = digits.iter().flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1));
        let bits: Vec<u8> = bits.collect();
        bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
    }
}
