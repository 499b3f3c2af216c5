-- extend: the deadline moves to now plus the first number, never backwards.
local EXPIRED, RELEASED, NOT_HELD = 6, 7, 9

verbs[EXTEND] = {
  refusal = function(is)
    if is.held then return nil end
    if is.expired then return EXPIRED end
    if is.released and not is.committed and not is.shipped then return RELEASED end
    return NOT_HELD
  end,
}
