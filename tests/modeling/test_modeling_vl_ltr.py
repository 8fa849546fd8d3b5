"""VL-LTR's two stages on a tiny CLIP: its losses, its teacher, its heads, and what a checkpoint keeps."""

import copy
import functools
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tiny_clip import WIDTH, save_tiny_clip, tiny_tokenizer
from torch.testing import assert_close
from transformers import AutoModelForImageClassification, CLIPModel

from xmodal_lt import VLLTRConfig, VLLTRForImageClassification
from xmodal_lt.losses import class_contrastive_loss, contrastive_distillation_loss
from xmodal_lt.modeling.configuration_vl_ltr import SENTENCE_HEADS
from xmodal_lt.modeling.language_guided_head import combine_branches
from xmodal_lt.modeling.sentence_encoder import tokenize_sentences
from xmodal_lt.modeling.sentence_heads import nearest_sentence_logits, zero_shot_logits


CLASSES, ANCHORS = 3, 4
LABELS = torch.tensor([0, 1, 0, 2, 0, 1, 2, 2])
SENTENCES = ["a dog", "cat.", "dog dog dog", "a, b", "dog", "the cat", "z", "a long story of a dog"]
HEADS = ("lgr", "fc", "knn", "zero_shot", "nearest_mean")
ENCODERS = ("vision_encoder", "text_encoder")
TRAINED_TOGETHER = {"vision_encoder", "visual_projection", "logit_scale", "text_encoder"}


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    clip = save_tiny_clip(folder)
    with torch.no_grad():
        clip.logit_scale.fill_(math.log(30))  # not what a new model starts from
    clip.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def clip(clip_folder) -> CLIPModel:
    return CLIPModel.from_pretrained(clip_folder).eval()


def _clip_embeds(clip, batch):
    images = clip.visual_projection(clip.vision_model(batch["pixel_values"]).pooler_output)
    return images, clip.text_projection(clip.text_model(batch["input_ids"]).pooler_output)


@pytest.fixture(scope="module")
def make(clip_folder):
    """Makes a model that starts from the CLIP and knows sentences; `moved` by a little of its own since then."""

    @functools.cache
    def start(moved: bool, **settings) -> VLLTRForImageClassification:
        torch.manual_seed(0)
        settings = {"backbone": f"hf:{clip_folder}", "text_backbone": f"clip:{clip_folder}", **settings}
        model = VLLTRForImageClassification(VLLTRConfig(num_labels=CLASSES, num_anchors=ANCHORS, **settings))
        if settings["backbone"] == f"hf:{clip_folder}":
            model.load_pretrained_backbone(clip_folder)
        model.load_pretrained_text_encoder()
        if moved:
            for name, parameter in model.named_parameters():
                if "teacher" not in name:
                    parameter.data += 0.05 * torch.randn_like(parameter)
        sentences = torch.randn(CLASSES, ANCHORS, WIDTH), torch.tensor([4, 1, 2])
        model.set_class_text(torch.randn(CLASSES, WIDTH), *(sentences if model.config.head in SENTENCE_HEADS else ()))
        return model.eval()

    return lambda moved=True, **settings: copy.deepcopy(start(moved, **settings))


@pytest.fixture(scope="module")
def batch():
    images = torch.randn(len(LABELS), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return {"pixel_values": images, **tokenize_sentences(tiny_tokenizer(), SENTENCES, 77), "labels": LABELS}


def _trained_parts(model) -> set[str]:
    """Names of the parts that learn in the active stage: of the base model, or `head` and its parts."""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name.removeprefix("vl_ltr.").split(".")[0] for name in names}


def _train(model, batch, steps: int = 2) -> None:
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()


