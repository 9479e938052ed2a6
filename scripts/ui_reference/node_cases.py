"""Cases about single nodes and the links between them."""

from __future__ import annotations

from typing import Any

from scripts.ui_reference.cases import BYPASSED, MUTED, Sketch, empty_image, invert, sampler, save

_SEEDED = [7, "randomize", 20, 8, "euler", "normal", 1]


def widgets_in_order() -> Any:
    made = Sketch()
    picture = empty_image(made, 32, 48, 2, 255, title="Blank")
    made.link(picture, 0, save(made, "a/b"), "images")
    return made.saved()


def control_after_generate_is_not_sent() -> Any:
    made = Sketch()
    sampler(made, _SEEDED)
    sampler(made, [9, True, 20, 8.5, "sample_euler", "normal", 0.55])
    return made.saved()


def fewer_values_than_widgets() -> Any:
    made = Sketch()
    sampler(made, [3, "fixed", 5])
    made.node("EmptyLatentImage", outputs=("LATENT",))
    return made.saved()


def more_values_than_widgets() -> Any:
    made = Sketch()
    made.node("EmptyLatentImage", [64, 64, 1, "beyond", None], outputs=("LATENT",))
    return made.saved()


def links_as_objects() -> Any:
    made = Sketch(as_objects=True)
    picture = empty_image(made)
    made.link(picture, 0, save(made), "images")
    return made.saved()


def widget_turned_into_an_input() -> Any:
    made = Sketch()
    number = made.node("PrimitiveInt", [123, "fixed"], outputs=("INT",))
    sampled = sampler(made, _SEEDED, converted=(("steps", "INT", "steps"), ("seed", "INT", "seed")))
    made.link(number, 0, sampled, "steps")
    made.link(number, 0, sampled, "seed")
    return made.saved()


def saved_inputs_in_another_order() -> Any:
    made = Sketch()
    loader = made.node("CheckpointLoaderSimple", ["a.safetensors"], outputs=("MODEL", "CLIP", "VAE"))
    lora = made.node(
        "LoraLoader",
        ["b.safetensors", 0.5, 0.25],
        inputs=(("clip", "CLIP"), ("model", "MODEL")),
        outputs=("MODEL", "CLIP"),
    )
    made.link(loader, 0, lora, "model")
    made.link(loader, 1, lora, "clip")
    return made.saved()


def input_that_the_type_does_not_have() -> Any:
    made = Sketch()
    picture = empty_image(made)
    shown = made.node("PreviewImage", inputs=(("images", "IMAGE"), ("gone", "IMAGE"), ("lost", "INT", "lost")))
    made.link(picture, 0, shown, "images")
    made.link(picture, 0, shown, "gone")
    return made.saved()


def upload_buttons() -> Any:
    made = Sketch()
    made.node("LoadImage", ["a.png", "image"], outputs=("IMAGE", "MASK"))
    made.node("LoadImage", ["sub/b.png [output]", "image"], outputs=("IMAGE", "MASK"))
    made.node("LoadImageOutput", ["c.png", False, "refresh", "image"], outputs=("IMAGE", "MASK"))
    made.node("LoadAudio", ["d.mp3", None, ""], outputs=("AUDIO",))
    made.node("LoadVideo", ["e.mp4", "image"], outputs=("VIDEO",))
    return made.saved()


def views_of_sound_models_and_texts() -> Any:
    made = Sketch()
    text = made.node("PrimitiveStringMultiline", ["one\r\ntwo\rthree"], outputs=("STRING",))
    shown = made.node("PreviewAny", [], inputs=(("source", "*"),))
    made.link(text, 0, shown, "source")
    made.node("SaveGLB", ["mesh/%date:yy%"[:4], ""], inputs=(("mesh", "MESH"),))
    made.node("SaveAudioMP3", ["audio/x", "V0"], inputs=(("audio", "AUDIO"),))
    made.node("RecordAudio", ["", ""], outputs=("AUDIO",))
    return made.saved()


def muted_node_takes_its_links_away() -> Any:
    made = Sketch()
    picture = empty_image(made, mode=MUTED)
    turned = invert(made)
    made.link(picture, 0, turned, "image")
    made.link(turned, 0, save(made), "images")
    save(made, mode=MUTED)
    return made.saved()


def bypassed_chain() -> Any:
    made = Sketch()
    picture = empty_image(made)
    one, two = invert(made, mode=BYPASSED), invert(made, mode=BYPASSED)
    made.link(picture, 0, one, "image")
    made.link(one, 0, two, "image")
    made.link(two, 0, save(made), "images")
    return made.saved()


