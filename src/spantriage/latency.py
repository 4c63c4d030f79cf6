"""Durations in constant memory: counted in buckets, so that their order does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Latency"]


@dataclass(slots=True)
class Latency:
    """Durations in 8 buckets per power of two: percentiles within 9 % whatever the order, in constant memory."""

    buckets: dict[int, int] = field(default_factory=dict)
    number: int = 0
    max_ns: int = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        self.number += 1
        self.max_ns = max(self.max_ns, duration_ns)
        shift = duration_ns.bit_length() - 4
        bucket = (shift << 4) + (duration_ns >> shift) if shift > 0 else duration_ns
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Latency) -> None:
        """Add another's durations."""
        self.number += other.number
        self.max_ns = max(self.max_ns, other.max_ns)
        for bucket, number in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + number

    def quantile(self, q: float) -> int | None:
        """The duration in ns below which a share `q` of them lies; None without any."""
        rank, passed = q * self.number, 0
        for bucket in sorted(self.buckets):
            passed += self.buckets[bucket]
            if passed >= rank:
                shift = max(0, (bucket >> 4))
                value = bucket if bucket < 16 else ((bucket & 15) << shift) + (1 << shift >> 1)
                return min(value, self.max_ns)
        return None

    def figures(self) -> Iterator[tuple[str, float]]:
        """Half of them, most of them and the longest, in milliseconds."""
        for label, q in (("p50", 0.5), ("p95", 0.95)):
            found = self.quantile(q)
            if found is not None:
                yield label, round(found / 1e6, 3)
        yield "max", round(self.max_ns / 1e6, 3)
