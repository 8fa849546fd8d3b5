"""What the papers' stages train, and on which losses."""

import pytest


# Section 3.5.1 of the CMLTNet paper: what each stage trains, with the classifiers of its losses, and these losses.
CMLTNET_WEIGHTS = {"implicit_weight": 0.5, "transfer_weight": 2.0, "inference_weight": 0.1}
CMLTNET_STAGES = {
    "align": (
        {"vision_encoder", "word_encoder", "visual_projection", "word_projection", "shared_classifier"},
        {"alignment": 1.0, "aligned_classification": 0.5, "word_classification": 0.5},
    ),
    "infer": (
        {"transfer", "word_predictor", "word_embedding", "word_fusion", "inferred_classifier"},
        {"words": 1.0, "transfer": 2.0, "inferred_classification": 1.0},
    ),
    "fuse": ({"visual_phi", "semantic_phi", "fused_classifier"}, {"fused_classification": 1.0}),
}

# Section III-F of the CRIF paper, likewise. Beyond what it prints, the config adds the classification of semantic
# features, that of inferred ones, and in `infer` that of section III-C, with the weights of its three last fields.
CRIF_WEIGHTS = {
    "similarity_weight": 0.5,
    "alignment_weight": 2.0,
    "semantic_weight": 0.25,
    "content_weight": 4.0,
    "inferred_classification_weight": 8.0,
}
CRIF_STAGES = {
    "align": (
        {
            "vision_encoder",
            "semantic_encoder",
            "visual_projection",
            "semantic_projection",
            "visual_classifier",
            "semantic_classifier",
        },
        {"aligned_classification": 1.0, "semantic_classification": 0.25, "similarity": 0.5},  # eq. 20
    ),
    "infer": (
        {
            "transfer",
            "decoder",
            "inferred_classifier",
            "visual_projection",
            "semantic_projection",
            "visual_classifier",
            "semantic_classifier",
        },
        {
            "reconstruction": 1.0,  # eq. 21
            "alignment": 2.0,
            "inferred_classification": 8.0,
            "aligned_classification": 4.0,
            "semantic_classification": 1.0,
        },
    ),
    "fuse": ({"fusion", "fused_classifier"}, {"fused_classification": 1.0}),  # eq. 18
}
ALIGNMENTS = ("similarity", "alignment")  # what strategy "none" of table V does without


@pytest.mark.parametrize("stage", CMLTNET_STAGES)
def test_cmltnet_trains_what_the_paper_says(stage, make_model):
    model = make_model("cmltnet", **CMLTNET_WEIGHTS)

    modules, losses = CMLTNET_STAGES[stage]
    assert {path.removeprefix("cmltnet.") for path in model.stages[stage].trains} == modules
    assert model.stages[stage].loss_weights == losses


@pytest.mark.parametrize("stage", CRIF_STAGES)
def test_crif_trains_what_the_paper_says(stage, make_model):
    model = make_model("crif", **CRIF_WEIGHTS)

    modules, losses = CRIF_STAGES[stage]
    assert {path.removeprefix("crif.") for path in model.stages[stage].trains} == modules
    assert model.stages[stage].loss_weights == losses


@pytest.mark.parametrize("stage", CRIF_STAGES)
def test_crif_without_alignment_trains_the_same_on_the_other_losses(stage, make_model):
    model = make_model("crif", alignment_strategy="none", **CRIF_WEIGHTS)

    modules, losses = CRIF_STAGES[stage]
    assert {path.removeprefix("crif.") for path in model.stages[stage].trains} == modules
    counting = {part: weight for part, weight in model.stages[stage].loss_weights.items() if weight != 0}
    assert counting == {part: weight for part, weight in losses.items() if part not in ALIGNMENTS}


@pytest.mark.parametrize("stage", ["joint", "head"])
def test_crif_joins_the_stages_as_equation_22_says(stage, make_model):
    model = make_model("crif", inference_weight=0.2, fusion_weight=0.1, **CRIF_WEIGHTS)

    assert model.stages[stage].loss_weights == pytest.approx(
        {
            "aligned_classification": 1.0,
            "semantic_classification": 0.25,
            "similarity": 0.5,
            "reconstruction": 0.2,
            "alignment": 0.4,
            "inferred_classification": 1.6,
            "fused_classification": 0.1,
        }
    )


def test_crif_trains_its_privileged_fusions_with_the_other(make_model):
    stage = make_model("crif", privileged_fusions=True).stages["fuse"]

    assert stage.trains == ("crif.fusion", "fused_classifier", "privileged_heads")
    fused = ("fused", "visual_semantic", "semantic_inferred", "visual_semantic_inferred")
    assert stage.loss_weights == {f"{branch}_classification": 1.0 for branch in fused}
