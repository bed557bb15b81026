"""200 texts with their token ids and vectors from sentence-transformers.

Run:  python xtask/parity/minilm_vectors.py MODEL_FOLDER crates/polytask-nn/tests/data
Made with sentence-transformers 6.2.0, transformers 5.23.0, tokenizers 0.23.3, torch 2.15.0 (Python 3.11) on
all-MiniLM-L6-v2, one text at a time, so that no padding takes part.

Writes minilm_texts.json (texts and token ids) and minilm_vectors.safetensors (`vectors`, f32, [200, 384]).
"""

import json
import sys

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

EDGES = [
    "", " ", "\t\n\r", "a", "Z", "7", ".", "?", "-", "_", "é", "ß", "İ", "ñ", "Å", "ﬁ", "½", "€", "日", "한", "Ж", "א", "ب", "क", "🙂",
    "\u200b", "\u00a0", "\u0000", "\u0007bell", "tab\tinside", "line\nbreak", "carriage\r\nreturn", "a\u0000b", "a\u0001b\u0002c",
    "zero\u200bwidth", "soft\u00adhyphen", "byte\ufefforder", "\ufffd", "private \ue000 use", "tag \U000e0041 character",
    "separator\u2028line", "thin\u2009space", "ideographic\u3000space", "\x1cfile\x1dgroup\x1e", "\x7fdelete", "next\x85line",
]
SCRIPTS = [
    "今天天气很好，我们去公园散步吧。", "東京は日本の首都です。", "カタカナとひらがな", "한국어 문장도 있습니다.", "混合 text 和 中文 words",
    "مرحبا بالعالم، كيف حالك اليوم؟", "שלום עולם, מה שלומך?", "متن فارسی با نیم‌فاصله", "ltr \u202bعربي\u202c ltr",
    "Привет, как дела?", "Καλημέρα κόσμε", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Tiếng Việt có nhiều dấu", "Þetta er íslenska",
    "Zażółć gęślą jaźń", "naïve café résumé coöperate", "cafe\u0301 with a combining accent", "Ａｆｕｌｌｗｉｄｔｈ　ｔｅｘｔ", "𝔊𝔬𝔱𝔥𝔦𝔠 𝕞𝕒𝕥𝕙",
]
EMOJI = [
    "🙂🙃", "👩‍👩‍👧‍👦 family", "👍🏽 thumbs", "flag 🇫🇷 here", "I ❤️ this", "🔥🔥🔥 hot deal 🔥🔥🔥", "¯\\_(ツ)_/¯", "♠♥♦♣", "→ ⇒ ∀x∃y",
    "x² + y² = z²",
]
FORMS = [
    "https://example.org/a/b?c=d&e=f#g", "mail me at someone@example.org", "C:\\Users\\me\\file.txt", "/usr/local/bin",
    "#hashtag @mention", "{\"key\": [1, 2.5, null]}", "<p class=\"x\">html</p>", "SELECT * FROM t WHERE a = 'b';", "let x = vec![1, 2];",
    "1,234,567.89", "+49 (0)30 1234-567", "2024-02-29T12:30:00Z", "$99.99!!!", "50% off", "A.B.C. and e.g. i.e.", "don't won't can't I'm",
    "“curly” ‘quotes’ — dashes … dots", "...", "!!!???", "*bold* _italic_ `code`", "[CLS]", "[SEP] in the [MASK] middle [PAD]", "[UNK]",
    "##ing ##s", "[unused1]", "UPPER lower MiXeD", "antidisestablishmentarianism", "x" * 99, "x" * 100, "x" * 101, "word" * 60,
    "  leading and trailing  ", "many     spaces", "new\n\nparagraph\n", "\ttabbed", "a " * 126, "a " * 127, "a " * 128, "a" + " a" * 253,
    "a" + " a" * 254, "long " * 300, "日本" * 200, "mixed 日本 text " * 60, "🙂" * 300, "." * 400, "Sentence number one. " * 120,
]
SUBJECTS = ["The nurse", "A software developer", "My neighbour", "The old bridge", "Our train", "The committee", "A small dog", "The recipe"]
VERBS = ["repairs", "waited for", "explained", "cannot find", "is looking at", "forgot", "prefers", "was delayed by"]
OBJECTS = [
    "a broken engine", "the bank transfer", "new safety rules", "two tickets to Lisbon", "the second chapter", "heavy snow", "fresh bread",
    "an unexpected letter",
]


def ordinary(n):
    """n different plain sentences and questions."""
    made = []
    for i in range(n):
        subject, verb, thing = SUBJECTS[i % 8], VERBS[(i // 8 + i) % 8], OBJECTS[(3 * i + i // 8) % 8]
        end = [".", " before noon.", ", and nobody knows why.", "?"][i % 4]
        made.append(f"{subject} {verb} {thing}{end}")
    return made


def main():
    model = SentenceTransformer(sys.argv[1], device="cpu")
    model.eval()
    texts = EDGES + SCRIPTS + EMOJI + FORMS
    texts += ordinary(200 - len(texts))
    assert len(texts) == 200
    ids = [model.tokenize([text])["input_ids"][0].tolist() for text in texts]
    with torch.no_grad():
        vectors = torch.stack([torch.as_tensor(model.encode(text)) for text in texts])
    with open(f"{sys.argv[2]}/minilm_texts.json", "w", encoding="ascii") as out:
        rows = [json.dumps({"text": text, "ids": row}, separators=(",", ":")) for text, row in zip(texts, ids)]
        out.write("[\n" + ",\n".join(rows) + "\n]\n")
    save_file({"vectors": vectors.float().contiguous()}, f"{sys.argv[2]}/minilm_vectors.safetensors")


main()
