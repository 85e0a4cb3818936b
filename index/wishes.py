"""What people say when they want a task, in their own words: which tasks a query could mean.

A card names its task as the Hub does; a person says "type up my interview". The rows below lie between.
"""

import hashlib
import json
import re

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.encoder import Encoder

_ROWS = """
text-generation | write a story; draft an email or a post; a chatbot that talks with customers; answer in a
    conversation; continue the text; write code; rewrite or paraphrase a sentence; correct the grammar;
    generate ideas; follow instructions
summarization | summarize the article; shorten a long report; the main points of the meeting; a short
    version of the text; an abstract; headlines from news; key points of a conversation; condense the
    document
translation | translate the text into another language; a French version of the letter; from English to
    German; convert the message to Spanish; multilingual translator; understand foreign text; localise the
    website
question-answering | find the answer in the text; answer questions from a passage; look up a fact in the
    document; what does the article say about it; extract the answer from a context; reading comprehension
table-question-answering | answer questions about a table; look up values in a spreadsheet; total of a
    column; which row has the highest value; query a database in plain words; ask about sales figures in a
    CSV file
text-classification | is the review positive or negative; sentiment of a comment; detect spam or toxic
    messages; emotion of a text; label the text; which language is it written in; rate customer feedback
zero-shot-classification | sort texts into categories of our own; classify the message by topics without
    training; which of these labels fits the article; tag support tickets by given categories; natural
    language inference
token-classification | find names of people, places and companies; named entity recognition; extract
    entities from text; mark parts of speech; restore punctuation; remove personal data; highlight medical
    terms
fill-mask | fill in the missing word; complete the sentence with a blank; predict a masked word; suggest a
    word that fits
sentence-similarity | how similar are two sentences; semantic search; find duplicate questions; group texts
    by meaning; sentence embeddings; match a query with documents; recommend related articles
feature-extraction | turn a text into a vector; embeddings of text; features for another model; represent
    words as numbers
text-ranking | rank documents by relevance; sort search results; rerank passages for a question; which
    answer fits best
image-classification | what is in the picture; recognise the kind of plant; label photos; sort pictures into
    classes; cat or dog; detect a disease in a scan; the age of a face; is the image safe
zero-shot-image-classification | sort pictures into categories of our own; which of these words describes
    the photo; classify images by given labels without training; match a picture with texts; where a photo
    was taken
object-detection | find objects in a photo with boxes; count cars or people; detect things in a camera
    stream; locate tables in a page; spot license plates; are workers wearing helmets; detect players in a
    game
zero-shot-object-detection | find a named thing in a picture; locate what a phrase describes; detect objects
    by a text query; where in the photo is the red bag
image-segmentation | separate the object from the background; label every pixel; outline the regions of a
    street scene; cut out people or clothes; mark the area of a tumour or pothole; segments of a satellite
    picture
depth-estimation | how far away things in a picture are; a depth map from one photo; distance of obstacles
    for a robot or car; the three-dimensional layout of a room
image-to-text | describe the picture in a sentence; a caption for a photo; read the text in an image; OCR of
    a scan; convert handwriting to text; alternative text for pictures on a website
image-text-to-text | talk about a picture; follow an instruction about an image; explain a chart or a
    screenshot; a chat assistant that sees photos
visual-question-answering | answer a question about a photo; what colour is the car in the picture; how many
    people are shown; ask about the content of an image; is it safe to cross
document-question-answering | answer a question about a scanned document; the total of an invoice; fields of
    a form; read a receipt; information from a contract as an image; ask a PDF page
image-to-image | change a picture; restore or sharpen an old photo; raise the resolution; turn a sketch into
    a drawing; fill in a part of an image; edges or poses of a picture; transfer a style; remove blur
text-to-image | make a picture from a description; generate an illustration; draw a portrait of a fantasy
    figure; artwork for a poster; new photorealistic pictures; generate images of faces, flowers or cats
image-to-control | edges of a picture; a pose skeleton from a photo; a depth or normal map for drawing; line
    drawing of an image
control-to-image | make a picture that follows edges, a pose or a sketch; guided image generation; keep the
    layout of a drawing
automatic-speech-recognition | transcribe a recording; write down what is said; subtitles for a video;
    dictation; voice commands to text; speech to text for calls and interviews; minutes from a meeting's
    audio
audio-classification | what sound is it; recognise the speaker's emotion; which language is spoken; music
    genre; identify the speaker; detect a keyword in speech; bird calls or machine noise
text-to-speech | read the text aloud; a voice for an audiobook; convert text to spoken audio; voice
    assistant that speaks; announcements in a natural voice; speech synthesis in another language
text-to-audio | make music from a description; compose a melody; generate sound effects; background music
    for a video
audio-to-audio | remove noise from a recording; separate voices or instruments; enhance speech; change a
    voice; translate speech into speech; isolate the singer from a song
voice-activity-detection | when does somebody speak; find speech and silence in audio; who spoke when;
    detect overlapping speakers; cut out pauses from a recording
video-classification | what happens in the video; recognise actions in a clip; classify sports or activities
    in videos; detect an event in surveillance footage; sort video clips
text-to-video | make a video from a description; an animated clip from a script; generate a short film from
    text
image-to-video | bring a photo to life; animate a picture; a video clip from an image
mask-generation | cut every object out of a picture; masks for whatever is clicked on; segment anything
keypoint-detection | body joints in a photo; the pose of a person; landmarks of a face or hand; keypoints to
    match pictures
image-feature-extraction | turn a picture into a vector; embeddings of images; find similar pictures; visual
    features
zero-shot-audio-classification | sort sounds into categories of our own; which of these words describes the
    sound; classify audio by given labels without training
tabular-classification | predict a class from table data; will the customer leave; is a transaction fraud;
    who survived; classify rows with measurements; predict a category from columns of a CSV file
tabular-regression | predict a number from table data; the price of a house; forecast sales or consumption;
    estimate emissions or weight; a value from columns of a spreadsheet
"""

WISHES: dict[str, str] = {
    task: " ".join(wishes.split())
    for task, _, wishes in (row.partition(" | ") for row in re.split(r"\n(?! )", _ROWS.strip()))
}
"""Task to wishes for it, in one text."""

DIGEST = hashlib.sha256(json.dumps(WISHES).encode()).hexdigest()[:12]
"""Of what tasks they are for and what they say."""


def embedded(encoder: Encoder) -> NDArray[np.float32]:
    """Their vectors, L2-normalised, (tasks, dimension). Blocks, up to a second: an index keeps them."""
    return encoder.encode(list(WISHES.values()))


def closeness(vector: NDArray[np.float32], wishes: NDArray[np.float32]) -> dict[str, float]:
    """The cosine of a query, an L2-normalised vector (dimension,), with the wishes for every task."""
    return dict(zip(WISHES, (wishes @ vector).tolist(), strict=True))
