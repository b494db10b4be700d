"""The graph that everyone is measured on: users, edges, posts, and who is asked about.

All of it is drawn from one seed. Edges come in the order of their followers' keys, and their times
rise with it: so "newest follower first" is also "greatest key first", and a pattern that stores no
time can be asked for the same page as the others.
"""

from __future__ import annotations

import csv
import gzip
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

SEED = 20261128
START = datetime(2026, 1, 1)
# Authors of posts, whatever the number of users, so that feeds of graphs of all sizes compare.
AUTHORS = 50_000
# Whom they follow: the viewer, the quiet one, the one whose authors fell silent, the curious one.
FOLLOWED, BACK, RARE, SILENT, CURIOUS = 300, 60, 5, 100, 50


@dataclass(frozen=True)
class Cast:
    """The users who are asked about.

    :param celebrity: has most followers.
    :param viewer: follows 300 authors, 60 of whom follow back; has written nothing.
    :param quiet: follows five who have written three posts each.
    :param silent: follows a hundred who wrote twenty posts each, before everybody else began.
    :param curious: follows fifty ordinary users: whom else?
    :param writer: follows nobody; every write is hers.
    """

    celebrity: int
    viewer: int
    quiet: int
    silent: int
    curious: int
    writer: int


class Graph:
    """Edges between users `1..users`, sorted, and the posts of the users."""

    def __init__(self, edges: int, users: int, posts: int, file: str | None = None) -> None:
        """Draw a graph of about so many edges, or read that of a CSV file.

        :param posts: how many in all; a file brings edges only.
        """
        self._draw = random.Random(SEED)
        followed = _read(file) if file else self._power_law(edges, users)
        ordinary = len(followed)
        self.ordinary = ordinary
        self._number_of_posts = posts
        rare = range(ordinary + 1, ordinary + 1 + RARE)
        silent = range(rare.stop, rare.stop + SILENT)
        keys = iter(range(silent.stop, silent.stop + 5))
        self._rare, self._silent = rare, silent
        viewer, quiet, old, curious, writer = keys
        self.users = writer
        everybody = range(1, ordinary + 1)
        authors = everybody[: min(ordinary, AUTHORS)]
        follows = sorted(self._draw.sample(authors, min(FOLLOWED, len(authors) // 2)))
        for number in self._draw.sample(follows, min(BACK, len(follows))):
            followed[number - 1] = sorted({*followed[number - 1], viewer})
        curious_about = sorted(self._draw.sample(everybody, min(CURIOUS, ordinary // 4)))
        followed += [[] for _ in (*rare, *silent)]
        followed += [follows, list(rare), list(silent), curious_about, []]
        self.followers, self.followed = array("i"), array("i")
        counts: dict[int, int] = {}
        for follower, targets in enumerate(followed, 1):
            self.followers.extend([follower] * len(targets))
            self.followed.extend(targets)
            for target in targets:
                counts[target] = counts.get(target, 0) + 1
        celebrity = max(counts, key=lambda number: (counts[number], -number))
        self.most_followers = counts[celebrity]
        self.cast = Cast(celebrity, viewer, quiet, old, curious, writer)

    def __len__(self) -> int:
        return len(self.followers)

    def _power_law(self, edges: int, users: int) -> list[list[int]]:
        """Return whom each user follows: both degrees fall off by a power of the rank."""
        draw = self._draw
        numbers = range(1, users + 1)
        popular = list(accumulate((number + 10) ** -0.7 for number in numbers))
        eager = [(number + 10) ** -0.6 for number in numbers]
        draw.shuffle(eager)
        total = sum(eager)
        # User 1 stands out: as many followers as fame has in a graph of this size.
        fame = min(max(edges * 6 // 100, 2_000), users * 2 // 5)
        wanted = max(edges - fame - FOLLOWED - BACK - RARE - SILENT - CURIOUS, 0)
        fans = set(draw.sample(numbers[1:], fame))
        followed, owed = [], 0.0
        for number, weight in zip(numbers, eager, strict=True):
            owed += wanted * weight / total
            degree, owed = int(owed), owed % 1
            targets = self._targets(number, min(degree, users // 4), popular)
            if number in fans:
                targets.add(1)
            followed.append(sorted(targets))
        return followed

    def _targets(self, number: int, degree: int, popular: list[float]) -> set[int]:
        targets: set[int] = set()
        numbers = range(1, len(popular) + 1)
        while len(targets) < degree:
            missing = degree - len(targets)
            targets.update(self._draw.choices(numbers, cum_weights=popular, k=missing))
            targets.discard(number)
        return targets

    def usernames(self) -> Iterator[tuple[int, str]]:
        """Yield key and name of each user."""
        return ((number, f"user{number}") for number in range(1, self.users + 1))

    def edges(self) -> Iterator[tuple[int, int, str]]:
        """Yield follower, followed and time, a tenth of a second apart."""
        for place, pair in enumerate(zip(self.followers, self.followed, strict=True)):
            yield (*pair, moment(place / 10))

    def posts(self) -> Iterator[tuple[int, int, str, str]]:
        """Yield key, author, text and time; some share a time, and the oldest come first."""
        draw = random.Random(SEED)
        old = [author for author in self._silent for _ in range(20)]
        draw.shuffle(old)
        authors = range(1, min(self.ordinary, AUTHORS) + 1)
        weights = list(accumulate((number + 100) ** -0.4 for number in authors))
        usual = draw.choices(authors, cum_weights=weights, k=self._number_of_posts)
        for author in self._rare:
            for place in draw.sample(range(len(usual)), 3):
                usual[place] = author
        for number, author in enumerate([*old, *usual], 1):
            yield number, author, f"post {number}: " + "lorem ipsum " * 6, moment(number // 3)

    def shuffled_pairs(self, limit: int) -> tuple[array[int], array[int]]:
        """Return the keys of so many edges, in the disorder of a file from elsewhere."""
        places = list(range(len(self)))
        random.Random(SEED).shuffle(places)
        del places[limit:]
        return (
            array("i", (self.followers[place] for place in places)),
            array("i", (self.followed[place] for place in places)),
        )


def _read(file: str) -> list[list[int]]:
    """Return whom each user of a CSV file follows, users numbered from 1 on in their order."""
    opened: Any = gzip.open if file.endswith(".gz") else open
    with opened(file, "rt", newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        pairs = [(int(a), int(b)) for a, b, *_ in rows]
    numbers = {key: number for number, key in enumerate(sorted({k for p in pairs for k in p}), 1)}
    followed: list[set[int]] = [set() for _ in numbers]
    for follower, target in pairs:
        if follower != target:
            followed[numbers[follower] - 1].add(numbers[target])
    return [sorted(targets) for targets in followed]


def moment(seconds: float) -> str:
    """Return a time as every one of the databases reads it."""
    return (START + timedelta(seconds=seconds)).isoformat(" ", "microseconds")
