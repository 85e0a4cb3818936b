"""Tiny models of text tasks, made on the spot with the real classes of transformers: random and quick.

`MAKERS` has one per task: it writes a model's files into a folder.
"""

import functools

TEXT = (
    "The ferry was late because of fog. Passengers waited for two hours. The company said that it was sorry."
)


@functools.cache
def tokenizer():
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


MAKERS = {"summarization": bart}
