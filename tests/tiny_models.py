"""Tiny models of text tasks, made on the spot with the real classes of transformers: random and quick.

`MAKERS` has one per task: it writes a model's files into a folder.
"""

import functools
from copy import deepcopy

TEXT = (
    "The ferry was late because of fog. Passengers waited for two hours. The company said that it was sorry."
)


def tokenizer():
    """A tokenizer of one's own: a processor that is saved writes its name into it."""
    return deepcopy(_trained())


@functools.cache
def _trained():
    """Bytes and pairs of bytes, with the special tokens of all kinds of models."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<mask>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator([TEXT], trainer)
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<mask>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=64,
    )


SIZES = {"vocab_size": 300, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def save(folder, model, tokenizer_=None):
    """Writes a model and its tokenizer, the same weights every time."""
    model.save_pretrained(folder)
    (tokenizer_ or tokenizer()).save_pretrained(folder)
    return folder


def seeded():
    import torch

    torch.manual_seed(0)


def bart(folder):
    from transformers import BartConfig, BartForConditionalGeneration

    seeded()
    config = BartConfig(
        **SIZES, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.generation_config.max_length = 12
    return save(folder, model)


BERT = {
    **SIZES, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 64,
}  # fmt: skip


def bert(head, **config):
    """A maker of a BERT with a head, `SequenceClassification` e.g.; `config` are facts of its config.json."""

    def make(folder):
        import transformers

        seeded()
        made = transformers.BertConfig(**BERT, **config)
        return save(folder, getattr(transformers, f"BertFor{head}")(made))

    return make


def llama(folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    seeded()
    config = LlamaConfig(
        **SIZES, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64,
    )  # fmt: skip
    chat = tokenizer()
    chat.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
    return save(folder, LlamaForCausalLM(config), chat)


def nllb(folder):
    """An M2M100 with the tokenizer of NLLB, which begins a text with its language."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    seeded()
    alphabet = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *map(chr, range(33, 127))]
    words = NllbTokenizer(vocab={word: n for n, word in enumerate(alphabet)}, merges=[], model_max_length=64)
    config = M2M100Config(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    return save(folder, M2M100ForConditionalGeneration(config), words)


def tapas(folder):
    from transformers import TapasConfig, TapasForQuestionAnswering, TapasTokenizer

    seeded()
    folder.mkdir(exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]"]
    letters = [chr(n) for n in range(33, 127)]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    words = TapasTokenizer(folder / "vocab.txt", model_max_length=64)
    config = TapasConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, type_vocab_sizes=[3, 256, 256, 2, 256, 256, 10],
        num_aggregation_labels=4,
        aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"}, no_aggregation_label_index=0,
    )  # fmt: skip
    return save(folder, TapasForQuestionAnswering(config), words)


def sentence_encoder(folder):
    """As sentence-transformers saves one: with its layers in folders."""
    import tempfile

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from transformers import BertConfig, BertModel

    seeded()
    with tempfile.TemporaryDirectory() as plain:
        save(plain, BertModel(BertConfig(**BERT)))
        SentenceTransformer(modules=[Transformer(plain), Pooling(16), Dense(16, 8)], device="cpu").save(
            str(folder)
        )
    return folder


ENTAILMENT = {
    "id2label": {0: "contradiction", 1: "entailment"},
    "label2id": {"contradiction": 0, "entailment": 1},
}
RANKING = {"id2label": {0: "relevance"}, "label2id": {"relevance": 0}}
NAMES = {"id2label": {0: "O", 1: "B-PER", 2: "I-PER"}, "label2id": {"O": 0, "B-PER": 1, "I-PER": 2}}

MAKERS = {
    "text-generation": llama,
    "summarization": bart,
    "translation": nllb,
    "question-answering": bert("QuestionAnswering"),
    "table-question-answering": tapas,
    "text-classification": bert("SequenceClassification"),
    "zero-shot-classification": bert("SequenceClassification", **ENTAILMENT),
    "token-classification": bert("TokenClassification", **NAMES),
    "fill-mask": bert("MaskedLM"),
    "sentence-similarity": sentence_encoder,
    "feature-extraction": sentence_encoder,
    "text-ranking": bert("SequenceClassification", **RANKING),
}
