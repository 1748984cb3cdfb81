-- Settles one request after its end: slot and leases given back, what it reserved put right, its row into the ledger's
-- stream, all in one step.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 request id   2 account ("" when none was reached)   3 instance   4 sequence   5 row (JSON)
--          6 most rows in the stream   7 "ACCOUNT|SCOPE" that served it, "" when none did   8 key id
--          9 its charges (they are in the row too), with what it really used   10… names of the concurrency limits it ran under
-- Returns  1, or 0 when the stream is full (the row waits in the journal)
--
-- Who puts the charges right: this script, when it finds the reservation; else ("a" = 0) the jobs, once the row is in
-- the ledger. So a row that is sent twice, or whose reservation was lost or swept, counts once.
local id = ARGV[1]
if ARGV[2] ~= '' then redis.call('ZREM', p .. 's:' .. ARGV[2], id) end
redis.call('ZREM', p .. 'l', id)
for i = 10, #ARGV do redis.call('ZREM', p .. ARGV[i], id) end
if ARGV[7] ~= '' then
  -- Two different keys that were served and when, for the breaker's question whether only one key meets faults. Most
  -- requests read and do not write: two that are 5 s old at most answer it for any key.
  local name, key = p .. 'served:' .. ARGV[7], ARGV[8]
  local second = tonumber(time[1])
  local served = redis.call('GET', name) or ''
  local first, at, other, before = string.match(served, '^(%S+) (%d+)%s?(%S*)%s?(%d*)')
  local fresh = (second - 5) * 1000
  if not first or tonumber(at) < fresh or (first ~= key and (tonumber(before) or 0) < fresh) then
    local stays = first ~= key and first and first .. ' ' .. at or other and other .. ' ' .. before or ''
    redis.call('SET', name, key .. ' ' .. second * 1000 .. ' ' .. stays, 'PX', 30000)
  end
end
local account, reserved = kept_of(id)
-- A request that was stopped while it moved to another account holds that one's slot, of which its gateway never heard.
if account and account ~= '' and account ~= ARGV[2] then redis.call('ZREM', p .. 's:' .. account, id) end
local full = redis.call('XLEN', p .. 'u') >= tonumber(ARGV[6])
if full then
  -- The row comes again: until then the reservation stands for what it used, without a lease that could be swept.
  if reserved == '' then redis.call('HDEL', p .. 'r', id) end
  return 0
end
local applied = '0'
if reserved then
  redis.call('HDEL', p .. 'r', id)
  if warm then
    applied = '1'
    local held = {}
    for kind, name, span, at, amount in charges(reserved) do held[name] = {kind, tonumber(span), tonumber(at), amount} end
    for kind, name, span, at, amount in charges(ARGV[9]) do
      local before = held[name]
      held[name] = nil
      add(kind, name, tonumber(span), before and before[3] or tonumber(at), amount - (before and before[4] or 0))
    end
    for name, one in pairs(held) do add(one[1], name, one[2], one[3], -one[4]) end
  end
end
redis.call('XADD', p .. 'u', '*', 'i', ARGV[3], 's', ARGV[4], 'r', ARGV[5], 'a', applied)
return 1
