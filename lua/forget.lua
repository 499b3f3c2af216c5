-- forget: id, how long answers are kept, how long refusals are kept, milliseconds. Reservations with
-- open units stay; so does what is not old enough by now, whatever the caller saw.
local function is_forgettable(slot, record, answers_ms, refusals_ms)
  local kind = byte(record)
  if kind == ANSWER or kind == REFUSAL then
    local age = now - unpack_integers(MOMENT, record, FINGERPRINT_END + 1)
    return age > (kind == REFUSAL and refusals_ms or answers_ms)
  end
  local booking = booking_of(slot)
  local is = states_of(booking.lines)
  return not is.held and not is.committed and now - booking.touched > answers_ms
    and (not is.expired or now - booking.deadline > answers_ms)
end

local function forget(at)
  local slot, past = cmds[at + 1], at + 4
  local record = records[slot]
  if not record or not is_forgettable(slot, record, cmds[at + 2], cmds[at + 3]) then
    return past, { VALUE, 0 }
  end
  local booking = booking_of(slot)
  if booking and booking.reference then
    local channel = booking.channel
    local field = char(channel % 256, floor(channel / 256)) .. booking.reference
    -- A later reservation with the same reference has put its own id there.
    local latest = new_refs[field]
    if latest == nil then latest = call('HGET', REFS, field) end
    if latest == ids[slot] then new_refs[field] = false end
  end
  records[slot], bookings[slot], dropped[slot] = false, nil, true
  return past, { VALUE, 1 }
end

commands[FORGET] = forget
