"""Tiny cross-encoders of three families with their logits, from transformers.

Run:  python xtask/parity/cross_encoders.py crates/polytask-model/tests/data/cross
Made with the versions that each expected.json names.

Writes one folder per family: config.json, model.safetensors and tokenizer.json as save_pretrained writes them, and
expected.json with `pairs` of texts and the `logits` of each (float64, rounded to seven significant digits). Weights are
random, the tokenizer has one token per lower-case letter.
"""

import json
import pathlib
import sys

import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

PAIRS = [("a dog", "a cat"), ("a cat", "a dog"), ("", "x"), ("the same", "the same"), ("abcdefghijklmnopqrstuvwxyz abc", "yes it is")]
SIZES = {
    "vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 40,
}
# Folder, class, arguments of the configuration, special tokens (pad, unk, first, between and last), marks between texts.
FAMILIES = [
    ("bert", "BertForSequenceClassification", {"num_labels": 1, "type_vocab_size": 2, "pad_token_id": 0}, 1),
    ("roberta", "RobertaForSequenceClassification", {
        "num_labels": 3, "type_vocab_size": 1, "pad_token_id": 0, "layer_norm_eps": 1e-5,
        "id2label": {0: "contradiction", 1: "entailment", 2: "neutral"},
    }, 2),
    ("mpnet", "MPNetForSequenceClassification", {"num_labels": 1, "pad_token_id": 0}, 2),
]


def tokenizer(n_between):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocab = {token: i for i, token in enumerate(special + [chr(c) for c in range(ord("a"), ord("z") + 1)])}
    made = tokenizers.Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Whitespace(), pre_tokenizers.Split(tokenizers.Regex("."), "isolated"),
    ])
    second = 1 if n_between == 1 else 0
    between = " ".join(["[SEP]:0"] * n_between)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair=f"[CLS]:0 $A:0 {between} $B:{second} [SEP]:{second}",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=30,
    )


def main(out):
    for name, cls, arguments, n_between in FAMILIES:
        torch.manual_seed(1)
        model_class = getattr(transformers, cls)
        model = model_class(model_class.config_class(**SIZES, **arguments))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.3)
        folder = pathlib.Path(out) / name
        model.save_pretrained(folder)
        fast = tokenizer(n_between)
        fast.save_pretrained(folder)
        model = model_class.from_pretrained(folder).double().eval()
        logits = []
        for a, b in PAIRS:
            inputs = fast(a, b, return_tensors="pt", truncation=True, max_length=30, return_token_type_ids=n_between == 1)
            with torch.no_grad():
                logits.append([float(f"{x:.7g}") for x in model(**inputs).logits[0].tolist()])
        versions = {m.__name__: m.__version__ for m in (transformers, torch, tokenizers)}
        (folder / "expected.json").write_text(json.dumps({"versions": versions, "pairs": PAIRS, "logits": logits}))


main(sys.argv[1])
