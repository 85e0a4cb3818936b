"""Recipes of tasks that compare texts: by embeddings, or by models that read two texts together."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.tools.pretrained import AUTO, need, parts
from hugginggpt.tools.recipe import SENTENCE_FILES, Place, Recipe, names
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BOTH = frozenset({"sentence-transformers", "transformers"})
_ENCODERS = (
    "MODEL_MAPPING_NAMES",
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES",
)


def _encoders() -> frozenset[str]:
    return names(AUTO, *_ENCODERS)


def _pair_readers() -> frozenset[str]:
    return names(AUTO, "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES")


def _rankers() -> frozenset[str]:
    return _encoders() | _pair_readers()


def _load_encoder(folder: Path, place: Place) -> Any:  # noqa: ANN401, sentence-transformers imports slowly
    """A model of sentence-transformers; one of transformers alone gets the mean of its tokens."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), **_safely(place))


def _load_ranker(folder: Path, place: Place) -> Any:  # noqa: ANN401
    """A model that reads query and document together, where it is one; else an encoder."""
    from sentence_transformers import CrossEncoder

    stated = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
    if not _pair_readers().intersection(stated):
        return _load_encoder(folder, place)
    return CrossEncoder(str(folder), **_safely(place))


def _safely(place: Place) -> dict[str, Any]:
    """`Place.safely`, as the classes of sentence-transformers take it."""
    options = place.safely
    own = {name: options.pop(name) for name in ("local_files_only", "trust_remote_code")}
    return {"device": place.device, "model_kwargs": options, **own}


def _vectors(encoder: Any, texts: Sequence[str]) -> "NDArray[np.float32]":  # noqa: ANN401
    """A row for each text; for one that is longer than the encoder's window the mean of its parts'."""
    import numpy as np

    def length(text: str) -> int:
        return len(encoder.tokenizer(text, verbose=False)["input_ids"])

    room = int(encoder.max_seq_length or 512)
    pieces = [parts(text, length, room) or [text] for text in texts]
    every = [piece for text in pieces for piece in text]
    found = iter(encoder.encode(every, show_progress_bar=False, convert_to_numpy=True))
    means = [np.mean([next(found) for _ in text], axis=0, dtype=np.float32) for text in pieces]
    return np.stack(means)


def _embed(encoder: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    rows = _vectors(encoder, [need(one["text"], "text") for one in inputs])
    return [{"vector": [float(value) for value in row]} for row in rows]


def _compare(encoder: Any, inputs: Sequence[Inputs], one: str, others: str) -> list[Outputs]:  # noqa: ANN401
    """How close a text is to each of others, by the model's own measure, which is most often the cosine."""
    outputs: list[Outputs] = []
    for given in inputs:
        if not given[others]:
            raise PermanentError("empty-list", "there is nothing to compare the text with")
        rows = _vectors(encoder, [need(given[one], one), *given[others]])
        scores = encoder.similarity(rows[:1], rows[1:])[0]
        outputs.append({"scores": [float(score) for score in scores]})
    return outputs


def _rank(ranker: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    """How well each document fits the query, in their order; a long document is cut at the model's window."""
    from sentence_transformers import CrossEncoder

    if not isinstance(ranker, CrossEncoder):
        return _compare(ranker, inputs, "query", "documents")
    outputs: list[Outputs] = []
    for one in inputs:
        if not one["documents"]:
            raise PermanentError("empty-list", "there are no documents to rank")
        pairs = [(need(one["query"], "query"), document) for document in one["documents"]]
        scores = ranker.predict(pairs, show_progress_bar=False)
        if scores.ndim > 1:
            raise PermanentError("architecture", f"has {scores.shape[1]} labels; one that ranks has one")
        outputs.append({"scores": [float(score) for score in scores]})
    return outputs


SENTENCE_SIMILARITY = Recipe(
    _load_encoder,
    partial(_compare, one="source", others="sentences"),
    _encoders,
    files=SENTENCE_FILES,
    libraries=_BOTH,
)
FEATURE_EXTRACTION = Recipe(_load_encoder, _embed, _encoders, batch=16, files=SENTENCE_FILES, libraries=_BOTH)
TEXT_RANKING = Recipe(_load_ranker, _rank, _rankers, files=SENTENCE_FILES, libraries=_BOTH)
