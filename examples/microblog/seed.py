"""A sample network: people, who follows whom, and what they have posted.

It looks like the networks one meets: a few are followed by very many and most by a few (newcomers
tend to follow those who are followed already), people follow back, and they find others through
those whom they follow. The same numbers give the same network every time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy import insert, select

from .forms import DEMO_USERNAME
from .models import Post, User, db, follows
from .seed_words import ANYTIME, ENDINGS, FIRST_NAMES, LAST_NAMES, TOPICS

Values = dict[str, Any]

FOUNDED = timedelta(days=300)  # the first user joins so long ago, the others bit by bit
POSTED = timedelta(days=42)  # the posts are spread over so many days
CHUNK = 1000


@dataclass
class Network:
    """Users as rows to insert; edges and posts likewise, with a user's place instead of a key."""

    users: list[Values]
    edges: list[tuple[int, int, datetime]] = field(default_factory=list)
    posts: list[tuple[int, str, datetime]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.users) + len(self.edges) + len(self.posts)


def generate(size: int, now: datetime, *, demo_password_hash: str, seed: int = 2008) -> Network:
    """Make up a network; nothing is stored.

    :param size: how many users there are, the demo user among them.
    :param demo_password_hash: lets one of them log in. The others have no password: hashing one
        is slow on purpose, and three thousand would take minutes.
    """
    random = Random(seed)
    network = Network(make_users(random, size, now))
    demo = network.users[min(size // 10, size - 1)]  # not the newest, so that some follow it
    demo.update(username=DEMO_USERNAME, name="Demo", password_hash=demo_password_hash)
    network.edges = make_edges(random, network.users, now)
    network.posts = make_posts(random, network, now)
    return network


def make_users(random: Random, size: int, now: datetime) -> list[Values]:
    """Give each a name, a username of it that nobody else has, and a day of joining."""
    first_names, last_names = FIRST_NAMES.split(), LAST_NAMES.split()
    taken: set[str] = set()
    users = []
    for place in range(size):
        name = f"{random.choice(first_names)} {random.choice(last_names)}"
        plain = re.sub(r"\W", "", name.lower().replace(" ", "_"))
        username = plain if plain not in taken else f"{plain}{place}"
        taken.add(username)
        joined = now - FOUNDED * (1 - place / size) * random.uniform(0.97, 1)
        users.append(
            {"username": username, "name": name, "password_hash": "!", "created_at": joined}
        )
    return users


def make_edges(
    random: Random, users: Sequence[Values], now: datetime
) -> list[tuple[int, int, datetime]]:
    """Let everybody follow some others, first on joining and once more later."""
    crowd = Crowd(random, [user["created_at"] for user in users], now)
    for newcomer in (True, False):
        for place, user in enumerate(users):
            if newcomer:
                crowd.ballot.append(place)
            wanted = 24 if user["username"] == DEMO_USERNAME else random.lognormvariate(1.5, 0.9)
            for _ in range(round(wanted)):
                crowd.let_follow(place)
    edges = [
        (a, b, time) for a, targets in enumerate(crowd.followed) for b, time in targets.items()
    ]
    return sorted(edges, key=lambda edge: edge[2])


class Crowd:
    """Who follows whom so far, and who is likely to be followed next."""

    def __init__(self, random: Random, joined: Sequence[datetime], now: datetime) -> None:
        self.random = random
        self.joined = joined
        self.now = now
        self.followed: list[dict[int, datetime]] = [{} for _ in joined]
        self.followers = [0] * len(joined)
        self.ballot: list[int] = []  # one ticket for each who has joined, one more a follower

    def let_follow(self, follower: int) -> None:
        """Choose somebody and follow; now and then the other follows back."""
        target = self.choose(follower)
        if target == follower or target in self.followed[follower]:
            return
        both_here = max(self.joined[follower], self.joined[target])
        time = between(self.random, both_here, self.now)
        self.add(follower, target, time)
        follows_back = 0.6 / (1 + self.followers[target] / 30)  # the famous do so less often
        if follower not in self.followed[target] and self.random.random() < follows_back:
            soon = min(self.now, time + timedelta(days=2))
            self.add(target, follower, between(self.random, time, soon))

    def choose(self, follower: int) -> int:
        """Choose one whom somebody I follow follows, or else anyone: the famous first."""
        friends = list(self.followed[follower])
        if friends and self.random.random() < 0.4:
            theirs = list(self.followed[self.random.choice(friends)])
            if theirs:
                return self.random.choice(theirs)
        return self.random.choice(self.ballot)

    def add(self, follower: int, target: int, time: datetime) -> None:
        """Note an edge, and that its target is a little more famous now."""
        self.followed[follower][target] = time
        self.followers[target] += 1
        self.ballot.append(target)


def make_posts(random: Random, network: Network, now: datetime) -> list[tuple[int, str, datetime]]:
    """Let everybody write about two things they love; those with many followers write more."""
    followers = [0] * len(network.users)
    for _, target, _ in network.edges:
        followers[target] += 1
    posts: list[tuple[int, str, datetime]] = []
    for author, user in enumerate(network.users):
        topics = random.sample(TOPICS, 2)
        since = max(user["created_at"], now - POSTED)
        wanted = random.expovariate(1 / (3 + followers[author] / 5)) * ((now - since) / POSTED)
        sentences = {make_sentence(random, topics): None for _ in range(min(60, int(wanted)))}
        posts += [(author, sentence, between(random, since, now)) for sentence in sentences]
    return sorted(posts, key=lambda post: post[2])


def make_sentence(random: Random, topics: Sequence[tuple[list[str], list[str]]]) -> str:
    """Say something about one of the topics, or about nothing."""
    if random.random() < 0.1:
        return random.choice(ANYTIME)
    sentences, fillings = random.choice(topics)
    sentence = random.choice(sentences).format(random.choice(fillings))
    return f"{sentence} {random.choice(ENDINGS)}" if random.random() < 0.6 else sentence


def between(random: Random, start: datetime, end: datetime) -> datetime:
    """Choose a moment."""
    return start + (end - start) * random.random()


def store(network: Network, progress: Callable[[int], object]) -> None:
    """Insert a network in bulk; the caller commits.

    The edges are inserted as rows of the mapped class because each has a time of its own; for
    pairs that are all made now, `follows.add_many(pairs)` is shorter.

    :param progress: called with the number of rows after each batch.
    """
    insert_all(User, iter(network.users), progress)
    found = {username: key for key, username in db.session.execute(select(User.id, User.username))}
    keys = [found[user["username"]] for user in network.users]
    edges = (
        {"follower_id": keys[follower], "followed_id": keys[target], "created_at": time}
        for follower, target, time in network.edges
    )
    insert_all(follows.Follow, edges, progress)
    posts = (
        {"author_id": keys[author], "body": body, "created_at": time}
        for author, body, time in network.posts
    )
    insert_all(Post, posts, progress)


def insert_all(model: type[Any], rows: Iterator[Values], progress: Callable[[int], object]) -> None:
    """Insert rows, a thousand in one statement."""
    while chunk := list(islice(rows, CHUNK)):
        db.session.execute(insert(model), chunk)
        progress(len(chunk))