def bypass_passes_on_the_matching_type() -> Any:
    made = Sketch()
    loader = made.node("CheckpointLoaderSimple", ["a.safetensors"], outputs=("MODEL", "CLIP", "VAE"))
    lora = made.node(
        "LoraLoader",
        ["b.safetensors", 1, 1],
        inputs=(("model", "MODEL"), ("clip", "CLIP")),
        outputs=("MODEL", "CLIP"),
        mode=BYPASSED,
    )
    made.link(loader, 0, lora, "model")
    made.link(loader, 1, lora, "clip")
    text = made.node("CLIPTextEncode", ["a"], inputs=(("clip", "CLIP"),), outputs=("CONDITIONING",))
    made.link(lora, 1, text, "clip")
    sampled = sampler(made, _SEEDED)
    made.link(lora, 0, sampled, "model")
    return made.saved()


def bypass_without_a_matching_type() -> Any:
    made = Sketch()
    loader = made.node("VAELoader", ["a.safetensors"], outputs=("VAE",))
    latent = made.node("EmptyLatentImage", [64, 64, 1], outputs=("LATENT",))
    decoded = made.node("VAEDecode", inputs=(("samples", "LATENT"), ("vae", "VAE")), outputs=("IMAGE",), mode=BYPASSED)
    made.link(loader, 0, decoded, "vae")
    made.link(latent, 0, decoded, "samples")
    made.link(decoded, 0, save(made), "images")
    return made.saved()


def bypassed_towards_any_type() -> Any:
    made = Sketch()
    latent = made.node("EmptyLatentImage", [64, 64, 1], outputs=("LATENT",))
    loader = made.node("VAELoader", ["a.safetensors"], outputs=("VAE",))
    decoded = made.node("VAEDecode", inputs=(("samples", "LATENT"), ("vae", "VAE")), outputs=("IMAGE",), mode=BYPASSED)
    made.link(latent, 0, decoded, "samples")
    made.link(loader, 0, decoded, "vae")
    made.link(decoded, 0, made.node("PreviewAny", [], inputs=(("source", "*"),)), "source")
    return made.saved()


def reroutes() -> Any:
    made = Sketch()
    picture = empty_image(made)
    one = made.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",))
    two = made.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",))
    made.link(picture, 0, one, "", "IMAGE")
    made.link(one, 0, two, "", "IMAGE")
    made.link(two, 0, save(made), "images")
    loose = made.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",))
    made.link(loose, 0, save(made, "b"), "images")
    return made.saved()


def reroute_behind_a_bypassed_node() -> Any:
    made = Sketch()
    picture = empty_image(made)
    turned = invert(made, mode=BYPASSED)
    passed = made.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",))
    made.link(picture, 0, turned, "image")
    made.link(turned, 0, passed, "", "IMAGE")
    made.link(passed, 0, save(made), "images")
    return made.saved()


def notes_are_left_out() -> Any:
    made = Sketch()
    made.node("Note", ["hello"])
    made.node("MarkdownNote", ["# hello"])
    picture = empty_image(made)
    made.link(picture, 0, save(made), "images")
    return made.saved()


def primitive_sets_seeds_of_two_samplers() -> Any:
    made = Sketch()
    value = made.node("PrimitiveNode", [42, "fixed"], outputs=("INT",))
    for values in (_SEEDED, [1, "fixed", 4, 1.5, "ddim", "simple", 0.5]):
        made.link(value, 0, sampler(made, values, converted=(("seed", "INT", "seed"),)), "seed")
    return made.saved()


def primitive_is_bounded_and_rounded() -> Any:
    made = Sketch()
    large = made.node("PrimitiveNode", [99999999.6, "fixed"], outputs=("INT",))
    latent = made.node("EmptyLatentImage", [1, 2, 3], inputs=(("width", "INT", "width"),), outputs=("LATENT",))
    made.link(large, 0, latent, "width")
    odd = made.node("PrimitiveNode", [101, "fixed"], outputs=("INT",))
    for name in ("width", "height"):
        other = made.node("EmptyLatentImage", [1, 2, 3], inputs=((name, "INT", name),), outputs=("LATENT",))
        made.link(odd, 0, other, name)
    strength = made.node("PrimitiveNode", [7.123456, "fixed"], outputs=("FLOAT",))
    for name in ("cfg", "denoise"):
        made.link(strength, 0, sampler(made, _SEEDED, converted=((name, "FLOAT", name),)), name)
    return made.saved()


def primitive_of_texts_and_choices() -> Any:
    made = Sketch()
    text = made.node("PrimitiveNode", ["a {red|blue} cat // not this"], outputs=("STRING",))
    encoder = made.node(
        "CLIPTextEncode", ["old"], inputs=(("clip", "CLIP"), ("text", "STRING", "text")), outputs=("CONDITIONING",)
    )
    made.link(text, 0, encoder, "text")
    choice = made.node("PrimitiveNode", ["ddim", "fixed", ""], outputs=("COMBO",))
    sampled = sampler(made, _SEEDED, converted=(("sampler_name", "COMBO", "sampler_name"),))
    made.link(choice, 0, sampled, "sampler_name")
    made.node("PrimitiveNode", [5, "fixed"], outputs=("INT",))
    return made.saved()


