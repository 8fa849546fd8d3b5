import pytest

from xmodal_lt.training import Recipe


YAML = """
model: {type: cmltnet, config: {backbone: resnet18}}
dataset: {name: emoji-lt}
stages:
  align: {epochs: 2, learning_rate: 0.001}
  infer: {epochs: 1, learning_rate: 0.001}
output_dir: out
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(YAML)
    return file


def test_overrides_change_nested_values(path):
    recipe = Recipe.load(path, ["stages.align.epochs=5", "seed=3", "model.config.fusion=add"])
    assert recipe.stages["align"].epochs == 5
    assert recipe.stages["infer"].epochs == 1
    assert recipe.seed == 3
    assert recipe.model.config == {"backbone": "resnet18", "fusion": "add"}


def test_stages_keep_their_order(path):
    assert list(Recipe.load(path).stages) == ["align", "infer"]


def test_a_submodules_learning_rate_may_be_named_with_its_dots(path):
    """As in a file, where dots in a key mean nothing."""
    path.write_text(YAML.replace("epochs: 2,", "epochs: 2, learning_rates: {head.attention: 1.0e-6},"))
    recipe = Recipe.load(path)
    assert recipe.stages["align"].learning_rates == {"head.attention": 1e-6}
    path.write_text(recipe.to_yaml())
    assert Recipe.load(path) == recipe


def test_extends_merges_over_the_base_and_null_removes_a_stage(path):
    child = path.with_name("child.yaml")
    child.write_text("extends: recipe.yaml\nstages: {infer: null, fuse: {epochs: 1, learning_rate: 0.1}}\nseed: 7\n")
    recipe = Recipe.load(child)
    assert list(recipe.stages) == ["align", "fuse"]
    assert recipe.seed == 7
    assert recipe.model.type == "cmltnet"


def test_resolved_yaml_loads_to_the_same_recipe(path, tmp_path):
    recipe = Recipe.load(path)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(recipe.to_yaml())
    assert Recipe.load(resolved) == recipe


def test_fingerprint_depends_on_what_decides_the_weights(path):
    recipe = Recipe.load(path)
    assert (
        Recipe.load(path, ["resume=true", "output_dir=elsewhere", "num_workers=3"]).fingerprint()
        == recipe.fingerprint()
    )
    assert Recipe.load(path, ["seed=1"]).fingerprint() != recipe.fingerprint()
    assert Recipe.load(path, ["stages.align.epochs=3"]).fingerprint() != recipe.fingerprint()


def test_fingerprint_depends_on_what_local_sources_hold(path, tmp_path):
    vectors = tmp_path / "vectors.txt"
    override = [f"model.config.semantics=glove:{vectors}"]
    absent = Recipe.load(path, override).fingerprint()
    vectors.write_text("dog 0.1 0.2")
    first = Recipe.load(path, override).fingerprint()
    assert Recipe.load(path, override).fingerprint() == first != absent
    vectors.write_text("dog 0.3 0.2")
    assert Recipe.load(path, override).fingerprint() != first


def test_fingerprint_depends_on_what_the_corpus_holds(path, tmp_path):
    articles, templates = tmp_path / "articles", tmp_path / "templates.txt"
    articles.mkdir()
    (articles / "desc_0.txt").write_text("A dog barks.")
    templates.write_text("a {}.")

    def fingerprint(*overrides):
        return Recipe.load(
            path, [f"corpus.source={articles}", f"corpus.templates_file={templates}", *overrides]
        ).fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint("corpus.max_sentences=9") != first
    assert fingerprint("anchors.selection=cut_off") != first
    assert fingerprint("stages.align.learning_rates={head: 0.1}") != first
    (articles / "desc_0.txt").write_text("A dog bites.")
    second = fingerprint()
    (articles / "desc_1.txt").write_text("A cat purrs.")
    third = fingerprint()
    templates.write_text("the {}.")
    assert len({first, second, third, fingerprint()}) == 4


def test_fingerprint_of_the_training_split_reads_no_folder_of_that_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = Recipe.load(path, ["corpus.source=train"]).fingerprint()
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "image.png").write_text("not of the corpus")
    assert Recipe.load(path, ["corpus.source=train"]).fingerprint() == first


def test_a_corpus_is_reason_enough_for_a_recipe_without_stages(path):
    path.write_text(YAML.split("stages:")[0] + "output_dir: out\n")
    assert not Recipe.load(path, ["corpus.source=train"]).stages


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sed=1", "unknown key 'sed'.*'seed'"),
        ("stages.align.epoch=1", "unknown key 'stages.align.epoch'.*'epochs'"),
        ("stages.align.epochs=many", "stages.align.epochs.*could not be converted"),
        ("stages.align.optimizer=lion", "stages.align.optimizer.*adam"),
        ("stages.align.epochs=0", "stages.align.epochs=0.* must be positive"),
        ("stages.algn.epochs=2", "no value for 'stages.algn.learning_rate'"),
        ("stages.align.loss_kwargs.tau=2", "stages.align.loss_kwargs belong to"),
        ("stages.align.sampler_kwargs.beta=0.9", "stages.align.sampler_kwargs belong to"),
        ("stages.align.reweight_from=2", "stages.align.reweight_from=2.0 must be an epoch of the stage, 0 to below"),
        ("rebalance.method=crt", "rebalance.method.*tau_norm"),
        ("rebalance={method: tau_norm, tau: -1}", "rebalance.tau=-1.0 must not be negative"),
        ("rebalance={method: tau_norm, taus: []}", "rebalance.taus is empty"),
        ("stages.align.views=-1", "stages.align.views=-1 must not be negative"),
        ("images.size=0", "images.size=0 must be positive"),
        ("stages.align.mixup=-1", "stages.align.mixup=-1.0 must not be negative"),
        ("stages.align.cutmix=-0.5", "stages.align.cutmix=-0.5 must not be negative"),
        ("stages.align.chunk_size=0", "stages.align.chunk_size=0 must be positive"),
        ("stages.align.learning_rates={head: -1}", "stages.align.learning_rates.head=-1.0 must not be negative"),
        ("stages.align.learning_rates={head: fast}", r"stages.align.learning_rates.*could not be converted"),
        ("corpus={templates: [a], templates_file: b}", "corpus.templates or corpus.templates_file, not both"),
        ("corpus.sources=wiki", "unknown key 'corpus.sources'.*'source'"),
        ("anchors.selection=best", "anchors.selection.*anss"),
        ("anchors.split=test", "anchors.split.*validation"),
        ("anchors.images_per_class=0", "anchors.images_per_class=0 must be positive"),
        ("stages.align=5", "wrong value|mapping is expected"),
        ("dataset.path=folder", "either dataset.name"),
        ("dataset.validation_fraction=1", "validation_fraction"),
    ],
)
def test_wrong_values_are_named(path, override, message):
    with pytest.raises(ValueError, match=message):
        Recipe.load(path, [override])


def test_missing_value_is_named(path):
    path.write_text(YAML.replace("output_dir: out", ""))
    with pytest.raises(ValueError, match="output_dir"):
        Recipe.load(path)


def test_recipe_without_stages_is_refused(path):
    path.write_text(YAML.replace("stages:", "other:").replace("other:", "stages: {}\nx:"))
    with pytest.raises(ValueError, match="unknown key 'x'"):
        Recipe.load(path)
    path.write_text(YAML.split("stages:")[0] + "output_dir: out\n")
    with pytest.raises(ValueError, match="no stages"):
        Recipe.load(path)


def test_override_without_equals_is_refused(path):
    with pytest.raises(ValueError, match="key=value"):
        Recipe.load(path, ["seed"])


def test_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        Recipe.load(tmp_path / "nowhere.yaml")


def test_keep_best_needs_whole_epochs(path):
    with pytest.raises(ValueError, match="whole epochs"):
        Recipe.load(path, ["stages.align.keep=best", "save_steps=5"])


def test_broken_yaml_is_named(path):
    path.write_text("model: {type: cmltnet\nstages: [")
    with pytest.raises(ValueError, match="is not valid YAML"):
        Recipe.load(path)


def test_override_with_broken_yaml_is_named(path):
    with pytest.raises(ValueError, match="have a value that is no YAML"):
        Recipe.load(path, ["model.config.backbone={"])


def test_resume_and_overwrite_contradict(path):
    with pytest.raises(ValueError, match="contradict"):
        Recipe.load(path, ["resume=true", "overwrite=true"])


def test_extending_oneself_is_refused(path):
    path.write_text(YAML + "extends: other.yaml\n")
    path.with_name("other.yaml").write_text("extends: recipe.yaml\n")
    with pytest.raises(ValueError, match="extends itself"):
        Recipe.load(path)
    path.write_text(YAML + "extends: [a, b]\n")
    with pytest.raises(ValueError, match="expected the path of one recipe"):
        Recipe.load(path)
