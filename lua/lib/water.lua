-- Low-water marks: when a SKU is low, and what follows. The same as in src/domain/water.rs. A mark is a
-- text, empty where there is none: what it is, what ends it, and how both are meant.
local MARK_FORMAT, MARK_SHARE, RESUME_SHARE, SUSPENDS = '<I5I5B', 1, 4, 8
-- Places of SKUs that a command changed and that may stand otherwise now.
local watched = {}
-- Places of SKUs that the command makes. That they are low while there is nothing is not told.
local born = {}

local function is_low(stock, available, was_low)
  local mark, resume, how = unpack_integers(MARK_FORMAT, stock[LOW])
  if has_bit(how, MARK_SHARE) then mark = share_of(stock[ON_HAND], mark) end
  if has_bit(how, RESUME_SHARE) then resume = share_of(stock[ON_HAND], resume) end
  return available <= mark or was_low and available < resume, how >= SUSPENDS
end

local function put_flag(stock, flag, is_set)
  local flags = stock[FLAGS]
  if has_bit(flags, flag) == is_set then return end
  stock[FLAGS] = is_set and flags + flag or flags - flag
end

-- Decides anew whether a stock is low: whether it is and what is available then; nil where it was not and
-- has no mark.
local function decide_low(stock)
  local has_mark, was_low = stock[LOW] ~= '', has_bit(stock[FLAGS], IS_LOW)
  local low, suspends = false, false
  if not has_mark and not was_low then return nil end
  local available = available_of(stock)
  if has_mark then low, suspends = is_low(stock, available, was_low) end
  put_flag(stock, IS_STOPPED, low and suspends)
  put_flag(stock, IS_LOW, low)
  return low, available
end

-- The same for the SKU at a place of `skus`, once all of a command is done; tells of it.
local function settle_low(at)
  local stock = stock_of(at)
  local was_told = has_bit(stock[FLAGS], IS_LOW) and not born[at]
  local low, available = decide_low(stock)
  born[at] = nil
  if (low or false) == was_told then return end
  tell(at, low and IS_LOW_NOW or NOT_LOW_NOW, available, is_suspended(stock) and 1 or 0)
end

-- Decides anew how the SKU at a place of `skus` stands, once all of a command is done.
local function settle(at)
  settle_low(at)
  settle_deficit(at)
end

local function watch(at)
  if stocks[at][FLAGS] >= IS_SHORT then watched[#watched + 1] = at end
end

-- The same where what is there, or announced, changed: that may make a deficit.
local function watch_supply(at)
  watched[#watched + 1], resupplied[at] = at, true
end

local function settle_watched()
  for i = 1, #watched do settle(watched[i]) end
  watched, resupplied = {}, {}
end
