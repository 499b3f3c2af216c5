-- What a channel may take by a rule: the same as in src/domain/policy/room.rs. A rule has its limits as
-- lists of one length, in the order of the tree: the numbers of what an entry contains, R_LOW and up to
-- before R_HIGH; R_PARENT, the place of the nearest limit above it or 0, and R_DEPTH, how many are above; R_CAP
-- and R_KEPT, amounts; R_AGAINST, the rank that it is kept from the ones behind, or -1 for from all. An
-- amount is -1 for none, twice the units, or twice the share in basis points and one more. It is kept as
-- these lists packed, the sum of the shares that are protected, that of the units and one for each of those
-- shares, the least of the caps that are shares or -1, and that of the others.
local R_LOW, R_HIGH, R_PARENT, R_DEPTH, R_CAP, R_KEPT, R_AGAINST = 1, 2, 3, 4, 5, 6, 7
local ceil = math.ceil

local function add(a, b)
  return min(a + b, UNITS_MAX)
end

-- A rule of which only what all its limits are together can be asked.
local function folded(packed)
  local rule = {}
  rule.lists, rule.kept_share, rule.kept_units, rule.cap_share, rule.cap_units =
    unpack(cmsgpack.unpack(packed))
  return rule
end

-- The same with its limits, with room for what is found out at each question, and places by number.
local function unfold(rule)
  if rule.lists == '' then return rule end
  local lists = cmsgpack.unpack(rule.lists)
  for i = R_LOW, R_AGAINST do rule[i] = lists[i] end
  rule.lists, rule.places, rule.path = '', {}, {}
  rule.all, rule.before, rule.next_most, rule.next_largest = {}, {}, {}, {}
  rule.is = {
    used = {}, moved = {}, moved_kept = {}, cap = {}, left = {}, kept = {}, below = {}, binding = {}, core = {},
    most = {}, largest = {},
  }
  return rule
end

-- The place of the innermost limit on a number; 0 where there is none.
local function innermost(rule, number)
  local known = rule.places[number]
  if known then return known end
  local lows, first, at = rule[R_LOW], 1, #rule[R_LOW]
  while first <= at do
    local middle = floor((first + at) / 2)
    if lows[middle] <= number then first = middle + 1 else at = middle - 1 end
  end
  while at > 0 and rule[R_HIGH][at] <= number do at = rule[R_PARENT][at] end
  rule.places[number] = at
  return at
end

-- What each limit is charged with: nothing yet.
local function no_sums(rule)
  local used, moved = {}, {}
  for at = 1, #rule[R_LOW] do used[at], moved[at] = 0, 0 end
  return used, moved
end

-- Charges the innermost limit on a number with units, and with those that were moved to it.
local function charge(rule, used, moved, number, units, by)
  local at = innermost(rule, number)
  if at > 0 then used[at], moved[at] = add(used[at], units), moved[at] + by end
end

-- An amount in units. The product of a quantity and a share is not exact in a Lua number: the
-- ten-thousands and the rest are multiplied apart.
local function units_of(amount, supply, moved, round)
  local units = floor(amount / 2)
  if amount % 2 == 1 then
    local rest = supply % 10000
    units = (supply - rest) / 10000 * units + round(rest * units / 10000)
  end
  return max(min(units + moved, UNITS_MAX), 0)
end

-- No more than this is kept for all together, and no cap is smaller than that. A product that is not
-- exact is off by less than one unit.
local function extremes(rule, supply)
  local kept, least = ceil(supply * rule.kept_share / 10000) + rule.kept_units, rule.cap_units
  if rule.cap_share >= 0 then least = min(least, floor(supply * rule.cap_share / 10000) - 1) end
  return kept, least
end

-- The larger of two protections that are open, with their places; of two that are alike the first in
-- the tree.
local function larger(open, at, other, place)
  if other > open or other == open and at > place then return other, place end
  return open, at
end

