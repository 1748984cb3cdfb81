-- Takes requests whose gateway has gone: leases that are past, by Redis' own time, become rows "gateway_lost".
--
-- KEYS[1]  a prefix
-- ARGV     1 most requests to take
-- Returns  the number taken
local p = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local past = redis.call('ZRANGEBYSCORE', p .. 'l', '-inf', now, 'LIMIT', 0, tonumber(ARGV[1]))
for i = 1, #past do
  local kept = redis.call('HGET', p .. 'r', past[i])
  redis.call('ZREM', p .. 'l', past[i])
  redis.call('HDEL', p .. 'r', past[i])
  if kept then
    local cut = string.find(kept, '\n', 1, true)
    local account = string.sub(kept, 1, cut - 1)
    redis.call('ZREM', p .. 's:' .. account, past[i])
    redis.call('XADD', p .. 'u', '*', 'i', 'sweep', 's', '0', 'a', account, 'g', string.sub(kept, cut + 1))
  end
end
return #past
