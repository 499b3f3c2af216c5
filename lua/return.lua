-- return: shipped units come back, on hand (first number 1) or apart (0), to the node named (second
-- number: 0 for none, else the node plus one), the pin, or the default node.
local NOT_SHIPPED, OVER_RETURN = 11, 15

verbs[RETURN] = {
  over = OVER_RETURN,
  movable = function(line) return line[L_SHIPPED] - line[L_RETURNED] end,
  whole = function(is)
    if is.returnable then return true end
    if is.returned then return false end
    return nil, NOT_SHIPPED
  end,
  plan = function(lines, amounts, restock, to)
    local moves, back = {}, {}
    local kind, total = QUARANTINE, APART
    if restock == 1 then kind, total = RESTOCK, ON_HAND end
    for i = 1, #amounts, 2 do
      local n, units = amounts[i], amounts[i + 1]
      local line = lines[n]
      local node = to > 0 and to - 1 or max(line[PIN] - 1, 0)
      local stock, most = stock_of(line.place), UNITS_MAX
      if total == ON_HAND then most = on_hand_max(stock) end
      local sum = (back[line.place] or stock[total]) + units
      if sum > most then return nil, { REFUSED, TOO_MANY, line.sku } end
      back[line.place] = sum
      add_move(moves, n, kind, node, units)
    end
    return moves
  end,
}
