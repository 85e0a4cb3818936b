"""Tiny models that hear or make sound; see `tiny_media`."""

from tiny_models import SIZES, seeded, tokenizer
from tiny_parts import LABELS, LAYER, kept

RATE = 16_000
CONVOLUTIONS = {
    "conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (20, 16), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def letters(folder):
    """A tokenizer of wav2vec2: one token a letter."""
    import json

    from transformers import Wav2Vec2CTCTokenizer

    names = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    return Wav2Vec2CTCTokenizer(folder / "vocab.json")


def wav2vec2(folder):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    seeded()
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**LAYER, **CONVOLUTIONS, vocab_size=32))
    return kept(folder, model, Wav2Vec2FeatureExtractor(), letters(folder))


def wav2vec2_of_commands(folder):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    seeded()
    config = Wav2Vec2Config(**LAYER, **CONVOLUTIONS, classifier_proj_size=8, id2label=LABELS)
    return kept(folder, Wav2Vec2ForSequenceClassification(config), Wav2Vec2FeatureExtractor())


def wav2vec2_of_speakers(folder):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForAudioFrameClassification

    seeded()
    model = Wav2Vec2ForAudioFrameClassification(Wav2Vec2Config(**LAYER, **CONVOLUTIONS, num_labels=2))
    model.classifier.bias.data[:] = 9.0  # hears somebody all the time
    return kept(folder, model, Wav2Vec2FeatureExtractor())


def whisper_tokenizer():
    import json

    from transformers import WhisperTokenizer

    words = json.loads(tokenizer()._tokenizer.to_str())["model"]
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    made = WhisperTokenizer(vocab=words["vocab"], merges=[tuple(pair) for pair in words["merges"]], **special)
    made.add_special_tokens({"additional_special_tokens": ["<|startoftranscript|>", "<|notimestamps|>"]})
    return made


def whisper(folder):
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    seeded()
    config = WhisperConfig(
        **SIZES, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=8,
        max_source_positions=1500, max_target_positions=24, decoder_start_token_id=1,
    )  # fmt: skip
    return kept(
        folder,
        WhisperForConditionalGeneration(config),
        WhisperFeatureExtractor(feature_size=8),
        whisper_tokenizer(),
    )


def clap(folder):
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    seeded()
    audio = {
        "spec_size": 32, "num_mel_bins": 8, "patch_size": 4, "patch_stride": [4, 4], "window_size": 4,
        "hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [1, 1],
        "num_hidden_layers": 2,
    }  # fmt: skip
    config = ClapConfig(
        text_config={**LAYER, **SIZES, "max_position_embeddings": 70}, audio_config=audio, projection_dim=8
    )
    extractor = ClapFeatureExtractor(feature_size=8, max_length_s=1, truncation="rand_trunc")
    return kept(folder, ClapModel(config), extractor, tokenizer())


def vits(folder):
    import json

    from transformers import VitsConfig, VitsModel, VitsTokenizer

    seeded()
    names = ["_", *"abcdefghijklmnopqrstuvwxyz '"]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    words = VitsTokenizer(
        folder / "vocab.json", pad_token="_", unk_token="_", phonemize=False, is_uroman=False
    )
    config = VitsConfig(
        vocab_size=len(names), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        flow_size=16, spectrogram_bins=9, duration_predictor_num_flows=1,
        duration_predictor_filter_channels=16, prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        upsample_initial_channel=16, upsample_rates=[8, 8], upsample_kernel_sizes=[16, 16],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]], depth_separable_num_layers=1,
    )  # fmt: skip
    return kept(folder, VitsModel(config), words)


def musicgen(folder):
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    seeded()
    text = T5Config(vocab_size=300, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0)
    codec = EncodecConfig(
        sampling_rate=RATE, num_filters=4, hidden_size=8, codebook_size=16, codebook_dim=8,
        upsampling_ratios=[8, 5], target_bandwidths=[8.0], num_lstm_layers=1,
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        num_codebooks=2, pad_token_id=16, bos_token_id=16, max_position_embeddings=40,
    )  # fmt: skip
    model = MusicgenForConditionalGeneration(
        MusicgenConfig(text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict())
    )
    model.generation_config.update(
        decoder_start_token_id=16, pad_token_id=16, bos_token_id=16, guidance_scale=3.0
    )
    return kept(folder, model, tokenizer())
