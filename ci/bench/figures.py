"""Figures of the load benchmark: pure functions, no clock, no process, no file."""

import math
import statistics

# Kolmogorov's distribution: above this over the root of n, equality is refused at 1 %.
KOLMOGOROV_1_PERCENT = 1.628


def quantile(values, share):
    """The value at a rank of a sorted list: nearest rank."""
    return values[min(len(values), max(1, math.ceil(share * len(values)))) - 1]


def spread(values):
    """Median and range, as text."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{statistics.median(values):.3g} ({min(values):.3g}..{max(values):.3g})"


def per_round(ran):
    """Requests of one client's run; runs of a round are equally long."""
    return ran.requests


def per_core(ran):
    """Requests per second of one client's processor time."""
    return ran.requests / ran.cpu_seconds


def settled(times, skipped):
    """Arrivals without the first ones, from zero. By number and not by time, so that two runs of
    one schedule keep the same arrivals."""
    return [time - times[skipped] for time in times[skipped:]]


def evenness(times, asked):
    """How far arrivals are from an even schedule of the same mean rate. Times in seconds; the
    earliest hundredth is the zero of lag, so that one early arrival does not set it."""
    gap = times[-1] / (len(times) - 1)
    gaps = [later - sooner for sooner, later in zip(times, times[1:])]
    lags = sorted(time - place * gap for place, time in enumerate(times))
    zero = quantile(lags, 0.01)
    return {
        "rate_error": 1 / gap / asked - 1,
        "gap_cv": statistics.pstdev(gaps) / gap,
        "lag_us_p50": (quantile(lags, 0.50) - zero) * 1e6,
        "lag_us_p99": (quantile(lags, 0.99) - zero) * 1e6,
    }


def exponential_distance(times, rate):
    """The Kolmogorov-Smirnov distance of gaps from the exponential distribution of this rate, the
    distance at which it is refused at 1 %, and the coefficient of variation."""
    gaps = sorted(later - sooner for sooner, later in zip(times, times[1:]))
    count = len(gaps)
    distance = 0.0
    for place, gap in enumerate(gaps):
        expected = 1 - math.exp(-rate * gap)
        distance = max(distance, abs(expected - place / count), abs(expected - (place + 1) / count))
    variation = statistics.pstdev(gaps) / statistics.mean(gaps)
    return distance, KOLMOGOROV_1_PERCENT / math.sqrt(count), variation


def same_schedule(whole, part):
    """The 99th percentile of the difference of arrivals from those of a shorter run, in us."""
    if len(whole) < len(part):
        return math.inf
    offset = statistics.median(a - b for a, b in zip(whole, part))
    return quantile(sorted(abs(a - b - offset) * 1e6 for a, b in zip(whole, part)), 0.99)


def stall_expected(stall, length):
    """Latencies in ms that an honest open loop sees when its target stands still for `stall` of
    `length` seconds: arrivals are uniform, so P(latency > x) = (stall - x) / length."""
    return {
        name: 1000 * (stall - length * (1 - share))
        for name, share in (("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))
    }


def self_test():
    """Known answers; a wrong formula must not measure anything."""
    even = [place / 1000 for place in range(2000)]
    found = evenness(even, 1000)
    assert abs(found["rate_error"]) < 1e-9 and found["gap_cv"] < 1e-6, found
    late = [time + (0.0005 if place % 50 == 0 else 0) for place, time in enumerate(even)]
    assert 499 < evenness(late, 1000)["lag_us_p99"] < 502
    count = 5000
    steps = [-math.log(1 - (place + 0.5) / count) / 100 for place in range(count)]
    times, now = [0.0], 0.0
    for step in steps:
        now += step
        times.append(now)
    distance, bound, variation = exponential_distance(times, 100)
    assert distance < bound / 10 and 0.97 < variation < 1.03, (distance, bound, variation)
    assert exponential_distance(even, 1000)[0] > 0.5
    assert same_schedule([0, 1, 2], [5, 6, 7.00001]) < 10.1
    expected = stall_expected(2, 20)
    assert [round(value) for value in expected.values()] == [1000, 1800, 1980, 2000]
    assert quantile([1, 2, 3, 4], 0.5) == 2


if __name__ == "__main__":
    self_test()
