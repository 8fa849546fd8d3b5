"""Models. A method is one `configuration_<m>.py` and one `modeling_<m>.py`; the other files are shared."""
