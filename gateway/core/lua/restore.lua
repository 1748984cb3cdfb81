-- Writes counters as the ledger says them. Only while they are cold, so nobody else writes them.
--
-- KEYS[1]  a prefix
-- ARGV     1 epoch, "" when more is to come   2 the last batch that is in them (see commit.lua)
--          then n × (name, span, bucket, amount), by bucket; a calendar's bucket is 0
-- Returns  1, or 0 when the counters are not cold (any more)
--
-- With the epoch come the reservations of what runs now, and from then on the counters are trusted.
if warm then return 0 end
for i = 3, #ARGV, 4 do
  local name, span, bucket, amount = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  if string.sub(name, 1, 1) == 'w' then
    -- The first whole millisecond of the bucket.
    add('S', name, span, math.ceil(bucket * span / 60), amount)
  else
    add('D', name, span, 0, amount)
  end
end
if ARGV[1] == '' then return 1 end
warm = true
local running = redis.call('HKEYS', p .. 'r')
for i = 1, #running do
  if redis.call('ZSCORE', p .. 'l', running[i]) then
    local _, reserved = kept_of(running[i])
    apply(reserved or '', 1)
  else
    -- It has ended, and its row comes: what it used counts then.
    redis.call('HDEL', p .. 'r', running[i])
  end
end
redis.call('SET', p .. 'batch', ARGV[2])
redis.call('SET', p .. 'epoch', ARGV[1])
return 1
