"""Golden values of the scores of token states, by numpy in f64.

    python xtask/parity/scores.py > crates/polytask-nn/src/scores/golden.json

Soft late interaction (arXiv 2511.07969), MaxSim (arXiv 2004.12832) and ConTeXT-match on small random token matrices,
with the many-to-many loss both ways, its way back from swapped roles and from the transpose.
"""

import json

import numpy as np

rng = np.random.default_rng(4)
QUERIES = [rng.normal(size=(n, 5)).round(3) * 2 for n in (3, 1, 4)]
TARGETS = [rng.normal(size=(n, 5)).round(3) * 2 for n in (2, 5, 1, 3)]
ANSWERS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
TAU = 0.1


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def soft_li(q, y, tau, reduce=np.mean):
    return reduce((softmax(q @ y.T / tau, 1) * (unit(q) @ unit(y).T)).sum(1))


def maxsim(q, y, reduce=np.mean):
    return reduce((unit(q) @ unit(y).T).max(1))


def context_match(q, y, temperature):
    t = y.mean(0)
    return (softmax(q @ t / temperature, 0) * (unit(q) @ unit(t))).sum()


def table(score, rows=QUERIES, columns=TARGETS):
    return np.array([[score(a, b) for b in columns] for a in rows])


def way(scores, answers):
    """Mean over rows of the mean over their answers of the negative log-likelihood."""
    x = scores / TAU
    loss = np.log(np.exp(x).sum(1, keepdims=True)) - x
    rows = answers.any(1)
    return np.mean([loss[i][answers[i]].mean() for i in np.flatnonzero(rows)])


def case(name, params, square, score):
    forth, swapped = table(score), table(score, TARGETS, QUERIES)
    return {
        "choice": {"name": name, **params},
        "square": square,
        "scores": forth.tolist(),
        "recompute": way(forth, ANSWERS) + way(swapped, ANSWERS.T),
        "transpose": way(forth, ANSWERS) + way(forth.T, ANSWERS.T),
    }


CASES = [
    case("soft-li", {"tau_a": 0.5, "tau_unit": "raw"}, 9.0, lambda q, y: soft_li(q, y, 0.5)),
    case("soft-li", {"tau_a": 0.5, "tau_unit": "norm2"}, 9.0, lambda q, y: soft_li(q, y, 4.5)),
    case("soft-li", {"tau_a": 1e6, "tau_unit": "raw"}, 1.0, lambda q, y: soft_li(q, y, 1e6)),
    case(
        "soft-li",
        {"tau_a": 0.1, "tau_unit": "raw", "reduce": "sum"},
        1.0,
        lambda q, y: soft_li(q, y, 0.1, np.sum),
    ),
    case("maxsim", {}, 1.0, maxsim),
    case("maxsim", {"reduce": "sum"}, 1.0, lambda q, y: maxsim(q, y, np.sum)),
    case("context-match", {}, 1.0, lambda q, y: context_match(q, y, 1.0)),
    case("context-match", {"tau_unit": "norm2"}, 3.0, lambda q, y: context_match(q, y, 3.0)),
]

print(
    json.dumps(
        {
            "queries": [q.tolist() for q in QUERIES],
            "targets": [y.tolist() for y in TARGETS],
            "answers": ANSWERS.tolist(),
            "tau": TAU,
            "cases": CASES,
        }
    )
)