class TestLoading:
    def test_embeddings_are_those_of_the_clip(self, make, clip, batch):
        base = make(moved=False).vl_ltr
        outputs = base(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
        images, texts = _clip_embeds(clip, batch)
        assert_close(outputs.image_embeds, images)
        assert_close(outputs.text_embeds, texts)
        assert torch.equal(base.logit_scale.weight, clip.logit_scale)

    @pytest.mark.parametrize(
        "settings",
        [{"backbone": "test_resnet", "distillation_weight": 0}, {"variant": "paper"}],
        ids=["resnet", "paper"],
    )
    def test_tau_is_the_configs_for_another_vision_encoder_and_in_the_paper(self, make, settings):
        base = make(moved=False, **settings).vl_ltr
        assert base.visual_projection.weight.shape == (WIDTH, base.vision_encoder.hidden_size)
        assert_close(base.logit_scale.weight, torch.tensor(-math.log(0.07)))

    @pytest.mark.parametrize("backbone", ["test_resnet", "hf_vit"])
    def test_another_vision_encoder_has_no_teacher(self, make, request, backbone):
        backbone = backbone if backbone == "test_resnet" else f"hf:{request.getfixturevalue(backbone)}"
        with pytest.raises(ValueError, match=r"is not the vision tower of 'clip:.*set distillation_weight=0"):
            make(backbone=backbone)

    def test_tau_is_the_configs_without_a_clip(self):
        model = VLLTRForImageClassification(VLLTRConfig(backbone="test_resnet", embed_size=8, temperature=0.2))
        model.load_pretrained_text_encoder()  # there is none
        assert_close(model.vl_ltr.logit_scale().exp(), torch.tensor(5.0))


class TestPretraining:
    @pytest.mark.parametrize("variant", ["code", "paper"])
    @pytest.mark.parametrize("beta", [0.5, 0.3])
    def test_loss_is_that_of_the_embeddings_and_of_the_clip(self, make, clip, batch, variant, beta):
        model = make(variant=variant, distillation_weight=beta, contrastive_smoothing=0.2)
        model.set_stage("pretrain")
        outputs = model.train()(**batch)

        base = model.vl_ltr
        pair = base.embed_images(batch["pixel_values"]), base.encode_text(batch["input_ids"], batch["attention_mask"])
        scale = base.logit_scale.weight
        contrastive = class_contrastive_loss(*pair, LABELS, scale, 0.2, variant)
        taught = _clip_embeds(clip, batch)
        distillation = contrastive_distillation_loss(*pair, *taught, scale, clip.logit_scale, variant)
        assert_close(outputs.loss_parts["contrastive"], contrastive)
        assert_close(outputs.loss_parts["distillation"], distillation)
        assert_close(outputs.loss, (1 - beta) * contrastive + beta * distillation)  # eq. 8

    def test_loss_without_a_teacher_is_the_contrastive_one_alone(self, make, batch):
        model = make(distillation_weight=0)
        model.set_stage("pretrain")
        outputs = model.train()(**batch)
        assert model.vl_ltr.teacher is None
        assert "distillation" not in outputs.loss_parts
        assert_close(outputs.loss, outputs.loss_parts["contrastive"])

    def test_logits_are_the_zero_shot_ones(self, make, batch):
        model = make()
        model.set_stage("pretrain")
        outputs = model(**batch)
        expected = zero_shot_logits(outputs.image_embeds, model.class_embeds, model.vl_ltr.logit_scale.weight)
        assert_close(outputs.logits, expected)

    def test_every_part_that_learns_gets_a_gradient_and_the_head_none(self, make, batch):
        model = make()
        model.set_stage("pretrain")
        assert model.reads_sentences
        assert _trained_parts(model) == TRAINED_TOGETHER
        model.train()(**batch).loss.backward()
        for part in TRAINED_TOGETHER:
            assert any(parameter.grad.any() for parameter in model.vl_ltr.get_submodule(part).parameters()), part
        assert all(parameter.grad is None for parameter in model.head.parameters())

    def test_text_encoder_may_stay_as_it_is(self, make):
        model = make(train_text_encoder=False)
        model.set_stage("pretrain")
        assert _trained_parts(model) == TRAINED_TOGETHER - {"text_encoder"}

    def test_training_without_sentences_is_an_error(self, make, batch):
        model = make()
        model.set_stage("pretrain")
        with pytest.raises(ValueError, match="computed from class sentences, but the batch has no `input_ids`"):
            model.train()(pixel_values=batch["pixel_values"], labels=LABELS)
        assert model.eval()(pixel_values=batch["pixel_values"], labels=LABELS).logits.shape == (8, CLASSES)

    @pytest.mark.parametrize(("maximum", "expected"), [(20, 20), (50, 40), (None, 40)])
    def test_inverse_temperature_has_a_bound_in_training(self, make, batch, maximum, expected):
        model = make(max_logit_scale=maximum)
        model.vl_ltr.logit_scale.weight.data.fill_(math.log(40))
        model.set_stage("pretrain")
        model.eval()(**batch)
        assert_close(model.vl_ltr.logit_scale.weight.exp(), torch.tensor(40.0))
        loss = model.train()(**batch).loss
        assert_close(model.vl_ltr.logit_scale.weight.exp(), torch.tensor(float(expected)))
        loss.backward()
        assert model.vl_ltr.logit_scale.weight.grad.any()  # so that it can come back


class TestTeacher:
    def test_is_the_clip_and_never_moves(self, make, clip, batch):
        model = make(moved=False, train_mode=True)
        model.set_stage("pretrain")
        before = {name: tensor.clone() for name, tensor in model.vl_ltr.state_dict().items()}
        _train(model, batch)
        for name, tensor in model.vl_ltr.state_dict().items():
            assert name.startswith("teacher.") <= torch.equal(tensor, before[name]), name
        assert not torch.equal(model.vl_ltr.visual_projection.weight, before["visual_projection.weight"])
        assert not any(module.training for module in model.vl_ltr.teacher.modules())
        teacher = model.vl_ltr.teacher
        for chunk in (None, 3):
            taught = teacher(batch["pixel_values"], batch["input_ids"], None, chunk)
            for found, expected in zip(taught, _clip_embeds(clip, batch), strict=True):
                assert_close(found, expected)
        assert torch.equal(teacher.logit_scale.weight, clip.logit_scale)

    def test_that_nothing_was_loaded_into_teaches_nothing(self, make, clip_folder, tmp_path):
        names = {"backbone": f"hf:{clip_folder}", "text_backbone": f"clip:{clip_folder}"}
        model = VLLTRForImageClassification(VLLTRConfig(**names))
        for _ in range(2):
            with pytest.raises(
                ValueError, match=r"Stage 'pretrain' distils from .* not both were.*distillation_weight=0"
            ):
                model.set_stage("pretrain")
            assert model.stage is None
        model.set_stage("finetune")
        model.load_pretrained_text_encoder()  # half of what it takes
        with pytest.raises(ValueError, match="Stage 'pretrain' distils"):
            model.set_stage("pretrain")
        # Nor does one that a checkpoint lacks.
        make(distillation_weight=0).save_pretrained(tmp_path)
        again = VLLTRForImageClassification.from_pretrained(tmp_path, distillation_weight=0.5)
        with pytest.raises(ValueError, match="Stage 'pretrain' distils"):
            again.set_stage("pretrain")

    def test_needs_the_images_themselves(self, make, batch):
        model = make()
        model.set_stage("pretrain")
        features = torch.zeros(len(LABELS), model.get_vision_encoder().hidden_size)
        others = {name: tensor for name, tensor in batch.items() if name != "pixel_values"}
        with pytest.raises(ValueError, match="needs the images themselves"):
            model(features=features, **others)

    def test_is_in_a_checkpoint_but_not_in_one_for_prediction(self, make, clip, tmp_path):
        model = make()
        model.save_pretrained(tmp_path / "whole")
        again = VLLTRForImageClassification.from_pretrained(tmp_path / "whole")
        assert torch.equal(again.vl_ltr.teacher.visual_projection.weight, clip.visual_projection.weight)
        again.set_stage("pretrain")
        model.save_pretrained(tmp_path / "slim", for_inference=True)
        names = load_file(tmp_path / "slim" / "model.safetensors").keys()
        assert not [name for name in names if "teacher" in name or "text_" in name]


class TestFinetuning:
    def test_trains_the_head_alone_and_leaves_the_rest_bit_for_bit(self, make, batch):
        model = make()
        model.set_stage("finetune")
        assert not model.reads_sentences
        assert _trained_parts(model) == {"head"}
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        _train(model, batch)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name]) != name.startswith("head."), name

    @pytest.mark.parametrize(
        ("settings", "parts"),
        [
            ({"finetune_encoder": True}, {"head", "vision_encoder", "visual_projection"}),
            ({"variant": "paper"}, {"head", "vision_encoder", "visual_projection"}),
            ({"train_logit_scale": True}, {"head", "logit_scale"}),
            ({"head": "fc", "train_logit_scale": True}, {"head"}),  # which has no use for it
            ({"head": "fc", "finetune_encoder": True}, {"head", "vision_encoder", "visual_projection"}),
        ],
    )
    def test_more_may_learn(self, make, batch, settings, parts):
        model = make(**settings)
        model.set_stage("finetune")
        assert _trained_parts(model) == parts
        model.train()(**batch).loss.backward()
        learning = {n: p for n, p in model.named_parameters() if p.requires_grad and not n.endswith("k_proj.bias")}
        assert [name for name, p in learning.items() if p.grad is None] == []  # DistributedDataParallel would wait

    def test_loss_is_the_sum_of_both_cross_entropies(self, make, batch):
        model = make()
        model.set_stage("finetune")
        outputs = model.train()(**batch)  # the sentences do not count
        assert set(outputs.loss_parts) == {"visual", "text"}
        branches = F.cross_entropy(outputs.visual_logits, LABELS), F.cross_entropy(outputs.text_logits, LABELS)
        assert_close(outputs.loss, sum(branches))  # eq. 9

    def test_mixed_labels_are_soft_targets_in_training_alone(self, make, batch):
        model = make()
        model.set_stage("finetune")
        soft = torch.rand(len(LABELS), CLASSES).softmax(-1)
        images = batch["pixel_values"]
        with pytest.raises(ValueError, match=r"\[8, 3\], but .* expects \[B\]"):
            model.train()(pixel_values=images, labels=soft)
        model.labels_are_mixed = True
        outputs = model(pixel_values=images, labels=soft)
        plain = [-(soft * x.log_softmax(-1)).sum(-1).mean() for x in (outputs.visual_logits, outputs.text_logits)]
        assert_close(outputs.loss, sum(plain))
        with pytest.raises(ValueError, match=r"expects \[B, 3\]"):
            model(pixel_values=images, labels=LABELS)
        assert model.eval()(pixel_values=images, labels=LABELS).loss.isfinite()

    def test_heads_that_do_not_learn_have_no_such_stage(self, make):
        stages = {head: list(make(head=head).stages) for head in HEADS}
        for head in ("lgr", "fc"):
            assert stages.pop(head) == ["pretrain", "finetune"]
        assert set(map(tuple, stages.values())) == {("pretrain",)}


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize("stage", ["pretrain", "finetune", None])
def test_encoders_are_in_training_mode_if_asked_for_and_learning(make, stage, train_mode):
    model = make(train_mode=train_mode, finetune_encoder=True, backbone="test_resnet", distillation_weight=0)
    model.set_stage(stage)
    model.train()
    learning = {"finetune": ("vision_encoder",)}.get(stage, ENCODERS) if train_mode else ()
    for name in ENCODERS:
        modules = list(model.vl_ltr.get_submodule(name).modules())
        assert [module.training for module in modules] == [name in learning] * len(modules), name
    assert model.training
    assert model.head.training == (stage != "pretrain")


