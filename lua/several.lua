-- Reservations over several partitions. The record at home, the partition that the id names, holds
-- the states of all lines and is the truth; the others hold a part each, with lines of their own,
-- and follow. While it is placed, home is not held, and each part ends by the deadline they share.
-- An act first ties every part that it touches, so that none ends by itself, is then decided at
-- home, and then followed by the parts, which unties them. Home's version counts what it decided;
-- whoever finds a part tied for long asks home to count one more, which ends any act on its way,
-- and has the part follow.
local UNKNOWN_RESERVATION = 4
local lent = commands.lent_acts
local verbs, amounts_of, plan_act = lent.verbs, lent.amounts_of, lent.plan_act
local add_move, pass, do_moves, acted = lent.add_move, lent.pass, lent.do_moves, lent.acted
local COMMIT, RELEASE_HELD, RELEASE_COMMITTED, SHIP_FROM, RESTOCK, REPIN =
  lent.COMMIT, lent.RELEASE_HELD, lent.RELEASE_COMMITTED, lent.SHIP_FROM, lent.RESTOCK, lent.REPIN
-- One name for all, since a chunk has room for few; the same numbers as in src/ledger/remote/wire.
local STEP = {
  ENTIRE = 22, REFUSE = 23, UNDO = 24, TIE = 25, ACT_WHOLE = 26, BUMP = 27, FOLLOW = 28,
  READ_TIES = 29,
}

local function is_held_whole(booking)
  return booking and booking.kind == ties.WHOLE and booking.phase == ties.HELD
end

local function record_of(slot)
  return { RECORD, records[slot] or '' }
end

-- entire: all parts are placed. Id, deadline of the attempt, number of lines elsewhere; of each its
-- number and what it got, as in `reserve`. Its event is an extension that moves nothing: only what moves
-- the chain on is noticed when a store has lost it.
commands[STEP.ENTIRE] = function(at)
  local slot, deadline = cmds[at + 1], cmds[at + 2]
  local first, past = at + 4, at + 4 + 2 * cmds[at + 3]
  local booking = booking_of(slot)
  local is_mine = booking and booking.kind == ties.WHOLE and booking.phase == ties.PLACING
    and booking.deadline == deadline and deadline > now
  if is_mine then
    for i = first, past - 1, 2 do
      local line, got = booking.lines[cmds[i]], cmds[i + 1]
      if type(got) == 'string' then
        local day, user
        got, day, user = unpack_integers(GRANT, got)
        if day > 0 then line.day, booking.is_dated = day, true end
        if user > 0 then line.user, booking.is_lent = user - 1, true end
      end
      line[L_HELD] = got
    end
    booking.phase, booking.touched = ties.HELD, now
    if booking.reference then
      local channel = booking.channel
      new_refs[char(channel % 256, floor(channel / 256)) .. booking.reference] = ids[slot]
    end
    seq = seq + 1
    local after = encode_booking(booking)
    put_record(slot, after)
    return past, acted(EXTEND, ids[slot], after, {}, {})
  end
  return past, record_of(slot)
end

-- Gives back what is held here.
local function give_back(booking)
  local moves = {}
  for n = 1, #booking.lines do
    local line = booking.lines[n]
    if line[L_HELD] > 0 and not line.is_elsewhere then
      add_move(moves, n, RELEASE_HELD, 0, line[L_HELD])
    end
  end
  do_moves(booking, moves)
  booking.touched = now
  return moves
end

-- refuse: it is refused, at home. Id, fingerprint, deadline of the attempt or 0, the refusal packed.
commands[STEP.REFUSE] = function(at)
  local slot, fingerprint, deadline, refusal = cmds[at + 1], cmds[at + 2], cmds[at + 3], cmds[at + 4]
  local booking = booking_of(slot)
  local is_mine = booking and booking.kind == ties.WHOLE and booking.phase == ties.PLACING
    and (booking.deadline == deadline or booking.deadline <= now)
  if records[slot] and not is_mine then return at + 5, record_of(slot) end
  if not is_mine then
    return at + 5, refuse(slot, fingerprint, cmsgpack.unpack(refusal))
  end
  local moves = give_back(booking)
  local after = encode_booking(booking)
  seq = seq + 1
  put_record(slot, pack_integers(KIND_AND_SEQ, REFUSAL, seq)
    .. fingerprint .. pack_integers(MOMENT, now) .. refusal)
  bookings[slot] = nil
  return at + 5, { ACTED, RELEASE, ids[slot], after, moves }
