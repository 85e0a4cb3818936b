"""What tiny models of pictures and sound have in common."""

SIDE = 32
LAYER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
PICTURE = {**LAYER, "image_size": SIDE, "patch_size": 8}
LABELS = {0: "cat", 1: "dog", 2: "house"}
SQUARE = {"height": SIDE, "width": SIDE}


def kept(folder, model, *processors):
    """Writes a model and its processors."""
    model.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)
    return folder
