-- Before the first command: what is needed of reservations, and what is past its deadline.

local slots
-- The place of an id, which is added where it is missing.
local function slot_of(id)
  if not slots then
    slots = {}
    for i = 1, #ids do slots[ids[i]] = i end
  end
  local slot = slots[id]
  if not slot then
    slot = #ids + 1
    ids[slot], slots[id] = id, slot
  end
  return slot
end

-- Ids of reservations found by channel and reference, by place in `fields`.
local found = {}

-- The first entries of the index of deadlines that are due.
local DUE_PAGE = 8
local function due_page(offset)
  return call('ZRANGEBYSCORE', DUE, '-inf', format('%d', now), 'LIMIT', offset, DUE_PAGE)
end
local first_due = due_page(0)

-- A block: what follows needs none of these names, and most calls none of these functions.
if #first_due + #targets + #fields > 0 then
-- Most reservations and lines that one call takes from the index of deadlines; a batch and thus an
-- entry of the index has fewer.
local DUE_MAX, DUE_LINES_MAX = 512, 2000
local ID_BYTES = 16

local function fetch_added(from, key, names, into)
  local values = fetch(key, names, from + 1)
  for i = 1, #values do into[from + i] = values[i] end
end

-- Entries of the index that are due, as many as this call will do.
local function take_due(into)
  local page, offset, lines = first_due, 0, 0
  while true do
    for i = 1, #page do
      local count = #page[i] / ID_BYTES
      if #into > 0 and (#into + count > DUE_MAX or lines > DUE_LINES_MAX) then
        backlog = true
        return
      end
      local known = #ids
      for n = 0, count - 1 do
        into[#into + 1] = slot_of(sub(page[i], n * ID_BYTES + 1, (n + 1) * ID_BYTES))
      end
      fetch_added(known, RECORDS, ids, records)
      for n = #into - count + 1, #into do
        local booking = booking_of(into[n])
        lines = lines + (booking and #booking.lines or 0)
      end
      due_done[#due_done + 1] = page[i]
    end
    if #page < DUE_PAGE then return end
    offset = offset + DUE_PAGE
    page = due_page(offset)
  end
end

-- Gives back what a reservation holds past its deadline.
local function expire_booking(slot)
  local booking, any = bookings[slot], false
  if not booking or booking.deadline > now then return end
  if booking.kind and booking.kind == ties.PART and booking.phase == ties.TIED then return end
  for i = 1, #booking.lines do
    local line = booking.lines[i]
    local units = line[L_HELD]
    if units > 0 and line.is_elsewhere then
      -- Its own partition gives the units back.
      line[L_HELD], line[L_EXPIRED], any = 0, line[L_EXPIRED] + units, true
    elseif units > 0 then
      local stock, is_first = stock_of(line.place), not changed[line.place]
      if policy then note_terms(line.place) end
      unhold(stock, line[PIN], units, line.user or booking.channel, line.day)
      touch_stock(line.place)
      line[L_HELD], line[L_EXPIRED] = 0, line[L_EXPIRED] + units
      if line[L_COMMITTED] == 0 then open_lines = open_lines - 1 end
      local n = #expired
      expired[n + 1], expired[n + 2], expired[n + 3], expired[n + 4] =
        ids[slot], i - 1, line.sku, units
      seq, any = seq + 1, true
      -- What is not low by now is less so with every unit more. That a day has passed may make it low.
      if is_first or has_bit(stock[FLAGS], IS_LOW) then settle_low(line.place) end
      settle_deficit(line.place)
    end
  end
  if any then put_record(slot, encode_booking(booking)) end
end

local function find_references()
  local named = fetch(REFS, fields, 1)
  local known = #ids
  for i = 1, #named do
    if named[i] then
      local slot = slot_of(named[i])
      found[i] = named[i]
      targets[#targets + 1] = slot
    end
  end
  fetch_added(known, RECORDS, ids, records)
end

local function prepare()
  local due, known = {}, #skus
  if #fields > 0 then find_references() end
  take_due(due)
  if #due + #targets == 0 then return end
  for i = 1, #targets do booking_of(targets[i]) end
  -- Opening a reservation adds the texts of its SKUs.
  fetch_added(known, STOCK, skus, raw_stock)
  for i = 1, #due do expire_booking(due[i]) end
  for i = 1, #targets do expire_booking(targets[i]) end
end

prepare()
end
