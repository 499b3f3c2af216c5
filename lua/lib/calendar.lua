-- What is announced of a SKU, and what is promised of it for days: the same as in
-- src/domain/calendar/mod.rs. Behind the uses of a stock, where IS_DATED is set: its bytes, then the
-- numbers of announcements and of promises; of each announcement the day, node, kind, units and name;
-- of each promise the day, pin and units, none of zero units. All of this is made when the first
-- SKU comes that has any.
local INBOUND_FORMAT, PROMISE_FORMAT = '<I2I2BI5Bc0', '<I2I2I5'
local MILLIS_PER_DAY, DAY_MAX = 86400000, 65535
-- No more are counted in two bytes.
local PROMISES_MAX = 65535
-- By themselves: each name of the surroundings would be looked for at each call, dated or not.
local max, min, floor, concat = math.max, math.min, math.floor, table.concat
local pack_integers, unpack_integers = struct.pack, struct.unpack

local today = max(min(floor(now / MILLIS_PER_DAY), DAY_MAX), 1)
calendars.today = today
local NOTHING = pack_integers('<I2I2', 0, 0)

local function decode(text)
  local announced, promised, at = unpack_integers('<I2I2', text)
  local calendar = { inbound = {}, promises = {} }
  for i = 1, announced do
    local of = {}
    of.due, of.node, of.kind, of.units, of.id, at = unpack_integers(INBOUND_FORMAT, text, at)
    calendar.inbound[i] = of
  end
  for i = 1, promised do
    local of = {}
    of.day, of.pin, of.units, at = unpack_integers(PROMISE_FORMAT, text, at)
    calendar.promises[i] = of
  end
  return calendar
end

-- What `decode` reads.
function calendars.encode(calendar)
  local inbound, promises = calendar.inbound, calendar.promises
  if #promises > PROMISES_MAX then inconsistent('promises for days') end
  local parts = { pack_integers('<I2I2', #inbound, #promises) }
  for i = 1, #inbound do
    local of = inbound[i]
    parts[#parts + 1] =
      pack_integers(INBOUND_FORMAT, of.due, of.node, of.kind, of.units, #of.id, of.id)
  end
  for i = 1, #promises do
    local of = promises[i]
    parts[#parts + 1] = pack_integers(PROMISE_FORMAT, of.day, of.pin, of.units)
  end
  return concat(parts)
end

local function calendar_of(stock)
  if not stock[SETTINGS] then unfold(stock) end
  if not stock.calendar then stock.calendar = decode(stock.dated or NOTHING) end
  return stock.calendar
end

-- The text is not true any more; nor is the flag, perhaps.
local function note_change(stock, calendar)
  local is_dated = #calendar.inbound + #calendar.promises > 0
  if has_bit(stock[FLAGS], IS_DATED) then stock[FLAGS] = stock[FLAGS] - IS_DATED end
  if is_dated then stock[FLAGS] = stock[FLAGS] + IS_DATED end
  stock.dated = nil
end

function calendars.is_announced(stock)
  return #calendar_of(stock).inbound > 0
end

-- Units that are announced.
function calendars.coming(stock)
  local inbound, sum = calendar_of(stock).inbound, 0
  for i = 1, #inbound do sum = sum + inbound[i].units end
  return sum
end

-- Whether something is announced that is not due before today, and not after that day.
function calendars.comes_by(stock, day)
  local inbound = calendar_of(stock).inbound
  for i = 1, #inbound do
    if inbound[i].due >= today and inbound[i].due <= day then return true end
  end
  return false
end

-- What is announced under a name, its place, and how much else is.
function calendars.find(stock, id)
  local inbound = calendar_of(stock).inbound
  for i = 1, #inbound do
    if inbound[i].id == id then return inbound[i], i, #inbound end
  end
  return nil, #inbound + 1, #inbound
end

-- Announces supply in place of what has the same name. None of it: no longer announced.
function calendars.put(stock, entry)
  local calendar = calendar_of(stock)
  local known, at = calendars.find(stock, entry.id)
  if entry.units > 0 then
    calendar.inbound[at] = entry
  elseif known then
    table.remove(calendar.inbound, at)
  end
  note_change(stock, calendar)
end

-- Adds units to what is promised for a day, or takes them away.
function calendars.promise(stock, day, pin, units)
  if units == 0 then return end
  local calendar = calendar_of(stock)
  local promises, at = calendar.promises, 1
  while promises[at] and (promises[at].day ~= day or promises[at].pin ~= pin) do at = at + 1 end
  local sum = units + (promises[at] and promises[at].units or 0)
  if sum < 0 then inconsistent('units promised for a day') end
  if sum > 0 then
    promises[at] = { day = day, pin = pin, units = sum }
  else
    table.remove(promises, at)
  end
  note_change(stock, calendar)
end
