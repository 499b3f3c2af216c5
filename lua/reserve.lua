-- reserve: id, 1 where part is welcome and 2 more where any line may be had on a later day, what the
-- record keeps, time to live, channel and reference (empty: none), name of a channel that may have no
-- index yet (else empty), number of lines; of each line the SKU's place, the pin and the units; then of
-- each line, where any may be had later, the last day for it, 0 for none.
-- A line gets units, or where it has a day or is of the share of another channel a GRANT.
local tails = {}
local LATER = 2

-- Whether every line can be served whole of a channel's own share; each is judged after those before it of
-- the same SKU.
local function all_fit(channel, first, last)
  local taken, previous = 0, nil
  for i = first, last, 3 do
    local at, units = cmds[i], cmds[i + 2]
    if at ~= previous then taken, previous = 0, at end
    local room, _, user = room_of(at, stocks[at], cmds[i + 1], taken, channel, units)
    if room < units or user then return false end
    taken = taken + units
  end
  return true
end

-- What each line gets: units, nil for all that it asks for; days and the channels whose shares lines are of,
-- nil for none and for the own; what is short of it, nil for nothing, units in all, and whether any line
-- waits for a later day or is of the share of another: what is past its deadline may be why.
local function grants_of(channel, first, last, bys)
  local is_dated = bys
  for i = first, last, 3 do
    if cmds[i + 2] > UNITS_MAX then malformed('units') end
    is_dated = is_dated or stocks[cmds[i]][FLAGS] >= IS_DATED
  end
  if is_dated then return dated().grants_of(channel, first, last, bys) end
  if all_fit(channel, first, last) then return nil end
  local grants, users, short, taken, by_share, previous, sum = {}, nil, nil, 0, nil, nil, 0
  for i = first, last, 3 do
    local at, pin, units, n = cmds[i], cmds[i + 1], cmds[i + 2], #grants + 1
    if at ~= previous then taken, by_share, previous = 0, nil, at end
    local room, limit, user = room_of(at, stocks[at], pin, taken, channel, units, by_share)
    local granted = min(units, room)
    if granted < units then
      short = short or { REFUSED, INSUFFICIENT_STOCK }
      add_short(short, at, pin, units, room, limit)
    end
    if user then
      users = users or {}
      users[n] = user
    end
    by_share = add_share(by_share, taken, granted, channel, user)
    grants[n], taken, sum = granted, taken + granted, sum + granted
  end
  return grants, nil, users, short, sum, users ~= nil
end

-- Holds what was granted to a channel: everything, of its own share, where the rest is nil.
local function take(channel, first, last, grants, days, users)
  local line = 0
  for i = first, last, 3 do
    line = line + 1
    local at = cmds[i]
    local units = grants and grants[line] or cmds[i + 2]
    hold(stocks[at], cmds[i + 1], units, users and users[line] or channel, days and days[line])
    if not changed[at] then touch_stock(at) end
    watch(at)
    if units > 0 then open_lines = open_lines + 1 end
  end
end

-- How many line states follow, with what follows them.
local function states_with(count, days, users)
  return count + (days and DATED or 0) + (users and LENT or 0)
end

