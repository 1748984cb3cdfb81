-- Admits one request: checks and takes all of its limits and a slot of one account, or nothing.
--
-- KEYS[1]  the tenant's prefix, "{pg:NN}:"
-- ARGV     1 request id   2 lease ms   3 the beginning of its row ("" on a further attempt: the one there is kept)
--          4 sticky name ("" for none)   5 its life in seconds
--          6 account to let go of (a further attempt; "" on the first)
--          7 of the best tier with a free slot take: "busy" the least busy, "idle" the one idle longest, "order" the first
--          8 "1" when the candidates are all there are
--          9 what the request is bound by, beside its session: "must" (only the account held there), "prefer", or ""
--         10 the name that holds that account
--         11 number of limits L   12 how many of them, the first, are the caller's; the others are accounts' own
--         13 key id
--          then L × (kind, name, max, span, amount): "S" and "D" as in counting.lua;  "C" concurrency: span = ms for
--              which a request may wait for its place, 0 for not at all
--              amount: what the request is expected to use of it; it is put right when it is settled
--          then number of candidates N, then N × (account id, slots or 0, tier, mask, flag), by tier
--              mask: one character a limit, "1" where it applies to this account; "" = all apply
--              flag: "d" draining: only for what is bound to it;  "s" slow: a session does not stay with it;
--                    "p" and a scope: half-open, only for the one request that claims it;  "" otherwise
--          then the names of the counters of the account of 6 of which all is given back when it is left
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
if not warm then return {'cold'} end
local id, lease = ARGV[1], tonumber(ARGV[2])
local live = '(' .. now

local must, preferred = ARGV[9] == 'must', nil
if ARGV[9] ~= '' then
  preferred = redis.call('GET', p .. ARGV[10])
  if must and not preferred then return {'unknown'} end
end

-- The queue of a concurrency limit: tickets "q:" (request → turn), each as long as its request asks again "ql:", and the
-- turns "qk:" that the keys have come to, "" being that of the last who was let in. The turns of a key that waits more
-- often lie further back, so that keys take turns whatever they send. Returns how many are before this request.
local function waiting(name)
  local queue, alive = p .. 'q:' .. name, p .. 'ql:' .. name
  local gone = redis.call('ZRANGEBYSCORE', alive, '-inf', now)
  for i = 1, #gone do
    redis.call('ZREM', queue, gone[i])
    redis.call('ZREM', alive, gone[i])
  end
  return redis.call('ZRANK', queue, id) or redis.call('ZCARD', queue)
end

local function queue_up(limit)
  local queue, turns, key = p .. 'q:' .. limit.name, p .. 'qk:' .. limit.name, ARGV[13]
  if not redis.call('ZSCORE', queue, id) then
    -- Turns of those who have left are held against nobody.
    if redis.call('ZCARD', queue) == 0 then redis.call('DEL', turns) end
    local last = tonumber(redis.call('HGET', turns, '')) or 0
    local turn = math.max(last, tonumber(redis.call('HGET', turns, key)) or 0) + 1
    redis.call('ZADD', queue, turn, id)
    redis.call('HSET', turns, key, turn)
  end
  redis.call('ZADD', p .. 'ql:' .. limit.name, now + 2000, id)
  for _, one in ipairs({'q:', 'ql:', 'qk:'}) do redis.call('PEXPIRE', p .. one .. limit.name, 120000) end
end

local function leave_queue(limit)
  local queue = p .. 'q:' .. limit.name
  local turn = redis.call('ZSCORE', queue, id)
  if turn then
    redis.call('ZREM', queue, id)
    redis.call('ZREM', p .. 'ql:' .. limit.name, id)
    redis.call('HSET', p .. 'qk:' .. limit.name, '', turn)
  end
end

