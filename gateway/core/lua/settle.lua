-- Settles one request after its end: slot and leases given back, its row into the ledger's stream, all in one step.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 request id   2 account ("" when none was reached)   3 instance   4 sequence   5 row (JSON)
--          6 most rows in the stream   7 "ACCOUNT|SCOPE" that served it, "" when none did   8 key id
--          9… names of the concurrency limits it ran under
-- Returns  1, or 0 when the stream is full (the row waits in the journal)
local p = KEYS[1]
local id = ARGV[1]
if ARGV[2] ~= '' then redis.call('ZREM', p .. 's:' .. ARGV[2], id) end
redis.call('ZREM', p .. 'l', id)
-- A request that was stopped while it moved to another account holds that one's slot, of which its gateway never heard.
local held = redis.call('HGET', p .. 'r', id)
local account = held and string.sub(held, 1, (string.find(held, '\n', 1, true) or 1) - 1) or ''
if account ~= '' and account ~= ARGV[2] then redis.call('ZREM', p .. 's:' .. account, id) end
redis.call('HDEL', p .. 'r', id)
for i = 9, #ARGV do redis.call('ZREM', p .. ARGV[i], id) end
if ARGV[7] ~= '' then
  -- Two different keys that were served and when, for the breaker's question whether only one key meets faults. Most
  -- requests read and do not write: two that are 5 s old at most answer it for any key.
  local name, key = p .. 'served:' .. ARGV[7], ARGV[8]
  local now = tonumber(redis.call('TIME')[1])
  local served = redis.call('GET', name) or ''
  local first, at, second, before = string.match(served, '^(%S+) (%d+)%s?(%S*)%s?(%d*)')
  local fresh = (now - 5) * 1000
  if not first or tonumber(at) < fresh or (first ~= key and (tonumber(before) or 0) < fresh) then
    local other = first ~= key and first and first .. ' ' .. at or second and second .. ' ' .. before or ''
    redis.call('SET', name, key .. ' ' .. now * 1000 .. ' ' .. other, 'PX', 30000)
  end
end
if redis.call('XLEN', p .. 'u') >= tonumber(ARGV[6]) then return 0 end
redis.call('XADD', p .. 'u', '*', 'i', ARGV[3], 's', ARGV[4], 'r', ARGV[5])
return 1
