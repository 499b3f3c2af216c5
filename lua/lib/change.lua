-- set, adjust, transfer of stock: id, fingerprint, reason, operator, number of items, the items.
-- Items are taken in order, each sees those before it; all or none.
local CHANGE_FROM_STALE, NEGATIVE_STOCK = 17, 18

local function stale_items(first, last, width, where)
  local stale = { REFUSED, CHANGE_FROM_STALE }
  for i = first, last, width do
    local expected = cmds[i + where]
    local stock, on_hand = stock_of(cmds[i]), 0
    if stock then on_hand = node_of(stock, cmds[i + 1]) end
    if expected >= 0 and on_hand ~= expected then
      local n = #stale
      stale[n + 1], stale[n + 2], stale[n + 3], stale[n + 4] =
        skus[cmds[i]], cmds[i + 1], expected, on_hand
    end
  end
  if #stale > 2 then return stale end
end

-- The stock as it is after the items so far; never the one in force.
local function draft_of(drafts, at)
  local draft = drafts[at]
  if not draft then
    local stock = stock_of(at)
    draft = stock and copy(stock) or empty_stock()
    drafts[at] = draft
  end
  return draft
end

-- Sets a node of a draft and notes what was there; or gives a refusal.
local function put_place(drafts, items, at, node, on_hand, apart)
  local draft = draft_of(drafts, at)
  local on_hand_before, apart_before = node_of(draft, node)
  set_node(draft, node, on_hand, apart)
  if not fits(draft) then return { REFUSED, TOO_MANY, skus[at] } end
  local n = #items
  items[n + 1], items[n + 2], items[n + 3] = at, node, on_hand_before
  items[n + 4], items[n + 5], items[n + 6] = on_hand, apart_before, apart
end

-- Puts the drafts in force. Of each item: SKU, node, on hand before and after, apart before and
-- after, what is available and the version after the whole command.
local function carry_out(kind, slot, fingerprint, drafts, items)
  local flat, n = {}, 0
  for i = 1, policy and #items or 0, 6 do note_new(items[i], drafts[items[i]]) end
  for at, draft in pairs(drafts) do
    stocks[at] = draft
    touch_stock(at)
  end
  for i = 1, #items, 6 do
    local stock = stocks[items[i]]
    watch_supply(items[i])
    flat[n + 1] = skus[items[i]]
    for k = 1, 5 do flat[n + 1 + k] = items[i + k] end
    flat[n + 7], flat[n + 8] = available_of(stock), stock[VERSION]
    n = n + 8
  end
  return conclude(slot, fingerprint, ANSWER, { CHANGED, kind, flat })
end

-- How each kind goes: the width of an item, and what it does with one.
local changes = {}

local function change_stock(at)
  local kind, slot, fingerprint = cmds[at], cmds[at + 1], cmds[at + 2]
  local change, first = changes[kind], at + 6
  local last = first + change.width * cmds[at + 5] - 1
  local record = records[slot]
  if record then return last + 1, answered(record, fingerprint) end
  local unknown = look_at(first, last, change.width)
  if unknown and change.known_only then return last + 1, unknown end
  local refusal = change.expects and stale_items(first, last, change.width, change.expects)
  local drafts, items = {}, {}
  for i = first, last, change.width do
    if refusal then break end
    refusal = change.item(drafts, items, i)
  end
  if not refusal then return last + 1, carry_out(kind, slot, fingerprint, drafts, items) end
  if backlog and refusal[2] == INSUFFICIENT_STOCK then return last + 1, DEFERRED end
  return last + 1, refuse(slot, fingerprint, refusal)
end

for kind = STOCK_SET, STOCK_TRANSFER do commands[kind] = change_stock end
