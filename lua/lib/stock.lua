-- Stock of a SKU as a flat list of integers: these fields, then four for each node in order.
local VERSION, HELD, COMMITTED, ON_HAND, APART, FLAGS, SAFETY, LOW, SETTINGS =
  1, 2, 3, 4, 5, 6, 7, 8, 9
-- Offsets from a node's index: the index of a node is where its number stands.
local N_ON_HAND, N_APART, N_PINNED, N_FIELDS = 1, 2, 3, 4
-- FLAGS: 1 for a safety stock in percent, plus 2 for suspended. LOW: 0, or the mark plus one.

local raw_stock = fetch(STOCK, skus, 1)
-- The stocks in use, by place in `skus`, and the places of those that changed.
local stocks, changed, changed_order = {}, {}, {}
-- As they are stored: no wider than what a field may hold, since the store goes through every byte
-- of a text that it hands over.
local STOCK_HEAD, STOCK_NODE, STOCK_HEAD_BYTES, STOCK_NODE_BYTES =
  '<I6I5I5I5I5BI5I5I4', 'I2I5I5I5', 41, 17
local formats = {}

local function stock_format(nodes)
  local found = formats[nodes]
  if not found then
    found = STOCK_HEAD .. rep(STOCK_NODE, nodes)
    formats[nodes] = found
  end
  return found
end

local function decode_stock(raw)
  local nodes = (#raw - STOCK_HEAD_BYTES) / STOCK_NODE_BYTES
  local count = SETTINGS + nodes * N_FIELDS
  if count <= STACK then
    local list = { unpack_integers(stock_format(nodes), raw) }
    list[count + 1] = nil
    return list
  end
  local list = { unpack_integers(STOCK_HEAD, raw) }
  local from = list[SETTINGS + 1]
  for at = SETTINGS + 1, count, N_FIELDS do
    list[at], list[at + N_ON_HAND], list[at + N_APART], list[at + N_PINNED], from =
      unpack_integers('<' .. STOCK_NODE, raw, from)
  end
  return list
end

local function encode_stock(stock)
  local count = #stock
  if count <= STACK then
    return pack_integers(stock_format((count - SETTINGS) / N_FIELDS), unpack(stock, 1, count))
  end
  local parts = { pack_integers(STOCK_HEAD, unpack(stock, 1, SETTINGS)) }
  for at = SETTINGS + 1, count, N_FIELDS do
    parts[#parts + 1] = pack_integers('<' .. STOCK_NODE, unpack(stock, at, at + N_FIELDS - 1))
  end
  return concat(parts)
end

-- The stock of the SKU at a place of `skus`; nil when it is unknown.
local function stock_of(at)
  local stock = stocks[at]
  if stock then return stock end
  local raw = raw_stock[at]
  if not raw then return nil end
  stock = decode_stock(raw)
  stocks[at] = stock
  return stock
end

local function touch_stock(at)
  if not changed[at] then
    changed[at] = true
    changed_order[#changed_order + 1] = at
  end
end

local function empty_stock()
  return { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
end

local function copy(list)
  local twin = {}
  for i = 1, #list do twin[i] = list[i] end
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
  stock[where], stock[where + N_ON_HAND], stock[where + N_APART], stock[where + N_PINNED] =
    node, 0, 0, 0
  return where
end

-- What a node has: usable, apart, pinned.
local function node_of(stock, node)
  local at = find_node(stock, node)
  if not at then return 0, 0, 0 end
  return stock[at + N_ON_HAND], stock[at + N_APART], stock[at + N_PINNED]
end

-- Usable units of a node that no pin needs.
local function unpinned(stock, node)
  local on_hand, _, pinned = node_of(stock, node)
  return max(on_hand - pinned, 0)
end
