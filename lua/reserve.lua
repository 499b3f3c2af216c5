-- reserve: id, 1 where part is welcome, what the record keeps, time to live, channel and reference
-- (empty: none), name of a channel that may have no index yet (else empty), number of lines; of each
-- line the SKU's place, the pin and the units.
local tails = {}

-- Whether every line can be served whole of a channel's own share; each is judged after those before it of
-- the same SKU.
local function all_fit(channel, first, last)
  local taken, previous = 0, nil
  for i = first, last, 3 do
    local at, units = cmds[i], cmds[i + 2]
    if at ~= previous then taken, previous = 0, at end
    if units > UNITS_MAX then malformed('units') end
    local room, _, user = room_of(at, stocks[at], cmds[i + 1], taken, channel, units)
    if room < units or user then return false end
    taken = taken + units
  end
  return true
end

-- Adds what is missing of a line to a refusal; its room was found last.
local function add_short(short, at, pin, units, room, limit)
  if limit >= BY_CAP then limit = policy.bound() end
  local n = #short
  short[n + 1], short[n + 2], short[n + 3], short[n + 4], short[n + 5] =
    skus[at], pin, units, room, limit
end

-- What each line gets; of which other channels' shares some are, by line, nil where none is; what is
-- short, nil for nothing; and how much they get in sum.
local function grants_of(channel, first, last)
  local grants, users, short, taken, previous, sum, spread = {}, nil, nil, 0, nil, 0, nil
  for i = first, last, 3 do
    local at, pin, units = cmds[i], cmds[i + 1], cmds[i + 2]
    if at ~= previous then taken, previous, spread = 0, at, nil end
    local room, limit, user = room_of(at, stocks[at], pin, taken, channel, units, spread)
    local granted = min(units, room)
    if granted < units then
      short = short or { REFUSED, INSUFFICIENT_STOCK }
      add_short(short, at, pin, units, room, limit)
    end
    if user then
      users, spread = users or {}, spread or { [channel] = taken }
      users[#grants + 1] = user
    end
    if spread then spread[user or channel] = (spread[user or channel] or 0) + granted end
    taken, sum = taken + granted, sum + granted
    grants[#grants + 1] = granted
  end
  return grants, users, short, sum
end

-- Holds what was granted to a channel: everything, of its own share, where `grants` and `users` are nil.
local function take(channel, first, last, grants, users)
  local line = 0
  for i = first, last, 3 do
    line = line + 1
    local at = cmds[i]
    local units = grants and grants[line] or cmds[i + 2]
    hold(stocks[at], cmds[i + 1], units, users and users[line] or channel)
    if not changed[at] then touch_stock(at) end
    watch(at)
    if units > 0 then open_lines = open_lines + 1 end
  end
end

-- Appends to a record which other channels' shares lines are of.
local function add_users(parts, users, count)
  for n = 1, users and count or 0 do
    parts[#parts + 1] = pack_integers('<I2', users[n] and users[n] + 1 or 0)
  end
end

-- What follows in the record: the three moments, and line states where not all was granted of the own
-- share.
local function tail_of(ttl, first, last, grants, users)
  local tail = tails[ttl]
  if not tail then
    tail = pack_integers(MOMENTS, now, now, now + ttl, 0)
    tails[ttl] = tail
  end
  if not grants then return tail end
  local parts = { pack_integers(MOMENTS, now, now, now + ttl, #grants + (users and LENT or 0)) }
  for i = 1, #grants do
    parts[i + 1] = pack_integers(STATE, cmds[first + i * 3 - 2], grants[i], 0, 0, 0, 0, 0)
  end
  add_users(parts, users, #grants)
  return concat(parts)
end

-- Appends what lines got to a result.
local function add_grants(result, grants, users)
  for i = 1, #grants do
    local user = users and users[i]
    result[#result + 1] = user and pack_integers(GRANT, grants[i], 0, user + 1) or grants[i]
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
  local reference, name, first = cmds[at + 5], cmds[at + 6], at + 8
  local last = first + 3 * cmds[at + 7] - 1
  local record = records[slot]
  if record then return last + 1, answered(record, sub(made, 1, 8)) end
  for i = first, last, 3 do
    if not stock_of(cmds[i]) then return last + 1, { UNRECORDED, UNKNOWN_SKU, skus[cmds[i]] } end
  end
  local grants, users
  local channel = name == '' and channel_of(made) or channel_named(name)
  if not all_fit(channel, first, last) then
    local short, sum
    grants, users, short, sum = grants_of(channel, first, last)
    if backlog then return last + 1, DEFERRED end
    if short and (flags == 0 or sum == 0) then return last + 1, short_of(slot, made, short) end
  end
  local result = { PART }
  if name ~= '' then
    result, made, reference = with_index(name, made, reference)
    if not result then return last + 1, FULL end
  end
  take(channel_of(made), first, last, grants, users)
  seq = seq + 1
  put_record(slot, pack_integers(KIND_AND_SEQ, RESERVATION, seq)
    .. made .. tail_of(ttl, first, last, grants, users))
  due_at(now + ttl, ids[slot])
  if reference ~= '' then new_refs[reference] = ids[slot] end
  if not grants and name == '' then return last + 1, GRANTED end
  return last + 1, add_grants(result, grants or {}, users)
end

-- A reservation of one line that is of the share of another channel.
local function lent_one(slot, made, place, stock, pin, units, ttl, user)
  if backlog then return DEFERRED end
  hold(stock, pin, units, user)
  touch_stock(place)
  open_lines, seq = open_lines + 1, seq + 1
  put_record(slot, pack_integers(KIND_AND_SEQ, RESERVATION, seq) .. made .. skus[place]
    .. pack_integers(MOMENTS, now, now, now + ttl, 1 + LENT)
    .. pack_integers(STATE, pin, units, 0, 0, 0, 0, 0) .. pack_integers('<I2', user + 1))
  if stock[FLAGS] >= IS_MARKED then settle_low(place) end
  return add_grants({ PART }, { units }, { user })
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
      local room, limit, user = room_of(place, stock, pin, 0, channel, units)
      if room < units then
        local short = { REFUSED, INSUFFICIENT_STOCK }
        add_short(short, place, pin, units, room, limit)
        other = short_of(slot, made, short)
      elseif user then
        other = lent_one(slot, made, place, stock, pin, units, ttl, user)
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
      if stock[FLAGS] >= IS_MARKED then settle_low(place) end
    end
    slot = slot + 1
  end
  if due_count > 0 then dues[now + ttl] = due end
  if granted > 0 then return last + 1, -granted end
  return last + 1
end

commands[RESERVE], commands[RESERVE_ONE] = reserve, reserve_ones
