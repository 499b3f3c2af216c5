-- place: the lines here of a reservation over several partitions. Id, 1 where part is welcome and 2 more
-- where any line here may be had on a later day, what the record keeps, time to live, deadline (0 at home,
-- which sets it; it also names the attempt), number of lines here; of each the SKU's place, the pin and
-- the units. At home, what the record keeps is about all lines, and there follow: their number, and of each
-- 0 where it lies here, else 1. Elsewhere that number is 0. Then of each line here, where any may be had
-- later, the last day for it, 0 for none.

local PLACE, QUOTE, QUOTE_LATER = 20, 21, 33
local lent = commands.lent_reserve
local grants_of, take, add_states, add_grants, states_with =
  lent.grants_of, lent.take, lent.add_states, lent.add_grants, lent.states_with

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
  -- Past the deadline it has given back what it got, which a home whose clock is behind must not count.
  if booking.deadline > deadline or deadline <= now then return { VALUE, 0 } end
  if booking.deadline == deadline then return { RECORD, record } end
  if not states_of(booking.lines).held then return nil end
  -- Home has begun anew, so nobody comes to the end of the attempt that this is left from.
  booking.deadline = deadline
  due_at(deadline, ids[slot])
  put_record(slot, encode_booking(booking))
  return { RECORD, records[slot] }
end

-- What the lines here ask for.
local function asked(first, last)
  local units = {}
  for i = first, last, 3 do units[#units + 1] = cmds[i + 2] end
  return units
end

-- What follows in the record: the states of all lines, and how the parts hang together.
local function several_tail(made, grants, days, users, tags, count, deadline)
  local parts = { pack_integers(MOMENTS, now, now, deadline, states_with(count, days, users)) }
  local _, all = unpack_one(made, CHANNEL_END - FINGERPRINT_AT + 1)
  local own, elsewhere, units, all_days, all_users = 0, {}, {}, days and {}, users and {}
  for n = 1, count do
    units[n], elsewhere[n] = 0, tags and cmds[tags + n] or 0
    if elsewhere[n] == 0 then
      own = own + 1
      units[n] = grants[own]
      if days then all_days[n] = days[own] end
      if users then all_users[n] = users[own] end
    end
  end
  parts[2] = add_states({}, function(n) return all[n * 3] end, units, all_days, all_users)
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
  local tags, count, bys = last + 1, cmds[last + 1], nil
  local past = tags + count + 1
  if flags >= LATER then flags, bys, past = flags - LATER, past - 1, past + cmds[at + 6] end
  local before = placed_before(slot, made, deadline)
  if before then return past, before end
  local unknown = look_at(first, last, 3)
  if unknown then return past, unknown end
  local channel = channel_of(made)
  local grants, days, users, short, _, waits = grants_of(channel, first, last, bys)
  if backlog and (short or waits) then return past, DEFERRED end
  if short and flags == 0 then
    short[1] = UNRECORDED
    return past, short
  end
  if count == 0 then
    tags, count = nil, cmds[at + 6]
    if deadline <= now then return past, { VALUE, 0 } end
  else
    deadline = now + ttl
  end
  grants = grants or asked(first, last)
  take(channel, first, last, grants, days, users)
  seq = seq + 1
  local kind, tail = several_tail(made, grants, days, users, tags, count, deadline)
  put_record(slot, pack_integers(KIND_AND_SEQ, kind, seq) .. made .. tail)
  bookings[slot] = nil
  due_at(deadline, ids[slot])
  return past, add_grants({ PART }, grants, days, users)
end

-- quote: what placing would be refused for, and nothing more. Channel, number of lines; of each the
-- SKU's place, the pin and the units; then of each the last day for it, where any may be had later.
local function quote(at, is_later)
  local channel, count, first = cmds[at + 1], cmds[at + 2], at + 3
  local last, bys = first + 3 * count - 1, nil
  local past = last + 1
  if is_later then bys, past = last, past + count end
  local unknown = look_at(first, last, 3)
  if unknown then return past, unknown end
  local _, _, _, short = grants_of(channel, first, last, bys)
  if not short then return past, { VALUE, 1 } end
  if backlog then return past, DEFERRED end
  short[1] = UNRECORDED
  return past, short
end

commands[PLACE], commands[QUOTE] = place, quote
commands[QUOTE_LATER] = function(at) return quote(at, true) end
