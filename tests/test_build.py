"""What is embedded is kept: a build that was stopped goes on where it was, and damages nothing."""

import os
import resource
import shutil

import numpy as np
import pytest

from hugginggpt.index import embedding
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder


class Counting:
    """An encoder whose vectors are made of the lengths of texts; it remembers what it was asked."""

    def __init__(self, id_="test/lengths", revision="1"):
        self.id, self.revision, self.dimension, self.asked = id_, revision, 8, []

    def encode(self, texts):
        self.asked += texts
        vectors = np.stack([np.cos(np.arange(self.dimension) * len(text)) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cards(number, summary="Model {}."):
    return [
        ModelCard(id=f"a/{n}", task="translation", summary=summary.format("x" * (n % 97)))
        for n in range(number)
    ]


def vectors(blocks):
    return np.vstack([block for _, block in blocks])


PARTS = [cards(700), cards(40, "Other {}.")]


def test_every_card_gets_the_vector_of_its_text():
    encoder = Counting()
    blocks = [*embedding.embedded(PARTS, encoder, 740)]
    assert [card for chunk, _ in blocks for card in chunk] == PARTS[0] + PARTS[1]
    texts = [embedding.text_of(card) for part in PARTS for card in part]
    assert np.array_equal(vectors(blocks), Counting().encode(texts))


def test_progress_is_told_after_every_chunk():
    told = []
    for _ in embedding.embedded(PARTS, Counting(), 740, lambda *how: told.append(how)):
        pass
    assert told == [(512, 740), (700, 740), (740, 740)]


def test_what_is_kept_is_not_embedded_again(tmp_path):
    first, second = Counting(), Counting()
    made = vectors(embedding.embedded(PARTS, first, 740, keep=tmp_path))
    again = vectors(embedding.embedded(PARTS, second, 740, keep=tmp_path))
    assert len(first.asked) == 740
    assert second.asked == []
    assert np.array_equal(made, again)


def test_after_a_stop_only_the_rest_is_embedded(tmp_path):
    for _ in embedding.embedded(PARTS, Counting(), 740, keep=tmp_path):
        break
    rest = Counting()
    assert len(vectors(embedding.embedded(PARTS, rest, 740, keep=tmp_path))) == 740
    assert len(rest.asked) == 740 - embedding.CHUNK


@pytest.mark.parametrize("other", [Counting(revision="2"), Counting("test/other")])
def test_vectors_of_another_encoder_are_not_taken(tmp_path, other):
    vectors(embedding.embedded(PARTS, Counting(), 740, keep=tmp_path))
    vectors(embedding.embedded(PARTS, other, 740, keep=tmp_path))
    assert len(other.asked) == 740


def test_vectors_of_other_texts_are_not_taken(tmp_path):
    vectors(embedding.embedded(PARTS, Counting(), 740, keep=tmp_path))
    encoder = Counting()
    changed = [PARTS[0], cards(40, "Changed {}.")]
    vectors(embedding.embedded(changed, encoder, 740, keep=tmp_path))
    assert encoder.asked == [embedding.text_of(card) for card in changed[1]]


@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr'"])
def test_damaged_vectors_are_made_again(tmp_path, damage):
    made = vectors(embedding.embedded([PARTS[1]], Counting(), 40, keep=tmp_path))
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(damage)
    assert np.array_equal(vectors(embedding.embedded([PARTS[1]], Counting(), 40, keep=tmp_path)), made)


def test_vectors_cut_short_are_made_again(tmp_path):
    made = vectors(embedding.embedded([PARTS[1]], Counting(), 40, keep=tmp_path))
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:-4])
    assert np.array_equal(vectors(embedding.embedded([PARTS[1]], Counting(), 40, keep=tmp_path)), made)


def test_a_full_disk_is_one_line_that_says_how_to_go_on(tmp_path):
    pid = os.fork()
    if not pid:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            vectors(embedding.embedded(PARTS, Counting(), 740, keep=tmp_path))
        except IndexBuildError as error:
            os._exit(0 if "run the same command again" in str(error) and "\n" not in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "vectors").write_text("a file")
    with pytest.raises(IndexBuildError, match="cannot be kept"):
        vectors(embedding.embedded(PARTS, Counting(), 740, keep=tmp_path / "vectors"))


def test_many_cards_are_embedded_by_an_encoder_for_many(monkeypatch):
    asked = []
    monkeypatch.setattr(embedding, "bulk_encoder", lambda encoder: asked.append(encoder) or Counting())
    many, few = Counting(), Counting()
    vectors(embedding.embedded(PARTS, few, 740))
    vectors(embedding.embedded(PARTS, many, 5000))
    assert asked == [many]
    assert many.asked == []


def test_a_table_is_fitted_once(shared, tmp_path, monkeypatch):
    from hugginggpt.tools import encoder_static

    monkeypatch.setattr(
        encoder_static, "_tokens_alone", lambda e: np.ones((e.tokens, e.dimension), np.float32)
    )
    encoder = load_encoder(DEFAULT_ENCODER, shared / "encoder")
    sample = cards(30)
    first = embedding.table_for(sample, encoder, tmp_path)
    monkeypatch.setattr(embedding, "fit_table", lambda *_: pytest.fail("fitted again"))
    assert embedding.table_for(sample, encoder, tmp_path).revision == first.revision
    shutil.rmtree(tmp_path)


def test_a_table_is_fitted_to_cards_from_all_parts(monkeypatch):
    monkeypatch.setattr(embedding, "_SAMPLE", 74)
    sample = embedding.sample_of(PARTS, 740)
    assert len(sample) == 74
    assert sum(card in PARTS[1] for card in sample) == 4
