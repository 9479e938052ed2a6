from __future__ import annotations

import time

import pytest

from runtime.artifacts.naming import OutputNames, clean_prefix, output_key
from runtime.artifacts.store import check_key
from runtime.errors import InvalidRequest

STARTED = time.struct_time((2027, 1, 2, 3, 4, 5, 5, 2, 0))


@pytest.fixture
def names() -> OutputNames:
    return OutputNames(STARTED)


def test_names_count_up_by_their_prefix(names: OutputNames) -> None:
    made = [names.next(prefix, ".png") for prefix in ("cat", "cat", "dog", "cat")]
    assert made == ["cat_00001_.png", "cat_00002_.png", "dog_00001_.png", "cat_00003_.png"]


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("cat_%width%x%height%", "cat_640x480_00001_.png"),
        ("%year%-%month%-%day%", "2027-01-02_00001_.png"),
        ("%hour%%minute%%second%", "030405_00001_.png"),
        ("cat_%batch_num%", "cat_7_00001_.png"),
        ("100%_%unknown%", "100%_%unknown%_00001_.png"),
        ("sub/folder/cat", "sub/folder/cat_00001_.png"),
        ("", "ComfyUI_00001_.png"),
    ],
)
def test_placeholders_are_filled_as_in_comfyui(names: OutputNames, prefix: str, name: str) -> None:
    assert names.next(prefix, ".png", width=640, height=480, index=7) == name


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [
        ("a/../b", "a/b"),
        ("C:\\temp\\x", "C_/temp/x"),
        ("a//b/./c", "a/b/c"),
        ("...", "ComfyUI"),
        (". ./x", "x"),
        ("cat\x00\n<>|?*", "cat_______"),
        ("猫", "猫"),
        ("a" * 300, "a" * 100),
        ("/".join("abcdefghij"), "c/d/e/f/g/h/i/j"),
    ],
    ids=ascii,
)
def test_a_prefix_never_leaves_its_folder(prefix: str, kept: str) -> None:
    assert clean_prefix(prefix) == kept


@pytest.mark.parametrize("prefix", ["../x", "/etc/passwd", "a/../../b", "..\\..\\windows", "\\x", "a/../.."], ids=ascii)
def test_a_prefix_that_leads_out_of_its_folder_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidRequest, match=r"filename_prefix .* leads out of the output folder"):
        clean_prefix(prefix)


def key(node_id: str, name: str = "cat_00001_.png") -> str:
    return output_key(user="tenant", job_id="job", token=3, node_id=node_id, index=0, name=name)


def test_a_key_says_whose_which_and_from_what() -> None:
    assert key("9", "sub/cat_00001_.png") == "outputs/tenant/job/3/9_0_cat_00001_.png"


@pytest.mark.parametrize("node_id", ["../../x", "a/b", "a b", "", "猫", "\n", "x" * 256, "9:1", "5.0.0.1"], ids=ascii)
def test_any_node_id_makes_a_key_that_a_store_takes(node_id: str) -> None:
    assert check_key(key(node_id)).startswith("outputs/tenant/job/3/")


def test_two_node_ids_never_share_a_key() -> None:
    ids = ["a/b", "a-b", "a\\b", "a:b", "猫", "犬", "x" * 200, "x" * 201]
    assert len({key(id) for id in ids}) == len(ids)


def test_the_longest_names_still_make_a_key() -> None:
    name = OutputNames(STARTED).next("p" * 500, ".safetensors")
    assert check_key(key("n" * 256, name))
