"""Reference values of the merge methods (semantics of mergekit 0.1.5), numpy only.

    python3 xtask/parity/merging.py > crates/polytask-merge/src/golden.json
    python3 xtask/parity/merging.py --against-mergekit     # needs torch and mergekit 0.1.5: prints the largest difference per method

All arithmetic in float32 unless said; inputs come from a 31-bit linear congruential generator so that any
language can rebuild them: s <- (1103515245 s + 12345) mod 2^31, u = s / 2^31 (float64), x = 2 u - 1.
"""
import json
import math
import sys

import numpy as np

F = np.float32


class Lcg:
    def __init__(self, seed):
        self.s = seed

    def array(self, shape, scale):
        n = int(np.prod(shape))
        out = np.empty(n)
        for i in range(n):
            self.s = (1103515245 * self.s + 12345) % (1 << 31)
            out[i] = (2 * (self.s / (1 << 31)) - 1) * scale
        return out.reshape(shape).astype(F)


def inputs():
    r = Lcg(7)
    base = r.array((4, 6), 1.0)
    models = []
    for scale in (0.30, 0.20, 0.10):
        d = r.array((4, 6), scale)
        d[r.array((4, 6), 1.0) > 0.6] = 0            # untouched entries, as sparse updates have
        models.append((base + d).astype(F))
    return base, models


def deltas(base, models):
    return [(m - base).astype(F) for m in models]


# ---- sparsifiers -------------------------------------------------------------------------------------
def rescale_l1(t, mask, on):
    masked = (t * mask).astype(F)
    if not on:
        return masked
    before, after = np.abs(t).sum(dtype=F), np.abs(masked).sum(dtype=F)
    return masked if before < 1e-7 or after < 1e-7 else (masked * F(before / after)).astype(F)


def magnitude(t, density, rescale):
    if density >= 1:
        return t
    if density <= 0 or t.size == 0:
        return np.zeros_like(t)
    k = max(1, int(density * t.size))
    mask = np.zeros(t.size, F)
    mask[np.argsort(-np.abs(t).ravel(), kind="stable")[:k]] = 1
    return rescale_l1(t, mask.reshape(t.shape), rescale)


def outliers(t, density, gamma, rescale):
    if density >= 1:
        return t
    n = t.size
    keep, top = int(density * n), int(gamma * n)
    bottom = max(0, n - keep - top)
    mask = np.zeros(n, F)
    mask[np.argsort(np.abs(t).ravel(), kind="stable")[bottom:bottom + keep]] = 1
    return rescale_l1(t, mask.reshape(t.shape), rescale)


def della_probabilities(t, density, epsilon):
    m = np.abs(t if t.ndim >= 2 else t[None])
    rank = np.argsort(np.argsort(m, axis=1, kind="stable"), axis=1, kind="stable")
    p = (density - epsilon) + rank / (m.shape[1] - 1) * 2 * epsilon
    return p.reshape(t.shape)


# ---- generalised task arithmetic ----------------------------------------------------------------------
def gta(base, ds, weights, *, consensus, normalize, lam=1.0):
    w = np.array(weights, F).reshape(-1, *[1] * base.ndim)
    d = (np.stack(ds) * w).astype(F)
    if consensus:
        major = np.where(d.sum(0) >= 0, 1, -1)
        mask = np.sign(d) == major                    # an exact zero agrees with nobody
        mixed, div = (d * mask).sum(0), (w * mask).sum(0)
        div = np.where(div == 0, 1, div)
    else:
        mixed, div = d.sum(0), w.sum(0)
        div = np.where(np.abs(div) < 1e-8, 1, div)
    if normalize:
        mixed = mixed / div
    return (base + mixed * F(lam)).astype(F)


# ---- the others ----------------------------------------------------------------------------------------
def linear(ts, weights, normalize=True):
    acc = np.zeros_like(ts[0])
    for t, w in zip(ts, weights):
        acc = (acc + F(w) * t).astype(F)
    return (acc / F(sum(np.float32(w) for w in weights))).astype(F) if normalize else acc