-- Of each limit: what it uses; by how much its cap was moved, and its protection, which shares move that are
-- protections; its cap and what that leaves; what is kept for it; what those below it need from who asks; what
-- is needed there with them, from who asks and from anybody; and the place of the largest protection that is
-- open there or below. Innermost first: whatever is below an entry is settled when its turn comes.
local function settle(rule, charged, shifted, supply, rank)
  local parents, caps, keeps, against = rule[R_PARENT], rule[R_CAP], rule[R_KEPT], rule[R_AGAINST]
  local is = rule.is
  local used, moved, left, binding, core = is.used, is.moved, is.left, is.binding, is.core
  local moved_kept, most, largest = is.moved_kept, is.most, is.largest
  for at = 1, #parents do
    used[at], moved[at], binding[at], core[at] = charged[at], shifted[at], 0, 0
    moved_kept[at] = caps[at] < 0 and shifted[at] or 0
    most[at], largest[at] = 0, 1
  end
  for at = #parents, 1, -1 do
    local cap, open, owed, above = UNITS_MAX, 0, 0, parents[at]
    if caps[at] >= 0 then
      is.cap[at] = units_of(caps[at], supply, moved[at], floor)
      cap = max(is.cap[at] - used[at], 0)
    end
    if keeps[at] >= 0 then
      is.kept[at] = units_of(keeps[at], supply, moved_kept[at], ceil)
      local rest = max(is.kept[at] - used[at], 0)
      if against[at] < 0 then open, owed = rest, rest elseif rank > against[at] then open = rest end
    end
    left[at], is.below[at] = cap, binding[at]
    binding[at], core[at] = min(max(open, binding[at]), cap), min(max(owed, core[at]), cap)
    most[at], largest[at] = larger(most[at], largest[at], open, at)
    most[at] = min(most[at], binding[at])
    if above > 0 then
      used[above], moved[above] = add(used[above], used[at]), moved[above] + moved[at]
      moved_kept[above] = moved_kept[above] + moved_kept[at]
      binding[above], core[above] = add(binding[above], binding[at]), add(core[above], core[at])
      most[above], largest[above] = larger(most[above], largest[above], most[at], largest[at])
    end
  end
  return is
end

-- The most of what is free that a channel may take; what says so, the place of the limit, it in units
-- and what is used of it. Nil where it may have all.
local function allowed(rule, charged, shifted, supply, number, rank, free)
  local parents, depths = rule[R_PARENT], rule[R_DEPTH]
  if #parents == 0 then return nil end
  local is = settle(rule, charged, shifted, supply, rank)
  local left, core = is.left, is.core
  local path, levels, at = rule.path, 0, innermost(rule, number)
  if at > 0 then levels = depths[at] + 1 end
  path[levels + 1] = nil
  for level = levels, 1, -1 do path[level], at = at, parents[at] end
  -- What is next to the path: needs of all, of those before it, and the largest of them.
  local all, before, most, largest = rule.all, rule.before, rule.next_most, rule.next_largest
  for level = 1, levels + 1 do all[level], before[level], most[level], largest[level] = 0, 0, 0, 1 end
  for place = 1, #parents do
    local level = depths[place] + 1
    local next = path[level]
    if level <= levels + 1 and parents[place] == (path[level - 1] or 0) and next ~= place then
      all[level] = add(all[level], is.binding[place])
      if next and place < next then before[level] = add(before[level], core[place]) end
      most[level], largest[level] =
        larger(most[level], largest[level], is.most[place], is.largest[place])
    end
  end
  local room, limit, place = free, nil, nil
  for level = 1, levels + 1 do
    local next = path[level]
    local rest = max(room - all[level], 0)
    if next then rest = max(rest, min(max(room - before[level], 0), core[next])) end
    if rest < room then room, limit, place = rest, BY_PROTECTION, largest[level] end
    -- Where both bind alike the cap is named, unless a cap further out is already.
    if next and (left[next] < room or left[next] == room and limit == BY_PROTECTION) then
      room, limit, place = left[next], BY_CAP, next
    end
  end
  if not limit then return nil end
  local units = is.kept
  if limit == BY_CAP then units = is.cap end
  return room, limit, place, units[place], is.used[place]
end

-- The most that may be moved between the shares at two places: see src/domain/policy/moving.rs. Nil where one
-- is above the other. `last`: the rank of who comes last, whom every protection binds.
local function movable(rule, charged, shifted, supply, last, from, to)
  local lows, highs, parents, caps = rule[R_LOW], rule[R_HIGH], rule[R_PARENT], rule[R_CAP]
  local function is_in(at, above) return lows[above] <= lows[at] and lows[at] < highs[above] end
  if is_in(from, to) or is_in(to, from) then return nil end
  local is = settle(rule, charged, shifted, supply, last)
  local most = is.left[from]
  if caps[from] < 0 then most = max(is.kept[from] - is.used[from] - is.below[from], 0) end
  if caps[from] >= 0 and caps[to] < 0 then
    local to_protections = 0
    for at = 1, #parents do
      if caps[at] < 0 then to_protections = to_protections + shifted[at] end
    end
    most = min(most, max(-to_protections, 0))
  end
  local above = parents[from]
  while above > 0 and not is_in(to, above) do
    most, above = min(most, is.left[above]), parents[above]
  end
  return most
end
