"""A gradio app on loopback with a function of each kind, as a Space has them; prints its address.

Run by tests/test_spaces.py in a process of its own.
"""

import os
import sys
import time

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr
from PIL import ImageOps


def shout(text):
    return text.upper()


def translate(words, into):
    return f"{words} in {into}"


def negative(picture):
    return ImageOps.invert(picture)


def louder(sound):
    rate, samples = sound
    return rate, samples * 2


def same(clip):
    return clip


def mood(text):
    return {"good": 0.9, "bad": 0.1} if "good" in text else {"good": 0.2, "bad": 0.8}


def count(table):
    return [{"label": str(len(table)), "score": 1.0}]


def fail(text):
    raise gr.Error("no such voice")


def wait(text):
    time.sleep(30)
    return text


with gr.Blocks() as app:
    gr.Interface(shout, gr.Textbox(), gr.Textbox(), api_name="shout")
    gr.Interface(
        translate, [gr.Textbox(), gr.Textbox(label="target language")], gr.Textbox(), api_name="translate"
    )
    gr.Interface(negative, gr.Image(type="pil"), gr.Image(format="png"), api_name="negative")
    gr.Interface(louder, gr.Audio(), gr.Audio(format="wav"), api_name="louder")
    gr.Interface(same, gr.Video(), gr.Video(), api_name="same")
    gr.Interface(mood, gr.Textbox(), gr.Label(), api_name="mood")
    gr.Interface(count, gr.Dataframe(), gr.JSON(), api_name="count")
    gr.Interface(fail, gr.Textbox(), gr.Textbox(), api_name="fail")
    gr.Interface(wait, gr.Textbox(), gr.Textbox(), api_name="wait")

if __name__ == "__main__":
    _, url, _ = app.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, show_error=True)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    app.block_thread()
