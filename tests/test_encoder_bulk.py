"""An encoder for very many texts, and the table that stands for it where there are millions."""

import json
import shutil

import numpy as np
import pytest

from hugginggpt.tools import encoder_bulk, encoder_onnx, encoder_static
from hugginggpt.tools.encoder import (
    DEFAULT_ENCODER,
    EncoderError,
    SentenceTransformerEncoder,
    bulk_encoder,
    fit_table,
    load_encoder,
    static_encoder,
)
from hugginggpt.tools.tasks import TASKS

ABOUT = [f"{task.id.replace('-', ' ')}. {task.description}" for task in TASKS.values()]
ODD = ["", " ", "Übersetze das: Straße. 写一首诗。", "many words " * 400]


@pytest.fixture(scope="module")
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


@pytest.fixture(scope="module")
def fast(encoder):
    return encoder.bulk()


@pytest.fixture(scope="module")
def tokens(fast):
    """The vectors of all tokens, which take longest."""
    return encoder_static._tokens_alone(fast)


@pytest.fixture(scope="module")
def table(encoder, tokens):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_static, "_tokens_alone", lambda _: tokens.copy())
        return fit_table(encoder, ABOUT, encoder.encode(ABOUT))


def cosines(one, other):
    return np.sum(one * other, axis=1)


def test_vectors_in_bulk_are_near_the_encoder_s_own(encoder, fast):
    assert cosines(encoder.encode(ABOUT), fast.encode(ABOUT)).min() > 0.97


def test_a_text_finds_itself_among_vectors_made_in_bulk(encoder, fast):
    best = np.argmax(encoder.encode(ABOUT) @ fast.encode(ABOUT).T, axis=1)
    assert list(best) == list(range(len(ABOUT)))


def test_vectors_in_bulk_are_those_of_the_same_id_and_revision(encoder, fast):
    assert (fast.id, fast.revision, fast.dimension) == (encoder.id, encoder.revision, encoder.dimension)


def test_bulk_runs_in_int8(fast):
    assert (fast.folder / encoder_onnx.BULK).stat().st_size < (
        fast.folder / encoder_onnx.MODEL
    ).stat().st_size / 3


def test_odd_texts_have_vectors_of_length_one_in_bulk(fast):
    assert np.allclose(np.linalg.norm(fast.encode(ODD), axis=1), 1, atol=1e-5)


def test_without_an_int8_model_bulk_is_the_model_itself(encoder, tmp_path):
    copied = shutil.copytree(encoder.folder, tmp_path / "encoder")
    manifest = json.loads((copied / encoder_onnx.MANIFEST).read_text())
    del manifest["sha256"][encoder_onnx.BULK]
    (copied / encoder_onnx.MANIFEST).write_text(json.dumps(manifest | {"bulk": False}))
    (copied / encoder_onnx.BULK).unlink()
    plain = encoder_onnx.OnnxEncoder(copied, tmp_path / "digests.json").bulk()
    assert cosines(encoder.encode(ABOUT), plain.encode(ABOUT)).min() > 0.9999


def test_a_damaged_int8_model_is_noticed(encoder, tmp_path):
    copied = shutil.copytree(encoder.folder, tmp_path / "encoder")
    whole = encoder_onnx.OnnxEncoder(copied, tmp_path / "digests.json")
    (copied / encoder_onnx.BULK).write_bytes(b"half")
    with pytest.raises(EncoderError, match=r"bulk\.onnx: damaged"):
        bulk_encoder(whole)


def test_without_a_gpu_bulk_runs_on_the_cores(encoder, monkeypatch):
    monkeypatch.setattr(encoder_bulk, "accelerators", list)
    assert isinstance(bulk_encoder(encoder), encoder_onnx.OnnxEncoder)


def test_on_an_accelerator_sentence_transformers_encodes(encoder, monkeypatch):
    monkeypatch.setattr(encoder_bulk, "accelerators", lambda: ["cpu"])
    accelerated = bulk_encoder(encoder)
    assert isinstance(accelerated, encoder_bulk.AcceleratedEncoder)
    assert (accelerated.id, accelerated.revision) == (encoder.id, encoder.revision)
    assert cosines(encoder.encode(ABOUT), accelerated.encode(ABOUT)).min() > 0.9999


def test_an_encoder_that_is_not_exported_is_its_own_for_bulk():
    direct = SentenceTransformerEncoder.__new__(SentenceTransformerEncoder)
    assert bulk_encoder(direct) is direct


def test_a_table_gives_vectors_of_length_one_even_for_odd_texts(encoder, table):
    vectors = static_encoder(encoder, table).encode(ODD)
    assert vectors.shape == (len(ODD), encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_table_finds_the_texts_that_it_was_fitted_to(encoder, table):
    best = np.argmax(encoder.encode(ABOUT) @ static_encoder(encoder, table).encode(ABOUT).T, axis=1)
    assert np.mean(best == np.arange(len(ABOUT))) > 0.9


def test_a_table_knows_texts_that_it_was_not_fitted_to(encoder, table):
    texts = [
        "A model that finds whales in underwater sound.",
        "Recipes for bread and cake.",
        "Reads handwritten Arabic letters.",
        "Predicts the price of houses.",
    ]
    questions = ["hear sea mammals", "baking", "handwriting in Arabic", "what is my home worth"]
    best = np.argmax(encoder.encode(questions) @ static_encoder(encoder, table).encode(texts).T, axis=1)
    assert list(best) == [0, 1, 2, 3]


def test_the_same_texts_give_the_same_table(encoder, table, tokens, monkeypatch):
    monkeypatch.setattr(encoder_static, "_tokens_alone", lambda _: tokens.copy())
    again = fit_table(encoder, ABOUT, encoder.encode(ABOUT))
    assert static_encoder(encoder, again).revision == static_encoder(encoder, table).revision


def test_a_table_says_that_it_is_one(encoder, table):
    static = static_encoder(encoder, table)
    assert static.id == f"{DEFAULT_ENCODER}+static"
    assert static.revision.startswith(f"{encoder.revision}+")


def test_no_table_stands_for_an_encoder_that_is_not_exported(table):
    direct = SentenceTransformerEncoder.__new__(SentenceTransformerEncoder)
    direct.id = "some/model"
    with pytest.raises(EncoderError, match="some/model: is not exported"):
        fit_table(direct, ABOUT, np.zeros((len(ABOUT), 384), np.float32))
    with pytest.raises(EncoderError, match="some/model: is not exported"):
        static_encoder(direct, table)


def test_marks_at_the_ends_are_put_around_tokens(encoder):
    words = ["cat", "dog"]
    tokens = encoder.tokenize(words)
    assert cosines(encoder.encode(words), encoder.encode_tokens(tokens)).min() > 0.99999
