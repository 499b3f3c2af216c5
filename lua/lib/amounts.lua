-- How many units of which lines an act is about.

local UNKNOWN_LINE = 5

-- Moves of a line.
local COMMIT, RELEASE_HELD, RELEASE_COMMITTED, SHIP_FROM, RESTOCK, QUARANTINE, REPIN =
  2, 3, 4, 6, 7, 8, 9

-- First and last line of each SKU: lines are sorted by SKU.
local function ranges_of(lines)
  local from, to = {}, {}
  for i = 1, #lines do
    local at = lines[i].place
    from[at], to[at] = from[at] or i, i
  end
  return from, to
end

local function is_asked(line, pin)
  return pin == 0 or line[PIN] == pin
end

-- The first line asked for that the reservation does not have, as a refusal.
local function unknown_line(lines, from, to, first, last)
  for i = first, last, 3 do
    local at, pin, found = cmds[i], cmds[i + 1], false
    for n = from[at] or 1, to[at] or 0 do
      if is_asked(lines[n], pin) then found = true break end
    end
    if not found then return { REFUSED, UNKNOWN_LINE, skus[at], pin } end
  end
end

-- Line and units, two by two, of the lines asked for; nil and a refusal where they cannot be.
local function amounts_by_lines(verb, movable, lines, first, last)
  local from, to = ranges_of(lines)
  local unknown = unknown_line(lines, from, to, first, last)
  if unknown then return nil, unknown end
  local left, taken, excess = {}, {}, { REFUSED, verb.over }
  for n = 1, #lines do left[n] = movable(lines[n]) end
  for i = first, last, 3 do
    local at, pin, rest, possible = cmds[i], cmds[i + 1], cmds[i + 2], 0
    for n = from[at], to[at] do
      if is_asked(lines[n], pin) then possible = possible + left[n] end
    end
    possible = min(possible, UNITS_MAX)
    if rest > possible or (verb.whole_lines and rest ~= possible) then
      local n = #excess
      excess[n + 1], excess[n + 2], excess[n + 3], excess[n + 4] = skus[at], pin, rest, possible
      rest = 0
    end
    for n = from[at], to[at] do
      local units = is_asked(lines[n], pin) and min(rest, left[n]) or 0
      if units > 0 then
        left[n], rest = left[n] - units, rest - units
        taken[#taken + 1], taken[#taken + 2] = n, units
      end
    end
  end
  if #excess > 2 then return nil, excess end
  return taken
end

-- Line and units, two by two; an empty list when the act was finished before; nil and a refusal.
local function amounts_of(verb, lines, first, last)
  local todo, refusal = verb.whole(states_of(lines))
  if last >= first then
    if refusal and verb.whole_first then return nil, { REFUSED, refusal } end
    if todo == false and verb.came_back then
      -- What the caller wants to be free is free: these units came back before.
      local _, over = amounts_by_lines(verb, verb.came_back, lines, first, last)
      if over then return nil, over end
      return {}
    end
    return amounts_by_lines(verb, verb.movable, lines, first, last)
  end
  if refusal then return nil, { REFUSED, refusal } end
  local all = {}
  if not todo then return all end
  for n = 1, #lines do
    local units = verb.movable(lines[n])
    if units > 0 then all[#all + 1], all[#all + 2] = n, units end
  end
  return all
end
