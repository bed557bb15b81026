"""Golden values of the ranking losses: many-to-many InfoNCE and the terms of the order loss, by numpy alone.

Run:  python xtask/parity/ranking_losses.py > crates/polytask-nn/src/losses/ranking_golden.json
Made with numpy 2.3 (Python 3.11).

Both are written from the papers' formulas (arXiv 2511.07969; arXiv 2508.11442 and its released training code), not from
polytask's: loops over rows, no masks. The gradient of the first is by central differences.
"""

import json
import sys

import numpy as np


def log_sum_exp(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


def one_way(scores, answers, tau):
    terms = [
        np.mean([log_sum_exp(scores[q] / tau) - scores[q, y] / tau for y in answers[q]])
        for q in range(len(scores)) if answers[q]
    ]
    return float(np.mean(terms))


def gradient(scores, answers, tau, step=1e-6):
    found = np.zeros_like(scores)
    for place in np.ndindex(scores.shape):
        for sign in (1, -1):
            moved = scores.copy()
            moved[place] += sign * step
            found[place] += sign * one_way(moved, answers, tau) / (2 * step)
    return found


def pearson(s, y):
    return float(1 - np.corrcoef(s, y)[0, 1]) if np.ptp(y) > 0 else 0.0


def pro(s, y, tau):
    order = sorted(range(len(y)), key=lambda i: -y[i])
    terms = []
    for at, k in enumerate(order):
        below = [j for j in order[at + 1:] if y[k] - y[j] > 1e-8]
        if below:
            gaps = [y[k] - y[j] for j in below]
            logits = np.array([s[k] * max(gaps)] + [s[j] * gap for j, gap in zip(below, gaps)]) / tau
            terms.append(log_sum_exp(logits) - logits[0])
    return float(np.mean(terms)) if terms else 0.0


def rank_kl(s, y, tau):
    n = len(y)
    ranks = np.array([np.sum(y > v) + (np.sum(y == v) - 1) / 2 for v in y])
    g = (n - 1 - ranks) / (n - 1)
    log_p, log_q = g / tau - log_sum_exp(g / tau), s / tau - log_sum_exp(s / tau)
    return float(np.sum(np.exp(log_p) * (log_p - log_q)) / n)


LISTS = [
    ([.3, .6, .5, .4], [1, 0, .5, .5]),
    ([.9, .2, .5, .4], [1, 0, .5, .5]),
    ([.7, .1, .4, .6, .2], [1, 0, 0, 1, 0]),
    ([.7, .1, .4], [.5, .5, .5]),
    ([.82, .31, .55, .47, .9, .12], [.8, .2, .6, .36, 1, .04]),
]
SCORES = np.array([[.8, .6, .1, .3], [.2, .7, .3, .7], [.4, .4, .9, .1]])
ANSWERS, TAU = [[0, 1], [1, 3], []], .05

order = []
for s, y in LISTS:
    s, y = np.array(s), np.array(y, dtype=np.float64)
    case = {"pearson": pearson(s, y), "pro": pro(s, y, TAU), "rank_kl": rank_kl(s, y, TAU)}
    total = 2 * case["pearson"] + .5 * case["pro"] + 5 * case["rank_kl"]
    order.append({"s": s.tolist(), "y": y.tolist(), **{k: round(v, 8) for k, v in case.items()}, "sum": round(total, 8)})
# A query without a known answer counts as if it were not there, on the way back too.
KNOWN = [q for q in range(len(ANSWERS)) if ANSWERS[q]]
turned = [[i for i, q in enumerate(KNOWN) if y in ANSWERS[q]] for y in range(SCORES.shape[1])]
many = {
    "S": SCORES.tolist(), "P": ANSWERS, "tau": TAU,
    "forward": round(one_way(SCORES, ANSWERS, TAU), 8),
    "backward": round(one_way(SCORES[KNOWN].T, turned, TAU), 8),
    "gradient": np.round(gradient(SCORES, ANSWERS, TAU), 6).tolist(),
}
json.dump({"order": order, "many_to_many": many}, sys.stdout, indent=1)
print()
