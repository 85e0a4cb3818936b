"""Tiny models of tasks with pictures, sound and video, made on the spot with the real classes.

Each function writes a random model into a folder and gives that back. `MAKERS` has one per task; `sample`
makes what it is run on.
"""

import io

import tiny_audio
import tiny_diffusion
from tiny_models import SIZES, seeded, tokenizer
from tiny_parts import LABELS, LAYER, PICTURE, SIDE, SQUARE, kept

from hugginggpt.tools.readers import encode_png, encode_wav
from hugginggpt.tools.values import Media
from hugginggpt.tools.video import encode_mp4


def vit(folder):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    seeded()
    model = ViTForImageClassification(ViTConfig(**PICTURE, id2label=LABELS))
    return kept(folder, model, ViTImageProcessorPil(size=SQUARE))


def clip_model(folder):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    seeded()
    config = CLIPConfig(
        text_config={**LAYER, **SIZES, "max_position_embeddings": 64}, vision_config=PICTURE, projection_dim=8
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return kept(folder, CLIPModel(config), processor, tokenizer())


def dinov2(folder):
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    seeded()
    model = Dinov2Model(Dinov2Config(**PICTURE))
    return kept(folder, model, BitImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE))


def yolos(folder):
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

    seeded()
    config = YolosConfig(**{**PICTURE, "image_size": [SIDE, SIDE]}, num_detection_tokens=5, id2label=LABELS)
    model = YolosForObjectDetection(config)
    model.class_labels_classifier.layers[-1].bias.data[0] = 9.0  # sure of cats
    return kept(folder, model, YolosImageProcessorPil(size=SQUARE))


def owlvit(folder):
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessorPil

    seeded()
    config = OwlViTConfig(
        text_config={**LAYER, **SIZES, "max_position_embeddings": 64},
        vision_config=PICTURE,
        projection_dim=16,
    )
    return kept(folder, OwlViTForObjectDetection(config), OwlViTImageProcessorPil(size=SQUARE), tokenizer())


def segformer(folder, labels=LABELS):
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

    seeded()
    config = SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 8], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 1], mlp_ratios=[1, 1], decoder_hidden_size=8, id2label=labels,
    )  # fmt: skip
    return kept(folder, SegformerForSemanticSegmentation(config), SegformerImageProcessorPil(size=SQUARE))


def segformer_of_scenes(folder):
    return segformer(folder, {number: f"thing {number}" for number in range(150)})


def dpt(folder, **config):
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

    seeded()
    config = DPTConfig(
        **PICTURE | {"num_hidden_layers": 4}, is_hybrid=False, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5], **config,
    )  # fmt: skip
    return kept(folder, DPTForDepthEstimation(config), DPTImageProcessorPil(size=SQUARE))


def vitpose(folder):
    from transformers import (
        VitPoseBackboneConfig,
        VitPoseConfig,
        VitPoseForPoseEstimation,
        VitPoseImageProcessorPil,
    )

    seeded()
    backbone = VitPoseBackboneConfig(
        **LAYER, image_size=[64, 48], patch_size=[16, 16], num_channels=3, out_features=["stage1"]
    )
    names = {number: f"joint {number}" for number in range(17)}
    config = VitPoseConfig(backbone_config=backbone, id2label=names, use_simple_decoder=False)
    return kept(
        folder, VitPoseForPoseEstimation(config), VitPoseImageProcessorPil(size={"height": 64, "width": 48})
    )


def superpoint(folder):
    from transformers import SuperPointConfig, SuperPointForKeypointDetection, SuperPointImageProcessorPil

    seeded()
    config = SuperPointConfig(
        encoder_hidden_sizes=[8, 8, 8, 8],
        decoder_hidden_size=8,
        descriptor_decoder_dim=8,
        keypoint_threshold=0.001,
    )
    return kept(
        folder,
        SuperPointForKeypointDetection(config),
        SuperPointImageProcessorPil(size={"height": 48, "width": 64}),
    )


