-- How many units of a SKU can be promised for a day: the same as in src/domain/calendar/timeline.rs,
-- which says why. Moments are now, the first, and each day from today on on which something is due
-- or promised; at each: `supply`, what is left `unpromised` of what the nodes can give away, `safety`,
-- and how many nodes that `looks_ahead` at, being less than what there is at the moment itself. What is asked for
-- one day after the other is summed up once: from each moment on, the least that is left `over_all`,
-- `where` that is, and the least `beside` the safety stock.
-- The least of each value and all that follow.
local function least_from(course)
  local least, all = math.huge, {}
  for at = #course, 1, -1 do
    least = min(least, course[at])
    all[at] = least
  end
  return all
end

-- The moments of a calendar, and the place of each day among them.
local function days_of(calendar)
  local days, places = { 0 }, { [0] = 1 }
  local function note(day)
    if day < today or places[day] then return end
    days[#days + 1], places[day] = day, true
  end
  for i = 1, #calendar.inbound do note(calendar.inbound[i].due) end
  for i = 1, #calendar.promises do note(calendar.promises[i].day) end
  table.sort(days)
  for at = 1, #days do places[days[at]] = at end
  return days, places
end

-- The place of the moment that a day belongs to. Days that have passed, and none, are now.
local function moment_of(line, day)
  if not day or day < today then return 1 end
  local known, at = line.places[day], #line.days
  if known then return known end
  while line.days[at] > day do at = at - 1 end
  return at
end

local function add_change(line, node, at, units)
  local changes = line.changes[node] or {}
  changes[at] = (changes[at] or 0) + units
  line.changes[node] = changes
end

local function count_supply(line, stock, inbound)
  local arrivals, supply = {}, stock[ON_HAND]
  for i = 1, #inbound do
    local of = inbound[i]
    if of.due >= today then
      local at = line.places[of.due]
      arrivals[at] = (arrivals[at] or 0) + of.units
      add_change(line, of.node, at, of.units)
    end
  end
  for at = 1, #line.days do
    supply = supply + (arrivals[at] or 0)
    line.supply[at] = supply
  end
end

-- So many units of a node less those pinned there, with what changes, at each moment.
local function course_of(line, node, on_hand, pinned)
  local changes, free, course = line.changes[node] or {}, on_hand - pinned, {}
  for at = 1, #line.days do
    free = free + (changes[at] or 0)
    course[at] = free
  end
  return course
end

-- What is kept back, over all and at the nodes that keep any. So far supply is all that changes.
local function count_safety(line, stock)
  local is_share, safety = has_bit(stock[FLAGS], IS_SHARE), line.safety
  for at = 1, #line.days do
    safety[at] = is_share and share_of(line.supply[at], stock[SAFETY]) or stock[SAFETY]
  end
  local kept, sums = stock[KEPT], {}
  for i = 3, #kept, KEPT_BYTES do
    local node, is_share_there, units = unpack_integers('<I2BI5', kept, i)
    local course = course_of(line, node, (node_of(stock, node)), 0)
    for at = 1, #course do
      local least = is_share_there == 1 and share_of(course[at], units) or units
      course[at] = min(course[at], least)
      sums[at] = (sums[at] or 0) + course[at]
      safety[at] = max(safety[at], sums[at])
    end
    line.kept[node] = course
  end
end

-- Subtracts what is promised without a pin, and notes where pins are for later than now.
local function count_promises(line, stock, promises)
  local unpinned, later = stock[HELD] + stock[COMMITTED], {}
  for at = SETTINGS + 1, #stock, N_FIELDS do unpinned = unpinned - stock[at + N_PINNED] end
  for i = 1, #promises do
    local of = promises[i]
    local at = of.day >= today and line.places[of.day] or 1
    if of.pin == 0 then
      unpinned = unpinned - of.units
      later[at] = (later[at] or 0) + of.units
    elseif at > 1 then
      add_change(line, of.pin - 1, 1, of.units)
      add_change(line, of.pin - 1, at, -of.units)
    end
  end
  for at = 1, #line.days do
    unpinned = unpinned + (later[at] or 0)
    line.unpromised[at] = -unpinned
  end
end

-- Adds what a node can give away; or takes it off again, with a sign below zero.
local function add_node(line, course, sign)
  local unpromised, looks_ahead, least = line.unpromised, line.looks_ahead, least_from(course)
  for at = 1, #course do
    unpromised[at] = unpromised[at] + sign * least[at]
    if least[at] < course[at] then looks_ahead[at] = looks_ahead[at] + sign end
  end
end

local function count_nodes(line, stock)
  for at = 1, #line.days do line.looks_ahead[at] = 0 end
  for i = SETTINGS + 1, #stock, N_FIELDS do
    local course = course_of(line, stock[i], stock[i + N_ON_HAND], stock[i + N_PINNED])
    line.courses[stock[i]] = course
    add_node(line, course, 1)
  end
end

local function sum_up(line)
  local least, at_least, least_beside = math.huge, nil, math.huge
  for at = #line.days, 1, -1 do
    local left = line.unpromised[at]
    if left <= least then least, at_least = left, at end
    least_beside = min(least_beside, left - line.safety[at])
    line.over_all[at], line.where[at], line.beside[at] = least, at_least, least_beside
  end
end

-- The timeline of a stock, as long as it is what it is.
function calendars.timeline(stock)
  local known = stock.timeline
  if known and known.version == stock[VERSION] and known.settings == stock[SETTINGS] then return known end
  local calendar = calendar_of(stock)
  local line = {
    version = stock[VERSION], settings = stock[SETTINGS], stock = stock, changes = {}, supply = {},
    unpromised = {}, safety = {}, kept = {}, looks_ahead = {}, over_all = {}, where = {}, beside = {},
    nodes = {}, courses = {}, refused = {},
  }
  line.days, line.places = days_of(calendar)
  count_supply(line, stock, calendar.inbound)
  count_safety(line, stock)
  count_promises(line, stock, calendar.promises)
  count_nodes(line, stock)
  sum_up(line)
  stock.timeline = line
  return line
end

-- Brings a timeline up to date after so many units more were promised, or fewer: all else is as it was. A day
-- that it does not know leaves it out of date.
function calendars.adjust(stock, pin, units, day)
  local line, at, node = stock.timeline, 1, pin - 1
  if line.version + 1 ~= stock[VERSION] or line.settings ~= stock[SETTINGS] then return end
  if day and day >= today then at = line.places[day] end
  if not at or pin > 0 and not line.courses[node] then return end
  if pin == 0 then
    for i = at, #line.days do line.unpromised[i] = line.unpromised[i] - units end
  else
    if at > 1 then
      add_change(line, node, 1, units)
      add_change(line, node, at, -units)
    end
    local course = line.courses[node]
    add_node(line, course, -1)
    for i = at, #course do course[i] = course[i] - units end
    add_node(line, course, 1)
  end
  sum_up(line)
  line.version, line.nodes, line.refused = stock[VERSION], {}, {}
end

-- A node from each moment on: the `least` that it can give away, or lacks; and that beside what it keeps
-- back, where it does. Of the moments before each: the least that is left over all if the node gives away
-- nothing more, which is what earlier promises lose nothing of; where that is, and beside the safety stock.
local function node_on(line, node)
  local known = line.nodes[node]
  if known then return known end
  local on_hand, _, pinned = node_of(line.stock, node)
  local course, kept = course_of(line, node, on_hand, pinned), line.kept[node]
  local of = { least = least_from(course), earlier = {}, where = {}, beside = {} }
  local earlier, where, beside = math.huge, nil, math.huge
  for at = 1, #course do
    of.earlier[at], of.where[at], of.beside[at] = earlier, where, beside
    local left = line.unpromised[at] - of.least[at]
    if left < earlier then earlier, where = left, at end
    beside = min(beside, left - line.safety[at])
    if kept then course[at] = course[at] - kept[at] end
  end
  of.beside_kept = kept and least_from(course)
  line.nodes[node] = of
  return of
end

-- Units that no pin needs at a node from a day on.
function calendars.spare(line, node, day)
  return max(node_on(line, node).least[moment_of(line, day)], 0)
end

-- Why nothing more can be promised for a moment when what is unpromised is least at another one.
local function reason(line, from, at)
  if at > from or line.looks_ahead[at] > 0 then return BY_LATER end
  if line.supply[from] > line.supply[1] then return BY_INBOUND end
  return BY_STOCK
end

-- The most that can be promised for a day (nil: now), pinned or not, and what keeps it from being more;
-- with safety stock, or beyond it.
function calendars.room(line, day, pin, beyond_safety)
  local from, node = moment_of(line, day), pin > 0 and node_on(line, pin - 1)
  local over_all, at, beside = line.over_all[from], line.where[from], line.beside[from]
  if node then
    -- Earlier promises lose only what the node is left with afterwards.
    local earlier = node.earlier[from] + node.least[from]
    if earlier <= over_all then over_all, at = earlier, node.where[from] end
    beside = min(beside, node.beside[from] + node.least[from])
  end
  local room, limit = min(max(over_all, 0), UNITS_MAX), reason(line, from, at)
  if not beyond_safety and max(beside, 0) < room then room, limit = max(beside, 0), BY_SAFETY end
  if not node then return room, limit end
  local least, kept = max(node.least[from], 0), node.beside_kept
  if least < room then room, limit = least, BY_NODE end
  if kept and not beyond_safety and max(kept[from], 0) < room then
    room, limit = max(kept[from], 0), BY_SAFETY
  end
  return room, limit
end

-- Whether promises that can be kept here cannot be there: the same SKU after pins were moved. One that was
-- adjusted may have days more, on which nothing changes.
function calendars.is_harmed(here, there)
  for at = 1, #here.days do
    if there.unpromised[moment_of(there, here.days[at])] < min(here.unpromised[at], 0) then return true end
  end
  return false
end

-- Units of promises that cannot be kept as things stand.
function calendars.deficit(line)
  local at_nodes = 0
  for _, course in pairs(line.courses) do at_nodes = at_nodes + max(-least_from(course)[1], 0) end
  return max(-line.over_all[1], at_nodes)
end

-- The days on which what can be promised may grow, from today on.
function calendars.days(line)
  if line.growing then return line.growing end
  local days = { today }
  for at = 2, #line.days do
    if line.supply[at] > line.supply[at - 1] and line.days[at] > today then
      days[#days + 1] = line.days[at]
    end
  end
  line.growing = days
  return days
end
