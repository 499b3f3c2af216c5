-- Stock of a SKU as a flat list: these fields, then five for each node in order. All are integers but
-- USES, LOW and KEPT, which are texts: see `uses.lua`, `water.lua` and `room.lua`.
local VERSION, HELD, COMMITTED, ON_HAND, FLAGS, SAFETY, FRONT, OPEN, USES, APART, LOW, KEPT, SETTINGS =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
-- Offsets from a node's index: the index of a node is where its number stands.
local N_ON_HAND, N_APART, N_PINNED, N_COUNTED, N_FIELDS = 1, 2, 3, 4, 5
-- FLAGS: the sum of what holds. The safety stock is the SKU's own, not what the policy said; so is the
-- low-water mark, or that there is none; the safety stock is a share; nodes have one of their own; the feed
-- told of a deficit last, see `deficit.lua`; there is a low-water mark; the SKU is low; it takes no new
-- holds by its settings, or because it is low: the light fields say all that these need; it has a calendar,
-- see `calendar.lua`.
-- FRONT: the channel whose use changed last, OPEN: its held and committed units.
local OWN_SAFETY, OWN_LOW, IS_SHARE, IS_SPREAD, IS_SHORT, IS_MARKED, IS_LOW, IS_SUSPENDED, IS_STOPPED, IS_DATED =
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512

-- Whether a sum of powers of two has one of them.
local function has_bit(sum, bit)
  return sum % (2 * bit) >= bit
end

-- Whether a stock takes no new holds.
local function is_suspended(stock)
  return stock[FLAGS] % IS_DATED >= IS_SUSPENDED
end

-- What knows about days: a function that gives a table of functions, made when it is first called.
local dated

-- Whether anything is announced of a SKU. Where nothing is, there is no supply but what is on hand.
local function has_supply(stock)
  return stock[FLAGS] >= IS_DATED and dated().is_announced(stock)
end

