"""What languages are called: by people, by ISO 639-1, and by models that translate."""

import re
from dataclasses import dataclass

# English name, ISO 639-1 (639-2 where there is none), and the code of FLORES-200, which NLLB models use.
_ROWS = """
Afrikaans af afr_Latn; Albanian sq als_Latn; Amharic am amh_Ethi; Arabic ar arb_Arab; Armenian hy hye_Armn;
Assamese as asm_Beng; Asturian ast ast_Latn; Azerbaijani az azj_Latn; Bashkir ba bak_Cyrl;
Basque eu eus_Latn; Belarusian be bel_Cyrl; Bengali bn ben_Beng; Bosnian bs bos_Latn; Bulgarian bg bul_Cyrl;
Burmese my mya_Mymr; Cantonese yue yue_Hant; Catalan ca cat_Latn; Cebuano ceb ceb_Latn; Chinese zh zho_Hans;
Croatian hr hrv_Latn; Czech cs ces_Latn; Danish da dan_Latn; Dutch nl nld_Latn; English en eng_Latn;
Esperanto eo epo_Latn; Estonian et est_Latn; Faroese fo fao_Latn; Finnish fi fin_Latn; French fr fra_Latn;
Galician gl glg_Latn; Georgian ka kat_Geor; German de deu_Latn; Greek el ell_Grek; Guarani gn grn_Latn;
Gujarati gu guj_Gujr; Haitian ht hat_Latn; Hausa ha hau_Latn; Hebrew he heb_Hebr; Hindi hi hin_Deva;
Hungarian hu hun_Latn; Icelandic is isl_Latn; Igbo ig ibo_Latn; Indonesian id ind_Latn; Irish ga gle_Latn;
Italian it ita_Latn; Japanese ja jpn_Jpan; Javanese jv jav_Latn; Kannada kn kan_Knda; Kazakh kk kaz_Cyrl;
Khmer km khm_Khmr; Kinyarwanda rw kin_Latn; Korean ko kor_Hang; Kurdish ku kmr_Latn; Kyrgyz ky kir_Cyrl;
Lao lo lao_Laoo; Latvian lv lvs_Latn; Lingala ln lin_Latn; Lithuanian lt lit_Latn; Luganda lg lug_Latn;
Luxembourgish lb ltz_Latn; Macedonian mk mkd_Cyrl; Malagasy mg plt_Latn; Malay ms zsm_Latn;
Malayalam ml mal_Mlym; Maltese mt mlt_Latn; Maori mi mri_Latn; Marathi mr mar_Deva; Mongolian mn khk_Cyrl;
Nepali ne npi_Deva; Norwegian no nob_Latn; Nynorsk nn nno_Latn; Occitan oc oci_Latn; Odia or ory_Orya;
Oromo om gaz_Latn; Pashto ps pbt_Arab; Persian fa pes_Arab; Polish pl pol_Latn; Portuguese pt por_Latn;
Punjabi pa pan_Guru; Quechua qu quy_Latn; Romanian ro ron_Latn; Russian ru rus_Cyrl; Samoan sm smo_Latn;
Sanskrit sa san_Deva; Scottish gd gla_Latn; Serbian sr srp_Cyrl; Shona sn sna_Latn; Sindhi sd snd_Arab;
Sinhala si sin_Sinh; Slovak sk slk_Latn; Slovenian sl slv_Latn; Somali so som_Latn; Spanish es spa_Latn;
Sundanese su sun_Latn; Swahili sw swh_Latn; Swedish sv swe_Latn; Tagalog tl tgl_Latn; Tajik tg tgk_Cyrl;
Tamil ta tam_Taml; Tatar tt tat_Cyrl; Telugu te tel_Telu; Thai th tha_Thai; Tibetan bo bod_Tibt;
Tigrinya ti tir_Ethi; Turkish tr tur_Latn; Turkmen tk tuk_Latn; Ukrainian uk ukr_Cyrl; Urdu ur urd_Arab;
Uyghur ug uig_Arab; Uzbek uz uzn_Latn; Vietnamese vi vie_Latn; Welsh cy cym_Latn; Wolof wo wol_Latn;
Xhosa xh xho_Latn; Yiddish yi ydd_Hebr; Yoruba yo yor_Latn; Zulu zu zul_Latn
"""
_ALSO = {
    "mandarin": "zh", "castilian": "es", "farsi": "fa", "filipino": "tl", "flemish": "nl", "gaelic": "gd",
    "brazilian portuguese": "pt", "simplified chinese": "zh", "haitian creole": "ht", "bangla": "bn",
    "burman": "my", "bokmål": "no", "nb": "no", "norwegian bokmål": "no", "iw": "he", "in": "id", "jw": "jv",
    "fil": "tl", "moldovan": "ro", "valencian": "ca", "slovene": "sl", "kiswahili": "sw", "oriya": "or",
}  # fmt: skip

