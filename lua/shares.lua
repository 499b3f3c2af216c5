-- move shares: id, fingerprint, reason, operator, number of items; of each the SKU's place, who gives, who
-- gets, units. Items are taken in order, each sees those before it; all or none.
local MOVE_SHARES, ITEM_VALUES, OVER_SHARE = 40, 4, 27
-- Where in a use the moved units stand, and the most of them either way: the same as in src/limits.rs.
local MOVED_AT, MOVED_MAX = 12, 100000000000000

local function over_share(at, channel, units, possible)
  return { REFUSED, OVER_SHARE, skus[at], channel, units, possible }
end

-- Adds to what was moved to a channel in the window that the uses belong to; false: too many.
local function shift(stock, channel, by)
  local uses = stock[USES]
  local at, where = find_use(uses, channel)
  if not at then
    stock[USES] = spliced(uses, where, 0, pack_integers(USE_FORMAT, channel, 0, 0, by), 1)
    return true
  end
  local _, open, shipped, moved = unpack_integers(USE_FORMAT, uses, at)
  moved = moved + by
  if moved > MOVED_MAX or moved < -MOVED_MAX then return false end
  if open + shipped == 0 and moved == 0 then
    stock[USES] = spliced(uses, at, USE_BYTES, '', -1)
  else
    stock[USES] = spliced(uses, at + MOVED_AT, 6, pack_integers('<i6', moved), 0)
  end
  return true
end

-- Moves share of a draft; or gives a refusal.
local function move_share(stock, at, from, to, units)
  local possible, lacking = nil, from
  if policy then possible, lacking = policy.movable(at, stock, from, to) end
  if not possible then return over_share(at, lacking, units, 0) end
  if possible < units then return over_share(at, from, units, possible) end
  if stock.charged then settle_uses(stock) end
  roll_uses(stock, policy.window(at))
  if not (shift(stock, from, -units) and shift(stock, to, units)) then
    return { REFUSED, TOO_MANY, skus[at] }
  end
  stock[VERSION] = stock[VERSION] + 1
  stock.totals, stock.sums = nil, nil
end

-- The stocks as they are afterwards, by place, and of each item SKU, who gives, who gets, units and
-- window; nil and a refusal.
local function tried(first, last)
  local drafts, flat = {}, {}
  for i = first, last, ITEM_VALUES do
    local at, n = cmds[i], #flat
    local known = stock_of(at)
    if not known then return nil, { UNRECORDED, UNKNOWN_SKU, skus[at] } end
    drafts[at] = drafts[at] or copy(known)
    local refusal = move_share(drafts[at], at, cmds[i + 1], cmds[i + 2], cmds[i + 3])
    if refusal then return nil, refusal end
    flat[n + 1], flat[n + 2], flat[n + 3] = skus[at], cmds[i + 1], cmds[i + 2]
    flat[n + 4], flat[n + 5] = cmds[i + 3], policy.window(at)
  end
  return drafts, flat
end

commands[MOVE_SHARES] = function(at)
  local slot, fingerprint, first = cmds[at + 1], cmds[at + 2], at + 6
  local last = first + ITEM_VALUES * cmds[at + 5] - 1
  local record = records[slot]
  if record then return last + 1, answered(record, fingerprint) end
  local drafts, found = tried(first, last)
  if not drafts and found[1] == UNRECORDED then return last + 1, found end
  -- What is due may give share back.
  if not drafts and backlog then return last + 1, DEFERRED end
  if not drafts then return last + 1, refuse(slot, fingerprint, found) end
  for place, draft in pairs(drafts) do
    stocks[place] = draft
    touch_stock(place)
  end
  return last + 1, conclude(slot, fingerprint, ANSWER, { SHARED, found })
end
