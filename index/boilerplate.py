"""Which headings and sentences of a card tell what a model is for, and which never do.

Patterns for text in lower case, gathered by reading some hundred cards of the Hub of 2022.
"""

import re


def _any_of(patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns.split("\n")[1:-1]))


ABOUT = _any_of(r"""
descri|overview|\babout|introduc|summary|abstract
what (?:is|does)|model details|background
""")
"""Headings of what the model is."""

PURPOSE = _any_of(r"""
intended|purpose|capabilit|features|highlights|use.?cases?
(?<!to )(?<!scope )\buses?\b(?! (?:the|it|this|with|in))
""")
"""Headings of what it is for."""

NO_TITLE = _any_of(r"""
how to|usage|install|quick|get\w* started|licen|citation|citing|train|evaluat|results|examples?\b|table of
""")
"""How a first heading begins that is not the title."""

ASIDE = _any_of(r"""
usage|how.to|out.of.scope|install|quick.?start|get(?:ting)? started|examples?\b|demo\b|code\b|snippet
train|hyper.?param|proced|preprocess|data|quanti[sz]|hardware|comput|technical|framework|versions?\b
evaluat|results?\b|benchmark|metric|perform|scores?\b|limitation|bias|risk|recommend|environment|carbon|ethic
cit(?:e|ing|ation)|bibtex|reference|papers?\b|related|licen[cs]|acknowledg|thank|contact|author|team\b|contribut
content|require|downloads?\b|changelog|news|updates?\b|files?\b|provided|compatib|prompt|template|widget
discord|patreon|support|faq|disclaimer|terms|more information|glossary|explore|links|resources|special|note\b
inference|speed\b
""")
"""Headings of what is left out."""

NOTHING_SAID = _any_of(r"""
more information needed|information (?:is )?(?:needed|missing)|readme\.md' does not exist
model ?card (?:has been|was|is|for|aims)|this modelcard|did not write a model card
has been pushed (?:on|to) the hub|should probably proofread
(?:quick|longer) summary of what|under construction|coming soon|work in progress|\btodo\b
trained \w+ faster|imatrix quants|\bwe(?:'re| are) (?:excited|happy|proud|thrilled|pleased)|to trigger the
following results|the following pipeline|repository contains (?:the )?(?:code|files)
please (?:cite|see|refer|visit|check|consult|make sure|note|read|contact|use|open|follow)
(?:check|find)(?: it)? out|for (?:more|further) (?:details?|info|information)|(?:can|may) be found
available (?:at|here)|learn more|encourage you|original (?:weights|implementation)|pip install|\bimport \w+
click|discord|patreon|twitter|buy me|ko-fi|subscribe|star (?:this|the|us)|follow (?:me|us)|leaderboard
copyright|permission is hereby|\bas is\b|licensed under|cite (?:this|the|our|us)|bibtex|arxiv preprint
@(?:misc|article|inproc)
(?:^|\. )(?:see|read|visit|try|download|click|check|note that|disclaimer|warning|update)\b
\b(?:loss|accuracy|f1|precision|recall|rouge\w*|bleu|wer|cer|gen len|epoch|seed|optimizer|\w+_\w+)\s*[:=]
\b(?:learning.rate|batch.size)\s*[:=]|: ?[\d.,% ]+$
^(?:developed|funded|shared|published|created|uploaded|made|built|maintained) by\b|^finetuned from model
^(?:license|repository|paper|demo|website|homepage|github|author|contact|date|version|blog|download)s?\b.{0,20}:
^(?:point of contact|library|framework|models?|weights?|format|size|parameters?) ?(?:name)?:
^(?:opus readme|pre-processing|test set|training (?:set|data)|evaluation data|infrastructure|components)\b
^(?:i was made with|create your own bot|hugging face's logo|to understand how|error\b)
""")
"""Sentences that say nothing of the model: templates, thanks, licences, figures, links that are gone."""

UNKNOWN_DATA = re.compile(
    " on (?:the None|an unknown|an? private|the (?:generator|arrow|json|csv|imagefolder|audiofolder)) dataset"
)
"""What the Trainer writes where it does not know the data."""

EMPTY_WORDS = frozenset(
    {"model", "card", "description", "readme", "the", "of", "for", "a", "base", "small", "large"}
)
"""Words that make no title."""
