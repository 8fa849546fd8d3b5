import pytest

from xmodal_lt.training.early_checks import check_recipe


def _check(make_recipe, baseline_settings, config, model=None, **stage):
    baseline_settings["model"] |= model or {}
    baseline_settings["model"]["config"] |= config
    baseline_settings["stages"]["joint"] |= stage
    check_recipe(make_recipe(**baseline_settings))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dropuot": 0.1}, "no field 'dropuot' in ImageClassifierConfig. Did you mean 'dropout'?"),
        ({"head": "cosin"}, "'head' expected one of"),
        ({"classification_loss": "focall"}, "model.config.classification_loss: Unknown classification loss 'focall'"),
        ({"classification_loss": "focal", "classification_loss_kwargs": {"gama": 1}}, r"'focal' takes no \['gama'\]"),
        ({"classification_loss_kwargs": {"tau": 1}}, r"'cross_entropy' takes no \['tau'\]"),
        ({"classification_loss_kwargs": {"weighting": "rare"}}, "Unknown weighting 'rare'"),
        ({"backbone": None}, "'backbone' expected str"),
    ],
)
def test_what_is_wrong_without_data_is_named(make_recipe, baseline_settings, config, message):
    with pytest.raises(ValueError, match=message):
        _check(make_recipe, baseline_settings, config)


def test_the_loss_of_a_stage_is_checked(make_recipe, baseline_settings):
    with pytest.raises(ValueError, match=r"stages.joint.loss: Loss 'lade' takes no \['tau'\]"):
        _check(make_recipe, baseline_settings, {}, loss="lade", loss_kwargs={"tau": 1})


@pytest.mark.parametrize(
    "config",
    [
        {"classification_loss": "ldam", "classification_loss_kwargs": {"weighting": "class_balanced", "beta": 0.9}},
        {"classification_loss": "distribution_balanced"},
        {"classification_loss_kwargs": {"pos_weight": 2.0}},  # of the default loss of several labels
        {"num_labels": 4},
    ],
)
def test_what_only_the_data_can_decide_is_let_through(make_recipe, baseline_settings, config):
    _check(make_recipe, baseline_settings, config)


def test_arguments_for_the_loss_of_a_checkpoint_are_let_through(make_recipe, baseline_settings):
    config = {"backbone": None, "classification_loss_kwargs": {"tau": 1}}
    _check(make_recipe, baseline_settings, config, model={"checkpoint": "outputs/run"})
