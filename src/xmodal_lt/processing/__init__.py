"""Images, features of videos and description words in, tensors out."""

from .augmentation import build_train_transform
from .collator import XModalCollator
from .feature_extraction_xmodal_lt import XModalFeatureExtractor
from .image_processing_from_timm import image_processor_from_timm
from .image_processing_pil_xmodal_lt import XModalLTImageProcessorPil
from .image_processing_xmodal_lt import XModalLTImageProcessor
from .processing_xmodal_lt import XModalProcessor
from .rgb_conversion import to_rgb
from .word_tokenizer import build_word_tokenizer, num_words


__all__ = [
    "XModalFeatureExtractor",
    "XModalLTImageProcessor",
    "XModalLTImageProcessorPil",
    "image_processor_from_timm",
    "to_rgb",
    "XModalProcessor",
    "build_word_tokenizer",
    "num_words",
    "XModalCollator",
    "build_train_transform",
]
