"""Golden values of polytask-eval's metrics from their references.

Run:  python xtask/parity/metrics.py > crates/polytask-eval/tests/data/metrics.json
Made with scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6, seqeval 1.2.2, pytrec_eval-terrier 0.5.11.

Inputs are drawn here with a fixed seed and stand in the file beside the values, so the test needs no Python. The constant truth is 0.5, whose
mean does not round: with 0.1 scikit-learn's R2 is -7e32 instead of its documented 0.
"""

import json
import sys
import warnings

import numpy as np
import pytrec_eval
from scipy import stats
from seqeval.metrics import f1_score as entity_f1
from sklearn import metrics as sk

warnings.simplefilter("ignore")
rng = np.random.default_rng(20)


def number(value):
    """JSON has no NaN: null stands for it."""
    return None if np.isnan(value) else float(value)


def labels(name, truth, predicted, n_labels):
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    values = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "macro_f1": sk.f1_score(truth, predicted, average="macro"),
        "micro_f1": sk.f1_score(truth, predicted, average="micro"),
        "mcc": sk.matthews_corrcoef(truth, predicted),
    }
    inputs = {"truth": truth.tolist(), "predicted": predicted.tolist(), "n_labels": n_labels}
    return {"name": name, "form": "labels", **inputs, "values": {k: number(v) for k, v in values.items()}}


def label_sets(name, truth, scores):
    truth, scores = np.asarray(truth, dtype=int), np.asarray(scores, dtype=np.float32)
    predicted = (scores >= 0.5).astype(int)
    occurring = [l for l in range(truth.shape[1]) if truth[:, l].any()]
    values = {
        "accuracy": np.mean((truth == predicted).all(axis=1)),
        "macro_f1": np.mean([sk.f1_score(truth[:, l], predicted[:, l]) for l in range(truth.shape[1])]),
        "micro_f1": sk.f1_score(truth.ravel(), predicted.ravel()),
        # Over the labels that occur: scikit-learn's macro mean counts the others as 0, with a warning.
        "map_macro": np.mean([sk.average_precision_score(truth[:, l], scores[:, l]) for l in occurring]),
        "ap": sk.average_precision_score(truth.ravel(), scores.ravel()),
    }
    if truth.shape[1] > 1:
        assert np.isclose(values["macro_f1"], sk.f1_score(truth, predicted, average="macro"), atol=1e-12)
        macro = sk.average_precision_score(truth[:, occurring], scores[:, occurring], average="macro")
        assert np.isclose(values["map_macro"], macro, atol=1e-12)
        assert np.isclose(values["ap"], sk.average_precision_score(truth, scores, average="micro"), atol=1e-12)
    inputs = {
        "n_labels": truth.shape[1],
        "truth": truth.astype(bool).ravel().tolist(),
        "scores": [float(s) for s in scores.ravel()],
    }
    return {"name": name, "form": "label_sets", **inputs, "values": {k: number(v) for k, v in values.items()}}


def numbers(name, truth, predicted):
    truth, predicted = np.atleast_2d(np.asarray(truth, float).T).T, np.atleast_2d(np.asarray(predicted, float).T).T

    def columns(metric):
        """The mean over columns, each on its known rows."""
        known = [~np.isnan(truth[:, c]) for c in range(truth.shape[1])]
        return np.mean([metric(truth[k, c], predicted[k, c]) for c, k in enumerate(known)])

    values = {
        "spearman": columns(lambda t, p: stats.spearmanr(t, p).statistic),
        "pearson": columns(lambda t, p: stats.pearsonr(t, p).statistic),
        "r2": columns(sk.r2_score),
        "rmse": columns(sk.root_mean_squared_error),
        "mae": columns(sk.mean_absolute_error),
    }
    inputs = {
        "width": truth.shape[1],
        "truth": [number(v) for v in truth.ravel()],
        "predicted": predicted.ravel().tolist(),
    }
    return {"name": name, "form": "numbers", **inputs, "values": {k: number(v) for k, v in values.items()}}


def tags(name, names, truth, predicted):
    words = lambda rows: [[names[t] for t in row] for row in rows]
    flat = lambda rows: [t for row in rows for t in row]
    values = {
        "entity_f1": entity_f1(words(truth), words(predicted)),
        "accuracy": sk.accuracy_score(flat(truth), flat(predicted)),
    }
    inputs = {"labels": names, "truth": truth, "predicted": predicted}
    return {"name": name, "form": "tags", **inputs, "values": {k: number(v) for k, v in values.items()}}


