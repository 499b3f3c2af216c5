-- transfer: open units of whole lines are pinned to another node, the first number.
local EXPIRED, RELEASED, SHIPPED, PARTIAL_TRANSFER = 6, 7, 8, 16

-- Room at a node for a line where supply or promises are dated, which is then pinned there in the draft:
-- units that no pin needs from its day on, without which every promise that can be kept now still can.
local function pin_dated(drafts, line, units, to)
  local draft = drafts[line.place] or copy(stock_of(line.place))
  drafts[line.place] = draft
  local before = dated().timeline(draft)
  local room = dated().spare(before, to, line.day)
  if room < units then return room end
  local pinned, open = copy(draft), line[L_HELD] + line[L_COMMITTED]
  owe(pinned, line[PIN], -open, line.day)
  owe(pinned, to + 1, open, line.day)
  pinned[VERSION] = pinned[VERSION] + 1
  if dated().is_harmed(before, dated().timeline(pinned)) then return 0 end
  drafts[line.place] = pinned
  return room
end

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
    local moves, shortages, taken, drafts = {}, { REFUSED, INSUFFICIENT_STOCK }, {}, {}
    for i = 1, #amounts, 2 do
      local n, units = amounts[i], amounts[i + 1]
      local line = lines[n]
      if line[PIN] ~= to + 1 then
        local earlier, stock, room = taken[line.place] or 0, stock_of(line.place), nil
        if stock[FLAGS] >= IS_DATED then
          room = pin_dated(drafts, line, units, to)
        else
          room = max(unpinned(stock, to) - earlier, 0)
        end
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
