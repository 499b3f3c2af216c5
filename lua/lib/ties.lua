-- Reservations over several partitions; where there is one, `ties` is nil. All about them has this one
-- name, for a chunk has few: the first byte of records of those that are at home here, and of parts of
-- others; their phases; what to write into the key, ids of parts that wait for their home and since
-- when, false for no longer.
local ties = {
  WHOLE = 4, PART = 5, PLACING = 1, HELD = 2, LOOSE = 1, TIED = 2, changed = {}, KEY =
  KEYS[8],
}

-- Reads what follows the line states of a record.
function ties.read(booking, kind, record, at)
  booking.kind = kind
  booking.phase, booking.version, booking.verb, booking.a, booking.b, at =
    unpack_integers('<LLLLL', record, at)
  for i = 1, kind == ties.WHOLE and #booking.lines or 0 do
    local flag
    flag, at = unpack_integers('<L', record, at)
    booking.lines[i].is_elsewhere = flag == 1
  end
end

-- Appends what that reads.
function ties.add(parts, booking, elsewhere)
  local n = #parts
  parts[n + 1] = pack_integers('<LLLLL', booking.phase, booking.version, booking.verb, booking.a,
    booking.b)
  for i = 1, booking.kind == ties.WHOLE and #elsewhere or 0 do
    parts[n + 1 + i] = pack_integers('<L', elsewhere[i])
  end
end

