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

-- The first day with all that is asked for; else that with the most.
local function earliest(at, stock, pin, taken, channel, units, by, by_share)
  local days, room, day, limit, user = calendars.days(calendars.timeline(stock)), nil, nil, BY_STOCK, nil
  local function room_on(other)
    return calendars.room_on(at, stock, other, pin, taken, channel, units, by_share)
  end
  local function try(other)
    local there, why, whose = room_on(other)
    if not room or there > room then room, day, limit, user = there, other, why, whose end
    return there >= units
  end
  local last = 0
  if by == 0 then
    if try(nil) then return room, nil, nil, user end
  else
    while days[last + 1] and days[last + 1] <= by do
      last = last + 1
      if try(days[last]) then return room, day, nil, user end
    end
  end
  local next
  for i = last + 1, #days do
    if room_on(days[i]) >= units then next = days[i] break end
  end
  if not room then return 0, nil, told(limit, next, false) end
  -- Once more, for what binds it.
  room_on(day)
  return room, day, told(limit, next, true), user
end

-- Why a line without a day gets less than it asks for of a SKU of which something is announced.
function calendars.why(at, pin, channel, units)
  local _, _, limit = earliest(at, stocks[at], pin, 0, channel, units, 0)
  return limit
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
    if is_announced then offer = earliest end
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
    if is_announced and i + 3 <= last and cmds[i + 3] == at then
      -- The next line is judged after this one.
      draft = draft or copy(stocks[at])
      draft[VERSION], draft[HELD] = draft[VERSION] + 1, draft[HELD] + granted
      owe(draft, pin, granted, day)
    end
  end
  return grants, days, users, short, sum, waits
end
