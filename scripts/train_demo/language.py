"""The second stage: a text transformer that learns what a prompt says, before there is a picture.

A UNet learns slowly from a text encoder that starts from nothing. So this one learns to tell a scene from its prompt
first: what stands where, as linear functions of its state behind the prompt's end, which a UNet reads easily.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.clip import ClipText
from runtime.diffusion.tokenizer import END_TOKEN
from scripts.train_demo import networks
from scripts.train_demo.prompts import any_prompt
from scripts.train_demo.training import Draw, Recipe, Training
from scripts.train_demo.vocabulary import Vocabulary
from scripts.train_demo.world import COLOURS, PLACES, RADII, SHAPES, Scene, random_scene

_PROMPTS_IN_A_PART = 12
_PADDING_ASKED = 3  # states of the padding that are asked too: a UNet looks at all of them

_AXES = ("one", "across", "down")
_NOTHING = "nothing"
# What is asked of a state, and the answers that there are.
_QUESTIONS: tuple[tuple[str, ...], ...] = (
    _AXES,
    COLOURS,
    COLOURS,
    SHAPES,
    (*COLOURS, _NOTHING),
    (*SHAPES, _NOTHING),
    tuple(RADII),
    tuple(PLACES),
)


class Reader(nn.Module):
    """The text transformer with one linear layer behind it, which answers all questions about a scene."""

    def __init__(self, text: ClipText, generator: torch.Generator) -> None:
        super().__init__()
        self.text = text
        answers = sum(map(len, _QUESTIONS))
        self.answers = nn.Linear(networks.TEXT_WIDTH, answers)
        with torch.no_grad():
            self.answers.weight.normal_(0.0, networks.TEXT_WIDTH**-0.5, generator=generator)
            self.answers.bias.zero_()


def context(text: ClipText, rows: Tensor) -> Tensor:
    """(B, 77) rows of the vocabulary -> (B, 77, W), what SD 1.x's UNet attends to."""
    vectors = text.token_vectors(rows.flatten()).view(*rows.shape, -1)
    states: Tensor = text.final_layer_norm(text.hidden(vectors, blocks=len(text.encoder.layers)))
    return states


def train_text(vocabulary: Vocabulary, *, folder: Path, steps: int, seed: int, device: torch.device) -> ClipText:
    """The trained text transformer over the rows of `vocabulary`."""
    generator = torch.Generator().manual_seed(seed + 1)
    reader = Reader(networks.text_transformer(generator, tokens=len(vocabulary)), generator).to(device)
    recipe = Recipe(name="language", steps=steps, learning_rate=2e-3, averaging=0.98)
    training = Training(reader, recipe, folder=folder, seed=seed)
    training.run(lambda draw: _loss(reader, vocabulary, draw, device))
    text = training.mean.text
    assert isinstance(text, ClipText)
    return text


def _loss(reader: Reader, vocabulary: Vocabulary, draw: Draw, device: torch.device) -> Tensor:
    """How surprising the right answers are."""
    scenes = [random_scene(draw.rng, held_out=False) for _ in range(_PROMPTS_IN_A_PART)]
    rows = [vocabulary.rows(any_prompt(scene, draw.rng), draw.rng) for scene in scenes]
    ends = [each.index(vocabulary.row(END_TOKEN)) for each in rows]
    asked = torch.tensor([[end, *(draw.rng.randint(end, 76) for _ in range(_PADDING_ASKED))] for end in ends]).to(
        device
    )
    states = context(reader.text, torch.tensor(rows, device=device))
    states = states.gather(1, asked[..., None].expand(-1, -1, states.shape[-1]))
    logits = reader.answers(states).split([len(answers) for answers in _QUESTIONS], dim=-1)
    right = torch.tensor([_answers(scene) for scene in scenes], device=device).repeat_interleave(asked.shape[1], dim=0)
    losses = [F.cross_entropy(each.flatten(0, 1), right[:, question]) for question, each in enumerate(logits)]
    return torch.stack(losses).mean()


def _answers(scene: Scene) -> list[int]:
    """The right answer to each question; things are told apart by where they stand, not by which is named first."""
    axis = _AXES[0] if scene.relation is None else _AXES[1 if scene.relation in ("left of", "right of") else 2]
    things = sorted(scene.things, key=lambda thing: (thing.x, thing.y))
    first, second = things[0], things[1] if len(things) > 1 else None
    right = (
        axis,
        scene.background,
        first.colour,
        first.shape,
        second.colour if second else _NOTHING,
        second.shape if second else _NOTHING,
        scene.size,
        scene.place,
    )
    return [answers.index(answer) for answers, answer in zip(_QUESTIONS, right, strict=True)]
