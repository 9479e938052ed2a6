from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobs.attributes import from_attribute, from_attributes, to_attribute, to_attributes

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e30, 1e30) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_a_json_value_comes_back_as_it_went(value: Any) -> None:
    assert from_attribute(to_attribute(value)) == value


@given(st.dictionaries(st.text(), st.text() | st.booleans() | st.none() | st.lists(st.text())))
def test_boto3_reads_what_is_written(document: dict[str, Any]) -> None:
    assert (
        TypeDeserializer().deserialize({"M": to_attributes(document)})
        == document
        == from_attributes(to_attributes(document))
    )


def test_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes has no attribute value"):
        to_attribute(b"x")