class TestHeads:
    @pytest.mark.parametrize("head", HEADS)
    def test_predict_as_defined(self, make, batch, head):
        model = make(head=head, num_neighbors=3, visual_weight=0.4)
        if head == "nearest_mean":
            model.head.fit(model.vl_ltr.embed_images(batch["pixel_values"]), LABELS)
        outputs = model(pixel_values=batch["pixel_values"])
        embeds, scale = outputs.image_embeds, model.vl_ltr.logit_scale.weight
        if head == "lgr":
            branches = model.head(embeds, model.sentences, scale)
            assert_close(outputs.visual_logits, branches[0])
            assert_close(outputs.text_logits, branches[1])
            expected = combine_branches(*branches, "weighted", 0.4)
        else:
            assert outputs.visual_logits is outputs.text_logits is None
            expected = {
                "fc": lambda: model.head(embeds),
                "nearest_mean": lambda: model.head(embeds),
                "knn": lambda: nearest_sentence_logits(embeds, model.sentences, scale, 3),
                "zero_shot": lambda: zero_shot_logits(embeds, model.class_embeds, scale),
            }[head]()
        assert outputs.logits.shape == (len(LABELS), CLASSES)
        assert_close(outputs.logits, expected)
        assert outputs.logits.std() > 0

    @pytest.mark.parametrize("head", HEADS)
    def test_survive_saving_and_predict_the_same_without_the_text_encoder(self, make, batch, tmp_path, head):
        model = make(head=head)
        if head == "nearest_mean":
            model.head.fit(model.vl_ltr.embed_images(batch["pixel_values"]), LABELS)
        model.save_pretrained(tmp_path / "whole")
        model.save_pretrained(tmp_path / "slim", for_inference=True)
        whole, slim = (AutoModelForImageClassification.from_pretrained(tmp_path / name) for name in ("whole", "slim"))
        for name, tensor in model.state_dict().items():
            assert torch.equal(whole.state_dict()[name], tensor), name
        expected = model(pixel_values=batch["pixel_values"]).logits
        for again in (whole, slim):
            assert torch.equal(again.eval()(pixel_values=batch["pixel_values"]).logits, expected)
        assert slim.vl_ltr.text_encoder is slim.vl_ltr.teacher is None
        with pytest.raises(ValueError, match="no text encoder: set `text_backbone`"):
            slim(**batch)

    def test_sentences_stay_in_float32_when_weights_do_not(self, make, batch, tmp_path):
        model = make()
        model.save_pretrained(tmp_path)
        half = VLLTRForImageClassification.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
        assert half.dtype == torch.bfloat16
        for name in ("class_embeds", "sentences.embeds", "sentences.gram", "sentences.scales", "sentences.counts"):
            assert torch.equal(half.get_buffer(name), model.get_buffer(name)), name
        images = batch["pixel_values"]
        probabilities = [m(pixel_values=images).logits.float().softmax(-1) for m in (half, model)]
        assert_close(*probabilities, rtol=0, atol=0.05)

    def test_of_a_new_model_are_neutral_to_classes(self, batch):
        images = batch["pixel_values"]
        for head in set(HEADS) - {"fc"}:
            config = VLLTRConfig(backbone="test_resnet", num_labels=CLASSES, embed_size=8, head=head)
            outputs = VLLTRForImageClassification(config).eval()(pixel_values=images, labels=LABELS)
            logits = outputs.logits if outputs.text_logits is None else outputs.text_logits
            assert torch.equal(logits, logits[:, :1].expand_as(logits)), head
            assert outputs.loss.isfinite()


