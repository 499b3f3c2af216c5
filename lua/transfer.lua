-- transfer: open units of whole lines are pinned to another node, the first number.
local EXPIRED, RELEASED, SHIPPED, PARTIAL_TRANSFER = 6, 7, 8, 16

verbs[TRANSFER] = {
  whole_first = true,
  whole_lines = true,
  over = PARTIAL_TRANSFER,
  movable = function(line) return line[L_HELD] + line[L_COMMITTED] end,
  whole = function(is)
    if is.held or is.committed then return true end
    if is.expired then return nil, EXPIRED end
    if is.released and not is.shipped then return nil, RELEASED end
    return nil, SHIPPED
  end,
  plan = function(lines, amounts, to)
    local moves, shortages, taken = {}, { REFUSED, INSUFFICIENT_STOCK }, {}
    for i = 1, #amounts, 2 do
      local n, units = amounts[i], amounts[i + 1]
      local line = lines[n]
      if line[PIN] ~= to + 1 then
        local earlier = taken[line.place] or 0
        local room = max(unpinned(stock_of(line.place), to) - earlier, 0)
        if room < units then
          local k = #shortages
          shortages[k + 1], shortages[k + 2], shortages[k + 3], shortages[k + 4],
            shortages[k + 5] = line.sku, to + 1, units, room, BY_NODE
        else
          add_move(moves, n, REPIN, to, 0)
        end
        taken[line.place] = earlier + min(room, units)
      end
    end
    if #shortages > 2 then return nil, shortages end
    return moves
  end,
}
