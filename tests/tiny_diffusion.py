"""Tiny pipelines of diffusers; see `tiny_media`."""

from tiny_models import SIZES, seeded, tokenizer
from tiny_parts import LAYER, PICTURE, SIDE, SQUARE


def words_for_pictures():
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(**LAYER, **SIZES, max_position_embeddings=64, projection_dim=16)
    return {"text_encoder": CLIPTextModel(config), "tokenizer": tokenizer()}


def latents():
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    return AutoencoderKL(block_out_channels=[8, 8], norm_num_groups=4, layers_per_block=1, **blocks)


UNET = {
    "sample_size": 8, "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4,
    "cross_attention_dim": 16, "attention_head_dim": 4,
}  # fmt: skip
BLOCKS = {
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}


def turbo():
    """A schedule as SD-Turbo's: few steps."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1)


def painter(**more):
    from diffusers import UNet2DConditionModel

    seeded()
    unet = UNet2DConditionModel(**UNET, **BLOCKS, **more)
    parts = {"unet": unet, "vae": latents(), "scheduler": turbo(), **words_for_pictures()}
    return {**parts, "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def stable_diffusion(folder):
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline(**painter()).save_pretrained(folder)
    return folder


def instruct_pix2pix(folder):
    from diffusers import StableDiffusionInstructPix2PixPipeline

    StableDiffusionInstructPix2PixPipeline(**painter(in_channels=8)).save_pretrained(folder)
    return folder


def controlnet_alone(folder):
    from diffusers import ControlNetModel

    seeded()
    shape = {name: value for name, value in UNET.items() if name != "sample_size"}
    model = ControlNetModel(
        **shape, down_block_types=BLOCKS["down_block_types"], conditioning_embedding_out_channels=[4, 8]
    )
    model.save_pretrained(folder)
    return folder


def controlnet(folder):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    control = ControlNetModel.from_pretrained(controlnet_alone(folder / "alone"))
    StableDiffusionControlNetPipeline(controlnet=control, **painter()).save_pretrained(folder)
    return folder


def text_to_video(folder):
    from diffusers import TextToVideoSDPipeline, UNet3DConditionModel

    seeded()
    unet = UNet3DConditionModel(
        **UNET,
        down_block_types=["CrossAttnDownBlock3D", "DownBlock3D"],
        up_block_types=["UpBlock3D", "CrossAttnUpBlock3D"],
    )
    TextToVideoSDPipeline(
        unet=unet, vae=latents(), scheduler=turbo(), **words_for_pictures()
    ).save_pretrained(folder)
    return folder


def video_diffusion(folder):
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    seeded()
    shape = {
        name: value for name, value in UNET.items() if name not in {"attention_head_dim", "norm_num_groups"}
    }
    down, up = ["CrossAttnDown", "Down"], ["Up", "CrossAttnUp"]
    unet = UNetSpatioTemporalConditionModel(
        **shape | {"block_out_channels": [32, 32]}, num_attention_heads=2,
        down_block_types=[f"{kind}BlockSpatioTemporal" for kind in down],
        up_block_types=[f"{kind}BlockSpatioTemporal" for kind in up],
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=24, num_frames=3,
    )  # fmt: skip
    eyes = PICTURE | {"image_size": 224, "patch_size": 112}  # what the pipeline shows it
    StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            down_block_types=["DownEncoderBlock2D"] * 2, block_out_channels=[32, 32], layers_per_block=1
        ),
        image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**eyes, projection_dim=16)),
        unet=unet,
        scheduler=turbo(),
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE),
    ).save_pretrained(folder)
    return folder
