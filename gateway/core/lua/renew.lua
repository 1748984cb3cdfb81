-- Renews the leases of running requests, all of a process in one call a tag.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 lease ms, then for each request: id, reservation, number of names K, K × name of a sorted set that holds
--          its lease
-- Returns  the number of requests renewed
local p = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[1])
local at, renewed = 2, 0
while at < #ARGV do
  local id, names = ARGV[at], tonumber(ARGV[at + 2])
  for i = 1, names do
    redis.call('ZADD', p .. ARGV[at + 2 + i], now + lease, id)
    redis.call('PEXPIRE', p .. ARGV[at + 2 + i], lease * 2)
  end
  redis.call('ZADD', p .. 'l', now + lease, id)
  redis.call('HSET', p .. 'r', id, ARGV[at + 1])
  at = at + 3 + names
  renewed = renewed + 1
end
return renewed
