"""Reads an interval log with the HdrHistogram package for Python, and prints what it found as JSON.

One object a tag: how many intervals and samples, the maximum, and the value at each percentile named on the command line, all intervals of the tag
taken together.
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader


def main(path, percentiles):
    reference = HdrHistogram(1, 3_600_000_000_000, 3)
    reader = HistogramLogReader(path, reference)
    by_tag = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        tag = histogram.get_tag()
        if tag not in by_tag:
            by_tag[tag] = (HdrHistogram(1, 3_600_000_000_000, 3), [])
        whole, intervals = by_tag[tag]
        whole.add(histogram)
        intervals.append(histogram.get_total_count())
    json.dump(
        {
            tag: {
                "intervals": len(intervals),
                "count": whole.get_total_count(),
                "max": whole.get_max_value(),
                "percentiles": [whole.get_value_at_percentile(p) for p in percentiles],
            }
            for tag, (whole, intervals) in by_tag.items()
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1], [float(p) for p in sys.argv[2:]])
