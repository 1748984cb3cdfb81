-- Settles one request after its end: slot and leases given back, its row into the ledger's stream, all in one step.
--
-- KEYS[1]  the tenant's prefix
-- ARGV     1 request id   2 account ("" when none was reached)   3 instance   4 sequence   5 row (JSON)
--          6 most rows in the stream   7… names of the concurrency limits it ran under
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
for i = 7, #ARGV do redis.call('ZREM', p .. ARGV[i], id) end
if redis.call('XLEN', p .. 'u') >= tonumber(ARGV[6]) then return 0 end
redis.call('XADD', p .. 'u', '*', 'i', ARGV[3], 's', ARGV[4], 'r', ARGV[5])
return 1
