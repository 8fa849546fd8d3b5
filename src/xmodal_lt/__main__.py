"""`python -m xmodal_lt`, and `accelerate launch -m xmodal_lt train ...` where train.py is not at hand."""

from xmodal_lt.cli import main


if __name__ == "__main__":
    main()
