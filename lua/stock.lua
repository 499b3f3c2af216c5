-- The items of changes of stock.

-- set: SKU's place, node, on hand, apart, expected on hand; -1 leaves, or expects nothing.
changes[STOCK_SET] = {
  width = 5,
  expects = 4,
  item = function(drafts, items, i)
    local at, node, on_hand, apart = cmds[i], cmds[i + 1], cmds[i + 2], cmds[i + 3]
    local on_hand_now, apart_now = node_of(draft_of(drafts, at), node)
    if on_hand < 0 then on_hand = on_hand_now end
    if apart < 0 then apart = apart_now end
    local refusal = put_place(drafts, items, at, node, on_hand, apart)
    local draft = drafts[at]
    draft[find_node(draft, node) + N_COUNTED] = floor(now / 1000)
    return refusal
  end,
}

-- What an adjustment leaves of an amount; nil and a refusal where that is out of range.
local function adjusted(i, amount, by, on_hand, apart)
  local after = amount + by
  if after >= 0 and after <= UNITS_MAX then return after end
  if by < 0 then return nil, { REFUSED, NEGATIVE_STOCK, skus[cmds[i]], cmds[i + 1], on_hand, apart } end
  return nil, { REFUSED, TOO_MANY, skus[cmds[i]] }
end

-- adjust: SKU's place, node, change of on hand, change of apart, expected on hand or -1.
changes[STOCK_ADJUST] = {
  width = 5,
  expects = 4,
  known_only = true,
  item = function(drafts, items, i)
    local at, node = cmds[i], cmds[i + 1]
    local on_hand, apart = node_of(draft_of(drafts, at), node)
    local on_hand_after, refusal = adjusted(i, on_hand, cmds[i + 2], on_hand, apart)
    if refusal then return refusal end
    local apart_after
    apart_after, refusal = adjusted(i, apart, cmds[i + 3], on_hand, apart)
    if refusal then return refusal end
    return put_place(drafts, items, at, node, on_hand_after, apart_after)
  end,
}

-- transfer: SKU's place, from node, to node, units. Only units that no pin needs.
changes[STOCK_TRANSFER] = {
  width = 4,
  known_only = true,
  item = function(drafts, items, i)
    local at, from, to, units = cmds[i], cmds[i + 1], cmds[i + 2], cmds[i + 3]
    local draft = draft_of(drafts, at)
    local room = unpinned(draft, from)
    if units > room then
      return { REFUSED, INSUFFICIENT_STOCK, skus[at], from + 1, units, room, BY_NODE }
    end
    local on_hand, apart = node_of(draft, from)
    local refusal = put_place(drafts, items, at, from, on_hand - units, apart)
    if refusal then return refusal end
    on_hand, apart = node_of(draft, to)
    return put_place(drafts, items, at, to, on_hand + units, apart)
  end,
}
