-- Takes requests whose gateway has gone: leases that are past, by Redis' own time, become rows "gateway_lost". What they
-- reserved goes back; the jobs charge the estimate when its row is in the ledger.
--
-- KEYS[1]  a prefix
-- ARGV     1 most requests to take
-- Returns  the number taken
local past = redis.call('ZRANGEBYSCORE', p .. 'l', '-inf', now, 'LIMIT', 0, tonumber(ARGV[1]))
for i = 1, #past do
  local account, reserved, row = kept_of(past[i])
  redis.call('ZREM', p .. 'l', past[i])
  redis.call('HDEL', p .. 'r', past[i])
  if account then
    redis.call('ZREM', p .. 's:' .. account, past[i])
    apply(reserved, -1)
    redis.call('XADD', p .. 'u', '*', 'i', 'sweep', 's', '0', 'a', account, 'g', row, 'c', reserved)
  end
end
return #past
