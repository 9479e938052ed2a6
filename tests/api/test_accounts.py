from __future__ import annotations

import pytest

from runtime.api.accounts import (
    ACCESS_TOKEN_S,
    LOGIN_WINDOW_S,
    LOGINS,
    REFRESH_TOKEN_S,
    REGISTRATION_WINDOW_S,
    REGISTRATIONS,
    Accounts,
)
from runtime.api.errors import Conflict, RateLimited, Unauthenticated
from runtime.api.principal import Scope
from runtime.clock import ManualClock
from runtime.documents.store import DocumentStore
from runtime.errors import InvalidRequest

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
SECRET_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def accounts(documents: DocumentStore, clock: ManualClock) -> Accounts:
    return Accounts(documents, secret_key=SECRET_KEY, clock=clock)


def test_whoever_registers_is_logged_in(accounts: Accounts) -> None:
    tokens = accounts.register(EMAIL, PASSWORD, address="there")
    principal = accounts.authenticate(tokens.access_token)
    assert principal.scopes == Scope.all()


def test_a_login_is_of_the_same_tenant_as_the_registration(accounts: Accounts) -> None:
    registered = accounts.authenticate(accounts.register(EMAIL, PASSWORD, address="there").access_token)
    logged_in = accounts.authenticate(accounts.login(" Ada@Example.org", PASSWORD, address="a").access_token)
    assert logged_in == registered


def test_two_accounts_are_two_tenants(accounts: Accounts) -> None:
    tenants = {
        accounts.authenticate(accounts.register(e, PASSWORD, address="there").access_token).tenant
        for e in (EMAIL, "b@c.org")
    }
    assert len(tenants) == 2


def test_an_address_has_one_account(accounts: Accounts) -> None:
    accounts.register(EMAIL, PASSWORD, address="there")
    with pytest.raises(Conflict, match="has an account already"):
        accounts.register(EMAIL, "another password", address="there")


@pytest.mark.parametrize(("email", "password"), [(EMAIL, "wrong password"), ("nobody@example.org", PASSWORD)])
def test_a_wrong_login_does_not_say_what_was_wrong(accounts: Accounts, email: str, password: str) -> None:
    accounts.register(EMAIL, PASSWORD, address="there")
    with pytest.raises(Unauthenticated, match="the e-mail address or the password is wrong"):
        accounts.login(email, password, address="a")


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@b.org", "a@b", "a b@c.org", "a@b.c" + "c" * 250])
def test_what_is_no_address_is_named(accounts: Accounts, email: str) -> None:
    with pytest.raises(InvalidRequest, match="expected NAME@HOST"):
        accounts.register(email, PASSWORD, address="there")


def test_a_short_password_is_refused_and_not_shown(accounts: Accounts) -> None:
    with pytest.raises(InvalidRequest, match="has 6 characters; expected 10 to 1000") as caught:
        accounts.register(EMAIL, "secret", address="there")
    assert "secret" not in str(caught.value)


def test_nothing_that_is_kept_is_a_password_or_a_token(accounts: Accounts, documents: DocumentStore) -> None:
    kept: list[object] = []
    put = documents.put

    def spy(*args: object, **kwargs: object) -> object:
        kept.extend(args)
        return put(*args, **kwargs)

    documents.put = spy
    tokens = accounts.register(EMAIL, PASSWORD, address="there")
    secret = tokens.refresh_token.rsplit("_", 1)[1]
    assert PASSWORD not in str(kept)
    assert secret not in str(kept)


def test_an_access_token_ends_after_half_an_hour(accounts: Accounts, clock: ManualClock) -> None:
    tokens = accounts.register(EMAIL, PASSWORD, address="there")
    clock.advance(ACCESS_TOKEN_S)
    with pytest.raises(Unauthenticated, match="expired"):
        accounts.authenticate(tokens.access_token)


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ."])
def test_a_token_of_nobodys_is_refused(accounts: Accounts, token: str) -> None:
    with pytest.raises(Unauthenticated, match="not one of this deployment"):
        accounts.authenticate(token)


def test_a_token_of_another_deployment_is_refused(
    accounts: Accounts, documents: DocumentStore, clock: ManualClock
) -> None:
    other = Accounts(documents, secret_key=SECRET_KEY[::-1], clock=clock)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(other.register(EMAIL, PASSWORD, address="there").access_token)


