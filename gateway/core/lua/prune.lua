-- Removes automatic states that are over: nobody reads them any more, and clients choose the names of some.
--
-- KEYS[1]  a prefix
-- ARGV     1 cursor, "0" to begin   2 seconds that a state stays after its end: clocks differ
-- Returns  the next cursor, "0" at the end, and the number removed
local p = KEYS[1]
local past = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[2])
local page = redis.call('HSCAN', p .. 'state', ARGV[1], 'COUNT', 500)
local found = page[2]
local removed = 0
for i = 1, #found, 2 do
  -- Read here and not by the caller: a state that is newer than what a caller has read must stay.
  local read, state = pcall(cjson.decode, found[i + 1])
  local over = read and type(state) == 'table' and state['until']
  if type(over) == 'number' and over < past then
    removed = removed + redis.call('HDEL', p .. 'state', found[i])
  end
end
return {page[1], removed}
