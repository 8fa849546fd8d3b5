"""The page of the metric's Space."""

from pathlib import Path

from xmodal_lt.metrics.evaluate_page import launch_page


EXAMPLE = """{
  "predictions": [[2.0, -1.0], [0.5, 1.5], [-0.3, 0.2]],
  "references": [[1, 0], [0, 0], [1, 1]],
  "class_counts": [120, 7]
}"""

launch_page(Path(__file__).with_name("lt_map.py"), EXAMPLE)
