"""Texts to vectors with ONNX Runtime: a peer of `polytask bench embed` and `polytask bench latency`.

Texts are sorted by their number of tokens and padded in batches, as sentence-transformers does it; tokens come from the
tokenizers package itself; pooling and normalisation are part of the graph.
"""

import os

import numpy
import onnxruntime
import tokenizers

import texts
from common import read_job


def session(job):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    path = os.path.join(job["graphs"], f"{job['graph']}.onnx")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def tokenizer(job):
    loaded = tokenizers.Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    loaded.enable_truncation(job["max_length"])
    loaded.no_padding()
    return loaded


def padded(batch):
    """Inputs of the graph for some lists of token ids."""
    longest = max(map(len, batch))
    ids = numpy.zeros((len(batch), longest), numpy.int64)
    mask = numpy.zeros_like(ids)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}


def main():
    job = read_job()
    model, words = session(job), tokenizer(job)

    def encode(chunk):
        tokens = [encoding.ids for encoding in words.encode_batch_fast(chunk)]
        order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        vectors = None
        for start in range(0, len(order), job["batch"]):
            places = order[start : start + job["batch"]]
            (part,) = model.run(["vectors"], padded([tokens[i] for i in places]))
            if vectors is None:
                vectors = numpy.empty((len(chunk), part.shape[1]), numpy.float32)
            vectors[places] = part
        return vectors

    texts.run(job, {"onnxruntime": onnxruntime.__version__, "tokenizers": tokenizers.__version__}, encode)


if __name__ == "__main__":
    main()