def slerp(t, a, b, threshold=0.9995, eps=1e-8):
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    na, nb = (na if na > eps else 1), (nb if nb > eps else 1)
    dot = float(np.clip(((a / na) * (b / nb)).sum(), -1, 1))
    if abs(dot) > threshold:
        return ((1 - t) * a + t * b).astype(F)
    th = math.acos(dot)
    return (math.sin((1 - t) * th) / math.sin(th) * a + math.sin(t * th) / math.sin(th) * b).astype(F)


def nuslerp(t, a, b, flatten=True, axis=-1, eps=1e-8):
    shape = a.shape
    if flatten:
        a, b = a.reshape(1, -1), b.reshape(1, -1)
    elif axis == 0:
        a, b = a.T, b.T
    unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-7)
    c = np.clip((unit(a) * unit(b)).sum(-1, keepdims=True), -1, 1)
    col = (1 - c ** 2) <= eps ** 2
    th = np.arccos(np.where(col, 0, c))
    r = (np.sin((1 - t) * th) * a + np.sin(t * th) * b) / np.sin(th)
    r = np.where(col, (1 - t) * a + t * b, r)
    if axis == 0 and not flatten:
        r = r.T
    return r.reshape(shape).astype(F)


def multislerp(ts, weights, base=None, normalize=True, eps=1e-8):
    x = np.stack(ts) - (base if base is not None else 0)
    flat = x.reshape(len(ts), -1)
    w = np.array(weights, F)
    w = w / w.sum() if normalize else w
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    u = flat / (norms + eps)
    mean = (u * w[:, None]).sum(0)
    mean = mean / np.linalg.norm(mean)
    tangent = ((u - (u * mean).sum(1, keepdims=True) * mean) * w[:, None]).sum(0)
    n = np.linalg.norm(tangent) + eps
    r = (mean * np.cos(n) + tangent * (np.sin(n) / n)) * (norms[:, 0] * w).sum()
    return (r.reshape(ts[0].shape) + (base if base is not None else 0)).astype(F)


def karcher(ts, max_iter=10, tol=1e-5):
    n = [np.linalg.norm(t) for t in ts]
    alphas = [1 / len(ts)] * len(ts)
    keep = [i for i, v in enumerate(n) if v > tol]
    a = [alphas[i] / sum(alphas[j] for j in keep) for i in keep]
    u = [(ts[i] / n[i]).ravel().astype(F) for i in keep]
    m = sum(x * F(y) for x, y in zip(u, a))
    m = u[0] if np.linalg.norm(m) < tol else (m / np.linalg.norm(m)).astype(F)
    for _ in range(max_iter):
        tan = np.zeros_like(m)
        for x, y in zip(u, a):
            dot = np.clip(m @ x, -1, 1)
            th = np.arccos(dot)
            if th >= tol:
                tan = tan + F(y) * (th / np.sin(th)) * (x - dot * m)
        tn = np.linalg.norm(tan)
        if tn < tol:
            break
        m = (np.cos(tn) * m + np.sin(tn) * tan / tn).astype(F)
        m = (m / np.linalg.norm(m)).astype(F)
    return (sum(y * v for y, v in zip(alphas, n)) * m).reshape(ts[0].shape).astype(F)


def model_stock(base, ts, filter_wise=False):
    shape = base.shape
    if filter_wise:
        w0, ws = (base if base.ndim > 1 else base[None]), [t if t.ndim > 1 else t[None] for t in ts]
    else:
        w0, ws = base.reshape(1, -1), [t.reshape(1, -1) for t in ts]
    d = [w - w0 for w in ws]
    cs = []
    for i in range(len(d)):
        for j in range(i + 1, len(d)):
            den = np.maximum(np.linalg.norm(d[i], axis=-1) * np.linalg.norm(d[j], axis=-1), 1e-6)
            cs.append(np.clip((d[i] * d[j]).sum(-1) / den, -1, 1))
    c, k = np.mean(cs, axis=0)[:, None], len(ws)
    den = 1 + (k - 1) * c
    t = np.where(np.abs(den) < 1e-6, 0, k * c / np.where(np.abs(den) < 1e-6, 1, den))
    return (t * (sum(ws) / k) + (1 - t) * w0).reshape(shape).astype(F)


