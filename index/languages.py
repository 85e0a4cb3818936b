"""Languages by their ISO 639-1 codes, and the other ways in which the Hub's cards write them."""

import re
from collections.abc import Iterable

_TABLE = """
af afr Afrikaans|am amh Amharic|ar ara Arabic|as asm Assamese|az aze Azerbaijani|ba bak Bashkir
be bel Belarusian|bg bul Bulgarian|bn ben Bengali|bo bod Tibetan|br bre Breton|bs bos Bosnian
ca cat Catalan|ce che Chechen|cs ces Czech|cv chv Chuvash|cy cym Welsh|da dan Danish|de deu German
dv div Dhivehi|el ell Greek|en eng English|eo epo Esperanto|es spa Spanish|et est Estonian|eu eus Basque
fa fas Persian|fi fin Finnish|fo fao Faroese|fr fra French|fy fry Frisian|ga gle Irish|gd gla Gaelic
gl glg Galician|gn grn Guarani|gu guj Gujarati|ha hau Hausa|he heb Hebrew|hi hin Hindi|hr hrv Croatian
ht hat Haitian|hu hun Hungarian|hy hye Armenian|ia ina Interlingua|id ind Indonesian|ig ibo Igbo
is isl Icelandic|it ita Italian|ja jpn Japanese|jv jav Javanese|ka kat Georgian|kk kaz Kazakh
km khm Khmer|kn kan Kannada|ko kor Korean|ku kur Kurdish|ky kir Kyrgyz|la lat Latin|lb ltz Luxembourgish
lg lug Ganda|ln lin Lingala|lo lao Lao|lt lit Lithuanian|lv lav Latvian|mg mlg Malagasy|mi mri Maori
mk mkd Macedonian|ml mal Malayalam|mn mon Mongolian|mr mar Marathi|ms msa Malay|mt mlt Maltese
my mya Burmese|nb nob Bokmål|ne nep Nepali|nl nld Dutch|nn nno Nynorsk|no nor Norwegian|ny nya Chichewa
oc oci Occitan|om orm Oromo|or ori Odia|pa pan Punjabi|pl pol Polish|ps pus Pashto|pt por Portuguese
qu que Quechua|rm roh Romansh|rn run Rundi|ro ron Romanian|ru rus Russian|rw kin Kinyarwanda
sa san Sanskrit|sd snd Sindhi|si sin Sinhala|sk slk Slovak|sl slv Slovenian|sn sna Shona|so som Somali
sq sqi Albanian|sr srp Serbian|st sot Sotho|su sun Sundanese|sv swe Swedish|sw swa Swahili|ta tam Tamil
te tel Telugu|tg tgk Tajik|th tha Thai|ti tir Tigrinya|tk tuk Turkmen|tl tgl Tagalog|tn tsn Tswana
tr tur Turkish|ts tso Tsonga|tt tat Tatar|ug uig Uyghur|uk ukr Ukrainian|ur urd Urdu|uz uzb Uzbek
vi vie Vietnamese|wo wol Wolof|xh xho Xhosa|yi yid Yiddish|yo yor Yoruba|zh zho Chinese|zu zul Zulu
"""
_ROWS = [row.split(" ", 2) for row in _TABLE.strip().replace("\n", "|").split("|")]

LANGUAGES: dict[str, str] = {code: name for code, _, name in _ROWS}
"""ISO 639-1 code to English name."""

_OTHERWISE = """
ger de|fre fr|chi zh|cmn zh|mandarin zh|cn zh|dut nl|per fa|farsi fa|gre el|cze cs|rum ro|jp ja|iw he|in id
"""
_CODES = {
    **{code: code for code in LANGUAGES},
    **{three: code for code, three, _ in _ROWS},
    **{name.lower(): code for code, _, name in _ROWS},
    **dict(pair.split() for pair in _OTHERWISE.strip().split("|")),
}
_REGION = re.compile(r"(?:[-_](?:[a-z]{2}|[a-z]{4}|\d{3}))+$")


def language_code(written: str) -> str | None:
    """`de` for `de`, `deu`, `de-AT`, `German`; None for what is no language of the table."""
    lowered = written.strip().lower()
    return _CODES.get(lowered) or _CODES.get(_REGION.sub("", lowered))


def language_codes(written: Iterable[str]) -> tuple[str, ...]:
    """The codes of those that are languages, each once, in the order given."""
    return tuple(dict.fromkeys(code for word in written if (code := language_code(word))))


def language_names(written: str) -> str:
    """The words with codes turned into names: `fi, deu` is `Finnish, German`."""
    return re.sub(
        r"[a-zA-Z_]+", lambda word: LANGUAGES.get(_CODES.get(word[0].split("_")[0], ""), word[0]), written
    )
