"""Token buckets: how often one client address may knock.

Promises: at most `Rate.times` knocks at once and that many again per `Rate.seconds`, per address. Trusts: the address
it is given. Keeps: at most `MOST` buckets, the least recently used goes first. Refuses: nothing; it says how long to
wait and the door refuses.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

MOST = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """`Rate(10, 60)`: ten knocks a minute, all ten at once if you like."""

    times: int
    seconds: float


class Buckets:
    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (tokens, at)

    def take(self, address: str, now: float) -> int:
        """0 when admitted, else whole seconds to wait."""
        key = network(address)
        per_second = self._rate.times / self._rate.seconds
        left, at = self._left.pop(key, (float(self._rate.times), now))
        left = min(float(self._rate.times), left + max(0.0, now - at) * per_second)
        admitted = left >= 1
        self._left[key] = (left - 1 if admitted else left, now)
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        return 0 if admitted else max(1, math.ceil((1 - left) / per_second))


@lru_cache(maxsize=MOST)
def network(address: str) -> str:
    """An IPv6 customer commands a whole /64, so that is one knocker."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return address