def rankings(name, runs, qrels, ids):
    """runs and qrels: per query a list of (passage index, score or grade)."""
    run = {f"q{i}": {ids[p]: s for p, s in r} for i, r in enumerate(runs)}
    qrel = {f"q{i}": {ids[p]: int(g) for p, g in r} for i, r in enumerate(qrels)}
    cuts = {f"{m}.{k}" for m in ("ndcg_cut", "map_cut", "recall", "P", "success") for k in (1, 3, 10, 100)}
    per_query = pytrec_eval.RelevanceEvaluator(qrel, cuts | {"recip_rank", "map", "Rprec"}).evaluate(run)
    mean = lambda key: np.mean([q[key] for q in per_query.values()])
    values = {"map": mean("map"), "r-precision": mean("Rprec")}
    for k in (1, 3, 10, 100):
        # WorkRB's RP@k: relevant ones among the first k, over the most there can be.
        most = {q: k / min(k, len(relevant)) for q, relevant in qrel.items()}
        values[f"rp@{k}"] = np.mean([per_query[q][f"P_{k}"] * most[q] for q in per_query])
        pairs = (("ndcg", "ndcg_cut"), ("map", "map_cut"), ("recall", "recall"), ("precision", "P"), ("hit", "success"))
        for ours, theirs in pairs:
            values[f"{ours}@{k}"] = np.mean([q[f"{theirs}_{k}"] for q in per_query.values()])
        within = lambda rr: rr if rr >= 1 / k - 1e-12 else 0.0
        values[f"mrr@{k}"] = np.mean([within(q["recip_rank"]) for q in per_query.values()])
    inputs = {"runs": runs, "qrels": qrels, "ids": ids}
    return {"name": name, "form": "rankings", **inputs, "values": {k: number(v) for k, v in values.items()}}


def label_cases():
    truth = rng.choice(7, 300, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02])
    noisy = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 7, 300))
    yield labels("seven classes", truth, noisy, 7)
    yield labels("two classes", truth % 2, noisy % 2, 2)
    yield labels("unused labels", truth[:20] + 3, noisy[:20] + 3, 20)
    yield labels("constant prediction", truth, np.zeros(300, int), 7)
    yield labels("all constant", [1, 1], [1, 1], 2)
    yield labels("nothing right", [0, 1, 2], [1, 2, 0], 3)
    yield labels("one row", [2], [2], 3)


def label_set_cases():
    truth = rng.random((120, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.0]
    scores = np.clip(0.35 * truth + 0.4 * rng.random((120, 6)) + 0.05, 0, 1)
    yield label_sets("six labels, one never true", truth, scores)
    yield label_sets("ties", truth, np.round(scores * 4) / 4)
    yield label_sets("one label", truth[:, :1], scores[:, :1])
    yield label_sets("constant scores", truth, np.full((120, 6), 0.5))


def number_cases():
    truth = rng.normal(size=150)
    predicted = 0.7 * truth + 0.5 * rng.normal(size=150)
    yield numbers("reals", truth, predicted)
    yield numbers("many ties", np.round(truth), np.round(predicted))
    yield numbers("far from zero", truth + 1e6, predicted + 1e6)
    yield numbers("constant prediction", truth, np.full(150, 0.1))
    yield numbers("constant truth", np.full(150, 0.5), predicted)
    yield numbers("two rows", [1.0, 2.0], [5.0, 3.0])
    wide = np.stack([truth, -truth, np.round(truth)], axis=1)
    close = wide + rng.normal(size=wide.shape)
    yield numbers("three columns", wide, close)
    yield numbers("three columns with gaps", np.where(rng.random(wide.shape) < 0.3, np.nan, wide), close)


def tag_cases():
    iob = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG-X", "I-ORG-X"]
    iobes = ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"]
    bare = ["O", "B", "I", "E", "PER", "I-"]
    for name, names in (("iob", iob), ("iobes", iobes), ("bare and odd tags", bare)):
        lengths = rng.integers(0, 15, 80)
        truth = [rng.integers(0, len(names), n).tolist() for n in lengths]
        keep = lambda t: t if rng.random() < 0.8 else int(rng.integers(0, len(names)))
        yield tags(name, names, truth, [[keep(t) for t in row] for row in truth])
    yield tags("no entity", iob, [[0, 0]], [[0, 0]])
    yield tags("no entity predicted", iob, [[1, 2, 0]], [[0, 0, 0]])


def ranking_cases():
    n = 160
    ids = [f"d{i}" for i in rng.permutation(n)]
    for name, places in (("distinct scores", 5), ("many ties", 1)):
        runs, qrels = [], []
        for _ in range(40):
            relevant = rng.choice(n, rng.integers(1, 9), replace=False)
            found = rng.choice(n, 120, replace=False)
            lift = np.isin(found, relevant) * 0.25
            scores = np.round(rng.random(120) + lift, places).astype(np.float32)
            runs.append([[int(p), float(s)] for p, s in zip(found, scores)])
            qrels.append([[int(p), float(rng.integers(1, 4))] for p in relevant])
        yield rankings(name, runs, qrels, ids)
    yield rankings("short lists", [[[0, 1.0]], [[1, 0.5], [2, 0.5]]], [[[0, 1.0], [3, 2.0]], [[1, 1.0]]], ids)


cases = [case for make in (label_cases, label_set_cases, number_cases, tag_cases, ranking_cases) for case in make()]
json.dump({"cases": cases}, sys.stdout)
