"""Tiny models that translate, one per way to name languages, with the real tokenizers of their families."""

import json
import warnings

from tiny_models import TEXT, nllb, save, seeded

SIZES = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 64,
}  # fmt: skip


def pieces(folder, name):
    """A sentencepiece model of single letters, and its pieces."""
    import sentencepiece

    text = folder / "text.txt"
    text.write_text(TEXT + " abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "spm"), vocab_size=64, model_type="char",
        hard_vocab_limit=False, minloglevel=5,
    )  # fmt: skip
    text.unlink()
    (folder / "spm.vocab").unlink()
    model = (folder / "spm.model").rename(folder / name)
    words = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return model, [words.IdToPiece(n) for n in range(words.GetPieceSize())]


def m2m100(folder):
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    seeded()
    model, found = pieces(folder, "sentencepiece.bpe.model")
    alphabet = list(dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *found]))
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(alphabet)}))
    words = M2M100Tokenizer(str(folder / "vocab.json"), str(model), model_max_length=64)
    config = M2M100Config(
        vocab_size=len(alphabet) + 110, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        decoder_start_token_id=2, **SIZES,
    )  # fmt: skip
    return save(folder, M2M100ForConditionalGeneration(config), words)


def mbart(folder):
    from transformers import MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

    seeded()
    words = MBart50Tokenizer(
        vocab=[("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((c, -1.0) for c in "\u2581abcdefgh")]
    )
    words.model_max_length = 64
    config = MBartConfig(
        vocab_size=len(words),
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        **SIZES,
    )
    return save(folder, MBartForConditionalGeneration(config), words)


def marian(target, *tokens):
    """One pair, or with tokens such as `>>deu<<` many languages."""

    def make(folder):
        from transformers import MarianConfig, MarianMTModel, MarianTokenizer

        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        seeded()
        source, found = pieces(folder, "source.spm")
        (folder / "target.spm").write_bytes(source.read_bytes())
        alphabet = list(dict.fromkeys(["</s>", "<unk>", *found, *tokens, "<pad>"]))
        (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(alphabet)}))
        words = MarianTokenizer(
            str(source), str(folder / "target.spm"), str(folder / "vocab.json"), source_lang="eng",
            target_lang=target, model_max_length=64,
        )  # fmt: skip
        pad = len(alphabet) - 1
        config = MarianConfig(
            vocab_size=len(alphabet), pad_token_id=pad, eos_token_id=0, decoder_start_token_id=pad,
            forced_eos_token_id=0, **SIZES,
        )  # fmt: skip
        return save(folder, MarianMTModel(config), words)

    return make


def t5(folder):
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    seeded()
    words = T5Tokenizer(
        vocab=[
            ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0),
            *((letter, -3.0) for letter in map(chr, range(33, 127))),
        ],
        extra_ids=0, model_max_length=64,
    )  # fmt: skip
    config = T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
        task_specific_params={"translation_en_to_de": {"prefix": "translate English to German: "}},
    )  # fmt: skip
    return save(folder, T5ForConditionalGeneration(config), words)


MAKERS = {
    "nllb": nllb,
    "m2m100": m2m100,
    "mbart": mbart,
    "marian": marian("deu"),
    "marian of many": marian("mul", ">>deu<<", ">>fra<<"),
    "t5": t5,
}
