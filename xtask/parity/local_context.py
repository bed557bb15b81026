"""Oracle of paper 29: sentences = topic + noise; does more context help to place boundaries?
Detector: squared distance of the means of w sentences left and right, peaks only (no larger score within w-1), best threshold.
numpy only, seconds. Usage: python xtask/parity/local_context.py; the table of crates/polytask-methods/src/oracles/local_context.rs"""
import json, sys
import numpy as np

def run(seed, seg, sigma, d=16, T=4000):
    g = np.random.default_rng(seed); L = []
    while sum(L) < T: L.append(g.geometric(1 / seg))
    x = np.repeat(g.normal(size=(len(L), d)), L, axis=0); x = x + sigma * g.normal(size=x.shape)
    b = np.zeros(len(x), bool); b[np.cumsum(L)[:-1] - 1] = True
    c, out = np.vstack([np.zeros(d), np.cumsum(x, 0)]), {}
    for w in (1, 2, 3, 5, 8):
        i = np.arange(7, len(x) - 8)
        s = (((c[i + 1] - c[i + 1 - w]) / w - (c[i + 1 + w] - c[i + 1]) / w) ** 2).sum(1)
        if w > 1:                                      # keep peaks only
            p = np.pad(s, w - 1, constant_values=-1)
            s = np.where(s >= np.max([p[k:k + len(s)] for k in range(2 * w - 1)], 0), s, -1)
        o = np.argsort(-s); tp = np.cumsum(b[i][o]); f = 2 * tp / (np.arange(1, len(o) + 1) + b[i].sum())
        out[f"w{w}"] = float(f[s[o] > -1].max())
    return out

out = {f"sigma{sg}": {f"mean_segment_{m}": {k: round(float(np.mean([r[k] for r in rs])), 3) for k in rs[0]} for m in (2, 4, 8, 16, 64) for rs in [[run(s, m, sg) for s in range(40)]]} for sg in (.5, 1., 2.)}
json.dump({"what": "best boundary F1 of a detector that sees w sentences on each side, mean of 40 seeds", **out}, sys.stdout, indent=1)
