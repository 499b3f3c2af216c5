-- What a line may have of dated supply, and when: the same as in src/domain/decide/reserve.rs and
-- src/domain/calendar/room.rs.

-- Room for a channel on a day (nil: now) in the stock at a place, or a draft of it, after `taken` units
-- went to lines before it; the limit, and the channel whose share it is of as for `room_of`. What the policy
-- binds is found last.
function calendars.room_on(at, stock, day, pin, taken, channel, units, by_share)
  if is_suspended(stock) then return 0, BY_SELLING end
  local line = calendars.timeline(stock)
  local room, limit = calendars.room(line, day, pin)
  local user
  if policy then
    local free, on_hand = (calendars.room(line, day, 0)), line.supply[moment_of(line, day)]
    local rest, by = policy.room(at, stock, channel, free, taken, on_hand, by_share)
    if policy.fallbacks and rest and rest < units then
      local wanted = min(units, room)
      rest, user = policy.lent(at, stock, channel, free, taken, on_hand, by_share, wanted, rest)
    end
    if rest and rest < room then room, limit = rest, by end
  end
  return room, limit, user
end

-- A limit with all that a caller is told of it: how a cap or a protection stands, and the next day on
-- which all could be had.
local function told(limit, next, is_explained)
  if limit ~= BY_CAP and limit ~= BY_PROTECTION then
    return next and pack_integers('<BI2', BY_DATE, next) or limit
  end
  local bound = is_explained and policy.bound() or limit
  if bound == limit then return pack_integers('<BI2', limit, next or 0) end
  return next and bound .. pack_integers('<I2', next) or bound
end

-- Of a SKU that has no other supply than its stock.
local function of_stock(at, stock, pin, taken, channel, units, by, by_share)
  local room, limit, user = room_of(at, stock, pin, taken, channel, units, by_share)
  if by > 0 and by < today then return 0, nil, told(limit, units <= room and today or nil, false) end
  if room < units then limit = told(limit, nil, true) end
  return room, by > 0 and today or nil, limit, user
end

-- What a line may have on the days on which that may grow: room, limit and user on a day, or on the one at a
-- place; and the first place between two whose day has so many units. What the policy may leave at most never
-- shrinks from day to day, so it says where to begin; no day is asked twice.
local function days_for(at, stock, pin, taken, channel, units, by_share)
  local line = calendars.timeline(stock)
  local days, found = calendars.days(line), {}
  local function on_day(day)
    local room, limit, user =
      calendars.room_on(at, stock, day, pin, taken, channel, units, by_share)
    return { room = room, limit = limit, user = user }
  end
  local function on(i)
    found[i] = found[i] or on_day(days[i])
    return found[i]
  end
  local function has(i, amount)
    return calendars.room(line, days[i], pin) >= amount and on(i).room >= amount
  end
  local function may_have(i, amount)
    local free, on_hand = (calendars.room(line, days[i], 0)), line.supply[moment_of(line, days[i])]
    return policy.may_give(at, stock, channel, amount, free, taken, on_hand, by_share)
  end
  local function first_with(amount, from, till)
    if from > till then return nil end
    if has(from, amount) then return from end
    local low, past = from + 1, till
    if policy and not may_have(till, amount) then return nil end
    while policy and low < past do
      local middle = floor((low + past) / 2)
      if may_have(middle, amount) then past = middle else low = middle + 1 end
    end
    for i = low, till do
      if has(i, amount) then return i end
    end
  end
  return days, on_day, on, first_with
end

-- The place of the first day with all that is asked for, up to the last one that will do; else of the
-- first with the most.
local function best_of(on, first_with, units, last)
  local best = first_with(units, 1, last)
  if best or last == 0 then return best end
  local most, at = on(last).room, 0
  repeat
    at = first_with(most + 1, at + 1, last)
    if at then best, most = at, on(at).room end
  until not at
  return best or first_with(most, 1, last)
end

-- The first day with all that is asked for; else that with the most.
local function earliest(at, stock, pin, taken, channel, units, by, by_share)
  local days, on_day, on, first_with =
    days_for(at, stock, pin, taken, channel, units, by_share)
  local last, best = 0, nil
  if by == 0 then
    best = on_day(nil)
  else
    while days[last + 1] and days[last + 1] <= by do last = last + 1 end
    local place = best_of(on, first_with, units, last)
    if place then best, by = on(place), days[place] end
  end
  local day = by > 0 and by or nil
  if best and best.room >= units then return best.room, day, nil, best.user end
  local later = first_with(units, last + 1, #days)
  local next = later and days[later]
  if not best then return 0, nil, told(BY_STOCK, next, false) end
  -- Once more, for what binds it.
  on_day(day)
  return best.room, day, told(best.limit, next, true), best.user
end

-- The same. Who asks again for what there was too little of is answered as before, as long as nothing was
-- promised or given back: a run of refusals costs one. A share that is moved makes new sums.
local function offer_of(at, stock, pin, taken, channel, units, by, by_share)
  if by_share then return earliest(at, stock, pin, taken, channel, units, by, by_share) end
  local line = calendars.timeline(stock)
  if line.refused_by ~= stock.sums then line.refused = {} end
  local asked = pack_integers('<I2I2I6I2I6I2', stock[FLAGS], pin, taken, channel, units, by)
  local known = line.refused[asked]
  if known then return known.room, known.day, known.limit, known.user end
  local room, day, limit, user = earliest(at, stock, pin, taken, channel, units, by)
  if room < units then
    line.refused[asked] = { room = room, day = day, limit = limit, user = user }
    line.refused_by = stock.sums
  end
  return room, day, limit, user
end

-- What a line without a day gets of a SKU of which something is announced: the room, why it is no more, and
-- the channel whose share it is of, as for `room_of`.
function calendars.offer(at, pin, channel, units)
  local room, _, limit, user = offer_of(at, stocks[at], pin, 0, channel, units, 0)
  return room, limit, user
end

-- What each line of a command gets, as `grants_of` in `reserve.lua` says it. `bys` is the place before that of the
-- first line's day; nil where no line has one.
function calendars.grants_of(channel, first, last, bys)
  local grants, days, users, short, sum, waits = {}, nil, nil, nil, 0, false
  local taken, by_share, draft, previous = 0, nil, nil, nil
  for i = first, last, 3 do
    local at, pin, units, n = cmds[i], cmds[i + 1], cmds[i + 2], #grants + 1
    if at ~= previous then taken, by_share, draft, previous = 0, nil, nil, at end
    local is_announced, offer = has_supply(stocks[at]), of_stock
    if is_announced then offer = offer_of end
    local by = bys and cmds[bys + n] or 0
    local room, day, limit, user =
      offer(at, draft or stocks[at], pin, taken, channel, units, by, by_share)
    local granted = min(units, room)
    if granted < units then
      short = short or { REFUSED, INSUFFICIENT_STOCK }
      add_short(short, at, pin, units, room, limit)
    end
    if day then
      days = days or {}
      days[n], waits = day, waits or day > today
    end
    if user then
      users, waits = users or {}, true
      users[n] = user
    end
    by_share = add_share(by_share, taken, granted, channel, user)
    grants[n], taken, sum = granted, taken + granted, sum + granted
    if is_announced and granted > 0 and i + 3 <= last and cmds[i + 3] == at then
      -- The next line is judged after this one.
      draft = draft or copy(stocks[at])
      draft[VERSION], draft[HELD] = draft[VERSION] + 1, draft[HELD] + granted
      owe(draft, pin, granted, day)
      if draft.timeline then calendars.adjust(draft, pin, granted, day) end
    end
  end
  return grants, days, users, short, sum, waits
end