# Scripts that most often mean one language, and small words that tell languages in Latin letters apart.
_SCRIPTS = {
    "ja": "\u3040-\u30ff", "ko": "\uac00-\ud7af", "zh": "\u4e00-\u9fff", "uk": "іїєґ", "ru": "\u0430-\u044f",
    "fa": "پچژگ", "ar": "\u0621-\u064a", "he": "\u05d0-\u05ea", "el": "\u03b1-\u03c9", "hi": "\u0904-\u0939",
    "th": "\u0e01-\u0e2e", "bn": "\u0985-\u09b9", "ta": "\u0b85-\u0bb9", "te": "\u0c05-\u0c39",
    "ka": "\u10d0-\u10f0", "hy": "\u0561-\u0587", "am": "\u1200-\u137f", "km": "\u1780-\u17b3",
}  # fmt: skip
_WORDS = {
    "en": "the and of to is that was for with this are have it you not",
    "de": "der die das und ist nicht ein eine mit von den zu ich wir auch",
    "fr": "le la les des est et un une que dans pour pas avec nous vous",
    "es": "el los las del que es en una por con para no se está pero",
    "it": "il lo gli di che è una per non con sono della anche più",
    "pt": "o os as do da que é em uma para com não se mais você",
    "nl": "de het een en van is dat niet met voor zijn op ik wij",
    "sv": "och att det som en på är av för inte med jag den",
    "pl": "i w na się nie jest że do z to jak ale przez",
    "tr": "ve bir bu için ile da de çok olarak ne var değil",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan",
    "vi": "và là của có không được một cho trong người",
}


@dataclass(frozen=True, slots=True)
class Language:
    """`iso` is ISO 639-1 where there is such a code, `flores` e.g. `deu_Latn`."""

    name: str
    iso: str
    flores: str


_ALL = [Language(*row.split()) for row in _ROWS.replace("\n", " ").split(";")]
_BY_NAME = {key.lower(): one for one in _ALL for key in (one.name, one.iso, one.flores, one.flores[:3])}
_BY_NAME |= {also: _BY_NAME[iso] for also, iso in _ALSO.items()}


def language(name: str) -> Language | None:
    """The language of an English name or a code (`German`, `de`, `de-AT`, `deu_Latn`); None: not known."""
    known = name.strip().lower()
    return _BY_NAME.get(known) or _BY_NAME.get(re.split(r"[-_ (]", known, maxsplit=1)[0])


def guess(text: str) -> Language | None:
    """The language of a text, by its script and its small words; None where they do not tell."""
    lowered = text.lower()
    letters = max(sum(character.isalpha() for character in lowered), 1)
    for iso, script in _SCRIPTS.items():
        share = len(re.findall(f"[{script}]", lowered)) / letters
        if share > (0.02 if iso in {"ja", "uk", "fa"} else 0.3):  # theirs are few among letters of others
            return _BY_NAME[iso]
    words = re.findall(r"\w+", lowered)
    counts = {iso: sum(word in known.split() for word in words) for iso, known in _WORDS.items()}
    best, second = sorted(counts, key=lambda iso: -counts[iso])[:2]
    return _BY_NAME[best] if counts[best] > counts[second] else None
