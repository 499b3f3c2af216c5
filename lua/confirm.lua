-- confirm: held becomes committed.
local EXPIRED, RELEASED, OVER_CONFIRM = 6, 7, 12

verbs[CONFIRM] = {
  whole_first = true,
  over = OVER_CONFIRM,
  movable = function(line) return line[L_HELD] end,
  whole = function(is)
    if is.held then return true end
    if is.expired then return nil, EXPIRED end
    if is.committed or is.shipped then return false end
    return nil, RELEASED
  end,
  plan = function(_, amounts)
    local moves = {}
    for i = 1, #amounts, 2 do add_move(moves, amounts[i], COMMIT, 0, amounts[i + 1]) end
    return moves
  end,
}
