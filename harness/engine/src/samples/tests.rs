//! Samples round-trip, end cleanly when torn, and never pass damage on.

use std::collections::BTreeMap;

use harness_core::ids::TrialIndex;
use harness_core::load::{KindSamples, RequestOutcome};
use harness_core::time::RunTime;
use hdrhistogram::Histogram;
use proptest::prelude::*;

use super::*;
use crate::storage::memory::Memory;

fn outcome() -> impl Strategy<Value = RequestOutcome> {
    prop_oneof![
        (100_u16..600).prop_map(RequestOutcome::Status),
        Just(RequestOutcome::Refused),
        Just(RequestOutcome::Timeout),
        Just(RequestOutcome::Overrun),
        Just(RequestOutcome::Unsent),
    ]
}

fn latencies() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![1_u64..5_000, 1_u64..600_000_000], 0..20)
}

fn record(histogram: &mut Histogram<u64>, values: &[u64]) {
    for value in values {
        histogram.record(*value).unwrap();
    }
}

prop_compose! {
    fn kind_samples()(
        planned in any::<u64>(), good in any::<u64>(),
        outcomes in prop::collection::btree_map(outcome(), any::<u64>(), 0..5),
        latency in latencies(), service in latencies(),
    ) -> KindSamples {
        let mut samples = KindSamples { planned, good, outcomes, ..KindSamples::default() };
        record(&mut samples.latency_us, &latency);
        record(&mut samples.service_us, &service);
        samples
    }
}

prop_compose! {
    fn window()(
        trial in any::<u32>(), index in any::<u32>(), start in any::<u64>(),
        paused in any::<bool>(), lag in latencies(),
        kinds in prop::collection::btree_map("[A-Z]{3,4} /[a-zé]{0,8}", kind_samples(), 0..3),
    ) -> WindowSamples {
        let start = RunTime::from_nanos(start);
        let mut window = WindowSamples::new(TrialIndex(trial), index, start);
        window.paused = paused;
        record(&mut window.lag_us, &lag);
        window.kinds = kinds.into_iter().map(|(kind, samples)| (kind.as_str().into(), samples))
            .collect::<BTreeMap<_, _>>();
        window
    }
}

fn written(windows: &[WindowSamples]) -> (Vec<u8>, Vec<usize>) {
    let disk = Memory::default();
    let mut writer = SamplesWriter::begin(Box::new(disk.clone())).unwrap();
    let mut ends = vec![disk.bytes().len()];
    for window in windows {
        writer.append(window).unwrap();
        ends.push(disk.bytes().len());
    }
    (disk.bytes(), ends)
}

fn read(bytes: &[u8]) -> Result<(Vec<WindowSamples>, bool), SamplesError> {
    let mut reader = SamplesReader::new(Box::new(io::Cursor::new(bytes.to_vec())), Path::new("x"))?;
    let windows = reader.by_ref().collect::<Result<_, _>>()?;
    Ok((windows, reader.is_torn()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn windows_round_trip_and_a_torn_tail_is_left_out(
        windows in prop::collection::vec(window(), 0..3), cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, ends) = written(&windows);
        let (again, torn) = read(&bytes).unwrap();
        prop_assert!(again == windows && !torn);
        let cut = cut.index(bytes.len() + 1);
        let (part, torn) = read(&bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        prop_assert!(part == windows[..whole]);
        prop_assert_eq!(torn, !ends.contains(&cut), "cut at {}", cut);
    }

    #[test]
    fn damage_is_never_passed_on(
        windows in prop::collection::vec(window(), 1..3),
        at in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let (mut bytes, ends) = written(&windows);
        let at = ends[0] + at.index(bytes.len() - ends[0]);
        bytes[at] ^= 1 << bit;
        match read(&bytes) {
            Err(SamplesError::Damaged { .. }) => {}
            // A length that became too long looks like an unfinished record.
            Ok((part, torn)) => prop_assert!(torn && part == windows[..part.len()]),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn other_files_and_newer_formats_are_refused() {
    assert!(matches!(read(b"gameday.samples/2\n"), Err(SamplesError::Format(_))));
    assert!(matches!(read(b"gameday.plan/1\n"), Err(SamplesError::Format(_))));
    assert!(matches!(read(&[b'x'; 100]), Err(SamplesError::Format(_))));
    assert!(read(b"gameday.samples/1.3\n").unwrap().0.is_empty());
}
