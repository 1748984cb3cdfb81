-- Writes an account's automatic state, and its history; a real change also becomes an event.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 account   2 scope ("account", "family:…", "model:…")   3 state as JSON, "" to clear   4 history entry as JSON
local p = KEYS[1]
local field = ARGV[1] .. '|' .. ARGV[2]
local old = redis.call('HGET', p .. 'state', field)
if ARGV[3] == '' then
  if not old then return 0 end
  redis.call('HDEL', p .. 'state', field)
else
  redis.call('HSET', p .. 'state', field, ARGV[3])
end

-- Seven days, and the last thousand of each kind of scope by itself: clients name models, so those of models may be many,
-- and push nothing out that was said of the account or of a family.
local week, most = 604800, 1000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local history = p .. 'h:' .. ARGV[1] .. ':' .. string.match(ARGV[2], '^[^:]*')
redis.call('ZADD', history, now, ARGV[4])
redis.call('ZREMRANGEBYSCORE', history, '-inf', now - week * 1000000)
redis.call('ZREMRANGEBYRANK', history, 0, -most - 1)
redis.call('EXPIRE', history, week)

-- The same trouble once more is no news, and neither is one that returns before anybody was told that it was over: within
-- two minutes of its end, a breaker within those of its being half-open too (see prune.lua).
local for_ever = 4102444800
local function read(text)
  local good, state = pcall(cjson.decode, text)
  return good and type(state) == 'table' and type(state['until']) == 'number' and state or {['until'] = 0}
end
if old and ARGV[3] ~= '' then
  local before, after = read(old), read(ARGV[3])
  local lasts = before['until'] + (before.reason == 'breaker' and 720 or 120) > tonumber(time[1])
  local same = before.reason == after.reason and (before['until'] >= for_ever) == (after['until'] >= for_ever)
  if lasts and same then return 1 end
end
redis.call('XADD', p .. 'e', 'MAXLEN', '~', 1000, '*',
  'a', ARGV[1], 's', ARGV[2], 'o', old or '', 'n', ARGV[3], 'h', ARGV[4])
return 1