local at = 14
local limits, callers = {}, tonumber(ARGV[12])
for i = 1, tonumber(ARGV[11]) do
  local kind, name, max, span = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local amount, key = tonumber(ARGV[at + 4]), p .. name
  local limit = {kind = kind, name = name, key = key, span = span, amount = amount, said = at, wait = 0}
  local used = 0
  if kind == 'S' then
    used, limit.oldest = slide(key, span)
    local oldest = limit.oldest
    if oldest then
      limit.wait = leaves(oldest, span)
      -- More than one bucket may have to leave before there is room.
      local left, bucket = math.max(used + amount - max, used - max + 1), oldest
      while left > 0 and bucket <= oldest + 60 do
        limit.wait = leaves(bucket, span)
        left = left - (tonumber(redis.call('HGET', key, bucket)) or 0)
        bucket = bucket + 1
      end
    end
    if max == 0 or amount > max then limit.wait = span end
  elseif kind == 'C' then
    used = redis.call('ZCOUNT', key, live, '+inf')
    limit.wait = 1000
    if span > 0 then
      limit.before = waiting(name)
      -- Who stands further back need not ask so often.
      limit.wait = math.min(500, 20 * (1 + math.max(0, limit.before + used - max)))
    end
  else
    used = tonumber(redis.call('GET', key) or 0)
    -- What is counted for ever never has a place again; a day is when to ask whether somebody has raised the limit.
    limit.wait = span > 0 and span - now or 86400000
  end
  limit.used = used
  limit.refused = used >= max or used + amount > max or (limit.before or 0) + used >= max
  limits[i] = limit
  at = at + 5
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
if #candidates == 0 and capped == 0 and tightest > 0 then
  if limits[tightest].before then queue_up(limits[tightest]) end
  return answer('limit', tightest, limits[tightest].wait, now)
end

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
local reserved, row = '', ARGV[3]
if row == '' then
  local _
  _, reserved, row = kept_of(id)
  reserved, row = reserved or '', row or ''
end
if ARGV[6] ~= '' and ARGV[6] ~= chosen.id then
  redis.call('ZREM', p .. 's:' .. ARGV[6], id)
  local left = {}
  for i = at, #ARGV do
    left[ARGV[i]] = true
    if string.sub(ARGV[i], 1, 2) == 'c:' then redis.call('ZREM', p .. ARGV[i], id) end
  end
  local stays = {}
  for kind, name, span, moment, amount in charges(reserved) do
    local one = kind .. ' ' .. name .. ' ' .. span .. ' ' .. moment .. ' ' .. amount
    if left[name] then apply(one, -1) else stays[#stays + 1] = one end
  end
  reserved = table.concat(stays, ' ')
end
if chosen.probe then redis.call('SET', chosen.probe, id, 'PX', 60000) end
local slots = p .. 's:' .. chosen.id
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
redis.call('ZADD', slots, ends, id)
redis.call('PEXPIRE', slots, lease * 2)
redis.call('HSET', p .. 'idle', chosen.id, time[1] * 1000000 + time[2])
redis.call('ZADD', p .. 'l', ends, id)
if ARGV[4] ~= '' then redis.call('SET', p .. ARGV[4], chosen.id, 'EX', ARGV[5]) end
local counted, taken = {}, {reserved ~= '' and reserved or nil}
for i = 1, #limits do
  local limit = limits[i]
  if chosen.mask == '' or string.sub(chosen.mask, i, i) == '1' then
    limit.used = limit.used + limit.amount
    if not counted[limit.name] then  -- the same thing limited twice is counted once
      counted[limit.name] = true
      if limit.kind == 'C' then
        redis.call('ZREMRANGEBYSCORE', limit.key, '-inf', now)
        redis.call('ZADD', limit.key, ends, id)
        redis.call('PEXPIRE', limit.key, lease * 2)
        if limit.before then leave_queue(limit) end
      elseif limit.amount > 0 then
        if limit.kind == 'S' then
          local bucket = put(limit.key, limit.span, now, limit.amount, limit.oldest)
          if not limit.oldest then limit.wait = leaves(bucket, limit.span) end
        else
          add('D', limit.name, limit.span, now, limit.amount)
        end
        taken[#taken + 1] = limit.kind .. ' ' .. limit.name .. ' ' .. ARGV[limit.said + 3] .. ' '
          .. string.format('%.0f', now) .. ' ' .. ARGV[limit.said + 4]
      end
    end
  end
end
redis.call('HSET', p .. 'r', id, chosen.id .. '\n' .. table.concat(taken, ' ') .. '\n' .. row)
return answer('ok', chosen.id, bound, now)
