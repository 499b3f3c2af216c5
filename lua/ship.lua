-- ship: committed units leave the stock, from the pin or the node named (first number: 0 for none,
-- else the node plus one); with neither from the nodes in order, each up to what it has free.

local EXPIRED, RELEASED, NOT_CONFIRMED, OVER_SHIP = 6, 7, 10, 14

local function short_of(line, pin, units, room, limit)
  return { line.sku, pin, units, room, limit }
end

-- Adds the moves of one line; or gives what is short.
local function ship_line(moves, stock, line, n, units, from)
  local pin = line[PIN]
  local node = pin > 0 and pin or from
  if node > 0 then
    local room = 0
    if pin == 0 then
      room = unpinned(stock, from - 1)
    elseif from == 0 or from == pin then
      room = node_of(stock, pin - 1)
    end
    if pin > 0 and from > 0 then node = from end
    if room < units then return short_of(line, node, units, room, BY_NODE) end
    add_move(moves, n, SHIP_FROM, node - 1, units)
    return nil
  end
  local rest, timeline = units, has_supply(stock) and dated().timeline(stock)
  for at = SETTINGS + 1, #stock, N_FIELDS do
    local free = max(stock[at + N_ON_HAND] - stock[at + N_PINNED], 0)
    if timeline then free = dated().spare(timeline, stock[at]) end
    local part = min(rest, free)
    if part > 0 then
      add_move(moves, n, SHIP_FROM, stock[at], part)
      rest = rest - part
    end
  end
  if rest > 0 then return short_of(line, 0, units, units - rest, BY_STOCK) end
end

-- Ships on the draft what was just planned, so that the next line sees it.
local function try_moves(draft, moves, from, line)
  for i = from, #moves, 4 do
    local units = moves[i + 3]
    draft[COMMITTED] = draft[COMMITTED] - units
    owe(draft, line[PIN], -units, line.day)
    add_on_hand(draft, moves[i + 2], -units)
  end
end

-- What is short of a line that would leave before its day: it may as far as it could be promised of what
-- is on hand if it had not been promised yet. Safety stock is there for promises such as this one.
local function short_before_day(draft, line, units, from)
  if not line.day or line.day < dated().today then return nil end
  local without = copy(draft)
  without[COMMITTED], without[VERSION] = without[COMMITTED] - units, without[VERSION] + 1
  owe(without, line[PIN], -units, line.day)
  local room, limit = dated().room(dated().timeline(without), nil, line[PIN], true)
  if room < units then
    return short_of(line, from > 0 and from or line[PIN], units, room, limit)
  end
end

-- What may not leave yet where another partition decides: promises that may rest on supply to come. Until
-- the part follows, nothing on hand is kept for them, and somebody else could be promised that.
local function rest_on_supply(lines, amounts)
  local shortages = { REFUSED, INSUFFICIENT_STOCK }
  for i = 1, #amounts, 2 do
    local line = lines[amounts[i]]
    local stock = stock_of(line.place)
    if line.day and has_supply(stock) and dated().comes_by(stock, line.day) then
      local short = short_of(line, line[PIN], amounts[i + 1], 0, BY_INBOUND)
      for k = 1, 5 do shortages[#shortages + 1] = short[k] end
    end
  end
  if #shortages > 2 then return shortages end
end

verbs[SHIP] = {
  tie = rest_on_supply,
  whole_first = true,
  over = OVER_SHIP,
  movable = function(line) return line[L_COMMITTED] end,
  whole = function(is)
    if is.committed then return true end
    if is.held then return nil, NOT_CONFIRMED end
    if is.shipped then return false end
    if is.expired then return nil, EXPIRED end
    return nil, RELEASED
  end,
  plan = function(lines, amounts, from)
    local moves, shortages, drafts = {}, { REFUSED, INSUFFICIENT_STOCK }, {}
    for i = 1, #amounts, 2 do
      local n, planned = amounts[i], #moves
      local line = lines[n]
      local draft = drafts[line.place] or copy(stock_of(line.place))
      drafts[line.place] = draft
      local short = ship_line(moves, draft, line, n, amounts[i + 1], from)
        or short_before_day(draft, line, amounts[i + 1], from)
      if short then
        for k = planned + 1, #moves do moves[k] = nil end
        for k = 1, 5 do shortages[#shortages + 1] = short[k] end
      else
        try_moves(draft, moves, planned + 1, line)
      end
    end
    if #shortages > 2 then return nil, shortages end
    return moves
  end,
}
