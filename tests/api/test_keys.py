from __future__ import annotations

import pytest

from runtime.api.errors import NotFound, Unauthenticated
from runtime.api.keys import MOST_KEYS, USED_EVERY_S, ApiKeys
from runtime.api.principal import Scope
from runtime.clock import ManualClock
from runtime.documents.store import DocumentStore
from runtime.errors import InvalidRequest


@pytest.fixture
def keys(documents: DocumentStore, clock: ManualClock) -> ApiKeys:
    return ApiKeys(documents, clock=clock)


@pytest.mark.parametrize("tenant", ["01ABC", "a_b-c_d"])
def test_a_key_is_its_tenants_with_its_scopes(keys: ApiKeys, tenant: str) -> None:
    key, known = keys.create(tenant, "ci", scopes=[Scope.READ])
    principal = keys.authenticate(key)
    assert (principal.tenant, principal.scopes) == (tenant, {Scope.READ})
    assert known.scopes == ("read",)


def test_a_key_is_never_seen_again(keys: ApiKeys, documents: DocumentStore) -> None:
    key, _ = keys.create("t", "ci", scopes=Scope.all())
    secret = key.rsplit("_", 1)[1]
    assert secret not in str(keys.list("t"))
    assert secret not in str([found.value for found in documents.list("keys t")])


def test_keys_are_listed_by_their_tenant_alone(keys: ApiKeys) -> None:
    _, known = keys.create("t", "ci", scopes=[Scope.READ])
    keys.create("u", "other", scopes=[Scope.READ])
    assert keys.list("t") == [known]


def test_a_deleted_key_is_refused_at_once(keys: ApiKeys) -> None:
    key, known = keys.create("t", "ci", scopes=[Scope.READ])
    keys.delete("t", known.key_id)
    with pytest.raises(Unauthenticated):
        keys.authenticate(key)


def test_another_tenants_key_cannot_be_deleted(keys: ApiKeys) -> None:
    key, known = keys.create("t", "ci", scopes=[Scope.READ])
    with pytest.raises(NotFound):
        keys.delete("u", known.key_id)
    assert keys.authenticate(key)


def test_an_expired_key_is_refused_although_it_was_used(keys: ApiKeys, clock: ManualClock) -> None:
    key, known = keys.create("t", "ci", scopes=[Scope.READ], ttl_s=60)
    keys.authenticate(key)
    assert known.expires_at is not None
    clock.advance(60)
    with pytest.raises(Unauthenticated):
        keys.authenticate(key)


def test_the_last_use_is_known_to_the_hour(keys: ApiKeys, clock: ManualClock) -> None:
    key, known = keys.create("t", "ci", scopes=[Scope.READ])
    assert known.last_used_at is None
    keys.authenticate(key)
    first = keys.list("t")[0].last_used_at
    clock.advance(USED_EVERY_S - 1)
    keys.authenticate(key)
    assert keys.list("t")[0].last_used_at == first
    clock.advance(1)
    keys.authenticate(key)
    assert str(keys.list("t")[0].last_used_at) > str(first)


@pytest.mark.parametrize("key", ["", "csk", "csk_t", "csk_t_1", "csk_t_1_2", "abc_t_1_2", "csk___"])
def test_what_is_no_key_is_refused(keys: ApiKeys, key: str) -> None:
    with pytest.raises(Unauthenticated, match="wrong, expired or revoked"):
        keys.authenticate(key)


def test_a_right_id_with_a_wrong_secret_is_refused(keys: ApiKeys) -> None:
    key, _ = keys.create("t", "ci", scopes=[Scope.READ])
    with pytest.raises(Unauthenticated):
        keys.authenticate(key[:-1] + ("0" if key[-1] != "0" else "1"))


def test_the_number_of_keys_is_bounded(keys: ApiKeys) -> None:
    for number in range(MOST_KEYS):
        keys.create("t", str(number), scopes=[Scope.READ])
    with pytest.raises(InvalidRequest, match="delete one first"):
        keys.create("t", "one more", scopes=[Scope.READ])
