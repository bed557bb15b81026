"""polytask and mergekit 0.1.5 on the same folders, method by method: the largest difference of any value.

    python xtask/parity/mergekit_folders.py POLYTASK BASE MODEL MODEL MODEL [--tiny] [--only=ties,sce]

POLYTASK is the program, the others are folders with a `model.safetensors` of one architecture. `--tiny` ignores the
folders and makes small random encoders instead (needs transformers). mergekit's entry for checkpoints is used
(`mergekit-pytorch`), since the one for folders does not read encoders of the BERT kind. Methods that draw (dare, della)
are held against mergekit with injected masks in merging.py; arcee_fusion draws above a million entries, so there only
smaller tensors are compared.
"""
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

W3 = [1.0, 0.5, 0.25]
# (name, method, with base, number of models, parameters, per model)
CASES = [
    ("linear", "linear", False, 3, {}, {"weight": W3}),
    ("linear, not normalised", "linear", False, 3, {"normalize": False}, {"weight": W3}),
    ("slerp", "slerp", True, 1, {"t": 0.3}, {}),
    ("nuslerp", "nuslerp", False, 2, {}, {"weight": [1.0, 3.0]}),
    ("nuslerp with base", "nuslerp", True, 2, {}, {"weight": [1.0, 3.0]}),
    ("nuslerp by rows", "nuslerp", False, 2, {"nuslerp_flatten": False}, {"weight": [1.0, 3.0]}),
    ("multislerp", "multislerp", False, 3, {}, {"weight": W3}),
    ("multislerp with base", "multislerp", True, 3, {}, {"weight": W3}),
    ("karcher", "karcher", False, 3, {}, {}),
    ("model_stock", "model_stock", True, 3, {}, {}),
    ("model_stock by rows", "model_stock", True, 3, {"filter_wise": True}, {}),
    ("nearswap", "nearswap", True, 1, {"t": 0.0005}, {}),
    ("arcee_fusion", "arcee_fusion", True, 1, {}, {}),
    ("sce", "sce", True, 3, {}, {}),
    ("sce, topk 0.4", "sce", True, 3, {"select_topk": 0.4}, {}),
    ("ram", "ram", True, 3, {}, {}),
    ("ramplus_tl", "ramplus_tl", True, 3, {}, {}),
    ("task_arithmetic", "task_arithmetic", True, 3, {"lambda": 0.7}, {"weight": W3}),
    ("ties", "ties", True, 3, {}, {"weight": W3, "density": [0.2] * 3}),
    ("breadcrumbs", "breadcrumbs", True, 3, {}, {"weight": W3, "density": [0.6] * 3, "gamma": [0.1] * 3}),
    ("breadcrumbs_ties", "breadcrumbs_ties", True, 3, {}, {"weight": W3, "density": [0.6] * 3, "gamma": [0.1] * 3}),
]


def config(method, base, models, shared, each):
    entries = [{"model": m, **({"parameters": {k: v[i] for k, v in each.items()}} if each else {})} for i, m in enumerate(models)]
    out = {"merge_method": method, "models": entries, "parameters": shared}
    if base:
        out["base_model"] = base
        if method in ("slerp", "nearswap", "arcee_fusion"):
            out["models"] = [{"model": base}] + entries
    return {k: v for k, v in out.items() if v}


def tiny(folder):
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    shape = BertConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    base = BertModel(shape)
    folders = []
    for i in range(4):
        model = BertModel(shape)
        with torch.no_grad():
            for p, q in zip(model.parameters(), base.parameters()):
                p.copy_(q + (torch.randn_like(q) * 0.01 if i else 0))
        folders.append(str(folder / f"tiny{i}"))
        model.save_pretrained(folders[-1])
    return folders


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    only = [name for a in sys.argv if a.startswith("--only=") for name in a[7:].split(",")]
    work = Path(tempfile.mkdtemp())
    polytask, folders = args[0], (tiny(work) if "--tiny" in sys.argv else args[1:5])
    names = set.intersection(*[set(k for k, v in load_file(f"{f}/model.safetensors").items() if v.is_floating_point()) for f in folders])
    files = []
    for i, folder in enumerate(folders):
        files.append(str(work / f"in{i}.safetensors"))
        save_file({k: v for k, v in load_file(f"{folder}/model.safetensors").items() if k in names}, files[-1])
    worst = 0.0
    for name, method, base, n, shared, each in [case for case in CASES if not only or case[1] in only]:
        theirs, ours = work / "theirs", work / f"ours-{name}".replace(" ", "_").replace(",", "")
        (work / "m.yaml").write_text(yaml.safe_dump(config(method, files[0] if base else None, files[1 : n + 1], shared, each)))
        (work / "p.yaml").write_text(yaml.safe_dump(config(method, folders[0] if base else None, folders[1 : n + 1], shared, each)))
        start = time.time()
        subprocess.run([str(Path(sys.executable).parent / "mergekit-pytorch"), str(work / "m.yaml"), str(theirs)], check=True, capture_output=True)
        middle = time.time()
        subprocess.run([polytask, "merge", str(work / "p.yaml"), "--out", str(ours), "--compat", "--json"], check=True, capture_output=True)
        end = time.time()
        a = {}
        for file in sorted(theirs.glob("*.safetensors")):
            a.update(load_file(file))
        b = load_file(ours / "model.safetensors")
        # Above a million entries mergekit estimates quantiles from a sample.
        keys = [k for k in sorted(names) if method != "arcee_fusion" or b[k].numel() <= 1_000_000]
        off = {k: (a[k] - b[k]).abs().max().item() for k in keys}
        moved = sum(((a[k] - b[k]).abs() > 1e-6).sum().item() for k in keys)
        total = sum(b[k].numel() for k in keys)
        worst = max(worst, max(off.values()))
        print(f"{name:26s} {len(keys):4d} tensors  largest {max(off.values()):.1e}  beyond 1e-6: {moved} of {total}  "
              f"({middle - start:.1f} s, {end - middle:.1f} s)", flush=True)
        subprocess.run(["rm", "-rf", str(theirs), str(ours)], check=True)
    print(f"largest of all {worst:.1e}")


main()