end

-- undo: what was placed here of a reservation that was refused or given up. Id, fingerprint, deadline
-- of the attempt. A whole reservation is answered and stays.
commands[STEP.UNDO] = function(at)
  local slot, deadline = cmds[at + 1], cmds[at + 3]
  local booking = booking_of(slot)
  if is_held_whole(booking) then return at + 4, record_of(slot) end
  if not booking or not booking.kind or booking.deadline ~= deadline then
    return at + 4, { VALUE, 0 }
  end
  local moves = give_back(booking)
  seq = seq + 1
  local after = encode_booking(booking)
  records[slot], bookings[slot], dropped[slot] = false, nil, true
  return at + 4, { ACTED, RELEASE, ids[slot], after, moves }
end

-- tie: a part does not end by itself until it has followed. Place of the id, version of home, verb
-- and its two numbers, number of lines that will move; of each its number and the units. What the
-- stock here does not allow is answered, and the part is not tied.
commands[STEP.TIE] = function(at)
  local slot, version, kind, a, b =
    cmds[at + 1], cmds[at + 2], cmds[at + 3], cmds[at + 4], cmds[at + 5]
  local first, past = at + 7, at + 7 + 2 * cmds[at + 6]
  local booking = booking_of(slot)
  if not booking or booking.kind ~= ties.PART or booking.version > version then
    return past, record_of(slot)
  end
  local amounts = {}
  for i = first, past - 1 do amounts[#amounts + 1] = cmds[i] end
  if #amounts > 0 then
    local verb, moves = verbs[kind], nil
    local refusal = verb.tie and verb.tie(booking.lines, amounts)
    if not refusal then moves, refusal = verb.plan(booking.lines, amounts, a, b) end
    if not moves then
      if backlog then return past, DEFERRED end
      refusal[1] = UNRECORDED
      return past, refusal
    end
  end
  booking.phase, booking.version, booking.verb, booking.a, booking.b = ties.TIED, version, kind, a, b
  ties.changed[ids[slot]] = format('%d', now)
  put_record(slot, encode_booking(booking))
  return past, record_of(slot)
end

-- A block: what follows needs none of these names.
do
-- What home does to its copy of a line that lies elsewhere.
local function follow(line, kind, node, units)
  if kind == COMMIT then pass(line, L_HELD, L_COMMITTED, units)
  elseif kind == RELEASE_HELD then pass(line, L_HELD, L_RELEASED, units)
  elseif kind == RELEASE_COMMITTED then pass(line, L_COMMITTED, L_RELEASED, units)
  elseif kind == SHIP_FROM then pass(line, L_COMMITTED, L_SHIPPED, units)
  elseif kind == REPIN then line[PIN] = node + 1
  else line[L_RETURNED] = line[L_RETURNED] + units end
end

-- The moves of lines elsewhere; what their stock does not allow was found out when they were tied.
local function plan_elsewhere(kind, lines, amounts, a)
  local moves = {}
  if kind == CONFIRM or kind == RELEASE then return verbs[kind].plan(lines, amounts) end
  for i = 1, #amounts, 2 do
    if kind == SHIP then
      add_move(moves, amounts[i], SHIP_FROM, 0, amounts[i + 1])
    elseif kind == RETURN then
      add_move(moves, amounts[i], RESTOCK, 0, amounts[i + 1])
    else
      add_move(moves, amounts[i], REPIN, a, 0)
    end
  end
  return moves
end

-- Shortages of both, in the order of their SKUs, which is that of the lines.
local function join_short(here, first, count)
  local entries = {}
  for i = 3, here and #here or 0, 5 do
    entries[#entries + 1] = { here[i], here[i + 1], here[i + 2], here[i + 3], here[i + 4] }
  end
  for i = first, first + 5 * (count - 1), 5 do
    entries[#entries + 1] = { cmds[i], cmds[i + 1], cmds[i + 2], cmds[i + 3], cmds[i + 4] }
  end
  for i = 2, #entries do
    local k, entry = i, entries[i]
    while k > 1 and entries[k - 1][1] > entry[1] do entries[k], k = entries[k - 1], k - 1 end
    entries[k] = entry
  end
  local joined = { REFUSED, INSUFFICIENT_STOCK }
  for i = 1, #entries do
    for k = 1, 5 do joined[#joined + 1] = entries[i][k] end
  end
  return joined
end

-- The moves here and those elsewhere, or nil and a refusal.
local function plan_whole(kind, slot, booking, a, b, short, first, last)
  if kind == EXTEND then
    local moves, refusal = plan_act(kind, booking, slot, a, b, first, last)
    return moves, {}, refusal
  end
  local lines, verb = booking.lines, verbs[kind]
  local amounts, refusal = amounts_of(verb, lines, first, last)
  if not amounts then return nil, nil, refusal end
  local here, elsewhere = {}, {}
  for i = 1, #amounts, 2 do
    local list = lines[amounts[i]].is_elsewhere and elsewhere or here
    list[#list + 1], list[#list + 2] = amounts[i], amounts[i + 1]
  end
  local moves
  moves, refusal = verb.plan(lines, here, a, b)
  if refusal and refusal[2] ~= INSUFFICIENT_STOCK then return nil, nil, refusal end
  if refusal or cmds[short] > 0 then
    return nil, nil, join_short(refusal, short + 1, cmds[short])
  end
  return moves, plan_elsewhere(kind, lines, elsewhere, a)
end

-- act on the whole, at home: id, fingerprint, place of the reservation's id, verb, two numbers of
-- it, version, number of shortages elsewhere; of each the text of the SKU, the pin, units, room and
-- limit; number of lines (0: all); of each the SKU's place, the pin, the units.
commands[STEP.ACT_WHOLE] = function(at)
  local act_slot, fingerprint, slot, kind, a, b, version, short =
    cmds[at + 1], cmds[at + 2], cmds[at + 3], cmds[at + 4], cmds[at + 5], cmds[at + 6], cmds[at + 7],
    at + 8
  local count_at = short + 1 + 5 * cmds[short]
  local first, past = count_at + 1, count_at + 1 + 3 * cmds[count_at]
  local record, booking = records[act_slot], booking_of(slot)
  if record then return past, answered(record, fingerprint) end
  if not is_held_whole(booking) then return past, { UNRECORDED, UNKNOWN_RESERVATION } end
  if booking.version ~= version then return past, record_of(slot) end
  local moves, elsewhere, refusal = plan_whole(kind, slot, booking, a, b, short, first, past - 1)
  if not moves and backlog and refusal[2] == INSUFFICIENT_STOCK then return past, DEFERRED end
  booking.version = version + 1
  if not moves then
    put_record(slot, encode_booking(booking))
    return past, refuse(act_slot, fingerprint, refusal)
  end
  local windows = do_moves(booking, moves)
  for i = 1, #elsewhere, 4 do
    follow(booking.lines[elsewhere[i] + 1], elsewhere[i + 1], elsewhere[i + 2], elsewhere[i + 3])
  end
  booking.touched = now
  local after = encode_booking(booking)
  put_record(slot, after)
  local result = acted(kind, ids[slot], after, moves, windows)
  return past, conclude(act_slot, fingerprint, ANSWER, result)
end

end

-- bump: home counts one more, so that whoever decided by an older version begins anew. Place of the
-- id, version.
commands[STEP.BUMP] = function(at)
  local slot, booking = cmds[at + 1], booking_of(cmds[at + 1])
  if is_held_whole(booking) and booking.version == cmds[at + 2] then
    booking.version = booking.version + 1
    put_record(slot, encode_booking(booking))
  end
  return at + 3, record_of(slot)
end

-- Another block.
do
-- The moves that make a line what home says; nothing where it has ended by itself.
local function catch_up(moves, ships, returns, n, line, i)
  local held, committed, expired = cmds[i + 1], cmds[i + 2], cmds[i + 5]
  if line[L_EXPIRED] > expired then return end
  local pin, shipped = cmds[i], cmds[i + 3] - line[L_SHIPPED]
  local more = committed - line[L_COMMITTED] + shipped
  if more > 0 then add_move(moves, n, COMMIT, 0, more) end
  local back = line[L_HELD] - held - max(more, 0) - (expired - line[L_EXPIRED])
  if back > 0 then add_move(moves, n, RELEASE_HELD, 0, back) end
  if more < 0 then add_move(moves, n, RELEASE_COMMITTED, 0, -more) end
  if pin ~= line[PIN] then add_move(moves, n, REPIN, pin - 1, 0) end
  if shipped > 0 then ships[#ships + 1], ships[#ships + 2] = n, shipped end
  local returned = cmds[i + 6] - line[L_RETURNED]
  if returned > 0 then returns[#returns + 1], returns[#returns + 2] = n, returned end
end

-- All of them; nil and a refusal where the stock does not allow it yet.
local function plan_follow(booking, first, kind, a, b)
  local moves, ships, returns = {}, {}, {}
  for n = 1, #booking.lines do
    catch_up(moves, ships, returns, n, booking.lines[n], first + 7 * (n - 1))
  end
  local function join(verb, amounts, x, y)
    if #amounts == 0 then return nil end
    local more, refusal = verbs[verb].plan(booking.lines, amounts, x, y)
    for i = 1, more and #more or 0 do moves[#moves + 1] = more[i] end
    return refusal
  end
  local refusal = join(SHIP, ships, kind == SHIP and a or 0)
    or join(RETURN, returns, kind == RETURN and a or 1, kind == RETURN and b or 0)
  if refusal then return nil, refusal end
  return moves
end

-- follow: a part does what home decided, and is not tied any more. Id of the act, fingerprint, place
-- of the reservation's id, version of home, verb and its two numbers (verb 0: those it was tied
-- for), deadline, number of lines; of each seven integers, its state.
commands[STEP.FOLLOW] = function(at)
  local slot, version, kind, a, b, deadline = cmds[at + 3], cmds[at + 4], cmds[at + 5],
    cmds[at + 6], cmds[at + 7], cmds[at + 8]
  local first, past = at + 10, at + 10 + 7 * cmds[at + 9]
  local booking = booking_of(slot)
  if not booking or booking.kind ~= ties.PART or booking.version >= version then
    return past, { VALUE, 0 }
  end
  if cmds[at + 9] ~= #booking.lines then malformed('lines') end
  if kind == 0 then kind, a, b = booking.verb, booking.a, booking.b end
  if kind == 0 then kind = EXTEND end
  local moves, refusal = plan_follow(booking, first, kind, a, b)
  if not moves then
    refusal[1] = UNRECORDED
    return past, refusal
  end
  local windows = do_moves(booking, moves)
  local is_moved = #moves > 0 or deadline ~= booking.deadline
  booking.phase, booking.version, booking.deadline, booking.touched = ties.LOOSE, version, deadline, now
  if states_of(booking.lines).held then due_at(deadline, ids[slot]) end
  ties.changed[ids[slot]] = false
  if is_moved then seq = seq + 1 end
  local after = encode_booking(booking)
  put_record(slot, after)
  if not is_moved then return past, { VALUE, 1 } end
  return past, acted(kind, ids[slot], after, moves, windows)
end

end

-- ties: at most 64 ids of parts that were tied before now less this many milliseconds.
commands[STEP.READ_TIES] = function(at)
  local old, all = {}, call('HGETALL', ties.KEY)
  for i = 1, #all, 2 do
    if now - tonumber(all[i + 1]) >= cmds[at + 1] and #old < 64 then old[#old + 1] = all[i] end
  end
  return at + 2, { VALUE, old }
end
