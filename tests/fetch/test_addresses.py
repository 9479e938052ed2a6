from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.fetch.addresses import is_public

CARRIERS = [ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96")]

# What Python (in one version or another) calls global and this guard refuses.
STRICTER_IPV4 = [ip_network(n) for n in ("168.63.129.16/32", "192.88.99.0/24", "192.0.0.0/24")]
STRICTER_IPV6 = [ip_network(n) for n in ("2001::/23", "2002::/16", "3fff::/20")]


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_let_through_is_global_to_python_as_well(address: IPv4Address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_let_through_is_global_to_python_as_well(address: IPv6Address) -> None:
    if is_public(str(address)) and not any(address in carrier for carrier in CARRIERS):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
@example(IPv4Address("8.8.8.8"))
def test_an_ipv4_address_global_to_python_passes_but_for_the_listed_networks(address: IPv4Address) -> None:
    stricter = address.is_multicast or any(address in network for network in STRICTER_IPV4)
    assert is_public(str(address)) == (address.is_global and not stricter)


@given(st.integers(0x2000 << 112, (0x4000 << 112) - 1).map(IPv6Address))
@example(IPv6Address("2606:4700::1111"))
def test_a_global_unicast_ipv6_address_passes_but_for_the_listed_networks(address: IPv6Address) -> None:
    stricter = any(address in network for network in STRICTER_IPV6)
    assert is_public(str(address)) == (address.is_global and not stricter)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:", "64:ff9b::"]))
@example(IPv4Address("127.0.0.1"), "::ffff:")
@example(IPv4Address("8.8.8.8"), "64:ff9b::")
def test_an_ipv4_address_carried_in_ipv6_is_judged_as_itself(address: IPv4Address, prefix: str) -> None:
    assert is_public(f"{prefix}{address}") == is_public(str(address))


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("0.0.0.0", id="unspecified"),
        pytest.param("10.1.2.3", id="private"),
        pytest.param("100.64.0.1", id="shared"),
        pytest.param("169.254.169.254", id="metadata"),
        pytest.param("168.63.129.16", id="azure_host_agent"),
        pytest.param("192.0.0.192", id="oracle_metadata"),
        pytest.param("198.18.0.1", id="benchmarking"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::", id="unspecified_6"),
        pytest.param("::1", id="loopback_6"),
        pytest.param("::7f00:1", id="ipv4_compatible"),
        pytest.param("fc00::1", id="unique_local"),
        pytest.param("fd00:ec2::254", id="aws_metadata_6"),
        pytest.param("fe80::1%eth0", id="link_local_scoped"),
        pytest.param("ff02::1", id="multicast_6"),
        pytest.param("2002:7f00:1::", id="6to4"),
        pytest.param("2001:0:4136:e378:8000:63bf:80ff:fffe", id="teredo"),
        pytest.param("64:ff9b:1::8.8.8.8", id="local_nat64"),
        pytest.param("localhost", id="no_address"),
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "168.63.129.17", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_an_address_of_the_public_internet_passes(address: str) -> None:
    assert is_public(address)
