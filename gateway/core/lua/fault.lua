-- Counts a request's fault at an account, and says whether its breaker opens: 5 in 30 s that two keys met, or that one key met
-- while the account served no other. A half-open breaker opens again at once, for twice as long, at most 5 minutes.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 "ACCOUNT|SCOPE"   2 request id   3 key id   4 the caller's time in seconds: the clock of states
--          5 "1" when the caller has just served another key
-- Returns  {seconds for which it opens, faults, 1 when two keys met them}, or nil
local p, field, key = KEYS[1], ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local name = p .. 'faults:' .. field

local held = redis.call('HGET', p .. 'state', field)
local read, state = pcall(cjson.decode, held or '')
-- What one key alone has met is as if it were not for the others: their faults are counted.
local spared = read and type(state) == 'table' and state.soft and state.key ~= key
if held and read and type(state) == 'table' and type(state['until']) == 'number' and not spared then
  local left = state['until'] - tonumber(ARGV[4])
  -- Out already: what fails now was sent before.
  if left > 0 then return nil end
  if state.reason == 'breaker' and left > -600 then
    local claim = p .. 'probe:' .. field
    if redis.call('GET', claim) == ARGV[2] then redis.call('DEL', claim) end
    redis.call('DEL', name)
    local paused = state['until'] - (tonumber(state.since) or state['until'])
    return {math.floor(math.min(300, math.max(30, paused * 2))), (tonumber(state.faults) or 0) + 1, state.soft and 0 or 1}
  end
end

redis.call('ZREMRANGEBYSCORE', name, '-inf', now - 30000)
-- Once for a request, however often it was tried.
redis.call('ZADD', name, now, key .. ' ' .. ARGV[2])
redis.call('ZREMRANGEBYRANK', name, 0, -201)
redis.call('PEXPIRE', name, 30000)
local met = redis.call('ZRANGE', name, 0, -1)
if #met < 5 then return nil end

local shared = false
for i = 1, #met do
  if string.match(met[i], '^%S*') ~= key then shared = true end
end
if not shared then
  if ARGV[5] == '1' then return nil end
  local served = redis.call('GET', p .. 'served:' .. field)
  for other, at in string.gmatch(served or '', '(%S+) (%d+)') do
    if other ~= key and tonumber(at) > now - 30000 then return nil end
  end
end
redis.call('DEL', name)
return {30, #met, shared and 1 or 0}
