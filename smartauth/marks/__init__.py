"""Marks: how a change made on one worker empties the caches of all of them within a second.

A change of a token, authorization, user, client, activation, tenant, upstream or signing key leaves a row here in its
own transaction: triggers write it, so no writer can forget to. Workers read the rows that are new to them every few
hundred milliseconds. Nothing is correct only because of a cache: a worker that has not read the marks for two seconds
stops using what it remembers.
"""

from smartauth.marks.cache import MarkedCache
from smartauth.marks.tags import (
    authorization_mark,
    client_mark,
    keys_mark,
    skins_mark,
    tenant_mark,
    token_mark,
    user_mark,
)

__all__ = [
    "MarkedCache",
    "authorization_mark",
    "client_mark",
    "keys_mark",
    "skins_mark",
    "tenant_mark",
    "token_mark",
    "user_mark",
]
