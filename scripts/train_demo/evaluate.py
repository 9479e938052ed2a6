"""How often the demo checkpoint draws what the prompt says: `python -m scripts.train_demo.evaluate`.

The prompts are of combinations of shapes and colours that were held out of training. Pictures are drawn as a worker
draws them and measured by `grade`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from runtime.diffusion.checkpoint import Checkpoint, load_checkpoint
from runtime.diffusion.sampling import ksampler
from scripts.train_demo.grade import Seen, SeenThing, look
from scripts.train_demo.prompts import whole_prompt
from scripts.train_demo.world import SIZE, Scene, Thing, scene_of_one, scene_of_two

ROOT = Path(__file__).resolve().parents[2]
_AT_ONCE = 16
STEPS, GUIDANCE = 20, 3.0
_NEAR = 12.0  # pixels between where a thing is and where it was asked for


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scene and the prompt that asks for it."""

    scene: Scene
    prompt: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is right in a picture. `place` is that of a single thing, `relation` that of two; None where not asked."""

    colour: bool
    shape: bool
    place: bool | None
    relation: bool | None

    @property
    def everything(self) -> bool:
        return self.colour and self.shape and self.place is not False and self.relation is not False


def cases(count: int, *, seed: int) -> list[Case]:
    """`count` held-out scenes with whole prompts, one and two things in turn."""
    rng = random.Random(f"{seed}/evaluate")
    draws = (scene_of_one, scene_of_two)
    scenes = [draws[index % 2](rng, held_out=True) for index in range(count)]
    return [Case(scene=scene, prompt=_unambiguous(scene, rng)) for scene in scenes]


def _unambiguous(scene: Scene, rng: random.Random) -> str:
    """A prompt that says how two things stand to each other."""
    while True:
        prompt = whole_prompt(scene, rng)
        if not any(word in prompt for word in (" and ", " next to ", " beside ")):
            return prompt


def judge(scene: Scene, seen: Seen) -> Verdict:
    """Compare a measured picture with the scene that was asked for. Things are known by their place, else by colour."""
    wanted, found = scene.things, seen.things
    complete = len(wanted) == len(found)
    colour = complete and seen.background == scene.background and _same(wanted, found, "colour")
    shape = complete and _same(wanted, found, "shape")
    if scene.relation is None:
        place = complete and _is_near(wanted[0], found[0])
        return Verdict(colour=colour, shape=shape, place=place, relation=None)
    return Verdict(colour=colour, shape=shape, place=None, relation=complete and _relation(scene, found))


def _same(wanted: Sequence[Thing], found: Sequence[SeenThing], what: str) -> bool:
    return sorted(getattr(thing, what) for thing in wanted) == sorted(getattr(thing, what) or "" for thing in found)


def _is_near(wanted: Thing, found: SeenThing) -> bool:
    return abs(wanted.x - found.x) <= _NEAR and abs(wanted.y - found.y) <= _NEAR


def _relation(scene: Scene, found: Sequence[SeenThing]) -> bool:
    """Whether the thing of the first colour and shape stands as asked to that of the second."""
    first, second = scene.things
    pairs = [found, found[::-1]]
    names = [((first.colour, first.shape), (second.colour, second.shape))]
    match = [pair for pair in pairs if tuple((thing.colour, thing.shape) for thing in pair) in names]
    return any(_stands(scene.relation, *pair) for pair in match)


def _stands(relation: str | None, one: SeenThing, other: SeenThing) -> bool:
    across, down = one.x - other.x, one.y - other.y
    if relation in ("left of", "right of"):
        return abs(across) > abs(down) and (across < 0) == (relation == "left of")
    return abs(down) > abs(across) and (down < 0) == (relation == "above")


def draw(
    checkpoint: Checkpoint, prompts: Sequence[str], *, seed: int, steps: int, guidance: float, negative: str = ""
) -> Iterator[Image.Image]:
    """A picture of each prompt, several at once, by the sampler that the examples use."""
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    empty = [[checkpoint.clip.encode(negative)[0], {}]]
    for start in range(0, len(prompts), _AT_ONCE):
        part = prompts[start : start + _AT_ONCE]
        context = torch.cat([checkpoint.clip.encode(prompt)[0] for prompt in part])
        latent = ksampler(
            model=checkpoint.model,
            seed=seed + start,
            steps=steps,
            cfg=guidance,
            sampler_name="dpmpp_2m",
            scheduler="karras",
            positive=[[context, {}]],
            negative=empty,
            latent={"samples": torch.zeros(len(part), 4, SIZE // 8, SIZE // 8)},
            on_step=lambda index, steps, denoised: None,
        )
        for pixels in checkpoint.vae.decode(latent["samples"]):
            yield Image.fromarray((pixels.numpy() * 255).round().astype(np.uint8))


def shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Of the pictures of which it was asked, the share that has each thing right."""
    named = {name: [getattr(each, name) for each in verdicts] for name in ("colour", "shape", "place", "relation")}
    named["everything"] = [each.everything for each in verdicts]
    asked = {name: [value for value in values if value is not None] for name, values in named.items()}
    return {name: sum(values) / len(values) for name, values in asked.items() if values}


def main() -> None:
    """Draw, measure, print the shares as JSON, and keep what went wrong where a folder for it is named."""
    parser = argparse.ArgumentParser(prog="python -m scripts.train_demo.evaluate", description=__doc__)
    default = ROOT / "models" / "checkpoints" / "small_world.safetensors"
    parser.add_argument("checkpoint", type=Path, nargs="?", default=default)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--wrong", type=Path, help="a folder for the pictures that are not right in everything")
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(arguments.checkpoint, device=torch.device("cpu"))
    asked, started_at = cases(arguments.count, seed=arguments.seed), time.monotonic()
    prompts = [case.prompt for case in asked]
    pictures = draw(checkpoint, prompts, seed=arguments.seed, steps=arguments.steps, guidance=arguments.guidance)
    verdicts = []
    for index, (case, picture) in enumerate(zip(asked, pictures, strict=True)):
        verdicts.append(judge(case.scene, look(picture)))
        if arguments.wrong is not None and not verdicts[-1].everything:
            arguments.wrong.mkdir(parents=True, exist_ok=True)
            picture.save(arguments.wrong / f"{index:04} {case.prompt}.png")
    figures = {name: round(share, 4) for name, share in shares(verdicts).items()}
    sys.stdout.write(json.dumps({"prompts": len(asked), **figures}) + "\n")
    sys.stderr.write(f"{(time.monotonic() - started_at) / len(asked):.2f} s a picture\n")


if __name__ == "__main__":
    main()
