-- put and receive inbound: id, fingerprint, number of items, the items. To put: the SKU's place, the
-- name, kind, node, due day, units that are still to come. To receive: the SKU's place, the name, the
-- units that arrived, 1 where nothing more will come. Items are taken in order, each sees those before
-- it; all or none.
local PUT_INBOUND, RECEIVE_INBOUND = 31, 32
local UNKNOWN_INBOUND, OVER_RECEIPT, DUE_TOO_LATE, TOO_MANY_INBOUND = 22, 23, 24, 25
local INBOUND_DAYS_MAX, INBOUND_OPEN_MAX = 180, 256

-- Puts an announcement in a draft, and on hand what arrived of it. What is still to come, what arrived,
-- and how it stands right afterwards: on hand at the node, the version. Or gives a refusal.
local function arrive(drafts, items, at, entry, received)
  local draft, node = draft_of(drafts, at), entry.node
  local on_hand, apart = node_of(draft, node)
  set_node(draft, node, on_hand + received, apart)
  dated().put(draft, entry)
  if not fits(draft) then return { REFUSED, TOO_MANY, skus[at] } end
  items[#items + 1] = {
    at, skus[at], entry.id, entry.kind, node, entry.due, entry.units, received, on_hand + received,
    draft[VERSION],
  }
end

local function put_inbound(drafts, items, i)
  local at, id, due, units = cmds[i], cmds[i + 1], cmds[i + 4], cmds[i + 5]
  local latest = min(dated().today + INBOUND_DAYS_MAX, 65535)
  if due > latest then return { REFUSED, DUE_TOO_LATE, skus[at], id, due, latest } end
  local known, _, open = dated().find(draft_of(drafts, at), id)
  if not known and units > 0 and open >= INBOUND_OPEN_MAX then
    return { REFUSED, TOO_MANY_INBOUND, skus[at] }
  end
  local entry = { id = id, kind = cmds[i + 2], node = cmds[i + 3], due = due, units = units }
  return arrive(drafts, items, at, entry, 0)
end

local function receive_inbound(drafts, items, i)
  local at, id, units = cmds[i], cmds[i + 1], cmds[i + 2]
  if not stock_of(at) then return { UNRECORDED, UNKNOWN_SKU, skus[at] } end
  local known = dated().find(draft_of(drafts, at), id)
  if not known then return { REFUSED, UNKNOWN_INBOUND, skus[at], id } end
  if units > known.units then return { REFUSED, OVER_RECEIPT, skus[at], id, units, known.units } end
  local left = cmds[i + 3] == 1 and 0 or known.units - units
  local entry = { id = id, kind = known.kind, node = known.node, due = known.due, units = left }
  return arrive(drafts, items, at, entry, units)
end

-- Puts the drafts in force; of each item, one after the other, what is told of it.
local function carry_out_inbound(kind, slot, fingerprint, drafts, items)
  local flat = {}
  for i = 1, policy and #items or 0 do note_new(items[i][1], drafts[items[i][1]]) end
  for at, draft in pairs(drafts) do
    stocks[at] = draft
    touch_stock(at)
  end
  for i = 1, #items do
    watch_supply(items[i][1])
    for k = 2, 10 do flat[#flat + 1] = items[i][k] end
  end
  return conclude(slot, fingerprint, ANSWER, { ARRIVED, kind, flat })
end

local function inbound(item, width)
  return function(at)
    local kind, slot, fingerprint, first = cmds[at], cmds[at + 1], cmds[at + 2], at + 4
    local past = first + width * cmds[at + 3]
    local record = records[slot]
    if record then return past, answered(record, fingerprint) end
    look_at(first, past - 1, width)
    local drafts, items = {}, {}
    for i = first, past - 1, width do
      local refusal = item(drafts, items, i)
      if refusal and refusal[1] == UNRECORDED then return past, refusal end
      if refusal then return past, refuse(slot, fingerprint, refusal) end
    end
    return past, carry_out_inbound(kind, slot, fingerprint, drafts, items)
  end
end

commands[PUT_INBOUND], commands[RECEIVE_INBOUND] = inbound(put_inbound, 6), inbound(receive_inbound, 4)
