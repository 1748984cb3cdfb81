"""How things are named in Redis.

Every key that a request touches carries the tag of its tenant, `{pg:NN}` with NN = crc32(tenant id) mod 16, so that one
script can hold them together, on Redis Cluster too. Below, `p` is `{pg:NN}:`.

    p epoch          set while the counters can be trusted, RUN:…, RUN being the run of Redis; missing = cold
    p batch          the last charges that the jobs have told (gateway/core/lua/commit.lua)
    p s:ACCOUNT      sorted set: slots in use, request id → end of the lease in ms
    p c:OWNER:LIMIT  sorted set: requests running under a concurrency limit
    p w:OWNER:LIMIT  hash: sliding window (n total, o oldest bucket, one field a bucket)
    p d:OWNER:LIMIT:WINDOW   counter of a calendar window
    p k:SESSION      the account that a session sticks to
    p R:RESPONSE     the account that made a response (30 days): the only one that knows it
    p E:REASONING    the account whose organisation encrypted a piece of reasoning (30 days)
    p probe:ACCOUNT|SCOPE    the request that tries, alone, whether a breaker may close again (60 s)
    p faults:ACCOUNT|SCOPE   sorted set: faults that count to a breaker, key and request → when in ms (30 s)
    p served:ACCOUNT|SCOPE   the last two keys that were served, each with when in ms (30 s)
    p renew:ACCOUNT  the process that renews the account's credentials (30 s)
    p refused:ACCOUNT  set while credentials that are refused were renewed within the last minute
    p idle           hash: account → when its last slot was taken, µs
    p l              sorted set: running requests, request id → end of the lease in ms
    p r              hash: request id → its reservation (the account, its charges, the row's beginning)
    p u              stream: rows for the ledger
    p state          hash: ACCOUNT|SCOPE → the account's automatic state (PROXY|account → the proxy's)
    p learned        hash: ACCOUNT|FAMILY → what the upstream said of its own limits
    p t:KIND:HOUR    hash: gateway → how long accounts take for a kind of request, in that hour (gateway/core/paces.py)
    p h:ACCOUNT:KIND sorted set: changes of the states of a kind (account, family, model), as JSON → when in µs
    p e              stream: those changes that are news (a account, s scope, o old and n new state as JSON or empty, h
                     history entry), for webhooks; the last 1000 or so, while no jobs take them
    p probed         hash: account → the last probe of it (see gateway.core.inspection)
    p done           hash: INSTANCE → how far its journal is committed
    pg:gateway:INSTANCE   set while a gateway runs, or another has its journal: its progress is needed
"""

import hashlib
import zlib
from functools import lru_cache

TAGS = 16
CUT_CHANNEL = "pg:cut"


@lru_cache(4096)
def tag_of(tenant_id: str) -> int:
    return zlib.crc32(tenant_id.encode()) % TAGS


def prefix(tag: int) -> str:
    return f"{{pg:{tag:02d}}}:"


@lru_cache(4096)
def tenant_prefix(tenant_id: str) -> str:
    return prefix(tag_of(tenant_id))


def gateway_name(instance: str) -> str:
    return f"pg:gateway:{instance}"


def session_name(tenant_id: str, key_id: str, session: str, scope: str) -> str:
    """A sticky session's name: tenant and key are part of it, so no two keys can meet or steer each other."""
    return "k:" + _hashed(tenant_id, key_id, scope, session)


def response_name(tenant_id: str, key_id: str, response_id: str) -> str:
    """The name that holds which account made a response; another key's request for it finds nothing."""
    return "R:" + _hashed(tenant_id, key_id, response_id)


def reasoning_name(tenant_id: str, key_id: str, digest: str) -> str:
    """The name that holds whose organisation can read a piece of encrypted reasoning, by the piece's digest."""
    return "E:" + _hashed(tenant_id, key_id, digest)


def pace_name(kind: tuple[str, str, str, bool], moment: float) -> str:
    """The name that holds how long accounts take for a kind of request (tenant, model family, operation, stream) in the
    hour of this moment."""
    tenant_id, family, operation, stream = kind
    return f"t:{_hashed(tenant_id, family, operation, 'stream' if stream else 'whole')}:{int(moment // 3600)}"


def _hashed(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
