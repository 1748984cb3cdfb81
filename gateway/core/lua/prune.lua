-- Removes automatic states that are over: nobody reads them any more, and clients choose the names of some. Each becomes
-- an event: the trouble ended by itself, and did not come back.
--
-- KEYS[1]  a prefix
-- ARGV     1 cursor, "0" to begin   2 seconds that a state stays after its end: clocks differ
--          3 the same of a breaker, which is half-open after its end
-- Returns  the next cursor, "0" at the end, and the number removed
local p = KEYS[1]
local now = tonumber(redis.call('TIME')[1])
local page = redis.call('HSCAN', p .. 'state', ARGV[1], 'COUNT', 500)
local found = page[2]
local removed = 0
for i = 1, #found, 2 do
  -- Read here and not by the caller: a state that is newer than what a caller has read must stay.
  local read, state = pcall(cjson.decode, found[i + 1])
  local over = read and type(state) == 'table' and state['until']
  local stays = type(over) == 'number' and tonumber(ARGV[state.reason == 'breaker' and 3 or 2])
  if stays and over < now - stays then
    removed = removed + redis.call('HDEL', p .. 'state', found[i])
    local cut = string.find(found[i], '|', 1, true) or 0
    redis.call('XADD', p .. 'e', 'MAXLEN', '~', 1000, '*', 'a', string.sub(found[i], 1, cut - 1),
      's', string.sub(found[i], cut + 1), 'o', found[i + 1], 'n', '', 'h', '')
  end
end
return {page[1], removed}
