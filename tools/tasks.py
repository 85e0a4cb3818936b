"""The task table: every task, its ports and what flows through them.

A task id is the Hub's `pipeline_tag`, so that a model card's task is a task of ours, plus
`image-to-control` and `control-to-image` for the ControlNet tasks of the HuggingGPT paper
(arXiv 2303.17580). A new task is one row of `_ROWS`.
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "text", "texts", "table",
    "image", "audio", "video",
    "labels", "entities", "objects", "masks", "segments", "keypoints", "scores", "numbers", "vector",
]  # fmt: skip

MEDIA: frozenset[Kind] = frozenset({"image", "audio", "video"})

# What `{"from": id, "each": true}` runs over: the kind of one item of an output. A kind that is not
# here has no items.
ITEMS: dict[Kind, Kind] = {
    "texts": "text",
    "table": "text",  # rows
    "labels": "text",
    "entities": "text",  # their word
    "objects": "image",  # cropped pictures
    "masks": "image",
    "segments": "audio",  # clips
    "scores": "text",
    "numbers": "text",
}

_INPUT_KINDS: dict[str, Kind] = {
    "image": "image",
    "audio": "audio",
    "video": "video",
    "table": "table",
    "candidate_labels": "texts",
    "sentences": "texts",
    "documents": "texts",
}
_LITERAL = frozenset({"target_language", "source_language", "control"})


@dataclass(frozen=True, slots=True)
class Port:
    """One named input of a task. A `literal` port takes a word, never a file or a result."""

    name: str
    kind: Kind
    required: bool
    literal: bool


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One row of the table. An output port is named by its kind; the first one is the main one.

    `runtimes` are those that models of the task can run on; whether one does here now, they say themselves.
    """

    id: str
    inputs: tuple[Port, ...]
    outputs: tuple[Kind, ...]
    description: str
    runtimes: tuple[str, ...]

    def input(self, name: str) -> Port | None:
        """The input port of that name, if the task has one."""
        return next((port for port in self.inputs if port.name == name), None)

    @property
    def signature(self) -> str:
        """As it stands in the table: `translation(text, target_language, source_language?) → text`."""
        ports = ", ".join(port.name + ("" if port.required else "?") for port in self.inputs)
        return f"{self.id}({ports}) → {' + '.join(self.outputs)}"


