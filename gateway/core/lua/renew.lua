-- Renews the leases of running requests, all of a process in one call a tag. One that Redis has not, since it was lost or
-- was admitted without it, is counted now.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 lease ms, then for each request: id, what is kept of it (account, charges, row: a line each), number of names
--          K, K × name of a sorted set that holds its lease
-- Returns  the number of requests renewed
local lease = tonumber(ARGV[1])
local at, renewed = 2, 0
while at < #ARGV do
  local id, kept, names = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  for i = 1, names do
    redis.call('ZADD', p .. ARGV[at + 2 + i], now + lease, id)
    redis.call('PEXPIRE', p .. ARGV[at + 2 + i], lease * 2)
  end
  redis.call('ZADD', p .. 'l', now + lease, id)
  local _, reserved = kept_of(id)
  if reserved then
    -- What admission wrote of its charges is the truth: it knows the moment.
    local account, _, row = string.match(kept, '^([^\n]*)\n([^\n]*)\n(.*)$')
    redis.call('HSET', p .. 'r', id, account .. '\n' .. reserved .. '\n' .. row)
  else
    redis.call('HSET', p .. 'r', id, kept)
    apply(string.match(kept, '^[^\n]*\n([^\n]*)\n') or '', 1)
  end
  at = at + 3 + names
  renewed = renewed + 1
end
return renewed
