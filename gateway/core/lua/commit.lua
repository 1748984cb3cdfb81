-- Rows are in PostgreSQL: their entries go, the journals are told, and charges that no reservation has put right count
-- from now on. While the counters are cold they do not: they will be read from PostgreSQL, these charges among them.
--
-- KEYS[1]  a prefix
-- ARGV     1 group   2 batch, "" for none   3 its charges   4 number of entries N, N × entry id, then pairs (instance,
--          committed)
-- Returns  the number of entries that were there
--
-- A batch counts once, however often it is said: a leader that dies between the two databases leaves it to the next.
local count = tonumber(ARGV[4])
local there = 0
for i = 5, 4 + count do
  redis.call('XACK', p .. 'u', ARGV[1], ARGV[i])
  there = there + redis.call('XDEL', p .. 'u', ARGV[i])
end
for i = 5 + count, #ARGV, 2 do redis.call('HSET', p .. 'done', ARGV[i], ARGV[i + 1]) end
if ARGV[2] ~= '' and tonumber(ARGV[2]) > (tonumber(redis.call('GET', p .. 'batch')) or 0) then
  apply(ARGV[3], 1)
  redis.call('SET', p .. 'batch', ARGV[2])
end
return there
