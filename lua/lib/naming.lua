-- Names get indexes in the order in which they come: tables `n` for nodes, `c` for channels.
local CHANNELS_MAX = 1024
local counts, named = {}, {}

local function count_of(letter)
  if not counts[letter] then counts[letter] = tonumber(call('HGET', NAMES, letter)) end
  return counts[letter]
end

-- The index of a channel that came with a name; one that no policy knows where it has none.
local NOBODY = 65535
local function channel_named(name)
  if not policy then return NOBODY end
  local field = 'c:' .. name
  return tonumber(named[field] or call('HGET', NAMES, field) or NOBODY)
end

-- The index of a name, and whether it is new; nil where there is no room for another.
local function index_of(letter, name, most)
  local field = letter .. ':' .. name
  local index = named[field] or call('HGET', NAMES, field)
  if index then return tonumber(index), false end
  local count = count_of(letter)
  if count >= most then return nil end
  seq = seq + 1
  counts[letter], named[field] = count + 1, count
  local n = #name_args
  name_args[n + 1], name_args[n + 2], name_args[n + 3], name_args[n + 4] =
    field, format('%d', count), letter, format('%d', count + 1)
  return count, true
end
