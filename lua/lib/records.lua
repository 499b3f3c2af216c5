-- Records: what a command id stands for. A byte for the kind, the sequence, the fingerprint, then:
-- of a reservation what its caller packed (the channel in three bytes; reference or false, time to
-- live, and pin, units and SKU of each line), the moments it was made and last acted on, its
-- deadline, and the number of line states that follow: none while it is as it was made, else one
-- for each line. It is DATED more where lines have a day by which they are promised: behind the states
-- stands that of each, 0 for none. And it is LENT more where lines are of the share of another channel:
-- then follows that of each plus one, 0 for the reservation's own;
-- of another command the moment, and its packed result. After the line states, which it always has,
-- a reservation over several partitions has its phase, version, and the verb and its two numbers
-- that it is tied for; and at home of each line whether it lies elsewhere.
local records = fetch(RECORDS, ids, 1)
local KIND_AND_SEQ, MOMENT, MOMENTS, STATE = '<BI6', '<I6', '<I6I6I6I2', '<I2I5I5I5I5I5I5'
local FINGERPRINT_AT, FINGERPRINT_END, CHANNEL_END = 8, 15, 18
local DATED, LENT = 32768, 16384
-- What a line got, where it has a day (else 0) or is of the share of another channel (that plus one).
local GRANT = '<I5I2I2'

-- The channel in what a reservation's caller packed; one of two bytes stands behind their type.
local function channel_of(made)
  local high, low = byte(made, 10, 11)
  return high * 256 + low
end

local function put_record(slot, record)
  records[slot] = record
  record_args[record_count + 1], record_args[record_count + 2] = ids[slot], record
  record_count = record_count + 2
  dropped[slot] = nil
end

-- The answer of a key that was used before.
local function answered(record, fingerprint)
  if sub(record, FINGERPRINT_AT, FINGERPRINT_END) ~= fingerprint then
    return { UNRECORDED, KEY_REUSED }
  end
  return { RECORD, record }
end

-- Ends a command with an event of its own, which is also what its key stands for from now on.
local function conclude(slot, fingerprint, kind, result)
  seq = seq + 1
  local record = pack_integers(KIND_AND_SEQ, kind, seq)
    .. fingerprint .. pack_integers(MOMENT, now) .. pack(result)
  put_record(slot, record)
  return result
end

-- Ends a command with a refusal that its key stands for from now on.
local function refuse(slot, fingerprint, refusal)
  return conclude(slot, fingerprint, REFUSAL, refusal)
end

-- Notes that a reservation is to be looked at when this moment has come.
local function due_at(deadline, id)
  local list = dues[deadline]
  if not list then
    list = {}
    dues[deadline] = list
  end
  list[#list + 1] = id
end

-- Fields of a line's state.
local PIN, L_HELD, L_COMMITTED, L_SHIPPED, L_RELEASED, L_EXPIRED, L_RETURNED = 1, 2, 3, 4, 5, 6, 7

-- Places of SKUs by their text; made when the first reservation is opened.
local places
local function place_of(sku)
  if not places then
    places = {}
    for i = 1, #skus do places[skus[i]] = i end
  end
  local at = places[sku]
  if not at then
    at = #skus + 1
    skus[at], places[sku] = sku, at
  end
  return at
end

-- Reservations in use, by place in `ids`.
local bookings = {}

-- The reservation at a place of `ids`; nil when there is none.
local function booking_of(slot)
  local booking, record = bookings[slot], records[slot]
  if booking or not record then return booking end
  local kind, number = unpack_integers(KIND_AND_SEQ, record)
  if kind == ANSWER or kind == REFUSAL then return nil end
  local stop, made = unpack_one(record, CHANNEL_END)
  local created, touched, deadline, states, at = unpack_integers(MOMENTS, record, stop + 1)
  local lines = {}
  for i = 1, (#made - 2) / 3 do
    local pin, units, sku = made[i * 3], made[i * 3 + 1], made[i * 3 + 2]
    local line = { pin, units, 0, 0, 0, 0, 0 }
    if states > 0 then
      line = { unpack_integers(STATE, record, at) }
      at = line[8]
    end
    line.sku, line.place = sku, place_of(sku)
    lines[i] = line
  end
  local is_dated, is_lent = states >= DATED, states % DATED >= LENT
  for i = 1, is_dated and #lines or 0 do
    local day
    day, at = unpack_integers('<I2', record, at)
    lines[i].day = day > 0 and day or nil
  end
  for i = 1, is_lent and #lines or 0 do
    local user
    user, at = unpack_integers('<I2', record, at)
    if user > 0 then lines[i].user = user - 1 end
  end
  booking = {
    seq = number, made = sub(record, FINGERPRINT_AT, stop), created = created, touched = touched,
    deadline = deadline, lines = lines, is_dated = is_dated, is_lent = is_lent, reference = made[1],
    channel = channel_of(sub(record, FINGERPRINT_AT, CHANNEL_END)),
  }
  if kind ~= RESERVATION then ties.read(booking, kind, record, at) end
  bookings[slot] = booking
  return booking
end

local function encode_booking(booking)
  local lines, states = booking.lines, #booking.lines
  if booking.is_dated then states = states + DATED end
  if booking.is_lent then states = states + LENT end
  local parts = {
    pack_integers(KIND_AND_SEQ, booking.kind or RESERVATION, booking.seq), booking.made,
    pack_integers(MOMENTS, booking.created, booking.touched, booking.deadline, states),
  }
  for i = 1, #lines do parts[i + 3] = pack_integers(STATE, unpack(lines[i], 1, 7)) end
  for i = 1, booking.is_dated and #lines or 0 do
    parts[#parts + 1] = pack_integers('<I2', lines[i].day or 0)
  end
  for i = 1, booking.is_lent and #lines or 0 do
    parts[#parts + 1] = pack_integers('<I2', lines[i].user and lines[i].user + 1 or 0)
  end
  if booking.kind then
    local elsewhere = {}
    for i = 1, #lines do elsewhere[i] = lines[i].is_elsewhere and 1 or 0 end
    ties.add(parts, booking, elsewhere)
  end
  return concat(parts)
end

-- Which states the units of the whole reservation are in.
local function states_of(lines)
  local is = {}
  for i = 1, #lines do
    local line = lines[i]
    if line[L_HELD] > 0 then is.held = true end
    if line[L_COMMITTED] > 0 then is.committed = true end
    if line[L_SHIPPED] > 0 then is.shipped = true end
    if line[L_RELEASED] > 0 then is.released = true end
    if line[L_EXPIRED] > 0 then is.expired = true end
    if line[L_RETURNED] > 0 then is.returned = true end
    if line[L_SHIPPED] > line[L_RETURNED] then is.returnable = true end
  end
  return is
end
