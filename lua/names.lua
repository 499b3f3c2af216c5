-- name: the table (`n` for nodes, `c` for channels), the name, the most names of that table.
-- A name that is new gets the next index.
local counts, named = {}, {}

local function count_of(letter)
  if not counts[letter] then counts[letter] = tonumber(call('HGET', NAMES, letter)) end
  return counts[letter]
end

local function name(at)
  local letter, most = cmds[at + 1], cmds[at + 3]
  local field = letter .. ':' .. cmds[at + 2]
  local index = named[field] or call('HGET', NAMES, field)
  if index then return at + 4, { VALUE, tonumber(index) } end
  local count = count_of(letter)
  if count >= most then return at + 4, { VALUE, -1 } end
  seq = seq + 1
  counts[letter], named[field] = count + 1, count
  local n = #name_args
  name_args[n + 1], name_args[n + 2], name_args[n + 3], name_args[n + 4] =
    field, format('%d', count), letter, format('%d', count + 1)
  return at + 4, { NAMED, count }
end

commands[NAME] = name
