-- release: held, then committed units go back. Held ones go first: they cost the caller least.
local SHIPPED, OVER_RELEASE = 8, 13

verbs[RELEASE] = {
  over = OVER_RELEASE,
  came_back = function(line) return line[L_RELEASED] + line[L_EXPIRED] end,
  movable = function(line) return line[L_HELD] + line[L_COMMITTED] end,
  whole = function(is)
    if is.held or is.committed then return true end
    if is.released or is.expired then return false end
    return nil, SHIPPED
  end,
  plan = function(lines, amounts)
    local moves, gone = {}, {}
    for i = 1, #amounts, 2 do
      local n, units = amounts[i], amounts[i + 1]
      local from_held = min(max(lines[n][L_HELD] - (gone[n] or 0), 0), units)
      if from_held > 0 then add_move(moves, n, RELEASE_HELD, 0, from_held) end
      if units > from_held then add_move(moves, n, RELEASE_COMMITTED, 0, units - from_held) end
      gone[n] = (gone[n] or 0) + from_held
    end
    return moves
  end,
}
