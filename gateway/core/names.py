"""How things are named in Redis.

Every key that a request touches carries the tag of its tenant, `{pg:NN}` with NN = crc32(tenant id) mod 16, so that one
script can hold them together, on Redis Cluster too. Below, `p` is `{pg:NN}:`.

    p epoch          set while the counters can be trusted; missing = cold
    p s:ACCOUNT      sorted set: slots in use, request id → end of the lease in ms
    p c:OWNER:LIMIT  sorted set: requests running under a concurrency limit
    p w:OWNER:LIMIT  hash: sliding window (n total, o oldest bucket, one field a bucket)
    p d:OWNER:LIMIT:WINDOW   counter of a calendar window
    p k:SESSION      the account that a session sticks to
    p idle           hash: account → when its last slot was taken, ms
    p l              sorted set: running requests, request id → end of the lease in ms
    p r              hash: request id → its reservation (the account, and the row's beginning)
    p u              stream: rows for the ledger
    p state          hash: ACCOUNT|SCOPE → the account's automatic state
    p h:ACCOUNT      list: changes of that state, newest first
    p done           hash: INSTANCE → how far its journal is committed
    pg:gateway:INSTANCE   set while a gateway runs, or another has its journal: its progress is needed
"""

import hashlib
import zlib

TAGS = 16
CUT_CHANNEL = "pg:cut"


def tag_of(tenant_id: str) -> int:
    return zlib.crc32(tenant_id.encode()) % TAGS


def prefix(tag: int) -> str:
    return f"{{pg:{tag:02d}}}:"


def tenant_prefix(tenant_id: str) -> str:
    return prefix(tag_of(tenant_id))


def gateway_name(instance: str) -> str:
    return f"pg:gateway:{instance}"


def session_name(tenant_id: str, key_id: str, session: str, scope: str) -> str:
    """A sticky session's name: tenant and key are part of it, so no two keys can meet or steer each other."""
    text = "\0".join((tenant_id, key_id, scope, session))
    return "k:" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
