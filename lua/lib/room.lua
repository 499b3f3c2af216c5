-- What a stock allows.

-- A share in basis points, rounded up. The product of a quantity and its share is not exact in a Lua
-- number: the ten-thousands and the rest are multiplied apart.
local function share_of(units, points)
  local rest = units % 10000
  return min((units - rest) / 10000 * points + math.ceil(rest * points / 10000), UNITS_MAX)
end

-- Units that nodes keep back of what they have, in sum, or that one node does. KEPT is the number of
-- nodes, and of each in order its number, 1 where its safety stock is a share in basis points, and that.
local function kept_of(stock, one)
  if not stock[SETTINGS] then unfold(stock) end
  local kept, sum = stock[KEPT], 0
  for at = 3, #kept, KEPT_BYTES do
    local node, is_share, units = unpack_integers('<I2BI5', kept, at)
    if not one or node == one then
      local on_hand = node_of(stock, node)
      if is_share == 1 then units = share_of(on_hand, units) end
      sum = sum + min(units, on_hand)
    end
  end
  return min(sum, UNITS_MAX)
end

-- Units kept back.
local function safety_of(stock)
  local flags, safety = stock[FLAGS], stock[SAFETY]
  if has_bit(flags, IS_SHARE) then safety = share_of(stock[ON_HAND], safety) end
  if has_bit(flags, IS_SPREAD) then safety = max(safety, kept_of(stock)) end
  return safety
end

-- Units that can be promised now, of what is on hand.
local function available_of(stock)
  if has_supply(stock) then return (dated().room(dated().timeline(stock), nil, 0)) end
  return max(stock[ON_HAND] - safety_of(stock) - stock[HELD] - stock[COMMITTED], 0)
end

-- What the node of a pin has for a line that is pinned to it.
local function room_at(stock, pin)
  local free = unpinned(stock, pin - 1)
  if has_bit(stock[FLAGS], IS_SPREAD) then return max(free - kept_of(stock, pin - 1), 0) end
  return free
end

-- The most that one more line of a channel, which asks for `units`, may take of the stock at a place, after
-- `taken` units went to lines before it, and what binds; and the channel whose share it is of, where its
-- own does not do. Where it may have all that it asks for, the most is not looked for any further. A pin
-- is 0 for none, else the node plus one; `by_share` as for `policy.room`.
local function room_of(at, stock, pin, taken, channel, units, by_share)
  local flags = stock[FLAGS]
  if flags >= IS_SUSPENDED then
    if is_suspended(stock) then return 0, BY_SELLING end
    if has_supply(stock) then
      return dated().room_on(at, stock, nil, pin, taken, channel, units, by_share)
    end
  end
  local room, limit = max(stock[ON_HAND] - stock[HELD] - stock[COMMITTED] - taken, 0), BY_STOCK
  if stock[SAFETY] > 0 or flags >= IS_SPREAD then
    local above = max(room - safety_of(stock), 0)
    if above < room then room, limit = above, BY_SAFETY end
  end
  local user
  if policy and not policy.suffices(at, stock, room, taken, units) then
    local rest, by = policy.room(at, stock, channel, room, taken, stock[ON_HAND], by_share)
    if policy.fallbacks and rest and rest < units then
      -- More than is there no share can give.
      local wanted = min(units, room, pin > 0 and room_at(stock, pin) or room)
      rest, user = policy.lent(at, stock, channel, room, taken, stock[ON_HAND], by_share, wanted, rest)
    end
    if rest and rest < room then room, limit = rest, by end
  end
  if pin > 0 then
    local free = unpinned(stock, pin - 1)
    if free < room then room, limit = free, BY_NODE end
    if has_bit(flags, IS_SPREAD) then
      local above = max(free - kept_of(stock, pin - 1), 0)
      if above < room then room, limit = above, BY_SAFETY end
    end
  end
  return room, limit, user
end

-- What lines took of a SKU by channel whose share they are of, after one more got units of that of `user`,
-- or of the channel's own; nil while all are of that one, `taken` before it.
local function add_share(by_share, taken, units, channel, user)
  if not by_share and not user then return nil end
  by_share = by_share or { [channel] = taken }
  user = user or channel
  by_share[user] = (by_share[user] or 0) + units
  return by_share
end

-- Adds what is missing of a line to a refusal; its room was found last.
local function add_short(short, at, pin, units, room, limit)
  if limit == BY_CAP or limit == BY_PROTECTION then limit = policy.bound() end
  local n = #short
  short[n + 1], short[n + 2], short[n + 3], short[n + 4], short[n + 5] =
    skus[at], pin, units, room, limit
end

-- The most that there may be on hand: all that is announced could come at once.
local function on_hand_max(stock)
  return UNITS_MAX - (stock[FLAGS] >= IS_DATED and dated().coming(stock) or 0)
end

local function fits(stock)
  return stock[ON_HAND] <= on_hand_max(stock) and stock[APART] <= UNITS_MAX
end

-- Puts these amounts at a node, whatever was there.
local function set_node(stock, node, on_hand, apart)
  local at = place_node(stock, node)
  stock[ON_HAND] = stock[ON_HAND] - stock[at + N_ON_HAND] + on_hand
  stock[APART] = stock[APART] - stock[at + N_APART] + apart
  stock[at + N_ON_HAND], stock[at + N_APART] = on_hand, apart
  stock[VERSION] = stock[VERSION] + 1
end

-- Units are promised at the node of a pin and for a day, where a line has them; below zero: no more.
local function owe(stock, pin, units, day)
  if day then dated().promise(stock, day, pin, units) end
  if pin == 0 then return end
  local at = place_node(stock, pin - 1) + N_PINNED
  local pinned = stock[at] + units
  if pinned < 0 then inconsistent('pinned units') end
  stock[at] = pinned
end

-- New held units of a line of that channel.
local function hold(stock, pin, units, channel, day)
  stock[VERSION] = stock[VERSION] + 1
  stock[HELD] = stock[HELD] + units
  if stock[FRONT] ~= channel then bring_to_front(stock, channel) end
  stock[OPEN] = stock[OPEN] + units
  if stock.totals then policy.charge(stock, channel, units) end
  if day or pin > 0 then owe(stock, pin, units, day) end
  if stock.timeline then dated().adjust(stock, pin, units, day) end
end

-- Held units go back.
local function unhold(stock, pin, units, channel, day)
  if units > stock[HELD] then inconsistent('held units') end
  close_use(stock, channel, units)
  stock[VERSION] = stock[VERSION] + 1
  stock[HELD] = stock[HELD] - units
  owe(stock, pin, -units, day)
  if stock.timeline then dated().adjust(stock, pin, -units, day) end
end