def nearswap(base, other, t):
    w = np.clip(t / np.maximum(np.abs(base - other), 1e-6), 0, 1)
    return (w * other + (1 - w) * base).astype(F)


def arcee_fusion(base, other):
    sm = lambda x: (lambda e: e / e.sum(-1, keepdims=True))(np.exp(x - x.max(-1, keepdims=True))) + 1e-8
    p, q = sm(other), sm(base)
    imp = np.abs(other - base) * (p * np.log(p / q)).sum(-1, keepdims=True)
    s = np.sort(imp.ravel())
    q1, med, q3 = (s[int(f * (s.size - 1))] for f in (0.25, 0.5, 0.75))
    return (base + (other - base) * (imp >= med + 1.5 * (q3 - q1))).astype(F)


def sce(base, ts, select_topk=1.0):
    d = np.stack([t - base for t in ts])
    if select_topk < 1:
        var = d.var(0)
        k = int(np.count_nonzero(var) * select_topk)
        mask = np.zeros(var.size, F)
        mask[np.argsort(-var.ravel(), kind="stable")[:k]] = 1
        d = d * mask.reshape(var.shape)
    agree = np.sign(d) == np.where(d.sum(0) >= 0, 1, -1)
    w = (d ** 2).reshape(len(ts), -1).mean(1)
    w = np.full(len(ts), 1 / len(ts)) if w.sum() < 1e-6 else w / w.sum()
    w = w.reshape(-1, *[1] * base.ndim) * agree
    return (base + (d * w).sum(0) / np.maximum(w.sum(0), 1e-6)).astype(F)


def ram(base, ts, epsilon=1e-5, plus=None):
    d = np.stack([t - base for t in ts]).reshape(len(ts), -1)
    active = np.abs(d) > epsilon
    count = active.sum(0)
    z = d * active
    lam = np.ones(len(ts))
    if plus:
        r, alpha = plus
        shared, unique = (active & (count > 1)).sum(1), (active & (count == 1)).sum(1)
        lam = 1 + r * np.clip(shared / np.maximum(unique, epsilon), 0, alpha)
    out = (z * (count == 1) * lam[:, None] + z * (count > 1) / np.maximum(count, 1)).sum(0)
    return (base + out.reshape(base.shape)).astype(F)


# ---- configuration: gradients, filters, precedence --------------------------------------------------------
def evaluate(setting, tensor, t):
    if isinstance(setting, list) and setting and isinstance(setting[0], dict):
        for cond in setting:
            if cond.get("filter") in (None, "*") or cond["filter"] in tensor:
                return evaluate(cond["value"], tensor, t)
        return None
    if isinstance(setting, list):
        x = t * (len(setting) - 1)
        i = int(x)
        j = min(len(setting) - 1, i + 1)
        return (1 - (x - i)) * setting[i] + (x - i) * setting[j]
    return setting


