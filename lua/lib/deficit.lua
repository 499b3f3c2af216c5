-- Promises beyond what there is, and what the feed tells of SKUs: the same as in
-- src/domain/stock/deficit.rs. The deficit that it told of last is kept with the stock where there is one.

-- What the feed is to tell: sequence, SKU, and of its low-water mark that it is low or not, what is
-- available, and 1 where it takes no new holds; of its deficit what it is and was; of what the policy says
-- of it beside limits the safety stock as twice the units or twice the share and one more, or -1, and the
-- low-water mark as a text, where it has none of its own. Five by five.
local told = {}
local NOT_LOW_NOW, IS_LOW_NOW, DEFICIT_NOW, TERMS_NOW = 0, 1, 2, 3
-- Of how many SKUs more, or fewer, the feed told of a deficit last, and of how many units in all.
local more_short, more_missing = 0, 0
-- Places of SKUs whose supply the command changed.
local resupplied = {}

local function tell(at, what, first, second)
  seq = seq + 1
  local n = #told
  told[n + 1], told[n + 2], told[n + 3], told[n + 4], told[n + 5] = seq, skus[at], what, first, second
end

-- Units by which promises exceed what there is for them, over all nodes or at single nodes.
local function deficit_of(stock)
  if has_supply(stock) then return dated().deficit(dated().timeline(stock)) end
  local at_nodes = 0
  for at = SETTINGS + 1, #stock, N_FIELDS do
    at_nodes = at_nodes + max(stock[at + N_PINNED] - stock[at + N_ON_HAND], 0)
  end
  return max(stock[HELD] + stock[COMMITTED] - stock[ON_HAND], at_nodes)
end

-- Decides anew what is missing of the SKU at a place of `skus`. Promises make no deficit: where supply did
-- not change and none was told of, there is none that begins.
local function settle_deficit(at)
  local stock = stocks[at]
  local was_short = has_bit(stock[FLAGS], IS_SHORT)
  if not was_short and not resupplied[at] then return end
  stock = stock_of(at)
  local was, deficit = stock.short or 0, min(deficit_of(stock), UNITS_MAX)
  if deficit == was then return end
  if was_short then stock[FLAGS] = stock[FLAGS] - IS_SHORT end
  if deficit > 0 then stock[FLAGS] = stock[FLAGS] + IS_SHORT end
  stock.short = deficit > 0 and deficit or nil
  more_short = more_short + (deficit > 0 and 1 or 0) - (was > 0 and 1 or 0)
  more_missing = more_missing + deficit - was
  tell(at, DEFICIT_NOW, deficit, was)
end
