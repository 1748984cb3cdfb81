-- Admits one request: checks and takes all of its limits and a slot of one account, or nothing.
--
-- KEYS[1]  the tenant's prefix, "{pg:NN}:"
-- ARGV     1 request id   2 lease ms   3 reservation ("" on a further attempt: the one there is kept)
--          4 sticky name ("" for none)   5 its life in seconds
--          6 account to let go of (a further attempt; "" on the first)
--          7 "busy" (take the least busy of the best tier) or "order" (take the first with a slot)
--          8 "1" when the candidates are all there are
--          9 number of limits L, then L × (kind, name, max, span):
--              "S" sliding: span = length in ms, in 60 buckets;  "C" concurrency;  "D" calendar: span = end in ms
--          then number of candidates N, then N × (account id, slots or 0, tier, mask)
--              mask: one character a limit, "1" where it applies to this account; "" = all apply
--
-- Returns  {"ok", account, bound?, now, used...}  used: two numbers a limit, (used, ms to the next free place)
--          {"limit", index, ms to wait, now, used...}
--          {"full", now}            every slot is taken
--          {"bound", account}       the session is bound to an account that is not among the candidates
--          {"cold"}                 the counters cannot be trusted
local p = KEYS[1]
if redis.call('EXISTS', p .. 'epoch') == 0 then return {'cold'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id, lease = ARGV[1], tonumber(ARGV[2])
local live = '(' .. now

-- A bucket is a sixtieth of the span, by number since the epoch; exact, as the products stay below 2^53.
local function bucket_of(span) return math.floor(now * 60 / span) end
-- A place taken in a bucket is free again when 60 whole buckets have passed.
local function leaves(bucket, span) return math.ceil((bucket + 61) * span / 60) - now end

-- A sliding window: places used, and the oldest bucket that still counts. Buckets older than 60 are dropped on the way.
local function slide(key, span)
  local head = redis.call('HMGET', key, 'n', 'o')
  local used, oldest = tonumber(head[1]), tonumber(head[2])
  if not used or not oldest then return 0, nil end
  local low, started = bucket_of(span) - 60, oldest
  local last = started + 61
  while oldest <= last do
    local count = redis.call('HGET', key, oldest)
    if count and oldest >= low then break end
    if count then
      used = used - count
      redis.call('HDEL', key, oldest)
    end
    oldest = oldest + 1
  end
  if used <= 0 or oldest > last then
    redis.call('DEL', key)
    return 0, nil
  end
  if oldest ~= started then redis.call('HSET', key, 'n', used, 'o', oldest) end
  return used, oldest
end

local at = 10
local limits = {}
for i = 1, tonumber(ARGV[9]) do
  local kind, key, max, span = ARGV[at], p .. ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local limit = {kind = kind, key = key, max = max, span = span, wait = 0}
  if kind == 'S' then
    local used, oldest = slide(key, span)
    limit.used, limit.oldest = used, oldest
    if oldest then
      limit.wait = leaves(oldest, span)
      local left, bucket = used - max, oldest
      -- Lowered maximum: more than one bucket may have to leave before a place is free.
      while left >= 0 and bucket <= oldest + 60 do
        limit.wait = leaves(bucket, span)
        left = left - (tonumber(redis.call('HGET', key, bucket)) or 0)
        bucket = bucket + 1
      end
    end
    if max == 0 then limit.wait = span end
  elseif kind == 'C' then
    limit.used = redis.call('ZCOUNT', key, live, '+inf')
    limit.wait = 1000
  else
    limit.used = tonumber(redis.call('GET', key) or 0)
    limit.wait = span > 0 and span - now or 86400000
  end
  limit.refused = limit.used >= max
  limits[i] = limit
  at = at + 4
end

local function answer(...)
  local out = {...}
  for i = 1, #limits do
    out[#out + 1] = limits[i].used
    out[#out + 1] = limits[i].wait
  end
  return out
end

local count = tonumber(ARGV[at])
local candidates, position = {}, {}
local tightest = 0  -- the limit that makes the request wait: of the accounts, the first to pass; of its limits, the last
at = at + 1
for i = 1, count do
  local account, slots, tier, mask = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
  local refused = 0
  for j = 1, #limits do
    if limits[j].refused and (mask == '' or string.sub(mask, j, j) == '1') then
      if refused == 0 or limits[j].wait > limits[refused].wait then refused = j end
    end
  end
  if refused == 0 then
    local used = redis.call('ZCOUNT', p .. 's:' .. account, live, '+inf')
    if account == ARGV[6] then used = used - 1 end
    candidates[#candidates + 1] = {
      id = account, used = used, free = slots == 0 or used < slots,
      load = used / (slots > 0 and slots or 100), tier = tier, mask = mask,
    }
    position[account] = #candidates
  else
    position[account] = -1
    if tightest == 0 or limits[refused].wait < limits[tightest].wait then tightest = refused end
  end
  at = at + 4
end
if #candidates == 0 and tightest > 0 then return answer('limit', tightest, limits[tightest].wait, now) end

local chosen, bound = nil, 0
if ARGV[4] ~= '' then
  local held = redis.call('GET', p .. ARGV[4])
  if held then
    local found = position[held]
    if found and found > 0 and candidates[found].free then
      chosen, bound = candidates[found], 1
    elseif not found and ARGV[8] ~= '1' then
      return {'bound', held}
    end
  end
end
if not chosen then
  local best, idle = nil, nil
  for i = 1, #candidates do
    local one = candidates[i]
    if best and one.tier > best.tier then break end
    if one.free then
      if not best then
        best = one
        if ARGV[7] ~= 'busy' then break end
      elseif one.load < best.load then
        best, idle = one, nil
      elseif one.load == best.load then
        idle = idle or tonumber(redis.call('HGET', p .. 'idle', best.id) or 0)
        local since = tonumber(redis.call('HGET', p .. 'idle', one.id) or 0)
        if since < idle then best, idle = one, since end
      end
    end
  end
  chosen = best
end
if not chosen then return {'full', now} end

local ends = now + lease
if ARGV[6] ~= '' and ARGV[6] ~= chosen.id then redis.call('ZREM', p .. 's:' .. ARGV[6], id) end
local slots = p .. 's:' .. chosen.id
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
redis.call('ZADD', slots, ends, id)
redis.call('PEXPIRE', slots, lease * 2)
redis.call('HSET', p .. 'idle', chosen.id, now)
redis.call('ZADD', p .. 'l', ends, id)
local kept = ARGV[3]
if kept == '' then
  local there = redis.call('HGET', p .. 'r', id)
  kept = there and string.sub(there, (string.find(there, '\n', 1, true) or 0) + 1) or ''
end
redis.call('HSET', p .. 'r', id, chosen.id .. '\n' .. kept)
if ARGV[4] ~= '' then redis.call('SET', p .. ARGV[4], chosen.id, 'EX', ARGV[5]) end
local counted = {}
for i = 1, #limits do
  local limit = limits[i]
  if chosen.mask == '' or string.sub(chosen.mask, i, i) == '1' then
    limit.used = limit.used + 1
    if counted[limit.key] then
      -- The same thing limited twice is counted once.
    elseif limit.kind == 'S' then
      -- A clock that was set back must not leave a place behind the oldest bucket, where none would find it.
      local bucket = math.max(bucket_of(limit.span), limit.oldest or 0)
      redis.call('HINCRBY', limit.key, bucket, 1)
      if redis.call('HINCRBY', limit.key, 'n', 1) == 1 then
        redis.call('HSET', limit.key, 'o', bucket)
        limit.wait = leaves(bucket, limit.span)
      end
      redis.call('PEXPIRE', limit.key, limit.span * 2)
    elseif limit.kind == 'C' then
      redis.call('ZREMRANGEBYSCORE', limit.key, '-inf', now)
      redis.call('ZADD', limit.key, ends, id)
      redis.call('PEXPIRE', limit.key, lease * 2)
    else
      redis.call('INCR', limit.key)
      if limit.span > 0 then redis.call('PEXPIREAT', limit.key, limit.span + 3600000) end
    end
    counted[limit.key] = true
  end
end
return answer('ok', chosen.id, bound, now)
