"""Training the pocket Qwen-VL: the fast route agrees with stock, packed rows with single ones, prompts with ours."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage
from PIL import Image
from transformers import PreTrainedTokenizerFast

from agent.context import reason_messages
from pocket.vlm.batch import Coder, collate, pack
from pocket.vlm.build import build
from pocket.vlm.decisions import some_chat
from pocket.vlm.fast import predict, see
from pocket.vlm.mixture import Example, Group, decision_example, decision_groups, plan_group, sight_group
from pocket.vlm.sights import asks, truth_of
from pocket.vlm.stream import corpus
from pocket.vlm.talk import some_intent
from pocket.vlm.text import TEMPLATE, image_processor, special_ids, train_tokenizer, vocabulary_texts
from pocket.vlm.words import Speaker
from pocket.world.render import render
from pocket.world.scene import generator, sample_scene
from prompts import load_pack
from tools.arguments import TOOLS, LayoutDraft, tool_specs
from tools.asks import question_messages
from vlm.rendering import Renderer

PACK = load_pack("pocket")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    rng = generator("train", 5)
    truths = [truth_of(sample_scene(rng, allow_held_out=False)) for _ in range(20)]
    return train_tokenizer([*corpus(1, 40, truths), *vocabulary_texts() * 20], 1200)


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> Any:
    model = build(len(tokenizer), special_ids(tokenizer))
    generator_ = torch.Generator().manual_seed(1)
    for p in model.parameters():  # zero-initialised branches would make any two routes agree
        p.data = torch.randn(p.shape, generator=generator_) * 0.06
    return model


@pytest.fixture(scope="module")
def renderer(tokenizer: PreTrainedTokenizerFast) -> Renderer:
    return Renderer(tokenizer, image_processor(), TEMPLATE)


def picture(seed: int) -> np.ndarray:
    return render(sample_scene(generator("test", seed), counts=(2,), allow_held_out=True))


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 127.5 - 1


def test_the_fast_eyes_see_what_stock_sees(model: Any, renderer: Renderer) -> None:
    pixels = picture(3)
    block = {"type": "image", "image": Image.fromarray(pixels)}
    prompt = renderer.render([HumanMessage([block, {"type": "text", "text": "?"}])])
    assert prompt.pixel_values is not None
    assert prompt.image_grid_thw is not None

    stock = model.model.visual(torch.from_numpy(prompt.pixel_values), grid_thw=torch.from_numpy(prompt.image_grid_thw))

    torch.testing.assert_close(see(model, as_tensor(pixels)[None])[0], stock.pooler_output, rtol=1e-3, atol=1e-3)


def test_a_packed_row_predicts_what_stock_predicts(
    model: Any, renderer: Renderer, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Two questions about one picture and a text, in one row: each reply's logits are those of its own conversation."""
    pixels = picture(4)
    block = {"type": "image", "image": Image.fromarray(pixels)}
    questions = ["Is there a red circle at the left?", "Is the mood gloomy?"]
    coder = Coder(tokenizer)
    speaker = Speaker(np.random.default_rng(0))
    truth = truth_of(sample_scene(generator("test", 4), counts=(2,), allow_held_out=True))
    shape = asks(speaker.rng, truth, PACK)[0]
    asked = [type(shape)("region", q, "Yes") for q in questions]
    groups = [sight_group(as_tensor(pixels), asked), plan_group(speaker, PACK)]
    rows, held = pack(coder, (coder.code(g) for g in groups), 1, 600)
    batch = collate(rows, coder.pad, 600)
    assert held > 60

    packed = predict(model, batch)

    begin = 0
    for question in questions:
        example = renderer.example([*question_messages(block, question), AIMessage("Yes")])
        out = model(
            input_ids=torch.tensor([example.input_ids]),
            mm_token_type_ids=torch.tensor([example.mm_token_type_ids], dtype=torch.int),
            pixel_values=torch.from_numpy(example.pixel_values),
            image_grid_thw=torch.from_numpy(example.image_grid_thw),
        )
        alone = out.logits[0, -3:-1]  # what predicts "Yes" and the end of the turn
        torch.testing.assert_close(packed[begin : begin + 2], alone, rtol=2e-3, atol=2e-3)
        begin += 2


def test_prompts_are_spelt_as_the_program_spells_them(renderer: Renderer, tokenizer: PreTrainedTokenizerFast) -> None:
    speaker = Speaker(np.random.default_rng(2))
    coder = Coder(tokenizer)
    for _ in range(10):
        decision = next(iter(some_intent(some_chat(speaker))))
        calls = [{"name": decision.tool, "args": decision.arguments, "id": "1"}] if decision.tool else []
        reply = AIMessage(decision.answer, tool_calls=calls, additional_kwargs={"reasoning_content": decision.thought})
        real = renderer.example([*reason_messages(decision.state, PACK), reply], tool_specs())

        ours = decision_example(decision, PACK)

        assert coder.ids(ours.prompt) + coder.ids(ours.reply) + [coder.end] == real.input_ids


def test_every_call_and_plan_is_valid() -> None:
    speaker = Speaker(np.random.default_rng(3))
    for _ in range(60):
        for decision in some_intent(some_chat(speaker)):
            if decision.tool:
                TOOLS[decision.tool].model_validate(decision.arguments)
            assert decision.thought
            assert decision.tool or decision.answer
        (plan,) = plan_group(speaker, PACK).examples
        draft = LayoutDraft.model_validate(json.loads(plan.reply))
        for region in draft.regions:
            assert region.name in region.prompt
            assert region.prompt in draft.prompt
            assert region.box[0] < region.box[2]
            assert region.box[1] < region.box[3]


def test_a_common_beginning_is_computed_once(tokenizer: PreTrainedTokenizerFast) -> None:
    coder = Coder(tokenizer)
    group = Group((Example("region", "red circle one", "Yes"), Example("region", "red circle two three", "No")))

    coded = coder.code(group)

    assert coded.trunk == coder.ids("red circle")
    assert [coded.trunk + rest for rest, _, _ in coded.branches] == [coder.ids(e.prompt) for e in group.examples]


def test_contexts_stay_under_four_hundred_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    """The shipped tokenizer is larger and better than this one; what fits here fits there."""
    coder = Coder(tokenizer)
    speaker = Speaker(np.random.default_rng(4), "test")
    lengths = [len(coder.ids(e.prompt)) for _ in range(80) for g in decision_groups(speaker, PACK) for e in g.examples]

    assert max(lengths) <= 400
