"""CPRFL against the recorded reference, and what it does with few, many and unseen classes."""

import pytest
import torch
from torch import nn

from xmodal_lt import CPRFLConfig, CPRFLForImageClassification


# The reference's names of its modules, and ours; its queries, keys and values are one matrix.
NAMES = {
    "fc.0": "cprfl.projection",
    "label_emb.0": "cprfl.prompts.network.0",
    "label_emb.3": "cprfl.prompts.network.3",
    "attention.layers.0.0.norm": "cprfl.interaction.attention_norm",
    "attention.layers.0.0.fn.to_out.0": "cprfl.interaction.output",
    "attention.layers.0.1.norm": "cprfl.interaction.mlp_norm",
    "attention.layers.0.1.fn.net.0": "cprfl.interaction.mlp.0",
    "attention.layers.0.1.fn.net.3": "cprfl.interaction.mlp.3",
}


class GivenFeatures(nn.Module):
    """In place of a backbone: images are the local features themselves, as a map."""

    local_size = 6

    def local_features(self, images):
        return images.flatten(2).transpose(1, 2)


@pytest.fixture
def record(golden):
    return golden("cprfl_pi_vsi")


@pytest.fixture
def reference_model(record):
    params, weights = record["params"], record["inputs"]["weights"]
    config = CPRFLConfig(
        backbone="test_resnet",
        num_labels=5,
        semantic_size=7,
        hidden_size=params["feature_d"],
        expansion=params["expand"],
        num_heads=params["heads"],
        head_size=params["dim_head"],
        mlp_size=params["mlp_dim"],
    )
    model = CPRFLForImageClassification(config)
    model.cprfl.vision_encoder = GivenFeatures()
    model.cprfl.projection = nn.Linear(6, params["feature_d"])
    state = {
        f"{ours}.{kind}": torch.tensor(weights[f"{theirs}.{kind}"], dtype=torch.float64)
        for theirs, ours in NAMES.items()
        for kind in ("weight", "bias")
    }
    to_qkv = torch.tensor(weights["attention.layers.0.0.fn.to_qkv.weight"], dtype=torch.float64)
    for name, rows in zip(("query", "key", "value"), to_qkv.chunk(3), strict=True):
        state[f"cprfl.interaction.{name}.weight"] = rows
    state["cprfl.prompts.class_semantics"] = torch.tensor(record["inputs"]["text_embeddings"], dtype=torch.float64)
    model = model.double().eval()
    model.load_state_dict(state)
    return model


def test_prompts_scores_and_gradients_are_those_of_the_released_code(record, reference_model):
    feature_map = torch.tensor(record["inputs"]["feature_map"], dtype=torch.float64, requires_grad=True)
    expected = {name: torch.tensor(value, dtype=torch.float64) for name, value in record["outputs"].items()}

    logits = reference_model(pixel_values=feature_map).logits
    logits.sum().backward()

    network = reference_model.cprfl.prompts.network
    tolerance = record["tolerance"]
    for value, name in (
        (network(reference_model.cprfl.prompts.class_semantics), "prompts"),
        (logits, "scores"),
        (network[0].weight.grad, "grad_PI_fc1_weight"),
        (network[3].weight.grad, "grad_PI_fc2_weight"),
        (feature_map.grad, "grad_feature_map"),
    ):
        torch.testing.assert_close(value, expected[name], **tolerance)
