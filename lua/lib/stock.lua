local raw_stock = fetch(STOCK, skus, 1)
-- The stocks in use, by place in `skus`, and the places of those that changed.
local stocks, changed, changed_order = {}, {}, {}
-- As they are stored: no wider than what a field may hold, since the store goes through every byte
-- of a text that it hands over. The fields before APART come first, for reservations without a pin
-- need no others: to them a stock is light, with all that follows as one text in the place of USES.
local LIGHT_FORMAT, LIGHT_BYTES = '<I6I5I5I5I2I5I2I5', 35
local REST_FORMAT, REST_OF_MARKED, NODE_FORMAT, NODE_BYTES = '<I5I4', '<I5c11I4', 'I2I5I5I5I4', 21
local MARK_BYTES, KEPT_BYTES = 11, 8
local light_formats = {}

-- The format of a light stock whose rest has so many bytes.
local function light_format(bytes)
  local found = light_formats[bytes]
  if not found then
    found = LIGHT_FORMAT .. 'c' .. format('%d', bytes)
    light_formats[bytes] = found
  end
  return found
end

-- Brings the rest of a light stock into its places. Behind the uses stands the deficit that the feed told
-- of last, where it did of any. The calendar, where there is one, stays a text until it is needed.
local function unfold(stock)
  local rest = stock[USES]
  local from = uses_bytes(rest) + 1
  stock[USES], stock[LOW], stock[KEPT] = sub(rest, 1, from - 1), '', ''
  if has_bit(stock[FLAGS], IS_SHORT) then stock.short, from = unpack_integers('<I5', rest, from) end
  if stock[FLAGS] >= IS_DATED then stock.dated, from = unpack_integers('<I4c0', rest, from) end
  if has_bit(stock[FLAGS], IS_SPREAD) then
    stock[APART], from = unpack_integers('<I5', rest, from)
    if has_bit(stock[FLAGS], IS_MARKED) then
      stock[LOW], from = sub(rest, from, from + MARK_BYTES - 1), from + MARK_BYTES
    end
    local bytes = 2 + KEPT_BYTES * unpack_integers('<I2', rest, from)
    stock[KEPT] = sub(rest, from, from + bytes - 1)
    stock[SETTINGS], from = unpack_integers('<I4', rest, from + bytes)
  elseif has_bit(stock[FLAGS], IS_MARKED) then
    stock[APART], stock[LOW], stock[SETTINGS], from = unpack_integers(REST_OF_MARKED, rest, from)
  else
    stock[APART], stock[SETTINGS], from = unpack_integers(REST_FORMAT, rest, from)
  end
  local last = SETTINGS + N_FIELDS * (#rest - from + 1) / NODE_BYTES
  for at = SETTINGS + 1, last, N_FIELDS do
    stock[at], stock[at + N_ON_HAND], stock[at + N_APART], stock[at + N_PINNED],
      stock[at + N_COUNTED], from = unpack_integers('<' .. NODE_FORMAT, rest, from)
  end
end

-- The calendar of a stock as it is kept.
local function calendar_text(stock)
  return stock.dated or dated().encode(stock.calendar)
end

local function encode_stock(stock)
  if stock.charged then settle_uses(stock) end
  if not stock[SETTINGS] then return pack_integers(LIGHT_FORMAT .. 'c0', unpack(stock, 1, USES)) end
  local parts = { pack_integers(LIGHT_FORMAT .. 'c0', unpack(stock, 1, USES)) }
  if stock.short then parts[2] = pack_integers('<I5', stock.short) end
  if stock[FLAGS] >= IS_DATED then
    local text = calendar_text(stock)
    parts[#parts + 1] = pack_integers('<I4c0', #text, text)
  end
  parts[#parts + 1] = pack_integers('<I5c0c0I4', unpack(stock, APART, SETTINGS))
  for at = SETTINGS + 1, #stock, N_FIELDS do
    parts[#parts + 1] = pack_integers('<' .. NODE_FORMAT, unpack(stock, at, at + N_FIELDS - 1))
  end
  return concat(parts)
end

-- The stock of the SKU at a place of `skus`, light if nothing needed more so far; nil when it is
-- unknown.
local function light_stock_of(at)
  local stock, raw = stocks[at], raw_stock[at]
  if stock or not raw then return stock end
  stock = { unpack_integers(light_format(#raw - LIGHT_BYTES), raw) }
  stock[USES + 1] = nil
  stocks[at] = stock
  return stock
end

-- The same with all of its fields.
local function stock_of(at)
  local stock = stocks[at] or light_stock_of(at)
  if stock and not stock[SETTINGS] then unfold(stock) end
  return stock
end

local function touch_stock(at)
  if not changed[at] then
    changed[at] = true
    changed_order[#changed_order + 1] = at
  end
end

local function empty_stock()
  return { 0, 0, 0, 0, 0, 0, 0, 0, NO_USES, 0, '', '', 0 }
end

local function copy(stock)
  if stock.charged then settle_uses(stock) end
  local twin = {}
  for i = 1, #stock do twin[i] = stock[i] end
  if stock[FLAGS] >= IS_DATED then twin.dated = calendar_text(stock) end
  twin.short = stock.short
  return twin
end

-- The index of a node; nil and where it would stand when the SKU was never there.
local function find_node(stock, node)
  local low, high = 0, (#stock - SETTINGS) / N_FIELDS - 1
  while low <= high do
    local middle = floor((low + high) / 2)
    local at = SETTINGS + 1 + N_FIELDS * middle
    local there = stock[at]
    if there == node then return at end
    if there < node then low = middle + 1 else high = middle - 1 end
  end
  return nil, SETTINGS + 1 + N_FIELDS * low
end

-- The index of a node, which is made where it is missing.
local function place_node(stock, node)
  local at, where = find_node(stock, node)
  if at then return at end
  for i = #stock, where, -1 do stock[i + N_FIELDS] = stock[i] end
  stock[where], stock[where + N_ON_HAND], stock[where + N_APART], stock[where + N_PINNED],
    stock[where + N_COUNTED] = node, 0, 0, 0, 0
  return where
end

-- What a node has: usable, apart, pinned.
local function node_of(stock, node)
  local at = find_node(stock, node)
  if not at then return 0, 0, 0 end
  return stock[at + N_ON_HAND], stock[at + N_APART], stock[at + N_PINNED]
end

-- Usable units of a node that no pin needs, now or later.
local function unpinned(stock, node)
  if has_supply(stock) then return dated().spare(dated().timeline(stock), node) end
  local on_hand, _, pinned = node_of(stock, node)
  return max(on_hand - pinned, 0)
end
