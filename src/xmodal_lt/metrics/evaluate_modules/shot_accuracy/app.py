"""The page of the metric's Space."""

from pathlib import Path

from xmodal_lt.metrics.evaluate_page import launch_page


EXAMPLE = """{
  "predictions": [0, 0, 1, 0, 2],
  "references": [0, 0, 1, 1, 2],
  "class_counts": [500, 60, 3]
}"""

launch_page(Path(__file__).with_name("shot_accuracy.py"), EXAMPLE)