-- Line states of a record, the days of the lines where any has one, and the channels whose shares lines
-- are of where any is of another's.
local function add_states(parts, pins, grants, days, users)
  for i = 1, #grants do
    parts[#parts + 1] = pack_integers(STATE, pins(i), grants[i], 0, 0, 0, 0, 0)
  end
  for i = 1, days and #grants or 0 do parts[#parts + 1] = pack_integers('<I2', days[i] or 0) end
  for i = 1, users and #grants or 0 do
    parts[#parts + 1] = pack_integers('<I2', users[i] and users[i] + 1 or 0)
  end
  return concat(parts)
end

-- What follows in the record: the three moments, and line states where not all was granted, or for days,
-- or of other shares.
local function tail_of(ttl, first, last, grants, days, users)
  local tail = tails[ttl]
  if not tail then
    tail = pack_integers(MOMENTS, now, now, now + ttl, 0)
    tails[ttl] = tail
  end
  if not grants then return tail end
  local states = states_with(#grants, days, users)
  local parts = { pack_integers(MOMENTS, now, now, now + ttl, states) }
  return add_states(parts, function(i) return cmds[first + i * 3 - 2] end, grants, days, users)
end

-- What a caller is told that each line got, behind what is in the result.
local function add_grants(result, grants, days, users)
  for i = 1, grants and #grants or 0 do
    local got, day, user = grants[i], days and days[i], users and users[i]
    if day or user then got = pack_integers(GRANT, got, day or 0, user and user + 1 or 0) end
    result[#result + 1] = got
  end
  return result
end

local function short_of(slot, made, short)
  if backlog then return DEFERRED end
  return refuse(slot, sub(made, 1, 8), short)
end

-- Gives a channel that came with a name only its index, in what the record keeps and in the
-- reference. Nil where there is no room for another channel.
local function with_index(name, made, reference)
  local index, is_new = index_of('c', name, CHANNELS_MAX)
  if not index then return nil end
  local low, high = index % 256, floor(index / 256)
  made = sub(made, 1, 9) .. char(high, low) .. sub(made, 12)
  if reference ~= '' then reference = char(low, high) .. sub(reference, 3) end
  return { INDEXED, index, is_new and 1 or 0 }, made, reference
end

local function reserve(at)
  local slot, flags, made, ttl = cmds[at + 1], cmds[at + 2], cmds[at + 3], cmds[at + 4]
  local reference, name, count, first = cmds[at + 5], cmds[at + 6], cmds[at + 7], at + 8
  local last, bys = first + 3 * count - 1, nil
  local past = last + 1
  if flags >= LATER then flags, bys, past = flags - LATER, last, past + count end
  local record = records[slot]
  if record then return past, answered(record, sub(made, 1, 8)) end
  local unknown = look_at(first, last, 3)
  if unknown then return past, unknown end
  local channel = name == '' and channel_of(made) or channel_named(name)
  local grants, days, users, short, sum, waits = grants_of(channel, first, last, bys)
  if short and (backlog or flags == 0 or sum == 0) then return past, short_of(slot, made, short) end
  if backlog and waits then return past, DEFERRED end
  if not short and not days and not users then grants = nil end
  local result = { PART }
  if name ~= '' then
    result, made, reference = with_index(name, made, reference)
    if not result then return past, FULL end
  end
  take(channel_of(made), first, last, grants, days, users)
  seq = seq + 1
  put_record(slot, pack_integers(KIND_AND_SEQ, RESERVATION, seq)
    .. made .. tail_of(ttl, first, last, grants, days, users))
  due_at(now + ttl, ids[slot])
  if reference ~= '' then new_refs[reference] = ids[slot] end
  if not grants and name == '' then return past, GRANTED end
  return past, add_grants(result, grants, days, users)
end

-- A reservation of one line that is of the share of another channel.
local function lent_one(slot, made, place, pin, units, ttl, user)
  if backlog then return DEFERRED end
  local grants, users = { units }, { user }
  hold(stocks[place], pin, units, user)
  touch_stock(place)
  open_lines, seq = open_lines + 1, seq + 1
  local moments = { pack_integers(MOMENTS, now, now, now + ttl, states_with(1, nil, users)) }
  put_record(slot, pack_integers(KIND_AND_SEQ, RESERVATION, seq) .. made .. skus[place]
    .. add_states(moments, function() return pin end, grants, nil, users))
  if stocks[place][FLAGS] >= IS_SHORT then settle(place) end
  return add_grants({ PART }, grants, nil, users)
end

-- The usual ones, in a run of their own: one line, all or nothing, no reference. Their number, the
-- first place of their ids, which stand in a row, time to live and pin of all; of each what the
-- record keeps up to the text of the SKU, the SKU's place and the units.
local function reserve_ones(at)
  local slot, ttl, pin = cmds[at + 2], cmds[at + 3], cmds[at + 4]
  local first, last = at + 5, at + 4 + 3 * cmds[at + 1]
  local tail, due = tails[ttl] or tail_of(ttl), dues[now + ttl] or {}
  local due_count, granted = #due, 0
  for i = first, last, 3 do
    local made, place, units, record = cmds[i], cmds[i + 1], cmds[i + 2], records[slot]
    local stock, channel, other = stocks[place], channel_of(made), nil
    if pin > 0 then stock = stock_of(place) elseif not stock then stock = light_stock_of(place) end
    if record then
      other = answered(record, sub(made, 1, 8))
    elseif not stock then
      other = { UNRECORDED, UNKNOWN_SKU, skus[place] }
    else
      local room, limit, user
      if policy then note_terms(place) end
      if has_supply(stock) then
        room, limit, user = dated().offer(place, pin, channel, units)
      else
        room, limit, user = room_of(place, stock, pin, 0, channel, units)
      end
      if room < units then
        local short = { REFUSED, INSUFFICIENT_STOCK }
        add_short(short, place, pin, units, room, limit)
        other = short_of(slot, made, short)
      elseif user then
        other = lent_one(slot, made, place, pin, units, ttl, user)
        if other ~= DEFERRED then
          due_count = due_count + 1
          due[due_count] = ids[slot]
        end
      end
    end
    if other then
      if granted > 0 then results[#results + 1] = -granted end
      results[#results + 1], granted = other, 0
    else
      hold(stock, pin, units, channel)
      if not changed[place] then touch_stock(place) end
      seq, granted, due_count = seq + 1, granted + 1, due_count + 1
      record = pack_integers(KIND_AND_SEQ, RESERVATION, seq) .. made .. skus[place] .. tail
      records[slot], dropped[slot], due[due_count] = record, nil, ids[slot]
      record_args[record_count + 1], record_args[record_count + 2] = ids[slot], record
      record_count = record_count + 2
      open_lines = open_lines + 1
      if stock[FLAGS] >= IS_SHORT then settle(place) end
    end
    slot = slot + 1
  end
  if due_count > 0 then dues[now + ttl] = due end
  if granted > 0 then return last + 1, -granted end
  return last + 1
end

commands[RESERVE], commands[RESERVE_ONE] = reserve, reserve_ones
