-- What each channel uses of a SKU, as a text: the number of channels, the beginning of the window, and of
-- each channel in order: its open units, and the units that were shipped and moved in the window.
-- Of the channel in front the open units stand before the text, in which they are old or missing: the
-- usual reservation changes a number. Those of others that a batch charges wait in `charged`.
local USES_FORMAT, USES_HEAD, USE_FORMAT, USE_BYTES = '<I2i6', 8, '<I2I5I5i6', 18
-- Where in a use the open units stand, and where the shipped ones.
local OPEN_AT, SHIPPED_AT = 2, 7
local NO_USES = pack_integers(USES_FORMAT, 0, 0)

-- How many bytes the text has; in a light stock, more follows.
local function uses_bytes(uses)
  return USES_HEAD + USE_BYTES * unpack_integers('<I2', uses)
end

-- Where the use of a channel begins; nil and where it would, when there is none.
local function find_use(uses, channel)
  local low, high = 0, unpack_integers('<I2', uses) - 1
  while low <= high do
    local middle = floor((low + high) / 2)
    local at = USES_HEAD + 1 + USE_BYTES * middle
    local there = unpack_integers('<I2', uses, at)
    if there == channel then return at end
    if there < channel then low = middle + 1 else high = middle - 1 end
  end
  return nil, USES_HEAD + 1 + USE_BYTES * low
end

-- The text with other bytes in the place of some, and so many channels more.
local function spliced(uses, from, bytes, text, more)
  local head = sub(uses, 1, 2)
  if more ~= 0 then head = pack_integers('<I2', unpack_integers('<I2', uses) + more) end
  return head .. sub(uses, 3, from - 1) .. text .. sub(uses, from + bytes)
end

-- The text with these open units of a channel. Who uses nothing has no place in it.
local function with_open(uses, channel, open)
  local at, where = find_use(uses, channel)
  if not at then
    if open == 0 then return uses end
    return spliced(uses, where, 0, pack_integers(USE_FORMAT, channel, open, 0, 0), 1)
  end
  local shipped, moved = unpack_integers('<I5i6', uses, at + SHIPPED_AT)
  if open + shipped == 0 and moved == 0 then return spliced(uses, at, USE_BYTES, '', -1) end
  return spliced(uses, at + OPEN_AT, 5, pack_integers('<I5', open), 0)
end

-- Brings the text up to date, but for the channel in front.
local function settle_uses(stock)
  local charged = stock.charged
  stock.charged = nil
  for channel, open in pairs(charged) do
    if channel ~= stock[FRONT] then stock[USES] = with_open(stock[USES], channel, open) end
  end
end

local function bring_to_front(stock, channel)
  local uses, charged, open = stock[USES], stock.charged, nil
  if charged or stock[OPEN] > 0 or unpack_integers('<I2', uses) > 0 then
    charged = charged or {}
    charged[stock[FRONT]], stock.charged = stock[OPEN], charged
    open = charged[channel]
    local at = not open and find_use(uses, channel)
    if at then open = unpack_integers('<I5', uses, at + OPEN_AT) end
  end
  stock[FRONT], stock[OPEN] = channel, open or 0
end

-- Open units of a channel go back, or are shipped.
local function close_use(stock, channel, units)
  if units == 0 then return end
  if stock[FRONT] ~= channel then bring_to_front(stock, channel) end
  if units > stock[OPEN] then inconsistent('used units') end
  stock[OPEN], stock.totals, stock.sums = stock[OPEN] - units, nil, nil
end

-- Begins another window, unless it is the one there is.
local function roll_uses(stock, window)
  local uses = stock[USES]
  if unpack_integers('<i6', uses, 3) == window then return end
  local kept = {}
  for at = USES_HEAD + 1, uses_bytes(uses), USE_BYTES do
    local channel, open = unpack_integers(USE_FORMAT, uses, at)
    if open > 0 then kept[#kept + 1] = pack_integers(USE_FORMAT, channel, open, 0, 0) end
  end
  stock[USES] = pack_integers(USES_FORMAT, #kept, window)
    .. concat(kept) .. sub(uses, uses_bytes(uses) + 1)
end

-- Units of the channel in front, which are not open any more, were shipped in a window.
local function ship_use(stock, units, window)
  if stock.charged then settle_uses(stock) end
  roll_uses(stock, window)
  local uses = stock[USES]
  local at, where = find_use(uses, stock[FRONT])
  if not at then
    stock[USES] = spliced(uses, where, 0, pack_integers(USE_FORMAT, stock[FRONT], 0, units, 0), 1)
    return
  end
  local shipped = min(unpack_integers('<I5', uses, at + SHIPPED_AT) + units, UNITS_MAX)
  stock[USES] = spliced(uses, at + SHIPPED_AT, 5, pack_integers('<I5', shipped), 0)
end
