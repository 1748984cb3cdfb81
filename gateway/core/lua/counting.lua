-- What the scripts share that move the counters of limits. It stands before each of them.
--
-- A charge is five words: kind, name, span, the moment of its request in ms, amount.
--   "S" sliding: span = length in ms, in 60 buckets, a hash: bucket number → amount, "n" the sum, "o" the oldest bucket
--   "D" calendar: span = end in ms, 0 for none; a number
-- Charges stand in one text, parted by spaces. Amounts and numbers stay text where they are only passed on: Lua's own
-- way from a number to text keeps 14 digits.
local p = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Counters that may have lost something are not counted on, and not written either: they are made anew from the ledger.
local warm = redis.call('EXISTS', p .. 'epoch') == 1

-- A bucket is a sixtieth of the span, by number since the epoch; exact, as the products stay below 2^53.
local function bucket_of(at, span) return math.floor(at * 60 / span) end
-- What is taken in a bucket is free again when 60 whole buckets have passed.
local function leaves(bucket, span) return math.ceil((bucket + 61) * span / 60) - now end

-- A sliding window: what is used, and the oldest bucket that still counts. Buckets older than 60 are dropped on the way.
local function slide(key, span)
  local head = redis.call('HMGET', key, 'n', 'o')
  local used, oldest = tonumber(head[1]), tonumber(head[2])
  if not used or not oldest then return 0, nil end
  local low, started = bucket_of(now, span) - 60, oldest
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
  if used > 0 and oldest > last then
    -- What a clock that was set back has left further ahead is looked for among all.
    oldest = nil
    for _, field in ipairs(redis.call('HKEYS', key)) do
      local bucket = tonumber(field)
      if bucket and bucket < low then
        used = used - redis.call('HGET', key, field)
        redis.call('HDEL', key, field)
      elseif bucket then
        oldest = math.min(oldest or bucket, bucket)
      end
    end
  end
  if used <= 0 or not oldest then
    redis.call('DEL', key)
    return 0, nil
  end
  if oldest ~= started then redis.call('HSET', key, 'n', used, 'o', oldest) end
  return used, oldest
end

-- Puts an amount into the bucket of a moment; a negative one takes back, never more than is there.
local function put(key, span, at, amount, oldest)
  local bucket = bucket_of(at, span)
  if bucket < bucket_of(now, span) - 60 then return bucket end
  if amount < 0 then
    -- Older than the oldest: what was there has left already.
    if not oldest or bucket < oldest then return bucket end
    amount = -math.min(-amount, tonumber(redis.call('HGET', key, bucket)) or 0)
    if amount == 0 then return bucket end
  end
  local count = redis.call('HINCRBY', key, bucket, string.format('%.0f', amount))
  if count <= 0 then redis.call('HDEL', key, bucket) end
  local sum = redis.call('HINCRBY', key, 'n', string.format('%.0f', amount))
  if sum <= 0 then
    redis.call('DEL', key)
  else
    -- What comes late, or after a clock was set back, is older than the oldest: it counts and leaves by its own moment.
    if not oldest or bucket < oldest then redis.call('HSET', key, 'o', bucket) end
    redis.call('PEXPIRE', key, span * 2)
  end
  return bucket
end

local function add(kind, name, span, at, amount)
  if amount == 0 then return end
  local key = p .. name
  if kind == 'S' then
    local _, oldest = slide(key, span)
    put(key, span, at, amount, oldest)
  elseif span == 0 or span + 3600000 > now then
    if redis.call('INCRBY', key, string.format('%.0f', amount)) <= 0 then
      redis.call('DEL', key)
    elseif span > 0 then
      redis.call('PEXPIREAT', key, span + 3600000)
    end
  end
end

-- Each charge of a text.
local function charges(text) return string.gmatch(text, '(%S+) (%S+) (%S+) (%S+) (%S+)') end

-- All of them, once (1) or taken back (-1).
local function apply(text, sign)
  if not warm then return end
  for kind, name, span, at, amount in charges(text) do
    add(kind, name, tonumber(span), tonumber(at), sign * amount)
  end
end

-- What is kept of a running request: its account, its charges, the row's beginning.
local function kept_of(id)
  local there = redis.call('HGET', p .. 'r', id)
  if not there then return nil end
  return string.match(there, '^([^\n]*)\n([^\n]*)\n(.*)$')
end
