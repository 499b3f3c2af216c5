-- confirm, release, extend, ship, return, transfer: id, fingerprint, place of the reservation's id,
-- two numbers of the verb, number of lines (0: all); of each the SKU's place, the pin, the units.
--
-- A verb says: `whole`, whether there is anything to do, or the refusal; `movable`, what it can
-- move of a line; `over`, the refusal of asking more; `plan`, the moves; `tie`, the refusal of what another
-- partition may not decide.
local UNKNOWN_RESERVATION = 4

local verbs = {}

-- Appends a move to a plan: the line from 0, the kind, the node, the units.
local function add_move(moves, line, kind, node, units)
  local n = #moves
  moves[n + 1], moves[n + 2], moves[n + 3], moves[n + 4] = line - 1, kind, node, units
end

local function count_open(lines)
  local count = 0
  for i = 1, #lines do
    local line = lines[i]
    if line[L_HELD] + line[L_COMMITTED] > 0 and not line.is_elsewhere then count = count + 1 end
  end
  return count
end

-- Units of a line go from one state into another.
local function pass(line, from, to, units)
  if units > line[from] then inconsistent('a line') end
  line[from], line[to] = line[from] - units, line[to] + units
end

-- Committed units of a stock are no longer promised.
local function uncommit(stock, pin, units, channel, day)
  if units > stock[COMMITTED] then inconsistent('committed units') end
  close_use(stock, channel, units)
  stock[COMMITTED] = stock[COMMITTED] - units
  owe(stock, pin, -units, day)
end

local function add_on_hand(stock, node, units)
  local on_hand, apart = node_of(stock, node)
  if on_hand + units < 0 then inconsistent('units on hand') end
  set_node(stock, node, on_hand + units, apart)
end

local function do_move(line, stock, kind, node, units, channel, window)
  local version = stock[VERSION] + 1
  if kind == COMMIT then
    pass(line, L_HELD, L_COMMITTED, units)
    if units > stock[HELD] then inconsistent('held units') end
    stock[HELD], stock[COMMITTED] = stock[HELD] - units, stock[COMMITTED] + units
  elseif kind == RELEASE_HELD then
    pass(line, L_HELD, L_RELEASED, units)
    unhold(stock, line[PIN], units, channel, line.day)
  elseif kind == RELEASE_COMMITTED then
    pass(line, L_COMMITTED, L_RELEASED, units)
    uncommit(stock, line[PIN], units, channel, line.day)
  elseif kind == SHIP_FROM then
    pass(line, L_COMMITTED, L_SHIPPED, units)
    uncommit(stock, line[PIN], units, channel, line.day)
    ship_use(stock, units, window)
    add_on_hand(stock, node, -units)
  elseif kind == RESTOCK then
    line[L_RETURNED] = line[L_RETURNED] + units
    add_on_hand(stock, node, units)
  elseif kind == QUARANTINE then
    line[L_RETURNED] = line[L_RETURNED] + units
    local on_hand, apart = node_of(stock, node)
    set_node(stock, node, on_hand, apart + units)
  elseif kind == REPIN then
    local open = line[L_HELD] + line[L_COMMITTED]
    owe(stock, line[PIN], -open, line.day)
    line[PIN] = node + 1
    owe(stock, line[PIN], open, line.day)
  end
  stock[VERSION] = version
end

-- Does all of them. Line and beginning of the window, two by two, where units were shipped in one.
local function do_moves(booking, moves)
  local lines, windows = booking.lines, {}
  local open = count_open(lines)
  for i = 1, #moves, 4 do
    local line, kind, window = lines[moves[i] + 1], moves[i + 1], 0
    if policy and kind == SHIP_FROM then window = policy.window(line.place) end
    if window ~= 0 then windows[#windows + 1], windows[#windows + 2] = moves[i], window end
    local user = line.user or booking.channel
    if policy then
      stock_of(line.place)
      note_terms(line.place)
    end
    do_move(line, stock_of(line.place), kind, moves[i + 2], moves[i + 3], user, window)
    touch_stock(line.place)
    watch(line.place)
  end
  open_lines = open_lines + count_open(lines) - open
  return windows
end

local function acted(kind, id, after, moves, windows)
  if #windows == 0 then return { ACTED, kind, id, after, moves } end
  return { ACTED, kind, id, after, moves, windows }
end

-- The moves of an act, or nil and a refusal. Extending only moves the deadline.
local function plan_act(kind, booking, target, a, b, first, last)
  local lines = booking.lines
  local verb = verbs[kind]
  if kind == EXTEND then
    local refusal = verb.refusal(states_of(lines))
    if refusal then return nil, { REFUSED, refusal } end
    if now + a > booking.deadline then
      booking.deadline = now + a
      due_at(booking.deadline, ids[target])
    end
    return {}
  end
  local amounts, refusal = amounts_of(verb, lines, first, last)
  if not amounts then return nil, refusal end
  return verb.plan(lines, amounts, a, b)
end

local function act(at)
  local kind, slot, fingerprint, target = cmds[at], cmds[at + 1], cmds[at + 2], cmds[at + 3]
  local first = at + 7
  local last = first + 3 * cmds[at + 6] - 1
  local record = records[slot]
  if record then return last + 1, answered(record, fingerprint) end
  local booking = booking_of(target)
  if not booking then return last + 1, { UNRECORDED, UNKNOWN_RESERVATION } end
  -- Whoever asks takes the other partitions along.
  if booking.kind then return last + 1, { RECORD, records[target] } end
  local moves, refusal =
    plan_act(kind, booking, target, cmds[at + 4], cmds[at + 5], first, last)
  if not moves then
    if backlog and refusal[2] == INSUFFICIENT_STOCK then return last + 1, DEFERRED end
    return last + 1, refuse(slot, fingerprint, refusal)
  end
  local windows = do_moves(booking, moves)
  booking.touched = now
  local after = encode_booking(booking)
  put_record(target, after)
  local result = acted(kind, ids[target], after, moves, windows)
  return last + 1, conclude(slot, fingerprint, ANSWER, result)
end

for kind = CONFIRM, TRANSFER do commands[kind] = act end