def test_a_refresh_goes_on_as_the_same_tenant(accounts: Accounts, clock: ManualClock) -> None:
    tokens = accounts.register(EMAIL, PASSWORD, address="there")
    clock.advance(REFRESH_TOKEN_S - 1)
    tenant = accounts.authenticate(accounts.refresh(tokens.refresh_token).access_token).tenant
    assert tenant == accounts.authenticate(accounts.login(EMAIL, PASSWORD, address="a").access_token).tenant


def test_a_refresh_token_ends_after_a_week(accounts: Accounts, clock: ManualClock) -> None:
    tokens = accounts.register(EMAIL, PASSWORD, address="there")
    clock.advance(REFRESH_TOKEN_S)
    with pytest.raises(Unauthenticated, match="expired or revoked"):
        accounts.refresh(tokens.refresh_token)


def test_a_spent_refresh_token_ends_its_whole_session(accounts: Accounts) -> None:
    first = accounts.register(EMAIL, PASSWORD, address="there").refresh_token
    second = accounts.refresh(first).refresh_token
    with pytest.raises(Unauthenticated, match="was used before"):
        accounts.refresh(first)
    with pytest.raises(Unauthenticated, match="expired or revoked"):
        accounts.refresh(second)


def test_other_sessions_of_the_account_go_on(accounts: Accounts) -> None:
    first = accounts.register(EMAIL, PASSWORD, address="there").refresh_token
    other = accounts.login(EMAIL, PASSWORD, address="a").refresh_token
    accounts.refresh(first)
    with pytest.raises(Unauthenticated):
        accounts.refresh(first)
    assert accounts.refresh(other)


def test_a_logout_ends_the_session(accounts: Accounts) -> None:
    tokens = accounts.register(EMAIL, PASSWORD, address="there")
    accounts.logout(tokens.refresh_token)
    with pytest.raises(Unauthenticated):
        accounts.refresh(tokens.refresh_token)


def test_a_logout_by_a_forged_token_ends_nothing(accounts: Accounts) -> None:
    token = accounts.register(EMAIL, PASSWORD, address="there").refresh_token
    accounts.logout(token.rsplit("_", 1)[0] + "_" + "0" * 64)
    assert accounts.refresh(token)


def test_attempts_to_log_in_are_bounded_by_account(accounts: Accounts, clock: ManualClock) -> None:
    accounts.register(EMAIL, PASSWORD, address="there")
    for number in range(LOGINS):
        with pytest.raises(Unauthenticated):
            accounts.login(EMAIL, "wrong password", address=f"address {number}")
    with pytest.raises(RateLimited) as caught:
        accounts.login(EMAIL, PASSWORD, address="another")
    clock.advance(caught.value.retry_after_s)
    assert accounts.login(EMAIL, PASSWORD, address="another")


def test_attempts_to_log_in_are_bounded_by_address(accounts: Accounts) -> None:
    for number in range(LOGINS):
        with pytest.raises(Unauthenticated):
            accounts.login(f"user{number}@example.org", "wrong password", address="one")
    with pytest.raises(RateLimited, match=f"within {LOGIN_WINDOW_S} s"):
        accounts.login("user99@example.org", "wrong password", address="one")


def test_an_address_without_attempts_left_uses_up_no_account_s(accounts: Accounts) -> None:
    accounts.register(EMAIL, PASSWORD, address="there")
    for number in range(LOGINS):
        with pytest.raises(Unauthenticated):
            accounts.login(f"user{number}@example.org", "wrong password", address="one")
    for _ in range(LOGINS + 1):
        with pytest.raises(RateLimited):
            accounts.login(EMAIL, "wrong password", address="one")
    assert accounts.login(EMAIL, PASSWORD, address="another")


def test_attempts_to_register_are_bounded_by_address(accounts: Accounts, clock: ManualClock) -> None:
    for number in range(REGISTRATIONS):
        with pytest.raises(InvalidRequest, match="password"):
            accounts.register(f"user{number}@example.org", "short", address="one")
    with pytest.raises(RateLimited, match="more than 100 attempts to make an account within 3600 s"):
        accounts.register(EMAIL, PASSWORD, address="one")
    assert accounts.register(EMAIL, PASSWORD, address="another")
    clock.advance(REGISTRATION_WINDOW_S)
    assert accounts.register("b@c.org", PASSWORD, address="one")
