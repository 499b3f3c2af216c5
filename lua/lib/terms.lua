-- What the policy says of SKUs beside limits is noted with the stock, so that whoever looks at that needs no
-- policy; each command brings it up to date with what it is about first. The same as in
-- src/domain/settings.rs.
local no_terms = { 0, false, '' }

-- Puts what the policy says of the SKU at a place in a stock of it, where that has no setting of its own;
-- whether it is another than before. A light stock is enough where there is no mark.
local function follow(at, stock)
  local said, flags, changes = policy and policy.terms(at) or no_terms, stock[FLAGS], false
  if not has_bit(flags, OWN_SAFETY)
    and (stock[SAFETY] ~= said[1] or has_bit(flags, IS_SHARE) ~= said[2]) then
    stock[SAFETY], changes = said[1], true
    put_flag(stock, IS_SHARE, said[2])
  end
  if not has_bit(flags, OWN_LOW) and (said[3] ~= '' or has_bit(flags, IS_MARKED)) then
    if not stock[SETTINGS] then unfold(stock) end
    if stock[LOW] ~= said[3] then
      stock[LOW], changes = said[3], true
      put_flag(stock, IS_MARKED, said[3] ~= '')
    end
  end
  if changes then stock.timeline = nil end
  return changes
end

local function tell_terms(at, stock)
  local flags, safety, mark = stock[FLAGS], 2 * stock[SAFETY], stock[LOW]
  if has_bit(flags, IS_SHARE) then safety = safety + 1 end
  if has_bit(flags, OWN_SAFETY) or safety == 0 then safety = -1 end
  if has_bit(flags, OWN_LOW) then mark = '' end
  tell(at, TERMS_NOW, safety, mark)
end

-- Brings the SKU at a place up to date. Where the policy says nothing, there is nothing to do without
-- anything that it may have said before.
local function note_terms(at)
  local stock = stocks[at]
  if policy.has_terms == false and stock[SAFETY] == 0 and stock[FLAGS] < IS_SHARE then return end
  if not follow(at, stock) then return end
  touch_stock(at)
  if not stock[SETTINGS] then unfold(stock) end
  tell_terms(at, stock)
  settle_low(at)
end

-- The same for the stock that a command makes of a SKU.
local function note_new(at, stock)
  if stocks[at] or not follow(at, stock) then return end
  tell_terms(at, stock)
  born[at] = stock[LOW] ~= ''
  put_flag(stock, IS_LOW, born[at])
end

-- A stock as it is once it is up to date; never the one in force.
local function in_terms(at, stock)
  local twin = copy(stock)
  if follow(at, twin) then decide_low(twin) end
  return twin
end

-- Brings the SKUs of items up to date; the first that is unknown as an answer, nil where all are known.
local function look_at(first, last, width)
  local unknown
  for i = first, last, width do
    local at = cmds[i]
    if not stock_of(at) then
      unknown = unknown or { UNRECORDED, UNKNOWN_SKU, skus[at] }
    elseif policy then
      note_terms(at)
    end
  end
  return unknown
end
