"""The part of a config that every method shares."""

import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError


SINGLE_LABEL = "single_label_classification"
PROBLEM_TYPES = {"cprfl": "multi_label_classification"}


def test_config_survives_a_file(method, make_model, tmp_path):
    config = make_model(
        method.model_type,
        backbone_kwargs={"drop_path_rate": 0.1},
        class_counts=[9, 3, 1],
        classification_loss="logit_adjusted",
        classification_loss_kwargs={"tau": 0.5},
    ).config
    config.save_pretrained(tmp_path)
    assert type(config).from_pretrained(tmp_path).to_diff_dict() == config.to_diff_dict()


def test_defaults_make_a_config(method):
    config = method.config_class()()
    assert (config.backbone, config.problem_type) == ("resnet50", PROBLEM_TYPES.get(method.model_type, SINGLE_LABEL))


def test_no_problem_type_is_that_of_the_method(method):
    config = method.config_class()(problem_type=None)
    assert config.problem_type == PROBLEM_TYPES.get(method.model_type, SINGLE_LABEL)


def test_names_class_counts_of_another_number_of_labels(method):
    with pytest.raises(ValueError, match="`class_counts` has 2 entries but the model has 3 labels"):
        method.config_class()(num_labels=3, class_counts=[5, 1])


@pytest.mark.parametrize(
    ("field", "value"), [("problem_type", "regression"), ("class_counts", [1.5, 2.0]), ("backbone", None)]
)
def test_names_a_field_of_the_wrong_kind(method, field, value):
    with pytest.raises(StrictDataclassFieldValidationError, match=f"field '{field}'"):
        method.config_class()(num_labels=2, **{field: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classification_loss": "hinge"}, "Unknown classification loss 'hinge'"),
        ({"classification_loss": "bce"}, "'bce' is for multi_label_classification"),
        ({"classification_loss": "logit_adjusted"}, "needs `class_counts`"),
        ({"classification_loss_kwargs": {"tau": 1.0}}, r"'cross_entropy' takes no \['tau'\]"),
    ],
    ids=["unknown", "other-problem", "no-counts", "unknown-argument"],
)
def test_a_loss_that_cannot_be_made_stops_the_model_from_being_built(method, make_model, settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(method.model_type, **settings)
