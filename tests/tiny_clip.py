"""A tiny CLIP with random weights and its tokenizer, saved as the published ones are."""

import string
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer


LENGTH = 77
WIDTH = 6
START, END = "<|startoftext|>", "<|endoftext|>"
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}


def tiny_tokenizer(extra_words: int = 0) -> CLIPTokenizer:
    """Letters, the words "do" and "dog", and full stop and comma; the special tokens have the highest ids."""
    letters = [*string.ascii_lowercase, ".", ","]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "do", "dog</w>"]
    tokens += [f"word{number}" for number in range(extra_words)]
    vocab = {token: index for index, token in enumerate([*tokens, START, END])}
    return CLIPTokenizer(vocab=vocab, merges=[("d", "o"), ("do", "g</w>")])


def save_tiny_clip(folder: Path, seed: int = 1, tokenizer: CLIPTokenizer | None = None, **text: Any) -> CLIPModel:
    """Saves the model, whose joint space is `WIDTH` wide, and its tokenizer; further arguments are of the text config.

    As in published configs, the text config itself says another width.
    """
    tokenizer = tokenizer or tiny_tokenizer()
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {"hidden_size": 8, "vocab_size": len(tokenizer), **ids, **SIZES, **text}
    vision = {"hidden_size": 16, "image_size": 32, "patch_size": 16, **SIZES}
    torch.manual_seed(seed)
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH)).eval()
    clip.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return clip
