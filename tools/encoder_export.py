"""Exports a sentence-transformers folder to ONNX: `python -m hugginggpt.tools.encoder_export FOLDER OUT`.

A program of its own because it needs torch, transformers and sentence-transformers, a second of
importing for every hundred megabytes, and prints what nobody needs to see.
"""

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch
from tokenizers import Tokenizer

from hugginggpt.tools.digest import sha256_of
from hugginggpt.tools.encoder import sentence_transformer
from hugginggpt.tools.encoder_onnx import BULK, DIGESTS, MANIFEST, MODEL, TOKENIZER, OnnxEncoder
from hugginggpt.tools.tasks import TASKS

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# An export must give these the vectors that the model itself gives them.
_PROBES = ["", "A cat.", "Übersetze den Brief ins Deutsche, 请!", "many words " * 400]
_LEAST_COSINE = 0.9999
# The model in int8 is kept if vectors of sentences have this cosine to its own at least. MiniLM's have 0.98.
_LEAST_COSINE_INT8 = 0.95


class _TokensToVector(torch.nn.Module):
    """Transformer, pooling and normalisation as one graph."""

    def __init__(self, model: "SentenceTransformer") -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        return torch.nn.functional.normalize(self.model(features)["sentence_embedding"], dim=1)


def main(folder: Path, out: Path) -> None:
    """Write the files of an export, see encoder_onnx.py, to `out` and check them against the model."""
    model = sentence_transformer(folder, attention="eager").to("cpu").eval()
    if model.default_prompt_name or not model.tokenizer.is_fast or model.tokenizer.padding_side != "right":
        sys.exit("its prompts or its tokenizer are of a kind that is not exported")
    longest = model.max_seq_length
    if longest is None:
        sys.exit("it does not say how many tokens it reads")
    _write_graph(model, longest, out)
    _quantize(out / MODEL, out / BULK)
    _write_tokenizer(model, longest, out / TOKENIZER)
    manifest = {
        "id": str(folder),
        "revision": "",
        "dimension": model.get_embedding_dimension(),
        "pad": model.tokenizer.pad_token_id,
        "bulk": True,
        "sha256": {name: sha256_of(out / name, out / DIGESTS) for name in (MODEL, BULK, TOKENIZER)},
    }
    (out / MANIFEST).write_text(json.dumps(manifest))
    _check(model, out)
    if not _bulk_is_sound(out):
        (out / BULK).unlink()
        del manifest["sha256"][BULK]
        (out / MANIFEST).write_text(json.dumps(manifest | {"bulk": False}))
    (out / DIGESTS).unlink()


def _write_graph(model: "SentenceTransformer", longest: int, out: Path) -> None:
    ids = torch.tensor([[7, 8, 9, 10, 11], [7, 8, 9, 0, 0]])
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=longest)}
    raw = out / "raw.onnx"
    with torch.no_grad():
        torch.onnx.export(
            _TokensToVector(model),
            (ids, (ids > 0).long()),
            raw,
            input_names=["input_ids", "attention_mask"],
            output_names=["vectors"],
            dynamic_shapes={"input_ids": axes, "attention_mask": axes},
            external_data=False,
            optimize=False,  # onnxruntime does that below, in a tenth of the time
            dynamo=True,
        )
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(out / MODEL)
    # Extended, not all: what comes out runs on every processor, not only on this one.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    raw.unlink()


def _quantize(model: Path, out: Path) -> None:
    """The same graph with weights in int8, a scale for each column; activations are quantised as it runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]

    logging.disable(logging.WARNING)  # it advises steps that have been taken
    quantize_dynamic(model, out, weight_type=QuantType.QInt8, per_channel=True)
    logging.disable(logging.NOTSET)


def _write_tokenizer(model: "SentenceTransformer", longest: int, path: Path) -> None:
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    tokenizer.save(str(path))


def _check(model: "SentenceTransformer", out: Path) -> None:
    expected = model.encode(_PROBES, normalize_embeddings=True, show_progress_bar=False)
    cosines = np.sum(expected * OnnxEncoder(out, out / DIGESTS).encode(_PROBES), axis=1)
    if cosines.min() < _LEAST_COSINE:
        sys.exit(f"its vectors differ from the model's: cosine {cosines.min():.5f}")


def _bulk_is_sound(out: Path) -> bool:
    """Whether vectors in int8, on this processor, are as good as the model's own."""
    texts = [task.description for task in TASKS.values()]
    own, bulk = (OnnxEncoder(out, out / DIGESTS, bulk=bulk).encode(texts) for bulk in (False, True))
    return bool(np.sum(own * bulk, axis=1).min() >= _LEAST_COSINE_INT8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
