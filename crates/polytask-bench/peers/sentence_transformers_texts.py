"""Texts to vectors with sentence-transformers: a peer of `polytask bench embed`."""

import sentence_transformers
import torch

import texts
from common import read_job


def main():
    job = read_job()
    torch.set_num_threads(job["threads"])
    torch.set_num_interop_threads(1)
    model = sentence_transformers.SentenceTransformer(job["model"], device="cpu")
    versions = {"sentence-transformers": sentence_transformers.__version__, "torch": torch.__version__}
    encode = lambda chunk: model.encode(chunk, batch_size=job["batch"], show_progress_bar=False)
    texts.run(job, versions, encode)


if __name__ == "__main__":
    main()
