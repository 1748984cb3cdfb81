-- Writes an account's automatic state, and its history.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 account   2 scope ("account", "family:…", "model:…")   3 state as JSON, "" to clear   4 history entry as JSON
local p = KEYS[1]
local field = ARGV[1] .. '|' .. ARGV[2]
if ARGV[3] == '' then
  if redis.call('HDEL', p .. 'state', field) == 0 then return 0 end
else
  redis.call('HSET', p .. 'state', field, ARGV[3])
end
redis.call('LPUSH', p .. 'h:' .. ARGV[1], ARGV[4])
redis.call('LTRIM', p .. 'h:' .. ARGV[1], 0, 99)
redis.call('EXPIRE', p .. 'h:' .. ARGV[1], 604800)
return 1
