"""Reads a request: its words in English, its steps in the order they are to be done, its pasted text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hugginggpt.graph.clauses import Clause, Token, is_verb
from hugginggpt.graph.vocabulary import forms, language_of, words

HEAD = 4000  # characters of a request that are read as instructions; a longer one carries pasted text
LONG = 160  # characters from which a paragraph that gives no order is pasted text

_QUOTE = re.compile(
    r"```(.+?)```|“(.+?)”|„(.+?)[“”]|«(.+?)»|\"(.+?)\"|(?<!\w)['\u2018](?=\w)(.{2,}?)['\u2019](?!\w)",
    re.DOTALL,
)
_TOKEN = re.compile(r"\n+|(?<!\S)(?:\d{1,2}[.)]|[-*•])(?=\s)|\[?\w+\]?(?:['\u2019.-]\w+)*|\.{3}|[^\w\s]")
_LIST_MARK = re.compile(r"\d{1,2}[.)]|[-*•]")
_JOINTS = frozenset({",", "and", "plus", "&", "but", "+", "(", "-", "\u2013", "\u2014", "or"})

_PASSIVE = frozenset({"it", "this", "that", "they", "these", "is", "are", "gets", "get", "being", "be"})

Span = tuple[int, int, Token]


@dataclass(frozen=True)
class Reading:
    """A request as it was understood: its clauses in the order they are to be done, and its pasted text."""

    clauses: list[Clause]
    content: list[str] = field(default_factory=list)
    language: str = "English"


def read(request: str, names: Sequence[str]) -> Reading:
    """Splits `request` into clauses; `names` are those of its files. Linear in the request's length."""
    request, pasted = _pasted(request.replace("\r", "").replace("\u2019", "'"))
    language = language_of(re.findall(r"[\w'-]+", request.lower()))
    tokens: list[Token] = []
    place = 0
    for start, end, token in _spans(request, names, language):
        tokens += [*_words(request[place:start], language), token]
        place = end
    tokens += _words(request[place:], language)
    clauses = [clause for sentence in _sentences(tokens) for clause in _labelled(_ordered(sentence))]
    content = pasted + [token.written for token in tokens if token.kind == "quote"]
    return Reading(_whole(clauses), content, language)


def coordinated(clause: Clause) -> list[Clause]:
    """The parts of "a caption and a depth map", or of a list after a colon; else the clause alone."""
    colon = next((i for i, token in enumerate(clause.tokens) if token.written == ":"), -1)
    parts: list[list[Token]] = [[]]
    for token in clause.tokens[colon + 1 :]:
        if token.english in {"and", ",", "plus", "&", "/"} and token.kind in {"word", "mark"}:
            parts.append([])
        else:
            parts[-1].append(token)
    full = [Clause(tuple(part), clause.asked) for part in parts if any(t.kind != "mark" for t in part)]
    steps = all(
        any(word not in forms("languages") for word in part.words)
        and not (part.files and len(part.words) < 2)
        for part in full
    )
    apart = steps and 2 <= len(full) <= 6 and not _is_lead(full[0].tokens)
    return full if apart and clause.mood != "telling" else [clause]


def _pasted(request: str) -> tuple[str, list[str]]:
    """The instruction in a request, and text pasted into it: paragraphs that are long and order nothing."""
    if len(request) > HEAD:
        ends = request[:HEAD].split("\n", maxsplit=1)[0], request[-HEAD:].rsplit("\n", maxsplit=1)[-1]
        lines = [line for line in ends if len(line) < 600]
        return "\n".join(dict.fromkeys(lines)) or request[:300], [request]
    kept: list[str] = []
    pasted: list[str] = []
    for paragraph in re.split(r"\n\s*\n", request):
        long = len(paragraph) > LONG and not _LIST_MARK.match(paragraph.strip()) and not _begins(paragraph)
        (pasted if long else kept).append(paragraph.strip())
    return ("\n".join(kept), pasted) if kept else (request, [])


def _begins(paragraph: str) -> bool:
    first = re.findall(r"[\w']+", paragraph.lower())[:1]
    known = forms(language_of(re.findall(r"[\w'-]+", paragraph.lower())))
    return any(known.get(word, word) in words("verbs") | words("asking") | words("fillers") for word in first)