def config_cases():
    cases = []
    for setting, tensor, layers in (
        ([0.0, 0.5, 1.0], "encoder.layer.N.attention.self.query.weight", 6),
        ([0.2, 0.8], "encoder.layer.N.output.dense.weight", 3),
        ([{"filter": "attention", "value": [0.0, 1.0]}, {"filter": "dense", "value": 0.25}, {"value": 0.6}], "encoder.layer.N.output.dense.bias", 4),
        ([{"filter": "attention", "value": [0.0, 1.0]}, {"value": 0.6}], "encoder.layer.N.attention.output.dense.weight", 4),
    ):
        ts = [1.0] if layers == 1 else [i / (layers - 1) for i in range(layers)]
        cases.append({"setting": setting, "tensor": tensor, "layers": layers,
                      "values": [round(evaluate(setting, tensor.replace("N", str(i)), t), 9) for i, t in enumerate(ts)]})
    cases.append({"setting": [0.3, 0.9], "tensor": "embeddings.word_embeddings.weight", "note": "not in a layer: t = 0", "values": [evaluate([0.3, 0.9], "embeddings.word_embeddings.weight", 0.0)]})
    return cases


def results(base, ms):
    d = deltas(base, ms)
    w3 = [1.0, 0.5, 0.25]
    dens = 0.5
    mag = [magnitude(x, dens, False) for x in d]
    crumbs = [outliers(x, 0.6, 0.1, False) for x in d]
    masks = [np.array([(i * 7 + 3 * k) % 5 < 3 for i in range(base.size)], F).reshape(base.shape) for k in range(3)]
    dropped = [rescale_l1(x, m, True) for x, m in zip(d, masks)]
    res = {
        "linear": (linear(ms, w3), {"models": 3, "weight": w3}),
        "linear_unnormalised": (linear(ms, w3, False), {"models": 3, "weight": w3, "normalize": False}),
        "slerp": (slerp(0.3, base, ms[0]), {"base": True, "models": 1, "t": 0.3}),
        "nuslerp": (nuslerp(0.75, ms[0], ms[1]), {"models": 2, "weight": [1.0, 3.0]}),
        "nuslerp_base": ((base + nuslerp(0.75, ms[0] - base, ms[1] - base)).astype(F), {"base": True, "models": 2, "weight": [1.0, 3.0]}),
        "nuslerp_last_axis": (nuslerp(0.75, ms[0], ms[1], False, -1), {"models": 2, "weight": [1.0, 3.0], "nuslerp_flatten": False}),
        "nuslerp_axis0": (nuslerp(0.75, ms[0], ms[1], False, 0), {"models": 2, "weight": [1.0, 3.0], "nuslerp_flatten": False, "nuslerp_row_wise": True}),
        "multislerp": (multislerp(ms, w3), {"models": 3, "weight": w3}),
        "multislerp_base": (multislerp(ms, w3, base), {"base": True, "models": 3, "weight": w3}),
        "karcher": (karcher(ms), {"models": 3}),
        "model_stock": (model_stock(base, ms), {"base": True, "models": 3}),
        "model_stock_filter_wise": (model_stock(base, ms, True), {"base": True, "models": 3, "filter_wise": True}),
        "nearswap": (nearswap(base, ms[0], 0.05), {"base": True, "models": 1, "t": 0.05}),
        "arcee_fusion": (arcee_fusion(base, ms[0]), {"base": True, "models": 1}),
        "sce": (sce(base, ms), {"base": True, "models": 3}),
        "sce_topk": (sce(base, ms, 0.4), {"base": True, "models": 3, "select_topk": 0.4}),
        "ram": (ram(base, ms), {"base": True, "models": 3}),
        "ramplus_tl": (ram(base, ms, plus=(0.1, 0.2)), {"base": True, "models": 3}),
        "task_arithmetic": (gta(base, d, w3, consensus=False, normalize=False, lam=0.7), {"base": True, "models": 3, "weight": w3, "lambda": 0.7}),
        "ties": (gta(base, mag, w3, consensus=True, normalize=True), {"base": True, "models": 3, "weight": w3, "density": [dens] * 3}),
        "breadcrumbs": (gta(base, crumbs, w3, consensus=False, normalize=False), {"base": True, "models": 3, "weight": w3, "density": [0.6] * 3, "gamma": [0.1] * 3}),
        "breadcrumbs_ties": (gta(base, crumbs, w3, consensus=True, normalize=False), {"base": True, "models": 3, "weight": w3, "density": [0.6] * 3, "gamma": [0.1] * 3}),
        "dare_linear": (gta(base, dropped, w3, consensus=False, normalize=False), {"base": True, "models": 3, "weight": w3, "masks": "injected"}),
        "dare_ties": (gta(base, dropped, w3, consensus=True, normalize=False), {"base": True, "models": 3, "weight": w3, "masks": "injected"}),
        "della": (gta(base, dropped, w3, consensus=True, normalize=True), {"base": True, "models": 3, "weight": w3, "masks": "injected"}),
        "della_linear": (gta(base, dropped, w3, consensus=False, normalize=False), {"base": True, "models": 3, "weight": w3, "masks": "injected"}),
    }
    return res, masks


