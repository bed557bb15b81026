"""The two benches on texts, for any peer that turns a list of texts into an array of vectors."""

import json

from common import measure, percentile, report, summary


def read_mixes(job):
    """The texts of each length mix, in order: written by polytask, so that both sides read the same."""
    with open(job["texts"], encoding="utf-8") as file:
        return json.load(file)


def run(job, versions, encode):
    """Proves or times `encode`."""
    mixes = read_mixes(job)
    if "prove" in job:
        prove(job, versions, encode, mixes)
    elif job["bench"] == "latency":
        latency(job, versions, encode, mixes)
    else:
        throughput(job, versions, encode, mixes)


def prove(job, versions, encode, mixes):
    vectors = encode([text for mix in mixes for text in mix["texts"]])
    vectors.astype("<f4").tofile(job["prove"])
    report(job, versions)


def latency(job, versions, encode, mixes):
    text = mixes[0]["texts"][:1]
    times = measure(lambda: encode(text), job["runs"], job["warmup"])
    tails = {"p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95)}
    report(job, versions, **summary(times), **tails)


def throughput(job, versions, encode, mixes):
    results = []
    for mix in mixes:
        chunk = mix["texts"][: job.get("most", len(mix["texts"]))]
        timed = summary(measure(lambda: encode(chunk), job["runs"], job["warmup"]))
        rate = round(1e3 * len(chunk) / timed["median_ms"], 1)
        results.append({"mix": mix["mix"], "texts": len(chunk), "texts_per_s": rate} | timed)
    report(job, versions, mixes=results)