def _spans(request: str, names: Sequence[str], language: str) -> list[Span]:
    """Quotes, text after a colon, and file names: where they are, in order, none within another."""
    lowered = request.lower()
    found: list[Span] = []
    for name in dict.fromkeys(names):
        found += [(at, at + len(name), Token(name, "file", "file")) for at in _places(lowered, name.lower())]
    named = {name.lower() for name in names}
    for match in _QUOTE.finditer(request):
        text = next(group for group in match.groups() if group is not None).strip()
        if text and text.lower() not in named:
            found.append((match.start(), match.end(), Token(text, "this text", "quote")))
    found += _after_colon(request, found, language)
    spans: list[Span] = []
    for span in sorted(found, key=lambda span: (span[0], -span[1])):
        if not spans or span[0] >= spans[-1][1]:
            spans.append(span)
    return spans


def _places(text: str, name: str) -> Iterator[int]:
    at = text.find(name) if name.strip() else -1
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(name) : at + len(name) + 1]
        if not (before.isalnum() or after.isalnum()):
            yield at
        at = text.find(name, at + len(name))


def _after_colon(request: str, found: Sequence[Span], language: str) -> list[Span]:
    """The text of "Translate into Danish: where is the station?"; not a list of steps, things or labels."""
    for match in re.finditer(r":\s+(?=[^\s\"'\u201c\u201e\u2018«])", request):
        if any(start <= match.start() < end for start, end, _ in found):
            continue
        line = _words(request[: match.start()].rsplit("\n", 1)[-1], language)
        rest = request[match.end() :]
        orders = any(is_verb(line, place) or token.english == "this" for place, token in enumerate(line))
        items = re.split(r",|;|\n|\bor\b|\band\b|/", rest)
        listed = len(items) > 1 and all(len(item.split()) <= 4 for item in items)
        steps = _LIST_MARK.match(rest) or is_verb(_words(rest, language), 0)
        if len(rest.split()) > 2 and orders and (_takes_text(line) or not (listed or steps)):
            return [(match.start(), len(request), Token(rest.strip(), "this text", "quote"))]
    return []


def _takes_text(line: Sequence[Token]) -> bool:
    """Whether the words before a colon announce a text: "translate into French:", "summarize this:"."""
    last = [token.english for token in line[-3:]]
    return last[-1:] != ["following"] and any(
        word in {"this", "text", "sentence", "aloud", "sentences"}
        or word.capitalize() in forms("languages").values()
        for word in last
    )


def _words(text: str, language: str) -> list[Token]:
    known = forms(language)
    tokens = []
    for written in _TOKEN.findall(text):
        if _LIST_MARK.fullmatch(written) or not any(map(str.isalnum, written)):
            tokens.append(Token(written, written, "mark"))
            continue
        lower = written.lower()
        pieces = [lower] if lower in known or language == "English" else re.split(r"['-]", lower)
        english = " ".join(
            known.get(piece) or forms("languages").get(piece, piece) for piece in pieces if piece
        )
        tokens.append(Token(written, english.lower()))
    return tokens