def primitive_through_a_reroute_sets_nothing() -> Any:
    made = Sketch()
    value = made.node("PrimitiveNode", [42, "fixed"], outputs=("INT",))
    passed = made.node("Reroute", inputs=(("", "*"),), outputs=("INT",))
    made.link(value, 0, passed, "", "INT")
    made.link(passed, 0, sampler(made, _SEEDED, converted=(("seed", "INT", "seed"),)), "seed")
    return made.saved()


def primitive_without_a_saved_value() -> Any:
    made = Sketch()
    value = made.node("PrimitiveNode", outputs=("INT",))
    made.link(value, 0, sampler(made, _SEEDED, converted=(("seed", "INT", "seed"),)), "seed")
    return made.saved()


def choices_and_comments_in_prompts() -> Any:
    made = Sketch()
    for text in (
        "a {red|{dark|light} blue} {cat|dog}",
        "no /* never\nseen */ comment // to the end\nnext",
        r"escaped \{not|a choice\} \\ and \| end\\",
        "{open|never closed",
        "{} {|empty} }stray|",
        "http://example.test/a {x}",
    ):
        made.node("CLIPTextEncode", [text], inputs=(("clip", "CLIP"),), outputs=("CONDITIONING",))
    made.node("PrimitiveStringMultiline", ["{a|b} // stays"], outputs=("STRING",))
    return made.saved()


def file_names_with_other_widgets() -> Any:
    made = Sketch()
    sampler(made, _SEEDED, properties={"Node name for S&R": "KSampler"})
    empty_image(made, title="My picture")
    sampler(made, [9, "fixed", 3, 4.5, "euler", "normal", 1], properties={"Node name for S&R": "Second"})
    for prefix in (
        "%KSampler.seed%_%Second.cfg%",
        "%My picture.width%",
        "%None.x% %KSampler.none% %width%",
        "%a.b.c%%",
    ):
        save(made, prefix)
    made.node("SaveAnimatedWEBP", ["%Second.sampler_name%/x", 6, True, 80, "default"], inputs=(("images", "IMAGE"),))
    made.node("SaveVideo", ["%Second.steps%", "auto", "auto"], inputs=(("video", "VIDEO"),))
    return made.saved()


def titles() -> Any:
    made = Sketch()
    empty_image(made, title="")
    empty_image(made, title="Ünïcode ok")
    made.node("ImageScaleToTotalPixels", ["nearest-exact", 1], inputs=(("image", "IMAGE"),), outputs=("IMAGE",))
    return made.saved()


def old_names_of_types() -> Any:
    made = Sketch()
    made.node("T2IAdapterLoader", ["a.safetensors"], outputs=("CONTROL_NET",))
    made.node(
        "ConditioningAverage ",
        [0.5],
        inputs=(("conditioning_to", "CONDITIONING"), ("conditioning_from", "CONDITIONING")),
        outputs=("CONDITIONING",),
    )
    return made.saved()


def optional_inputs() -> Any:
    made = Sketch()
    picture = empty_image(made)
    loader = made.node("VAELoader", ["a.safetensors"], outputs=("VAE",))
    encoder = made.node(
        "TextEncodeQwenImageEdit",
        ["a cat"],
        inputs=(("clip", "CLIP"), ("vae", "VAE"), ("image", "IMAGE")),
        outputs=("CONDITIONING",),
    )
    made.link(picture, 0, encoder, "image")
    made.link(loader, 0, encoder, "vae")
    return made.saved()


def forced_inputs_had_widgets_once() -> Any:
    made = Sketch()
    made.node("SolidMask", [1, 64, 64], outputs=("MASK",))
    made.node("ImageToMask", ["red"], inputs=(("image", "IMAGE"),), outputs=("MASK",))
    made.node("CombineHooks2", [], inputs=(("hooks_A", "HOOKS"), ("hooks_B", "HOOKS")), outputs=("HOOKS",))
    return made.saved()


def ids_that_are_texts() -> Any:
    made = Sketch()
    picture = empty_image(made, id="first")
    made.link(picture, 0, save(made, id="second"), "images")
    return made.saved()


def values_of_every_kind() -> Any:
    made = Sketch()
    empty_image(made, None, "text", 1.5, -1)
    made.node("CLIPTextEncode", [None], inputs=(("clip", "CLIP"),), outputs=("CONDITIONING",))
    made.node("CLIPTextEncode", [12.5], inputs=(("clip", "CLIP"),), outputs=("CONDITIONING",))
    made.node("PrimitiveString", [[1, 2]], outputs=("STRING",))
    made.node("PrimitiveString", [{"a": [1]}], outputs=("STRING",))
    made.node("PrimitiveFloat", [1e300], outputs=("FLOAT",))
    return made.saved()
