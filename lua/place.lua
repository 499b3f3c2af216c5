-- place: the lines here of a reservation over several partitions. Id, 1 where part is welcome, what
-- the record keeps, time to live, deadline (0 at home, which sets it; it also names the attempt),
-- number of lines here; of each the SKU's place, the pin and the units. At home, what the record
-- keeps is about all lines, and there follow: their number, and of each 0 where it lies here, else
-- 1. Elsewhere that number is 0.

local PLACE, QUOTE = 20, 21
local lent = commands.lent_reserve
local all_fit, grants_of, take = lent.all_fit, lent.grants_of, lent.take
local add_users, add_grants = lent.add_users, lent.add_grants

-- What stands under the id already, as an answer; nil where the lines are to be placed.
local function placed_before(slot, made, deadline)
  local record = records[slot]
  if not record then return nil end
  if sub(record, FINGERPRINT_AT, FINGERPRINT_END) ~= sub(made, 1, 8) then
    return { UNRECORDED, KEY_REUSED }
  end
  local booking = booking_of(slot)
  if not booking or not booking.kind then return { RECORD, record } end
  if booking.kind == ties.WHOLE then
    -- Nobody came to the end of the attempt before: another begins.
    if booking.phase == ties.PLACING and booking.deadline <= now then return nil end
    return { RECORD, record }
  end
  if booking.deadline == deadline then return { RECORD, record } end
  if booking.deadline > deadline then return { VALUE, 0 } end
  if not states_of(booking.lines).held then return nil end
  -- Home has begun anew, so nobody comes to the end of the attempt that this is left from.
  booking.deadline = deadline
  due_at(deadline, ids[slot])
  put_record(slot, encode_booking(booking))
  return { RECORD, records[slot] }
end

-- What follows in the record: the states of all lines, and how the parts hang together.
local function several_tail(made, first, grants, users, tags, count, deadline)
  local parts = { pack_integers(MOMENTS, now, now, deadline, count + (users and LENT or 0)) }
  local _, all = unpack_one(made, CHANNEL_END - FINGERPRINT_AT + 1)
  local own, elsewhere, all_users = 0, {}, users and {}
  for n = 1, count do
    local units = 0
    elsewhere[n] = tags and cmds[tags + n] or 0
    if elsewhere[n] == 0 then
      own = own + 1
      units = grants and grants[own] or cmds[first + own * 3 - 1]
      if users then all_users[n] = users[own] end
    end
    parts[n + 1] = pack_integers(STATE, all[n * 3], units, 0, 0, 0, 0, 0)
  end
  add_users(parts, all_users, count)
  local kind, phase = ties.PART, ties.LOOSE
  if tags then kind, phase = ties.WHOLE, ties.PLACING end
  ties.add(parts, { kind = kind, phase = phase, version = 0, verb = 0, a = 0, b = 0 }, elsewhere)
  return kind, concat(parts)
end

local function place(at)
  local slot, flags, made, ttl, deadline =
    cmds[at + 1], cmds[at + 2], cmds[at + 3], cmds[at + 4], cmds[at + 5]
  local first = at + 7
  local last = first + 3 * cmds[at + 6] - 1
  local tags, count = last + 1, cmds[last + 1]
  local past = tags + count + 1
  local before = placed_before(slot, made, deadline)
  if before then return past, before end
  for i = first, last, 3 do
    if not stock_of(cmds[i]) then return past, { UNRECORDED, UNKNOWN_SKU, skus[cmds[i]] } end
  end
  local grants, users
  local channel = channel_of(made)
  if not all_fit(channel, first, last) then
    local short
    grants, users, short = grants_of(channel, first, last)
    if backlog then return past, DEFERRED end
    if short and flags == 0 then
      short[1] = UNRECORDED
      return past, short
    end
  end
  if count == 0 then
    tags, count = nil, cmds[at + 6]
    if deadline <= now then return past, { VALUE, 0 } end
  else
    deadline = now + ttl
  end
  take(channel, first, last, grants, users)
  seq = seq + 1
  local kind, tail = several_tail(made, first, grants, users, tags, count, deadline)
  put_record(slot, pack_integers(KIND_AND_SEQ, kind, seq) .. made .. tail)
  bookings[slot] = nil
  due_at(deadline, ids[slot])
  if not grants then
    grants = {}
    for i = 1, cmds[at + 6] do grants[i] = cmds[first + i * 3 - 1] end
  end
  return past, add_grants({ PART }, grants, users)
end

-- quote: what placing would be refused for, and nothing more. Channel, number of lines; of each the
-- SKU's place, the pin and the units.
local function quote(at)
  local channel, first = cmds[at + 1], at + 3
  local last = first + 3 * cmds[at + 2] - 1
  for i = first, last, 3 do
    if not stock_of(cmds[i]) then return last + 1, { UNRECORDED, UNKNOWN_SKU, skus[cmds[i]] } end
  end
  if all_fit(channel, first, last) then return last + 1, { VALUE, 1 } end
  if backlog then return last + 1, DEFERRED end
  local _, _, short = grants_of(channel, first, last)
  if not short then return last + 1, { VALUE, 1 } end
  short[1] = UNRECORDED
  return last + 1, short
end

commands[PLACE], commands[QUOTE] = place, quote
