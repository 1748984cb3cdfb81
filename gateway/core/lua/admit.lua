-- Admits one request: checks and takes all of its limits and a slot of one account, or nothing.
--
-- KEYS[1]  the tenant's prefix, "{pg:NN}:"
-- ARGV     1 request id   2 lease ms   3 reservation ("" on a further attempt: the one there is kept)
--          4 sticky name ("" for none)   5 its life in seconds
--          6 account to let go of (a further attempt; "" on the first)
--          7 of the best tier with a free slot take: "busy" the least busy, "idle" the one idle longest, "order" the first
--          8 "1" when the candidates are all there are
--          9 what the request is bound by, beside its session: "must" (only the account held there), "prefer", or ""
--         10 the name that holds that account
--         11 number of limits L   12 how many of them, the first, are the caller's; the others are accounts' own
--          then L × (kind, name, max, span):
--              "S" sliding: span = length in ms, in 60 buckets;  "C" concurrency;  "D" calendar: span = end in ms
--          then number of candidates N, then N × (account id, slots or 0, tier, mask, flag), by tier
--              mask: one character a limit, "1" where it applies to this account; "" = all apply
--              flag: "d" draining: only for what is bound to it;  "s" slow: a session does not stay with it;
--                    "p" and a scope: half-open, only for the one request that claims it;  "" otherwise
--          then the names of sets whose lease is given back when the account of 6 is left
--
-- Returns  {"ok", account, bound, now, used...}
--              bound: 0 no, 1 by its session, 2 by the name of 10, 3 no: the account held there could not be taken
--              used: two numbers a limit, (used, ms to the next free place)
--          {"limit", index, ms to wait, now, used...}   of the caller's limits; accounts' own never refuse a request
--          {"full", now, busy, capped, ms}   no account: so many have no slot, so many are at their own limit or tried by
--                                   another request just now, and the first of these is back in so long
--          {"bound", account}       it is bound to an account that is not among the candidates
--          {"unknown"}              nothing is held under the name that it must be bound by
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

local must, preferred = ARGV[9] == 'must', nil
if ARGV[9] ~= '' then
  preferred = redis.call('GET', p .. ARGV[10])
  if must and not preferred then return {'unknown'} end
end

local at = 13
local limits, callers = {}, tonumber(ARGV[12])
for i = 1, tonumber(ARGV[11]) do
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
local busy, capped, soonest = 0, 0, 0
at = at + 1

-- The probe of a half-open account that this request would have to make; nil for other accounts, false when another has it.
local function probe_of(account, flag)
  if string.sub(flag, 1, 1) ~= 'p' then return nil end
  local name = p .. 'probe:' .. account .. '|' .. string.sub(flag, 2)
  local holder = redis.call('GET', name)
  return (not holder or holder == id) and name
end

for i = 1, count do
  local account, slots, tier = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local mask, flag = ARGV[at + 3], ARGV[at + 4]
  at = at + 5
  if not must or account == preferred then
    local refused, wait = 0, nil
    for j = 1, #limits do
      if limits[j].refused and (mask == '' or string.sub(mask, j, j) == '1') then
        if j > callers then
          wait = math.max(wait or 0, limits[j].wait)
        elseif refused == 0 or limits[j].wait > limits[refused].wait then
          refused = j
        end
      end
    end
    local probe
    if flag ~= '' then
      probe = probe_of(account, flag)
      if probe == false then wait = math.max(wait or 0, 1000) end
    end
    position[account] = -1
    if refused > 0 then
      if tightest == 0 or limits[refused].wait < limits[tightest].wait then tightest = refused end
    elseif wait then
      capped = capped + 1
      if soonest == 0 or wait < soonest then soonest = wait end
    else
      local used = redis.call('ZCOUNT', p .. 's:' .. account, live, '+inf')
      if account == ARGV[6] then used = used - 1 end
      candidates[#candidates + 1] = {
        id = account, used = used, free = slots == 0 or used < slots, probe = probe, flag = flag,
        load = used / (slots > 0 and slots or 100), tier = tier, mask = mask,
      }
      position[account] = #candidates
      if not candidates[#candidates].free then busy = busy + 1 end
    end
  end
end
if #candidates == 0 and capped == 0 and tightest > 0 then return answer('limit', tightest, limits[tightest].wait, now) end

local chosen, bound = nil, 0
if preferred then
  local found = position[preferred]
  if found and found > 0 and candidates[found].free then
    chosen, bound = candidates[found], 2
  elseif not found and (must or ARGV[8] ~= '1') then
    return {'bound', preferred}
  else
    bound = 3
  end
end
if not chosen and not must and ARGV[4] ~= '' then
  local held = redis.call('GET', p .. ARGV[4])
  if held then
    local found = position[held]
    if found and found > 0 and candidates[found].free and candidates[found].flag ~= 's' then
      chosen, bound = candidates[found], bound == 3 and 3 or 1
    elseif not found and ARGV[8] ~= '1' then
      return {'bound', held}
    end
  end
end
if not chosen and not must then
  local best, idle = nil, nil
  for i = 1, #candidates do
    local one = candidates[i]
    if best and one.tier > best.tier then break end
    if one.free and one.flag ~= 'd' then
      if not best then
        best = one
        if ARGV[7] == 'order' then break end
      elseif ARGV[7] == 'busy' and one.load < best.load then
        best, idle = one, nil
      elseif ARGV[7] == 'idle' or one.load == best.load then
        idle = idle or tonumber(redis.call('HGET', p .. 'idle', best.id) or 0)
        local since = tonumber(redis.call('HGET', p .. 'idle', one.id) or 0)
        if since < idle then best, idle = one, since end
      end
    end
  end
  chosen = best
end
if not chosen then return {'full', now, busy, capped, soonest} end

local ends = now + lease
if ARGV[6] ~= '' and ARGV[6] ~= chosen.id then
  redis.call('ZREM', p .. 's:' .. ARGV[6], id)
  for i = at, #ARGV do redis.call('ZREM', p .. ARGV[i], id) end
end
if chosen.probe then redis.call('SET', chosen.probe, id, 'PX', 60000) end
local slots = p .. 's:' .. chosen.id
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
redis.call('ZADD', slots, ends, id)
redis.call('PEXPIRE', slots, lease * 2)
redis.call('HSET', p .. 'idle', chosen.id, time[1] * 1000000 + time[2])
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