# A row begins with the first letters of the runtimes that do its task, of those that come with this package;
# Spaces and runtimes of other packages do what they are set up for.
_RUNTIMES = ("builtin", "chat", "endpoints", "providers", "local")
_ROWS = """
-cepl text-generation(text) → text | Write new text as instructed: a story, a letter, a post, an explanation.
bcepl summarization(text) → text | Shorten a text to its main points.
-cepl translation(text, target_language, source_language?) → text | Translate a text into another language.
bcepl question-answering(question, context) → text | Find the answer to a question in a given text.
-cepl table-question-answering(question, table) → text | Answer a question about the rows of a table.
--epl text-classification(text) → labels | Label a text with a trained classifier, e.g. sentiment or emotion.
b-epl zero-shot-classification(text, candidate_labels) → labels | Sort a text into labels that the user names.
--epl token-classification(text) → entities | Find names in a text: people, places, organisations.
--epl fill-mask(text) → text | Fill in a masked word of a sentence.
b-epl sentence-similarity(source, sentences) → scores | Score how close sentences are to one in meaning.
b-epl feature-extraction(text) → vector | Turn a text into an embedding vector.
b-e-l text-ranking(query, documents) → scores | Rank documents by how well they fit a query.
--epl image-classification(image) → labels | Label a whole picture with a trained classifier.
--epl zero-shot-image-classification(image, candidate_labels) → labels | Sort a picture into users' labels.
--epl object-detection(image) → objects + image | Find things in a picture, with a box around each.
----l zero-shot-object-detection(image, candidate_labels) → objects + image | Find named things in a picture.
--epl image-segmentation(image) → masks + image | Divide a picture into labelled regions.
----l depth-estimation(image) → image | Estimate how far away each point of a picture is: a depth map.
b-epl image-to-text(image) → text | Caption a picture, or read the text printed in it (OCR).
-cepl image-text-to-text(image, text) → text | Follow an instruction about a picture.
-cepl visual-question-answering(image, question) → text | Answer a question about what a picture shows.
b-epl document-question-answering(image, question) → text | Answer a question about a scanned document.
--epl image-to-image(image, prompt) → image | Change a picture: restyle, colourise, restore, upscale.
--epl text-to-image(prompt) → image | Make a picture from a description.
b---l image-to-control(image, control) → image | Control maps: canny, hed, depth, normal, openpose, seg, mlsd.
----l control-to-image(image, prompt, control?) → image | Make a picture that follows a control map.
b-epl automatic-speech-recognition(audio) → text | Write down what is said in a recording.
--epl audio-classification(audio) → labels | Label a sound: genre, instrument, animal, emotion, language.
b-epl text-to-speech(text) → audio | Read a text aloud.
----l text-to-audio(prompt) → audio | Make music or sound effects from a description.
--ep- audio-to-audio(audio) → audio | Clean up a recording or separate its sources.
b---l voice-activity-detection(audio) → segments | Find when somebody speaks in a recording.
----l video-classification(video) → labels | Label what happens in a video.
--epl text-to-video(prompt) → video | Make a video clip from a description.
--epl image-to-video(image, prompt?) → video | Bring a picture to life as a video clip.
----l mask-generation(image) → masks | Cut every object out of a picture, without labels.
----l keypoint-detection(image) → keypoints + image | Find body joints or other keypoints in a picture.
----l image-feature-extraction(image) → vector | Turn a picture into an embedding vector.
----l zero-shot-audio-classification(audio, candidate_labels) → labels | Sort a sound into users' labels.
--e-- tabular-classification(table) → labels | Predict a class for every row of a table.
--e-- tabular-regression(table) → numbers | Predict a number for every row of a table.
"""

_ROW = re.compile(
    r"(?P<runtimes>[b-][c-][e-][p-][l-]) (?P<id>[a-z-]+)\((?P<inputs>[^)]*)\) "
    r"→ (?P<outputs>[^|]+) \| (?P<description>.+)"
)


def _port(text: str) -> Port:
    name = text.removesuffix("?")
    return Port(name, _INPUT_KINDS.get(name, "text"), not text.endswith("?"), name in _LITERAL)


def _spec(row: str) -> TaskSpec:
    match = _ROW.fullmatch(row)
    if not match:
        raise ValueError(f"not a row of the task table: {row}")
    inputs = tuple(_port(port) for port in match["inputs"].split(", "))
    outputs: tuple[Kind, ...] = tuple(match["outputs"].split(" + "))  # type: ignore[arg-type]
    runtimes = tuple(name for name, mark in zip(_RUNTIMES, match["runtimes"], strict=True) if mark != "-")
    return TaskSpec(match["id"], inputs, outputs, match["description"], runtimes)


TASKS: dict[str, TaskSpec] = {spec.id: spec for spec in map(_spec, _ROWS.strip().splitlines())}


def source_port(spec: TaskSpec, target: Kind, *, each: bool = False) -> Kind | None:
    """The output port of `spec` that feeds an input of kind `target`, or None if none can.

    With `each`, it is the items of the output that flow. Every output has a text view, so that text
    can always be had; `texts` is fed by lists, else by the text view as its single entry.
    """
    if not each:
        if target in spec.outputs:
            return target
        if target == "texts":
            return next((port for port in spec.outputs if ITEMS.get(port) == "text"), "text")
        return "text" if target == "text" else None
    wanted = "text" if target == "texts" else target
    fitting = [port for port in spec.outputs if ITEMS.get(port) == wanted]
    if not fitting and wanted == "text":
        fitting = [port for port in spec.outputs if port in ITEMS]  # by their labels
    return fitting[0] if fitting else None
