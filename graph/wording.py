"""Reads a request: its words in English, its steps, and what they name (files, quotes, languages, labels)."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources

HEAD = 4000  # characters of a request that are read as instructions; a longer one carries pasted text

_VERBS = frozenset(
    [
        "analyse",
        "analyze",
        "animate",
        "answer",
        "apply",
        "bring",
        "build",
        "calculate",
        "capture",
        "check",
        "classify",
        "clean",
        "clear",
        "colour",
        "colorize",
        "colourise",
        "colorise",
        "combine",
        "compare",
        "compose",
        "compute",
        "condense",
        "convert",
        "correct",
        "create",
        "cut",
        "decide",
        "define",
        "denoise",
        "depict",
        "describe",
        "detect",
        "determine",
        "display",
        "divide",
        "draft",
        "draw",
        "edit",
        "embed",
        "enhance",
        "estimate",
        "explain",
        "express",
        "extract",
        "fill",
        "filter",
        "find",
        "fix",
        "generate",
        "get",
        "give",
        "guess",
        "have",
        "hear",
        "identify",
        "illustrate",
        "improve",
        "isolate",
        "let",
        "locate",
        "make",
        "mark",
        "mention",
        "merge",
        "narrate",
        "paint",
        "pick",
        "play",
        "predict",
        "prepare",
        "present",
        "produce",
        "pronounce",
        "provide",
        "pull",
        "put",
        "rate",
        "read",
        "recite",
        "recognise",
        "recognize",
        "remove",
        "render",
        "rephrase",
        "replace",
        "restore",
        "restyle",
        "rewrite",
        "say",
        "segment",
        "send",
        "separate",
        "sharpen",
        "shorten",
        "show",
        "sing",
        "sort",
        "speak",
        "split",
        "spot",
        "stylise",
        "stylize",
        "suggest",
        "summarise",
        "summarize",
        "sum",
        "tell",
        "transcribe",
        "transform",
        "translate",
        "turn",
        "type",
        "upscale",
        "use",
        "vocalise",
        "voice",
        "work",
        "write",
        "add",
        "blend",
        "choose",
        "develop",
        "imagine",
        "invent",
        "judge",
        "print",
        "save",
        "post",
        "upload",
        "sketch",
        "email",
        "book",
    ]
)
# Nouns as often as verbs: a verb only where an object follows.
_EITHER = frozenset(["box", "caption", "design", "label", "list", "mask", "match", "name", "order", "rank", "record", "score", "shorten", "sketch", "speech", "sound", "list", "tag", "title", "trace", "draft", "picture", "model", "form", "date", "group", "note", "count", "voice", "order", "post", "book", "print", "cut", "work", "present", "use", "display", "play", "email", "estimate", "mark"])  # fmt: skip
_OBJECTS = frozenset(
    [
        "a",
        "an",
        "the",
        "it",
        "its",
        "them",
        "this",
        "that",
        "these",
        "those",
        "each",
        "every",
        "all",
        "both",
        "any",
        "everything",
        "everyone",
        "one",
        "two",
        "three",
        "me",
        "us",
        "my",
        "our",
        "your",
        "his",
        "her",
        "what",
        "who",
        "how",
        "which",
        "whether",
        "out",
        "up",
        "down",
        "to",
    ]
)
_SKIP = frozenset(
    [
        "also",
        "then",
        "finally",
        "please",
        "to",
        "again",
        "next",
        "just",
        "lastly",
        "afterwards",
        "now",
        "you",
        "maybe",
        "only",
    ]
)
_THEN = frozenset(
    ["then", "afterwards", "finally", "next", "subsequently", "thereafter", "lastly", "afterward"]
)
_ASKING = frozenset(
    [
        "what",
        "who",
        "whom",
        "whose",
        "which",
        "how",
        "when",
        "where",
        "why",
        "is",
        "are",
        "was",
        "were",
        "does",
        "do",
        "did",
        "can",
        "could",
    ]
)
_TRIGGERS = frozenset(
    [
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "it",
        "either",
        "into",
        "whether",
        "between",
        "among",
        "to",
        "in",
        "of",
        "by:",
        ":",
        "a",
        "an",
        "the",
        "this",
        "that",
        "from",
        "does",
        "show",
        "shows",
        "for",
        "sounds",
        "like",
        "more",
        "rather",
        "if",
        "them",
        "these",
        "those",
        "or",
        "under",
    ]
)
_LANGUAGE_OF = frozenset(["the", "this", "that", "a", "an", "my", "from", "our", "his", "her"])
_CONTROLS = {
    "canny": "canny edge edges outline outlines contours",
    "hed": "hed soft-edge scribble",
    "openpose": "openpose pose poses skeleton posture stance",
    "mlsd": "mlsd wireframe straight-line",
    "normal": "normal normals normal-map",
    "depth": "depth",
    "seg": "seg segmentation",
}
_CONTROL = {word: name for name, words in _CONTROLS.items() for word in words.split()}

_QUOTE = re.compile(
    r"```(.+?)```|“(.+?)”|„(.+?)[“”]|«(.+?)»|\"(.+?)\"|(?<!\w)['‘](?=\w)(.{2,}?)['’](?!\w)", re.DOTALL
)
_TOKEN = re.compile(r"\n+|(?<!\S)(?:\d{1,2}[.)]|[-*•–])(?=\s)|\[?\w+\]?(?:['’.-]\w+)*['’]?|[^\w\s]")  # noqa: RUF001
_LIST_MARK = re.compile(r"\d{1,2}[.)]|[-*•–]")


@dataclass(frozen=True, slots=True)
class Token:
    """One word as written, and in English, lower case; or a quote or a file."""

    written: str
    english: str
    kind: str = "word"  # "word", "quote", "file", "mark" (punctuation)


@dataclass(frozen=True, slots=True)
class Clause:
    """One step of a request."""

    tokens: tuple[Token, ...]
    question: bool = False

    @property
    def words(self) -> list[str]:
        """English words, without quotes and files."""
        return [token.english for token in self.tokens if token.kind == "word"]

    @property
    def written(self) -> str:
        """As the user wrote it."""
        text = " ".join(token.written for token in self.tokens)
        text = re.sub(r" ([,.;:!?)%])", r"\1", text).strip(" ,;:")
        return text + "?" if self.question and not text.endswith("?") else text

    @property
    def quotes(self) -> list[str]:
        """Texts given in the clause, without their marks."""
        return [token.written for token in self.tokens if token.kind == "quote"]

    @property
    def files(self) -> list[str]:
        """Names of attached files that the clause mentions."""
        return list(dict.fromkeys(token.written for token in self.tokens if token.kind == "file"))

    def english(self, nouns: dict[str, str]) -> str:
        """For the encoder: quotes are `this text`, a file is the noun that `nouns` has for its name."""
        words = []
        for token in self.tokens:
            words.append({"quote": "this text", "file": nouns.get(token.written, "the file")}.get(token.kind)
                         or token.english)  # fmt: skip
        return " ".join(words) + ("?" if self.question else "")

    @property
    def languages(self) -> list[str]:
        """Languages that something is to be put into, in English. "the German text" is not one of them."""
        found = []
        for place, token in enumerate(self.tokens):
            name = _languages().get(token.english)
            before = self.tokens[place - 1].english if place else ""
            after = self.tokens[place + 1].english if place + 1 < len(self.tokens) else ""
            described = after.isalpha() and after not in {
                "and",
                "or",
                "version",
                "translation",
                "then",
                "please",
            }
            if (
                token.kind == "word"
                and name
                and not (before in _LANGUAGE_OF and (described or before == "from"))
            ):
                found.append(name)
        return list(dict.fromkeys(found))

    @property
    def control(self) -> str | None:
        """The kind of control map that the clause names."""
        return next((_CONTROL[word] for word in self.words if word in _CONTROL), None)

    @property
    def labels(self) -> list[str]:
        """Alternatives that the clause names: "sport, politics or science", "spam or not"."""
        return _alternatives(self.tokens)


@dataclass(frozen=True)
class Reading:
    """A request as it was understood: its clauses in the order they are to be done, and its pasted text."""

    clauses: list[Clause]
    content: list[str] = field(default_factory=list)
    language: str = "English"


def read(request: str, names: Sequence[str]) -> Reading:
    """Splits `request` into clauses; `names` are the attached files' names. Linear in the request's length."""
    request, pasted = _pasted(request)
    spans = _spans(request, names)
    language = _language(re.findall(r"\w+", request.lower()))
    tokens: list[Token] = []
    place = 0
    for start, end, token in spans:
        tokens += _words(request[place:start], language)
        tokens.append(token)
        place = end
    tokens += _words(request[place:], language)
    clauses = [clause for sentence in _sentences(tokens) for clause in _ordered(sentence)]
    content = pasted + [token.written for token in tokens if token.kind == "quote"]
    return Reading([clause for clause in clauses if clause.words or clause.quotes], content, language)


def coordinated(clause: Clause) -> list[Clause]:
    """The clause cut at every "and", "plus" and comma; itself alone where that makes no sense."""
    parts: list[list[Token]] = [[]]
    for token in clause.tokens:
        if token.english in {"and", ",", "plus", "&", "also"} and token.kind != "quote":
            parts.append([])
        else:
            parts[-1].append(token)
    full = [Clause(tuple(part), clause.question) for part in parts if any(t.kind != "mark" for t in part)]
    return full if 2 <= len(full) <= 4 else [clause]


@cache
def _vocabulary() -> dict[str, dict[str, str]]:
    text = resources.files("hugginggpt.graph").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, str]] = tomllib.loads(text)
    return {
        language: {form: english for english, forms in table.items() for form in forms.split()}
        for language, table in tables.items()
    }


def _languages() -> dict[str, str]:
    return _vocabulary()["languages"]


_ENGLISH = frozenset(["the", "a", "an", "of", "to", "and", "in", "is", "it", "this", "that", "for", "on", "with", "as", "what", "who", "how", "which", "me", "my", "you", "i", "are", "be", "from", "into", "it's", "please", "then", "or", "does", "do", "write", "read", "make", "find"])  # fmt: skip


def _language(words: list[str]) -> str:
    """The language most of whose general words are in the request, English in doubt."""
    counts = {"English": sum(word in _ENGLISH for word in words)}
    for language, forms in _vocabulary().items():
        if language != "languages":
            counts[language] = sum(word in forms for word in words)
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] > counts["English"] else "English"


def _pasted(request: str) -> tuple[str, list[str]]:
    """The instruction in a request, and text pasted into it: long paragraphs, or all but the first line."""
    request = request.replace("\r", "")
    if len(request) > HEAD:
        lines = [
            line
            for line in (request[:HEAD].split("\n")[0], request[-HEAD:].split("\n")[-1])
            if len(line) < 600
        ]
        return "\n".join(dict.fromkeys(lines)) or request[:300], [request]
    kept, pasted = [], []
    for paragraph in re.split(r"\n\s*\n", request):
        is_text = len(paragraph) > 160 and not _LIST_MARK.match(paragraph.strip()) and not _asks(paragraph)
        (pasted if is_text else kept).append(paragraph.strip())
    if not kept:
        return request, []
    return "\n".join(kept), pasted


def _asks(paragraph: str) -> bool:
    first = re.match(r"\W*(\w+)", paragraph)
    return first is not None and (first[1].lower() in _VERBS | _ASKING or any(
        first[1].lower() in forms for forms in _vocabulary().values()))  # fmt: skip


def _spans(request: str, names: Sequence[str]) -> list[tuple[int, int, Token]]:
    """Quotes, text after a colon, and file names: where they are, in order, none within another."""
    lowered = request.lower()
    found: list[tuple[int, int, Token]] = []
    for name in sorted(set(names), key=len, reverse=True):
        found += [
            (start, start + len(name), Token(name, "file", "file"))
            for start in _places(lowered, name.lower())
        ]
    for match in _QUOTE.finditer(request):
        text = next(group for group in match.groups() if group is not None)
        if text.lower() not in {name.lower() for name in names}:
            found.append((match.start(), match.end(), Token(text.strip(), "this text", "quote")))
    colon = _after_colon(request, found)
    if colon:
        found.append(colon)
    spans: list[tuple[int, int, Token]] = []
    for span in sorted(found, key=lambda span: (span[0], -span[1])):
        if not spans or span[0] >= spans[-1][1]:
            spans.append(span)
    return spans


def _places(text: str, name: str) -> Iterator[int]:
    start = text.find(name) if name else -1
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(name) : start + len(name) + 1]
        if not (before.isalnum() or after.isalnum()):
            yield start
        start = text.find(name, start + len(name))


def _after_colon(request: str, found: list[tuple[int, int, Token]]) -> tuple[int, int, Token] | None:
    """Text given after a colon: "Translate into Danish: where is the station". Not a list of steps or labels."""
    for match in re.finditer(r":\s+(?=\S)", request):
        before, rest = request[: match.start()], request[match.end() :]
        if any(start < match.start() < end or start == match.end() for start, end, _ in found):
            continue
        line = before.rsplit("\n", 1)[-1]
        asks = any(word in _VERBS or any(word in forms for forms in _vocabulary().values())
                   for word in re.findall(r"\w+", line.lower()))  # fmt: skip
        items = re.split(r",|;|\bor\b|\band\b|/", rest)
        short_list = len(items) > 1 and all(len(item.split()) <= 3 for item in items)
        steps = re.match(r"\s*(\d{1,2}[.)]|[-*•(])", rest) or re.search(
            r"\b(steps?|following|this)\W*$", line
        )
        if asks and not short_list and not steps and len(rest.split()) > 2:
            return match.start(), len(request), Token(rest.strip(), "this text", "quote")
    return None


def _words(text: str, language: str) -> list[Token]:
    forms = _vocabulary().get(language, {})
    tokens = []
    for written in _TOKEN.findall(text):
        if not (written[0].isalnum() or (written[0] == "[" and len(written) > 1)) or _LIST_MARK.fullmatch(
            written
        ):
            tokens.append(Token(written, written, "mark"))
            continue
        lower = written.lower()
        pieces = [lower] if lower in forms or language == "English" else re.split(r"['’-]", lower)  # noqa: RUF001
        tokens.append(
            Token(written, " ".join(_languages().get(p, forms.get(p, p)) for p in pieces if p).lower())
        )
    return tokens


def _sentences(tokens: list[Token]) -> Iterator[list[Token]]:
    """Runs of tokens up to the end of a sentence, a line or a list entry; the mark stays at their end."""
    run: list[Token] = []
    for token in tokens:
        ends = token.kind == "mark" and (token.written[0] in "\n.!?;…" or _LIST_MARK.fullmatch(token.written))
        if ends and run:
            yield [*run, token]
            run = []
        elif not ends:
            run.append(token)
    if run:
        yield run


def _is_verb(tokens: Sequence[Token], place: int) -> bool:
    """Whether an instruction begins at `place`."""
    if place >= len(tokens) or tokens[place].kind != "word":
        return False
    word = tokens[place].english.split()[0] if tokens[place].english else ""
    stem = word.removesuffix("ing")
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    if word in _EITHER:
        return following is not None and (following.kind != "word" or following.english in _OBJECTS) and (
            following.kind != "mark")  # fmt: skip
    return word in _VERBS or (
        stem != word and (stem in _VERBS or stem + "e" in _VERBS or stem[:-1] in _VERBS)
    )


def _cut(tokens: Sequence[Token], place: int) -> int:
    """How many tokens of a joint between two steps stand at `place`; 0 where there is none."""
    word = tokens[place].english
    if tokens[place].kind in {"quote", "file"}:
        return 0
    after = place + 1
    while after < len(tokens) and tokens[after].english in _SKIP | _THEN | {","}:
        after += 1
    if word == "after" and after < len(tokens) and tokens[after].english in {"that", "this", "which"}:
        return 2
    if word in _THEN:
        return 1
    if word in {",", "and", "plus", "&", "but", "+", ":", "(", "-", "–", "—"}:
        inner = after
        while inner < len(tokens) and tokens[inner].english in {
            "and",
            "plus",
            "also",
            "i",
            "want",
            "need",
            "would",
        }:
            inner += 1
        asks = (
            word != ":"
            and inner < len(tokens)
            and tokens[inner].english in _ASKING
            and inner + 2 < len(tokens)
        )
        return inner - place if _is_verb(tokens, inner) or asks else 0
    if (
        word in {"which", "that"}
        and place
        and tokens[min(after, len(tokens) - 1)].english in {"you", "i", "we"}
    ):
        return 2 if any(_is_verb(tokens, spot) for spot in range(after, min(after + 3, len(tokens)))) else 0
    return 0


def _ordered(sentence: list[Token]) -> list[Clause]:
    """The steps of a sentence in the order they are to be done: "before A, B" and "B after A" are turned."""
    question = sentence[-1].written == "?"
    tokens = sentence[:-1] if sentence[-1].kind == "mark" else sentence
    runs: list[list[Token]] = [[]]
    turned: list[bool] = [False]
    place = 0
    while place < len(tokens):
        word, at_start = tokens[place].english, not runs[-1]
        to_do = _is_verb(tokens, place + 1)
        if word in {"before", "after", "once"} and (to_do or (at_start and word != "before")) and (
            tokens[place + 1].english if place + 1 < len(tokens) else "") != "that":  # fmt: skip
            turned[-1] |= at_start and word == "before"
            if not at_start:
                runs.append([])
                turned.append(False)
                turned[-2] = word == "after"
            place += 1
        elif turned[-1] and word == "," and at_start is False and _is_verb(tokens, place + 1):
            runs.append([])
            turned.append(False)
            place += 1
        elif runs[-1] and (size := _cut(tokens, place)):
            runs.append([])
            turned.append(False)
            place += size
        else:
            if not (at_start and word in _SKIP | _THEN | {",", "and"}):
                runs[-1].append(tokens[place])
            place += 1
    clauses = [Clause(tuple(run)) for run in runs]
    for here in range(len(clauses) - 1):
        if turned[here]:
            clauses[here], clauses[here + 1] = clauses[here + 1], clauses[here]
    full = [clause for clause in clauses if clause.tokens]
    asking = [
        replace(c, question=question and (c is full[-1] or (c.words or [""])[0] in _ASKING)) for c in full
    ]
    return [
        replace(c, question=c.question or (c.words or [""])[0] in _ASKING - {"can", "could", "do"})
        for c in asking
    ]


def _alternatives(tokens: Sequence[Token]) -> list[str]:
    """Items joined by "or", or listed after a colon, "into" or "as": short runs of words."""
    words = [token.written if token.kind in {"word", "mark"} else "\0" for token in tokens]
    english = [token.english for token in tokens]
    joint = next((i for i, word in enumerate(english) if word == "or" and 0 < i < len(english) - 1), None)
    if joint is not None:
        last = _until(words[joint + 1 :], english[joint + 1 :])
        first: list[str] = []
        for place in range(joint - 1, -1, -1):
            if english[place] in _TRIGGERS or words[place] == "\0":
                break
            first.insert(0, words[place])
        items = [item.strip() for item in " ".join(first).split(",")]
        items = [item for item in items if item and len(item.split()) <= 4] + [last]
        return items if len(items) > 1 and all(items) else []
    for place, word in enumerate(english):
        if word in {":", "into", "as", "labels", "categories", "classes", "groups", "between"}:
            rest = " ".join(words[place + 1 :])
            items = [
                item.strip(" .()")
                for item in re.split(r",|/|\band\b|\bund\b|\bet\b|\by\b|;", rest)
                if item.strip()
            ]
            if len(items) > 1 and all(len(item.split()) <= 3 and "\0" not in item for item in items):
                return items
    return []


def _until(words: Sequence[str], english: Sequence[str]) -> str:
    kept: list[str] = []
    for written, word in zip(words, english, strict=True):
        if len(kept) >= 3 or not (written[0].isalnum()) or word in {"in", "of", "for", "and", "on", "here"}:
            break
        if word not in {"a", "an", "the"}:
            kept.append(written)
    return " ".join(kept)
