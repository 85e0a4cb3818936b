"""What people say when they want a task, in their own words: which tasks a query could mean.

A card names its task as the Hub does; a person says "type up my interview". The rows below lie between: first
the tasks of the task table, then tags of the Hub that are no tasks here, whose models searches find too.
"""

import hashlib
import json
import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import lexical, ranking
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
reinforcement-learning | an agent that plays a game; learn a policy by rewards; train a bot to act in an
    environment; control a simulated lander, walker or car
robotics | control a robot arm; a policy for grasping and moving things; a robot that follows instructions;
    walking and manipulation
unconditional-image-generation | generate pictures of one kind without a prompt; make new faces, cats,
    butterflies or landscapes; random realistic images; high-resolution samples like a data set of photos
graph-ml | predict properties of molecules; classify nodes of a graph; links in a network; learn from graphs
time-series-forecasting | forecast the next weeks from past values; predict demand, load or prices over time;
    a time series
text-to-3d | make a 3D object from a description; a mesh from words
image-to-3d | make a 3D object from a photo; reconstruct a mesh from pictures
video-text-to-text | answer questions about a video; describe or summarise a clip in words; a chat assistant
    that watches videos
audio-text-to-text | answer questions about a recording; talk with an assistant that hears; describe a sound
    in words
any-to-any | one assistant for text, pictures, sound and video; understands and makes several kinds of media
visual-document-retrieval | find the page that answers a question; search scanned pages and slides by what
    they show
multiple-choice | choose the right one of given answers; solve a multiple-choice question
table-to-text | describe a table in words; sentences from rows of data
text-retrieval | find passages for a query; search a collection of texts
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


def closeness(query: str, vector: NDArray[np.float32], wishes: NDArray[np.float32]) -> dict[str, float]:
    """How near a query is to the wishes for every task: by meaning and by words, as to cards (ranking.py).

    `vector` is the query's, L2-normalised, (dimension,); `wishes` is what `embedded` makes.
    """
    near = ranking.relevance(wishes @ vector, _said(query))
    return dict(zip(WISHES, near.tolist(), strict=True))


def _said(query: str) -> NDArray[np.float32]:
    """How well the wishes for every task say the query's words: the sum of the words' weights, (tasks,)."""
    said = np.zeros(len(WISHES), np.float32)
    for word in lexical.words_of(query):
        if places := _saying().get(word):
            said[places] += lexical.idf(len(places), len(WISHES))
    return said


@cache
def _saying() -> dict[str, list[int]]:
    """Word to the places of the tasks that are named by it or wished for with it."""
    saying: dict[str, list[int]] = {}
    for place, (task, wishes) in enumerate(WISHES.items()):
        for word in lexical.words_of(f"{task} {wishes}"):
            saying.setdefault(word, []).append(place)
    return saying