def sam(folder):
    from transformers import SamConfig, SamImageProcessorPil, SamModel

    seeded()
    vision = {
        **PICTURE, "output_channels": 16, "num_pos_feats": 8, "mlp_dim": 16, "window_size": 2,
        "global_attn_indexes": [0], "initializer_range": 0.3,
    }  # fmt: skip
    prompt = {"hidden_size": 16, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 8}
    decoder = {
        "hidden_size": 16,
        "mlp_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }
    model = SamModel(
        SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    )
    model.mask_decoder.iou_prediction_head.proj_out.bias.data[:] = 1.0  # sure of its masks
    for part in model.mask_decoder.output_hypernetworks_mlps:
        part.proj_out.weight.data *= 1e9  # which are clearly there or not
    processor = SamImageProcessorPil(
        size={"longest_edge": SIDE},
        pad_size=SQUARE,
        mask_size={"longest_edge": 8},
        mask_pad_size={"height": 8, "width": 8},
    )
    return kept(folder, model, processor)


def swin2sr(folder):
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution, Swin2SRImageProcessorPil

    seeded()
    config = Swin2SRConfig(
        image_size=16,
        embed_dim=8,
        depths=[1],
        num_heads=[2],
        window_size=4,
        upscale=2,
        upsampler="pixelshuffledirect",
    )
    return kept(folder, Swin2SRForImageSuperResolution(config), Swin2SRImageProcessorPil())


def videomae(folder):
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessorPil

    seeded()
    config = VideoMAEConfig(**PICTURE, num_frames=4, tubelet_size=2, id2label=LABELS)
    processor = VideoMAEImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return kept(folder, VideoMAEForVideoClassification(config), processor)


def blip(folder, kind="BlipForConditionalGeneration"):
    import transformers
    from transformers import BlipConfig, BlipImageProcessorPil, BlipProcessor

    seeded()
    text = {**LAYER, **SIZES, "max_position_embeddings": 24, "encoder_hidden_size": 16, "sep_token_id": 2}
    config = BlipConfig(text_config=text, vision_config=PICTURE, projection_dim=8, image_text_hidden_size=8)
    model = getattr(transformers, kind)(config)
    return kept(folder, brief(model), BlipProcessor(BlipImageProcessorPil(size=SQUARE), tokenizer()))


def blip_of_questions(folder):
    return blip(folder, "BlipForQuestionAnswering")


def vilt(folder):
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessorPil, ViltProcessor

    seeded()
    config = ViltConfig(**PICTURE, vocab_size=300, max_position_embeddings=64, id2label=LABELS)
    processor = ViltProcessor(
        ViltImageProcessorPil(size={"shortest_edge": SIDE}, size_divisor=8), tokenizer()
    )
    return kept(folder, ViltForQuestionAnswering(config), processor)


def git(folder):
    from transformers import CLIPImageProcessorPil, GitConfig, GitForCausalLM, GitProcessor

    seeded()
    config = GitConfig(**LAYER, **SIZES, vision_config=PICTURE, max_position_embeddings=64)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return kept(folder, brief(GitForCausalLM(config)), GitProcessor(pictures, tokenizer()))


def brief(model):
    """Ends what is written soon: every fourth token is a last one."""
    model.generation_config.eos_token_id = [2, *range(8, 300, 4)]
    return model


def started(model):
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = 1
    model.config.pad_token_id = model.generation_config.pad_token_id = 0


def trocr(folder):
    from transformers import (
        TrOCRConfig,
        TrOCRForCausalLM,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessorPil,
        ViTModel,
    )

    seeded()
    decoder = TrOCRConfig(
        **SIZES, d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
        max_position_embeddings=64, is_decoder=True, add_cross_attention=True, cross_attention_hidden_size=16,
    )  # fmt: skip
    model = VisionEncoderDecoderModel(
        encoder=ViTModel(ViTConfig(**PICTURE)), decoder=TrOCRForCausalLM(decoder)
    )
    started(model)
    return kept(folder, brief(model), ViTImageProcessorPil(size=SQUARE), tokenizer())


def donut(folder):
    from transformers import (
        DonutImageProcessorPil,
        DonutProcessor,
        DonutSwinConfig,
        DonutSwinModel,
        MBartConfig,
        MBartForCausalLM,
        VisionEncoderDecoderModel,
    )

    seeded()
    encoder = DonutSwinConfig(
        image_size=[SIDE, SIDE], patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4
    )
    decoder = MBartConfig(
        **SIZES, d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
        max_position_embeddings=600, is_decoder=True, add_cross_attention=True,
    )  # fmt: skip
    model = VisionEncoderDecoderModel(encoder=DonutSwinModel(encoder), decoder=MBartForCausalLM(decoder))
    started(model)
    return kept(folder, brief(model), DonutProcessor(DonutImageProcessorPil(size=SQUARE), tokenizer()))


def layoutlm(folder):
    from transformers import LayoutLMConfig, LayoutLMForQuestionAnswering

    seeded()
    config = LayoutLMConfig(**LAYER, vocab_size=300, max_position_embeddings=70)
    return kept(folder, LayoutLMForQuestionAnswering(config), tokenizer())


def llava(folder):
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    seeded()
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    words.chat_template = (
        "{% for m in messages %}{{ m.role }}: {% for c in m.content %}"
        "{{ '<image>' if c.type == 'image' else c.text }}{% endfor %}{% endfor %}"
    )
    text = LlamaConfig(**LAYER, **SIZES | {"vocab_size": 304}, max_position_embeddings=1024)
    config = LlavaConfig(
        text_config=text, vision_config=CLIPVisionConfig(**PICTURE), image_token_index=300,
        image_seq_length=16, vision_feature_layer=-1,
    )  # fmt: skip
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    processor = LlavaProcessor(
        pictures, words, patch_size=8, vision_feature_select_strategy="default", image_token="<image>",
        chat_template=words.chat_template, num_additional_image_tokens=1,
    )  # fmt: skip
    return kept(folder, brief(LlavaForConditionalGeneration(config)), processor)


MAKERS = {
    "image-classification": vit,
    "zero-shot-image-classification": clip_model,
    "image-feature-extraction": dinov2,
    "object-detection": yolos,
    "zero-shot-object-detection": owlvit,
    "image-segmentation": segformer,
    "depth-estimation": dpt,
    "keypoint-detection": vitpose,
    "mask-generation": sam,
    "video-classification": videomae,
    "image-to-control": dpt,
    "image-to-text": blip,
    "image-text-to-text": llava,
    "visual-question-answering": vilt,
    "document-question-answering": layoutlm,
    "text-to-image": tiny_diffusion.stable_diffusion,
    "image-to-image": tiny_diffusion.stable_diffusion,
    "control-to-image": tiny_diffusion.controlnet,
    "text-to-video": tiny_diffusion.text_to_video,
    "image-to-video": tiny_diffusion.video_diffusion,
    "automatic-speech-recognition": tiny_audio.whisper,
    "audio-classification": tiny_audio.wav2vec2_of_commands,
    "zero-shot-audio-classification": tiny_audio.clap,
    "voice-activity-detection": tiny_audio.wav2vec2_of_speakers,
    "text-to-speech": tiny_audio.vits,
    "text-to-audio": tiny_audio.musicgen,
}


def picture(size=(64, 48), mode="RGB"):
    """A house on a meadow, as a PNG."""
    from PIL import Image, ImageDraw

    drawn = Image.new("RGB", (64, 48), (150, 190, 230))
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((0, 34, 64, 48), (90, 140, 70))
    pen.rectangle((12, 16, 34, 40), (180, 90, 60))
    buffer = io.BytesIO()
    drawn.resize(size).convert(mode).save(buffer, "PNG")
    return Media(buffer.getvalue(), "image/png", "house.png")


def page():
    """A page with something to read."""
    from PIL import Image, ImageDraw, ImageFont

    paper = Image.new("RGB", (300, 60), "white")
    ImageDraw.Draw(paper).text((10, 10), "Total 99 EUR", "black", ImageFont.load_default(size=30))
    return Media(encode_png(paper), "image/png", "page.png")


def tone(seconds=1.0, rate=8000, channels=2):
    """A note."""
    import numpy as np

    time = np.arange(round(seconds * rate)) / rate
    wave = (0.3 * np.sin(2 * np.pi * 330 * time)).astype(np.float32)
    return Media(encode_wav(np.stack([wave] * channels, axis=-1), rate), "audio/wav", "tone.wav")


def clip(frames=12):
    """A video of a picture that grows brighter."""
    from PIL import Image

    shades = [Image.new("RGB", (64, 48), (number * 20, 0, 0)) for number in range(frames)]
    return Media(encode_mp4(shades, 8), "video/mp4", "clip.mp4")


def sample(kind):
    """A picture, a stereo sound at 8 kHz, or a video."""
    return {"image": picture, "audio": tone, "video": clip}[kind]()
