"""Embedding texts of three length mixes with sentence-transformers: the peer of `polytask bench embed`.

    python embed.py --model FOLDER --data DEMO [--threads 2] [--runs 5] [--warmup 1] [--vectors OUT.npy]

The texts are the demo's own, in file order, so that both sides embed the same ones:
short: the first 256 rows of banking77/test.csv, cut after 12 words;
long: the first 256 occupation descriptions of onet/corpus.jsonl, cut after 100 words;
mixed: the first 128 of each, in turn.

Prints one JSON object with a list `mixes`. `--vectors` keeps the vectors of all three mixes, in this order, for a
comparison of answers before one of times. Packages: requirements.txt beside this file.
"""

import argparse
import csv
import json
import pathlib

import numpy
import sentence_transformers

from measure import measure, set_threads, summary

N_TEXTS = 256


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--data", required=True, type=pathlib.Path, help="the folder demo/")
    parser.add_argument("--vectors", help="file for the vectors")
    for name, default in [("threads", 2), ("runs", 5), ("warmup", 1), ("batch", 32)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def cut(text, words):
    return " ".join(text.split()[:words])


def mixes(data):
    """The texts of each mix."""
    with open(data / "banking77" / "test.csv", newline="", encoding="utf-8") as file:
        short = [cut(row["text"], 12) for row in csv.DictReader(file)][:N_TEXTS]
    with open(data / "onet" / "corpus.jsonl", encoding="utf-8") as file:
        long = [cut(json.loads(line)["text"], 100) for line in file][:N_TEXTS]
    mixed = [text for pair in zip(short, long) for text in pair][:N_TEXTS]
    return {"short": short, "long": long, "mixed": mixed}


def main():
    chosen = options()
    set_threads(chosen.threads)
    model = sentence_transformers.SentenceTransformer(chosen.model, device="cpu")
    results, vectors = [], []
    for mix, texts in mixes(chosen.data).items():
        encode = lambda: model.encode(texts, batch_size=chosen.batch, show_progress_bar=False)
        timed = summary(measure(encode, chosen.runs, chosen.warmup))
        rate = round(1e3 * len(texts) / timed["median_ms"], 1)
        results.append({"mix": mix, "texts": len(texts), "texts_per_s": rate} | timed)
        vectors.append(encode())
    if chosen.vectors:
        numpy.save(chosen.vectors, numpy.concatenate(vectors))
    peer = f"sentence-transformers {sentence_transformers.__version__}"
    print(json.dumps({"name": "embed", "peer": peer, "batch": chosen.batch, "mixes": results}))


if __name__ == "__main__":
    main()
