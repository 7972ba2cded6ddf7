"""Reads an interval log with the HdrHistogram package for Python, and prints what it found as JSON.

One object a tag: how many intervals and samples, the maximum, every recorded value with its count, and the value at each percentile named on the command
line, all intervals of the tag taken together.
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader


def empty():
    return HdrHistogram(1, 3_600_000_000_000, 3)


def main(path, percentiles):
    reader = HistogramLogReader(path, empty())
    by_tag = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        tag = histogram.get_tag()
        if tag not in by_tag:
            by_tag[tag] = (empty(), [])
        whole, intervals = by_tag[tag]
        whole.add(histogram)
        intervals.append(histogram.get_total_count())
    json.dump(
        {
            tag: {
                "intervals": len(intervals),
                "count": whole.get_total_count(),
                "max": whole.get_max_value(),
                "recorded": [
                    [step.value_iterated_to, step.count_added_in_this_iter_step]
                    for step in whole.get_recorded_iterator()
                ],
                "percentiles": [whole.get_value_at_percentile(p) for p in percentiles],
            }
            for tag, (whole, intervals) in by_tag.items()
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1], [float(p) for p in sys.argv[2:]])
