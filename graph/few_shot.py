"""Examples for a language model that plans: requests with their plans, picked by likeness."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hugginggpt.tools.encoder import Encoder, EncoderError


@dataclass(frozen=True)
class Example:
    """A request and its plan, as JSON. `files` are attached."""

    request: str
    files: tuple[str, ...]
    plan: str


EXAMPLES = (
    Example(
        "Read note.jpg to me in Spanish.",
        ("note.jpg",),
        '{"tasks":[{"id":0,"task":"image-to-text","args":{"image":{"file":"note.jpg"}}},'
        '{"id":1,"task":"translation","args":{"text":{"from":0},"target_language":"Spanish"}},'
        '{"id":2,"task":"text-to-speech","args":{"text":{"from":1}}}]}',
    ),
    Example(
        "Cut the dogs out of park.png and say of each which breed it is.",
        ("park.png",),
        '{"tasks":[{"id":0,"task":"zero-shot-object-detection","args":{"image":{"file":"park.png"},'
        '"candidate_labels":["dog"]}},'
        '{"id":1,"task":"image-classification","args":{"image":{"from":0,"output":"objects","each":true}}}]}',
    ),
    Example(
        "What is decided in call.mp3, and in what mood?",
        ("call.mp3",),
        '{"tasks":[{"id":0,"task":"automatic-speech-recognition","args":{"audio":{"file":"call.mp3"}}},'
        '{"id":1,"task":"question-answering","args":{"question":"What is decided?","context":{"from":0}}},'
        '{"id":2,"task":"text-classification","args":{"text":{"from":0}}}]}',
    ),
    Example(
        "Thanks! And why is the sky blue?",
        (),
        '{"tasks":[]}',
    ),
    Example(
        "A lighthouse drawn along the lines of pier.jpg, then as a clip.",
        ("pier.jpg",),
        '{"tasks":[{"id":0,"task":"image-to-control","args":{"image":{"file":"pier.jpg"},"control":"canny"}},'
        '{"id":1,"task":"control-to-image","args":{"image":{"from":0},"prompt":"a lighthouse, drawn"}},'
        '{"id":2,"task":"image-to-video","args":{"image":{"from":1}}}]}',
    ),
    Example(
        "Which shop in sales.csv sold most? Is 'never again' good or bad?",
        ("sales.csv",),
        '{"tasks":[{"id":0,"task":"table-question-answering","args":{"question":"Which shop sold most?",'
        '"table":{"file":"sales.csv"}}},'
        '{"id":1,"task":"zero-shot-classification","args":{"text":"never again",'
        '"candidate_labels":["good","bad"]}}]}',
    ),
    Example(
        "Shorten report.pdf, and make a cover picture that fits.",
        ("report.pdf",),
        '{"tasks":[{"id":0,"task":"summarization","args":{"text":{"file":"report.pdf"}}},'
        '{"id":1,"task":"text-to-image","args":{"prompt":["cover picture",{"from":0}]}}]}',
    ),
    Example(
        "Who is named in scan.png, and what is the total?",
        ("scan.png",),
        '{"tasks":[{"id":0,"task":"image-to-text","args":{"image":{"file":"scan.png"}}},'
        '{"id":1,"task":"token-classification","args":{"text":{"from":0}}},'
        '{"id":2,"task":"document-question-answering","args":{"image":{"file":"scan.png"},'
        '"question":"What is the total?"}}]}',
    ),
)


def alike(request: str, encoder: Callable[[], Encoder], count: int = 2) -> Sequence[Example]:
    """The examples that are most like the request; the first ones where there is no encoder. Blocks."""
    try:
        vectors = encoder().encode([request[:1000], *(example.request for example in EXAMPLES)])
    except EncoderError:
        return EXAMPLES[:count]
    nearness = vectors[1:] @ vectors[0]
    return [EXAMPLES[int(place)] for place in nearness.argsort()[::-1][:count]]
