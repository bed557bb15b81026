"""Searching rows of vectors or texts: the peers of `polytask bench search`.

`peer` is faiss (every row), hnswlib (a graph) or bm25s (words). Each builds its index once and is asked all queries, at
once and one by one; the proof is the ten best rows of each query, or their scores by BM25.
"""

import json
import time

import numpy

from common import measure, read_job, report, summary


class Faiss:
    def __init__(self, job, rows):
        import faiss

        self.versions = {"faiss": faiss.__version__}
        faiss.omp_set_num_threads(job["threads"])
        self.index = faiss.IndexFlatIP(rows.shape[1])
        self.index.add(rows)

    def search(self, queries, k):
        return self.index.search(queries, k)[1]


class Hnswlib:
    def __init__(self, job, rows):
        import hnswlib

        self.versions = {"hnswlib": "0.8.0"}
        self.index = hnswlib.Index(space="ip", dim=rows.shape[1])
        self.index.init_index(len(rows), ef_construction=job["build_breadth"], M=job["neighbours"])
        self.index.set_num_threads(job["threads"])
        self.index.add_items(rows)
        self.index.set_ef(job["breadth"])

    def search(self, queries, k):
        return self.index.knn_query(queries, k)[0]


class Bm25s:
    def __init__(self, job, texts):
        import bm25s

        self.versions = {"bm25s": bm25s.__version__}
        self.threads = job["threads"]
        self.index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self.index.index([text.split() for text in texts], show_progress=False)

    def search(self, queries, k):
        tokens = [query.split() for query in queries]
        return self.index.retrieve(tokens, k=k, show_progress=False, n_threads=self.threads).scores


PEERS = {"faiss": Faiss, "hnswlib": Hnswlib, "bm25s": Bm25s}


def read(job):
    """The rows and the queries."""
    if job["peer"] == "bm25s":
        with open(job["texts"], encoding="utf-8") as file:
            texts = json.load(file)
        return texts["rows"], texts["queries"]
    load = lambda name: numpy.fromfile(job[name], "<f4").reshape(-1, job["width"])
    return load("rows"), load("queries")


def main():
    job = read_job()
    rows, queries = read(job)
    start = time.perf_counter()
    peer = PEERS[job["peer"]](job, rows)
    build = (time.perf_counter() - start) * 1e3
    if "prove" in job:
        numpy.asarray(peer.search(queries, 10), dtype="<f4").tofile(job["prove"])
        report(job, peer.versions)
        return
    queries = queries[: job.get("most", len(queries))]
    at_once = lambda: peer.search(queries, 10)
    one_by_one = lambda: [peer.search(queries[i : i + 1], 10) for i in range(len(queries))]
    parts = [{"mix": "build"} | summary([build])]
    for name, work in [("at once", at_once), ("one by one", one_by_one)]:
        parts.append({"mix": name} | summary(measure(work, job["runs"], 1)))
    report(job, peer.versions, mixes=parts)


if __name__ == "__main__":
    main()
