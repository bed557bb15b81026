"""Embedding texts of three length mixes with sentence-transformers: the peer of `polytask bench embed`.

    python embed.py --model FOLDER [--texts 512] [--threads 2] [--runs 5] [--warmup 1] [--keep NAME]

Both sides embed the same texts (texts.py). Prints one JSON object with a list `mixes`. `--keep NAME` writes the texts as
NAME.jsonl and their vectors as NAME.npy, so that `polytask embed --input NAME.jsonl` can be held against them: answers
are proven equal before times are compared. Packages: requirements.txt beside this file.
"""

import argparse
import json

import numpy
import sentence_transformers

from measure import measure, set_threads, summary
from texts import MIXES, texts


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--keep", help="name of the files for texts and vectors")
    for name, default in [("texts", 512), ("threads", 2), ("runs", 5), ("warmup", 1), ("batch", 32)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def keep(name, all_texts, vectors):
    with open(f"{name}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in all_texts)
    numpy.save(f"{name}.npy", vectors)


def main():
    chosen = options()
    set_threads(chosen.threads)
    model = sentence_transformers.SentenceTransformer(chosen.model, device="cpu")
    encode = lambda batch: model.encode(batch, batch_size=chosen.batch, show_progress_bar=False)
    results, everything = [], []
    for mix in MIXES:
        chunk = texts(mix, chosen.texts)
        timed = summary(measure(lambda: encode(chunk), chosen.runs, chosen.warmup))
        rate = round(1e3 * len(chunk) / timed["median_ms"], 1)
        results.append({"mix": mix, "texts": len(chunk), "texts_per_s": rate} | timed)
        everything += chunk
    if chosen.keep:
        keep(chosen.keep, everything, encode(everything))
    peer = f"sentence-transformers {sentence_transformers.__version__}"
    shared = {"threads": chosen.threads, "precision": "f32"}
    print(json.dumps({"name": "embed", "peer": peer, "batch": chosen.batch, "mixes": results} | shared))


if __name__ == "__main__":
    main()