def against_mergekit(base, ms, res, masks):
    import torch
    import mergekit.sparsify as sp
    from mergekit.merge_methods import get
    from mergekit.merge_methods.base import TensorGroup
    queue = []
    real = torch.bernoulli
    for name, (want, cfg) in res.items():
        method = next((m for m in sorted(("linear slerp nuslerp multislerp karcher model_stock nearswap arcee_fusion sce ramplus_tl ram task_arithmetic ties "
                  "breadcrumbs_ties breadcrumbs dare_linear dare_ties della_linear della").split(), key=len, reverse=True) if name.startswith(m)))
        cfg = dict(cfg)
        has_base, n = cfg.pop("base", False), cfg.pop("models")
        if cfg.pop("masks", None):
            queue[:] = [torch.from_numpy(m) for m in masks]
            torch.bernoulli = lambda p: queue.pop(0).reshape(p.shape).to(p.dtype)
            cfg["density"] = [0.6] * n
            if method.startswith("della"):
                cfg["epsilon"] = [0.1] * n
        ts = [torch.from_numpy(x.copy()) for x in ([base] if has_base else []) + ms[:n]]
        out = get(method)((TensorGroup.from_tensors(ts, base_index=0 if has_base else None),), parameters=cfg)[0]
        torch.bernoulli = real
        print(f"{name:26s} {float(np.abs(out.numpy() - want).max()):.2e}")
    p = della_probabilities(ms[0] - base, 0.6, 0.1)
    got = []
    torch.bernoulli = lambda q: got.append(q) or torch.ones_like(q)
    sp.della_magprune(torch.from_numpy(ms[0] - base), 0.6, 0.1)
    torch.bernoulli = real
    print(f"della probabilities        {float(np.abs(got[0].numpy() - p).max()):.2e}")
    from mergekit.config import evaluate_setting, ConditionalParameter
    for c in config_cases():
        s = [ConditionalParameter(**x) if isinstance(x, dict) else x for x in c["setting"]]
        n = c.get("layers", 0)
        ts = [0.0] if not n else [i / (n - 1) for i in range(n)]
        got = [evaluate_setting(c["tensor"].replace("N", str(i)), s, t, validate=float) for i, t in enumerate(ts)]
        print("config", max(abs(a - b) for a, b in zip(got, c["values"])))


def main():
    base, ms = inputs()
    res, masks = results(base, ms)
    if "--against-mergekit" in sys.argv:
        return against_mergekit(base, ms, res, masks)
    flat = lambda x: [float(f"{v:.8g}") for v in np.asarray(x, np.float64).ravel()]
    json.dump({
        "shape": [4, 6], "base": flat(base), "models": [flat(m) for m in ms],
        "injected_masks": [[int(v) for v in m.ravel()] for m in masks],
        "della_probabilities_model0_density0.6_epsilon0.1": flat(della_probabilities(ms[0] - base, 0.6, 0.1)),
        "results": {k: {"config": c, "out": flat(v)} for k, (v, c) in res.items()},
        "config_cases": config_cases(),
        "tolerance": 1e-6,
    }, sys.stdout, separators=(",", ":"))


main()
