"""What every peer shares: its job, repeated timing, its report.

A peer is run as `python SCRIPT.py JOB.json` and prints one JSON object on its last line. The job says what to work on,
with how many threads, and either `runs` and `warmup` (to be timed) or `prove` (a file for the answers as raw f32).
"""

import json
import resource
import statistics
import sys
import time


def read_job():
    """The job named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        return json.load(file)


def measure(step, runs, warmup):
    """Milliseconds of `runs` calls after `warmup` unmeasured ones."""
    for _ in range(warmup):
        step()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def summary(times):
    """The fields every timed thing has."""
    return {
        "median_ms": round(statistics.median(times), 4),
        "min_ms": round(min(times), 4),
        "max_ms": round(max(times), 4),
        "runs": len(times),
    }


def percentile(times, share):
    """The smallest time that at least this share of all times does not exceed."""
    ordered = sorted(times)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def peak_rss_mb():
    """Largest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def report(job, versions, **figures):
    """Prints the report."""
    shared = {"threads": job["threads"], "precision": "f32", "peak_rss_mb": round(peak_rss_mb(), 1)}
    print(json.dumps(shared | {"versions": versions} | figures))
