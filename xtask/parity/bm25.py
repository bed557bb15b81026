"""Golden values of BM25: a corpus drawn at random, queries, and the scores of bm25s in Lucene's form.

Run:  python xtask/parity/bm25.py > crates/polytask-retrieve/src/bm25_golden.json
Made with bm25s 0.3.16 and numpy 2.4 (Python 3.11).

Term numbers go in, so that the golden values are of the scores alone. bm25s computes in 32 bits; scores are rounded to
five digits.
"""

import json
import sys

import bm25s
import numpy as np

K1, B = 1.2, 0.75


def main():
    rng = np.random.default_rng(7)
    # Few frequent terms and many rare ones, as in texts; one passage of one term, one of a single term many times.
    draw = lambda n: [int(min(t, 60)) for t in rng.zipf(1.3, size=n)]
    passages = [draw(rng.integers(1, 25)) for _ in range(40)] + [[61], [2] * 30]
    known = sorted({t for passage in passages for t in passage})
    queries = [[int(t) for t in rng.choice(known, size=rng.integers(1, 6))] for _ in range(12)]
    index = bm25s.BM25(method="lucene", k1=K1, b=B)
    index.index([[str(t) for t in passage] for passage in passages], show_progress=False)
    scores = [index.get_scores([str(t) for t in query]) for query in queries]
    json.dump(
        {
            "k1": K1,
            "b": B,
            "passages": passages,
            "queries": queries,
            "scores": [[round(float(x), 5) for x in row] for row in scores],
        },
        sys.stdout,
    )


main()
