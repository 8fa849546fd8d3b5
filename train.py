"""Trains the model of a recipe: `accelerate launch train.py recipes/cmltnet_emoji_lt.yaml stages.align.epochs=2`."""

import sys

from xmodal_lt.cli import main


if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
