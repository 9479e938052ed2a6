"""Which internet addresses a URL from a request may reach.

The table is IANA's special-purpose registries (RFC 6890 and what followed), written out because what Python's
`ipaddress` calls global differs between its versions.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_REFUSED_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; Alibaba's metadata host
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent: public by number, yet answered inside the machine
        "169.254.0.0/16",  # link-local; the metadata host of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata host
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

# Everything of IPv6 outside global unicast is refused as it stands: loopback, unique local, link-local, multicast.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_REFUSED_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)

# An IPv4 address stands in the last 32 bits of these: IPv4-mapped (RFC 4291) and NAT64 (RFC 6052), which DNS64 gives.
_IPV4_CARRIERS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))


def is_public(address: str) -> bool:
    """Whether the public internet routes `address`, which is numeric, to a single host; False if it is no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _is_public_ipv4(parsed) if isinstance(parsed, IPv4Address) else _is_public_ipv6(parsed)


def _is_public_ipv4(address: IPv4Address) -> bool:
    return not any(address in network for network in _REFUSED_IPV4)


def _is_public_ipv6(address: IPv6Address) -> bool:
    if any(address in network for network in _IPV4_CARRIERS):
        return _is_public_ipv4(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST and not any(address in network for network in _REFUSED_IPV6)