class TestErrors:
    def test_neither_images_nor_features(self, make):
        with pytest.raises(ValueError, match="Pass either `pixel_values` or cached `features`"):
            make()(labels=LABELS)

    def test_class_text_of_other_shapes(self, make):
        model = make()
        with pytest.raises(ValueError, match=r"Expected class embeddings \[3, 6\], got \[2, 6\]"):
            model.set_class_text(torch.zeros(2, WIDTH))
        with pytest.raises(ValueError, match=r"Expected embeddings \[3, 4, 6\]"):
            model.set_class_text(torch.zeros(3, WIDTH), torch.zeros(3, 5, WIDTH), torch.ones(3, dtype=torch.long))
        with pytest.raises(ValueError, match="give both or neither"):
            model.set_class_text(torch.zeros(3, WIDTH), torch.zeros(3, 4, WIDTH))
        with pytest.raises(ValueError, match="head='fc' reads no anchor sentences"):
            make(head="fc").set_class_text(torch.zeros(3, WIDTH), torch.zeros(3, 4, WIDTH), torch.ones(3))


def _gradients(model, batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


class TestGradientCaching:
    @pytest.mark.parametrize("train_mode", [False, True])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
    def test_gives_the_loss_and_all_gradients_of_the_whole_batch(self, make, batch, dtype, tolerance, train_mode):
        model = make(train_mode=train_mode).to(dtype)
        model.set_stage("pretrain")
        model.train()
        loss, expected = _gradients(model, batch)
        sizes = []
        for encoder in (model.vl_ltr.vision_encoder, model.vl_ltr.text_encoder):
            encoder.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
        model.vl_ltr.encoding_chunk_size = 1
        chunked_loss, gradients = _gradients(model, batch)
        assert sizes == [1] * 32  # eight images and sentences, and again in the backward pass
        assert_close(chunked_loss, loss, rtol=tolerance, atol=0)
        for name, gradient in gradients.items():
            error = (gradient - expected[name]).abs().max()
            assert error <= tolerance * max(1.0, expected[name].abs().max()), f"{name}: {error}"

    def test_pieces_may_have_a_rest_and_are_drawn_once(self, make, clip_folder, batch):
        model = make(train_mode=True, distillation_weight=0)
        base = model.vl_ltr
        for module in base.vision_encoder.modules():
            if hasattr(module, "dropout"):
                module.dropout = 0.4  # of attention weights
        model.set_stage("pretrain")
        model.train()
        images, tokens = (batch[name].split(3) for name in ("pixel_values", "input_ids"))

        torch.manual_seed(7)
        embeds = torch.cat([base.embed_images(part) for part in images])
        texts = torch.cat([base.encode_text(part, torch.ones_like(part)) for part in tokens])
        expected_loss = class_contrastive_loss(embeds, texts, LABELS, base.logit_scale())
        expected = torch.autograd.grad(expected_loss, list(base.vision_encoder.parameters()))
        base.encoding_chunk_size = 3
        torch.manual_seed(7)
        loss, gradients = _gradients(model, batch)
        assert_close(loss, expected_loss)
        for (name, _), wanted in zip(base.vision_encoder.named_parameters(), expected, strict=True):
            assert_close(
                gradients[f"vl_ltr.vision_encoder.{name}"], wanted, msg=functools.partial("{1}: {0}".format, name)
            )
        torch.manual_seed(8)
        assert not torch.equal(model(**batch).loss, loss)  # something is drawn

    def test_does_nothing_where_nothing_learns(self, make, batch):
        model = make()
        expected = model(**batch).loss
        model.vl_ltr.encoding_chunk_size = 2
        with torch.no_grad():
            assert torch.equal(model(**batch).loss, expected)