def _sentences(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Runs of tokens up to the end of a sentence, a line or a list entry, with the mark that ends them."""
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


def _cut(tokens: Sequence[Token], place: int) -> int:
    """How many tokens of a joint between two steps stand at `place`; 0 where there is none."""
    token = tokens[place]
    after = place + 1
    while after < len(tokens) and tokens[after].english in words("fillers") | {","}:
        after += 1
    ahead = tokens[after].english.split(" ")[0] if after < len(tokens) else ""
    size = 0
    relative = (
        ahead in {"which", "that"}
        and after + 1 < len(tokens)
        and tokens[after + 1].english in {"you", "we", "i"}
    )
    if token.kind in {"quote", "file"}:
        size = 0
    elif token.english == "," and relative:
        size = after - place + 2
    elif token.english == "after":
        size = (after - place + 1) * (ahead in {"that", "this", "which"})
    elif token.english in words("then"):
        joined = place == 0 or tokens[place - 1].english in {",", "and"}
        size = int(joined or is_verb(tokens, after) or (ahead.endswith("s") and ahead in words("finite")))
    elif token.english == ":":
        size = (after - place) * (is_verb(tokens, after) or ahead in words("asking"))
    elif token.english in _JOINTS:
        size = (after - place) * (is_verb(tokens, after) or _begins_clause(tokens, place, after))
    elif token.english in {"which", "that"} and place and ahead in {"you", "i", "we"}:
        soon = range(after + 1, min(after + 3, len(tokens)))
        size = 2 * any(is_verb(tokens, spot) and tokens[spot].english != "have" for spot in soon)
    return size


def _begins_clause(tokens: Sequence[Token], joint: int, after: int) -> bool:
    """Whether a clause that does not begin with its verb follows the joint."""
    if tokens[joint].english == "or" or after + 2 >= len(tokens):
        return False
    ahead, soon = tokens[after].english.split(" ")[0], range(after + 1, min(after + 6, len(tokens)))
    finite = words("finite") | words("wishing")
    colon = any(token.english == ":" for token in tokens[:joint])
    return (
        (ahead in words("asking") and (tokens[0].english not in words("leads") or colon))
        or (
            ahead in {"a", "an"}
            and [token.english for token in tokens[joint : joint + 2]] == [",", "and"]
            and tokens[0].english in words("asking")
        )
        or (
            ahead in words("subjects") and any(token.english in finite for token in tokens[after : after + 4])
        )
        or (ahead in words("leads") and any(is_verb(tokens, spot) for spot in soon))
        or (tokens[joint].english == "," and ahead in words("subordinate") | {"that"})
    )


def _ordered(sentence: Sequence[Token]) -> list[Clause]:
    """The steps of a sentence in the order they are to be done: "before A, B" and "B after A" are turned."""
    asked = sentence[-1].written == "?"
    tokens = sentence[:-1] if sentence[-1].kind == "mark" else sentence
    runs: list[list[Token]] = [[]]
    turned: set[int] = set()  # places of runs that come after the next one
    place = 0
    while place < len(tokens):
        word, starts = tokens[place].english, not runs[-1]
        you = starts and place + 1 < len(tokens) and tokens[place + 1].english in {"you", "we", "i"}
        if word in {"before", "after", "once"} and is_verb(tokens, place + 1 + you):
            turned |= {len(runs) - 1} if (word == "before") == starts and word != "once" else set()
            runs += [] if starts else [[]]
            place += 1 + you
        elif (
            not starts
            and (joint := _passive(tokens, place) or _cut(tokens, place))
            and not _is_lead(runs[-1])
        ):
            runs.append([])
            place += joint
        else:
            if not starts and _main_clause(runs[-1], tokens, place):
                runs.append([])
            if not starts or word not in words("then") | {",", "and"}:
                runs[-1].append(tokens[place])
            place += 1
    for here in sorted(turned):
        if here + 1 < len(runs):
            runs[here], runs[here + 1] = runs[here + 1], runs[here]
    full = [tuple(run) for run in runs if run]
    return [Clause(run, asked and run is full[-1]) for run in full]


def _is_lead(run: Sequence[Token]) -> bool:
    """Whether the run only leads up to the order: "from the data in the table"."""
    asks = any(token.english in words("wishing") or token.english in forms("languages") for token in run)
    return (
        run[0].english in words("leads")
        and not asks
        and not any(is_verb(run, spot) for spot in range(len(run)))
    )


def _passive(tokens: Sequence[Token], place: int) -> int:
    """How many tokens "before it gets" of "write it before it gets spoken" are: the step is "spoken"."""
    if tokens[place].english != "before" or place + 1 == len(tokens):
        return 0
    after = place + 1
    if tokens[after].english not in words("subjects"):
        return 0
    while after < len(tokens) - 1 and tokens[after].english in _PASSIVE:
        after += 1
    return after - place


def _main_clause(run: Sequence[Token], tokens: Sequence[Token], place: int) -> bool:
    """Whether an order begins after "when that is done", with no comma between."""
    waits = run[0].english in {"once", "when", "after"} and len(run) > 1
    return waits and is_verb(tokens, place) and run[-1].english not in words("subjects") | {"to", "the", "a"}


def _labelled(clauses: Sequence[Clause]) -> list[Clause]:
    """With labels that lead up to a question in it: "sunny or cloudy, which one fits the picture?"."""
    if len(clauses) == 2 and clauses[0].labels and clauses[0].mood == "noun" and not clauses[0].files:
        comma = Token(",", ",", "mark")
        return [Clause((*clauses[0].tokens, comma, *clauses[1].tokens), clauses[1].asked)]
    return list(clauses)


def _whole(clauses: Sequence[Clause]) -> list[Clause]:
    """Without empty clauses; those that only hold out a quote or files belong to the next, or the last."""
    whole: list[Clause] = []
    lead: tuple[Token, ...] = ()
    for clause in clauses:
        if not set(clause.words) - words("offering"):
            lead += tuple(token for token in clause.tokens if token.kind in {"file", "quote"})
        else:
            whole.append(Clause((*lead, *clause.tokens), clause.asked))
            lead = ()
    if lead and whole:
        whole[-1] = Clause((*whole[-1].tokens, *lead), whole[-1].asked)
    return whole or ([Clause(lead)] if lead else [])
