"""What a class of models is for: a row per family of names, the first that matches counts.

The names are those of transformers' auto classes and of diffusers' pipelines.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from hugginggpt.tools.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Purpose:
    """The task of a class; `task` is empty where no task of ours runs it.

    `others` are tasks that its models may have been made for instead, where their tags or words say so.
    """

    task: str
    others: tuple[str, ...] = ()


# Pattern of the class's name | task, `-` for none | tasks that tags or words may narrow it to.
_ROWS = r"""
Wav2Vec2ForPreTraining|^(?:Wav2Vec2|Hubert|WavLM|UniSpeech|SEW|Data2VecAudio|MCTCT|AST|Encodec|Dac|Mimi)\w*Model$ | -
ForMultipleChoice|ForNextSentence|ForXVector|ForMaskedImage|ForMaskGenerationWith|^Encodec|^Informer|TimeSeries | -
Omni|Qwen2Audio|VoxtralFor|MusicFlamingo|Ultravox|AudioFlamingo|Chameleon|Emu3|^Janus|Decision|ForPrediction$|ESM|EsmFor | -
ForAudioFrame|ForFrameClassif|PyanNet|Segmentation3 | voice-activity-detection
Wav2Vec2\w*Classif|(?:Hubert|WavLM|UniSpeech\w*|SEWD?|Data2VecAudio|Whisper|AST|Audio)\w*For\w*Classif | audio-classification
ForCTC|Whisper|Speech2Text|SpeechEncoderDecoder|ForSpeechToText|ForSpeechSeq2Seq|Moonshine|Parakeet|Canary|A[sS][rR](?:For|Nano)|Transcri|GraniteSpeech|VoxtralRealtime | automatic-speech-recognition
TextToSpeech|Vits|^Bark|FastSpeech|Parler|TTS|Tacotron|Csm(?:For|Model)|^DiaFor | text-to-speech
Musicgen|MusicGen|AudioLDM|MusicLDM|StableAudio|AceStep | text-to-audio
Tapas(?:ForQuestion|ForConditional)|TapexFor | table-question-answering
(?:LayoutLM\w*|LiLT|Lilt|Donut\w*|UDOP|Udop|Bros|Ernie\w*Layout)\w*ForQuestion | document-question-answering
(?:Vilt|Blip|Lxmert|VisualBert|Git)\w*ForQuestion | visual-question-answering
ForQuestionAnswering|ForOpenQA|DPRReader | question-answering
LayoutLM\w*ForTokenClass|ForTokenClassif|SequenceTagger | token-classification
ForVideoClassif|VideoMAEFor|Timesformer | video-classification
(?:CLIPSeg|Mask2Former|MaskFormer|OneFormer|Segformer|UperNet|Detr)For\w*Segm|For(?:Semantic|Image|Universal|Instance|Panoptic)Segm | image-segmentation
(?:OwlViT|Owlv2|OmDet|GroundingDino)\w*For|ForZeroShotObject | zero-shot-object-detection
ForObjectDetection|^Yolo|Detr$ | object-detection
DepthEstimation|DPTForDepth|ZoeDepth|DepthPro|Marigold | depth-estimation
ForPoseEstimation|ForKeypoint|SuperPoint(?:For)?|SuperGlue | keypoint-detection
^Sam\d?(?:Hq|HQ|Tracker)?(?:Model|Video)|ForMaskGeneration|EdgeTam | mask-generation
ForImageToImage|SuperResolution|Swin2SRFor|Img2Img|InstructPix2Pix|Inpaint|Upscale|ImageVariation|Kontext|ImageEdit | image-to-image
^(?:Chinese|Align|Alt|Group|Open|Jina)?CLIP\w*Model$|C[lL][iI][pP]2?Model$|^Siglip\d?Model$|^AlignModel|ForZeroShotImageClass | zero-shot-image-classification | feature-extraction sentence-similarity
^Clap(?:Audio)?Model | zero-shot-audio-classification
For(?:Image)\w*Classif|^(?:Res|Efficient|Mobile|Conv|Reg|Dense)Net\w*$ | image-classification
^(?:ViT|Dino|DINO|Swin|Deit|DeiT|Beit|ConvNext|Dinov\d\w*|CLIPVision|SiglipVision|Hiera|IJepa|Pvt|ViTMAE|ResNet|AIMv\d)\w*(?:Model|ForPreTraining)$|ForImageFeature | image-feature-extraction
(?:Llava|Qwen\d*_?\d*_?VL|VL(?:For|Chat)|Idefics|PaliGemma|MllamaForCond|Gemma\dn?(?:Unified)?ForCond|Ernie\w*VL|InternVL|SmolVLM|Florence|Kosmos|AyaVision|Glm\d+[vV]|Mistral3|Llama4ForCond|Molmo|MiniCPMV|Phi\dV|Phi4Multi|Fuyu|Pixtral|Cambrian|Moondream|Ovis|Aria|Cogvlm|CogVLM|DeepseekVL)\w*|ForImageTextToText | image-text-to-text | text-generation image-to-text
VisionEncoderDecoder|VisionText|^Blip|^InstructBlip|^Git(?:For|Model)|Pix2Struct|Donut|TrOCR|^GotOcr | image-to-text | visual-question-answering image-text-to-text image-classification document-question-answering
(?:Sequence|Text|MultiLabel|Multilabel)\w*Classif | text-classification | zero-shot-classification text-ranking sentence-similarity
CrossEncoder|Reranker | text-ranking
MarianMT|^Marian|M2M100|FSMT|^Nllb|SeamlessM4T | translation
Pegasus|^LED|ProphetNet | summarization | translation text-generation
^(?:\w*Bart|\w*T5|Blenderbot\w*|Mvp|SwitchTransformers|GPTSanJapanese|BertGeneration\w*)\w*(?:For\w*Generation|WithLM\w*|Decoder|LMHead\w*)$|EncoderDecoderModel | text-generation | translation summarization
^(?:mt5|MT5|T5|UMT5)Model$ | feature-extraction | translation summarization
(?:XLMWithLM|FlaubertWithLM|ForMaskedLM|(?:Bert|BERT|FNet|LSG\w*)ForPre[tT]raining)\w*$ | fill-mask | sentence-similarity feature-extraction
ForCausalLM|LMHeadModel|WithLMHead|DoubleHeads|ForConditionalGeneration\w*LM|^ChatGLM|^(?:RWKV|Rwkv|QWen|Baichuan)\w*LM | text-generation | image-text-to-text text-ranking
ControlNet | control-to-image
Video2Video|VideoToVideo | -
(?:StableVideo|I2VGen|ImageToVideo|Image2Video)\w* | image-to-video
(?:TextToVideo|AnimateDiff|CogVideo|Wan|HunyuanVideo|LTX|Mochi|Latte|Allegro)\w*(?:Pipeline|Model) | text-to-video | image-to-video
(?:StableDiffusion|Flux|Latent|PixArt|Kandinsky|Sana|Lumina|AuraFlow|QwenImage|HunyuanDiT|HiDream|Wuerstchen|StableCascade|IF|Amused|UniDiffuser|Chroma|Cog[vV]iew|AltDiffusion|DALLE|ZImage|Bria)\w*Pipeline | text-to-image | image-to-image control-to-image
DDPM|DDIM|ScoreSde|Pndm|Karras | -
ForConditionalGeneration$ | image-text-to-text | text-generation image-to-text translation summarization text-to-speech
(?:Bert|BERT|Roberta|Electra|Albert|MPNet|Deberta\w*|Canine|Funnel|Longformer|BigBird|XLNet|ConvBert|Ernie\w*|DPR\w*|GPT\w*|Qwen\w*|Mistral|Llama|Gemma\d?\w*|T5|Bart|Nomic\w*|XLM\w*|New|Luke|RemBert|Camembert|Flaubert|LayoutLM\w*|Tapas|LaBSE|SqueezeBert|Nystromformer|I-?Bert)\w*?(?:Model|Encoder)$ | feature-extraction | sentence-similarity text-ranking summarization text-classification
"""  # noqa: E501, a family is easier to check on one line


def _rows() -> list[tuple[re.Pattern[str], Purpose]]:
    rows = []
    for row in _ROWS.strip().splitlines():
        pattern, task, *others = row.split(" | ")
        purpose = Purpose("" if task.strip() == "-" else task.strip(), tuple(" ".join(others).split()))
        if unknown := {purpose.task, *purpose.others} - {"", *TASKS}:
            raise ValueError(f"{sorted(unknown)}: not tasks, in {row}")
        rows.append((re.compile(pattern), purpose))
    return rows


_FAMILIES = _rows()


@lru_cache(maxsize=10_000)
def purpose_of(architecture: str) -> Purpose | None:
    """What a class is for; None for a class that no row names."""
    if not architecture:
        return None
    return next((purpose for pattern, purpose in _FAMILIES if pattern.search(architecture)), None)
