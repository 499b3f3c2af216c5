-- The channel policy, where there is one. A SKU is of a class, by itself, by its longest known prefix, or
-- as all others; a class has schedules, of which the first that has a rule at the moment counts. What
-- was looked up stays for the call. Fields: a SKU, or `/p` and a prefix, to the class; `/k` and a class to
-- its schedules; `/r` and a schedule to the limits of its rule without a period or an empty text, then of
-- each with one, in order: from, until, length of a window or 0, limits; `/l` and their number to
-- the limits, with sums: see `rule.lua`; `/f` and a class to the campaigns that forbid edits, of each from, until
-- and its name; `/t` and a class to what is said beside limits, of each, first whatever goes first, from, until,
-- the safety stock as twice the units or twice the share and one more, or -1, and the low-water mark as a text or
-- false; `/h` to number and rank of each channel in two bytes each, the class of all
-- others, the lengths of the prefixes, longest first, channels, each with a list of those whose shares it
-- may use when its own does not do, how many SKUs are by themselves, and 1 where anything is said beside limits; `/token` to what names the
-- bringing of it.
local POLICY =
  KEYS[9]
local NOWHERE, LAST = 65535, 65535
local seats, rest, lengths, listed, classes
local of_prefix, rules, bound, numbers, ranks, said = {}, {}, {}, {}, {}, {}

local function read_head()
  local lists, has_terms
  seats, rest, lengths, lists, listed, has_terms =
    unpack(cmsgpack.unpack(call('HGET', POLICY, '/h')))
  for i = 1, #lists, 2 do
    policy.fallbacks = policy.fallbacks or {}
    policy.fallbacks[lists[i]] = lists[i + 1]
  end
  policy.has_terms = has_terms == 1
end

local function look_up()
  if not seats then read_head() end
  classes = listed > 0 and fetch(POLICY, skus, 1) or {}
end

-- The number of a channel in the tree, or -1, and its rank.
local function seat_of(channel)
  local number = numbers[channel]
  if number then return number, ranks[channel] end
  local rank = LAST
  number = NOWHERE
  if channel * 4 + 4 <= #seats then number, rank = unpack_integers('<I2I2', seats, channel * 4 + 1) end
  if number == NOWHERE then number, rank = -1, LAST end
  numbers[channel], ranks[channel] = number, rank
  return number, rank
end

local function class_of(at)
  if not classes then look_up() end
  local class, sku = classes[at], skus[at]
  if class == nil and listed > 0 then class = call('HGET', POLICY, sku) end
  for i = 1, class and 0 or #lengths do
    local prefix = #sku >= lengths[i] and sub(sku, 1, lengths[i])
    if prefix and of_prefix[prefix] == nil then
      of_prefix[prefix] = call('HGET', POLICY, '/p' .. prefix)
    end
    class = prefix and of_prefix[prefix]
    if class then break end
  end
  classes[at] = class or rest
  return classes[at]
end

-- What is said at this moment of the SKUs of a class: units to keep back and whether they are a share,
-- and the low-water mark; each by the first that says it.
local function said_of(class)
  local packed, amount, mark = call('HGET', POLICY, '/t' .. class), -1, false
  local all = packed and cmsgpack.unpack(packed) or {}
  for i = 1, #all, 4 do
    if all[i] <= now and now < all[i + 1] then
      if amount < 0 then amount = all[i + 2] end
      mark = mark or all[i + 3]
    end
  end
  -- No share is nothing.
  amount = max(amount, 0)
  if amount < 2 then amount = 0 end
  return { floor(amount / 2), amount % 2 == 1, mark or '' }
end

-- What the policy says of the SKU at a place beside limits, as above; nil where it says nothing of any SKU.
function policy.terms(at)
  if not seats then read_head() end
  if not policy.has_terms then return nil end
  local class = class_of(at)
  said[class] = said[class] or said_of(class)
  return said[class]
end

-- The limits in force and the beginning of the window; nil where the schedule has no rule now.
local function scheduled(name)
  local schedule = cmsgpack.unpack(call('HGET', POLICY, '/r' .. name))
  local limits, window = schedule[1], 0
  for i = 2, #schedule, 4 do
    local from, till, every = schedule[i], schedule[i + 1], schedule[i + 2]
    if from > now then break end
    if now < till then
      limits, window = schedule[i + 3], from
      if every > 0 then window = now - (now - from) % every end
    end
  end
  if limits ~= '' then return limits, window end
end

local function rule_of(at)
  local class = class_of(at)
  local rule = rules[class]
  if rule ~= nil then return rule end
  rule = false
  local schedules = cmsgpack.unpack(call('HGET', POLICY, '/k' .. class))
  for i = 1, #schedules do
    local limits, window = scheduled(schedules[i])
    if limits then
      rule = folded(call('HGET', POLICY, '/l' .. limits))
      rule.window = window
      break
    end
  end
  rules[class] = rule
  return rule
end

-- What all together use of the stock at a place in the window of its rule, what of it was shipped, and
-- whether share was moved; false where no rule is in force.
local function count_all(at, stock)
  local rule = rule_of(at)
  if not rule then
    stock.totals = false
    return false
  end
  if stock.charged then settle_uses(stock) end
  local text, shipped, is_moved = stock[USES], 0, false
  local count, window = unpack_integers(USES_FORMAT, text)
  for i = 0, window == rule.window and count - 1 or -1 do
    local more, by = unpack_integers('<I5i6', text, USES_HEAD + 1 + i * USE_BYTES + SHIPPED_AT)
    shipped, is_moved = add(shipped, more), is_moved or by ~= 0
  end
  local totals = {
    rule = rule, used = add(stock[HELD] + stock[COMMITTED], shipped), shipped = shipped, is_moved = is_moved,
    supply = -1, kept = 0, least = 0,
  }
  stock.totals = totals
  return totals
end

-- Whether so many units, after those `taken` by lines before, are within every limit whoever asks for them:
-- what is free, and what all together leave of the smallest cap, both have room for them beside all that
-- is kept for anybody. Then no limit has to be looked at by itself: on the way to a channel nothing else is
-- taken off, and nothing twice.
function policy.suffices(at, stock, free, taken, units)
  local totals = stock.totals
  if totals == nil then totals = count_all(at, stock) end
  if not totals then return true end
  if totals.is_moved then return false end
  local supply = min(stock[ON_HAND] + totals.shipped, UNITS_MAX)
  if totals.supply ~= supply then
    totals.supply, totals.kept, totals.least = supply, extremes(totals.rule, supply)
  end
  return units <= min(free, totals.least - totals.used - taken) - totals.kept
end

-- What everybody uses of a stock in the window of a rule.
local function charge_all(stock, rule)
  if stock.charged then settle_uses(stock) end
  unfold(rule)
  local text, all_shipped, front = stock[USES], 0, stock[OPEN]
  local is_of_window = unpack_integers('<i6', text, 3) == rule.window
  local used, moved = no_sums(rule)
  for at = USES_HEAD + 1, uses_bytes(text), USE_BYTES do
    local channel, open, shipped, by = unpack_integers(USE_FORMAT, text, at)
    if channel == stock[FRONT] then open, front = stock[OPEN], 0 end
    if not is_of_window then shipped, by = 0, 0 end
    charge(rule, used, moved, (seat_of(channel)), min(open + shipped, UNITS_MAX), by)
    all_shipped = add(all_shipped, shipped)
  end
  if front > 0 then charge(rule, used, moved, (seat_of(stock[FRONT])), front, 0) end
  stock.sums = { rule = rule, used = used, moved = moved, shipped = all_shipped }
end

-- What each limit is charged with after lines that took these units of the shares of channels.
local function used_after(rule, used, by_share)
  local after = {}
  for i = 1, #used do after[i] = used[i] end
  for channel, units in pairs(by_share) do
    local seat = innermost(rule, (seat_of(channel)))
    if seat > 0 then after[seat] = add(after[seat], units) end
  end
  return after
end

-- What the share of a channel leaves of what is free, and what says so: see `policy.room`.
local function left_to(rule, stock, channel, free, taken, on_hand, by_share)
  local sums = stock.sums
  local number, rank = seat_of(channel)
  local seat, supply = innermost(rule, number), add(on_hand, sums.shipped)
  local charged = by_share and used_after(rule, sums.used, by_share) or sums.used
  local before = charged[seat]
  if before and not by_share then charged[seat] = add(before, taken) end
  local room, limit, place, units, used =
    allowed(rule, charged, sums.moved, supply, number, rank, free)
  if before then charged[seat] = before end
  return room, limit, place, supply, units, used
end

-- What is used of a stock by a rule, for whoever asks.
local function count(at, stock, rule)
  if stock.totals == nil then count_all(at, stock) end
  if not stock.sums then charge_all(stock, rule) end
end

-- What a channel may take by its own share of what is free of the SKU at a place of `skus`, after
-- `taken` units went to lines before it, where so much is on hand or will be; and what says so. Nil where
-- it may have all. `by_share`: those units by channel, where they are not all of its own share.
function policy.room(at, stock, channel, free, taken, on_hand, by_share)
  local rule = rule_of(at)
  if not rule then return nil end
  count(at, stock, rule)
  local room, limit, place, supply, units, used =
    left_to(rule, stock, channel, free, taken, on_hand, by_share)
  if limit then
    bound[1], bound[2], bound[3], bound[4], bound[5], bound[6] =
      rule, limit, place, supply, units, used
  end
  return room, limit
end

-- Whose share has room for the units that are wanted, where the channel's own has less, `most`: that of
-- the first of its fallbacks that has, else the one with the most. The room, and the channel if it is
-- not its own.
function policy.lent(at, stock, channel, free, taken, on_hand, by_share, wanted, most)
  local list, rule, user = policy.fallbacks[channel] or {}, rule_of(at), nil
  by_share = by_share or { [channel] = taken }
  for i = 1, #list do
    if most >= wanted then break end
    local room = left_to(rule, stock, list[i], free, 0, on_hand, by_share) or free
    if room > most then most, user = room, list[i] end
  end
  return most, user
end

-- Whether no cap on the way to a channel leaves less units, as `settle` found them.
local function is_under_caps(rule, channel, units)
  local at = innermost(rule, (seat_of(channel)))
  while at > 0 do
    if rule.is.left[at] < units then return false end
    at = rule[R_PARENT][at]
  end
  return true
end

-- Whether a channel might have so many units, if not by its own share then by another's: false where surely
-- not, now or with less free of a smaller supply. More is kept of a larger supply too, so where anything
-- is a share only caps say so.
function policy.may_give(at, stock, channel, units, free, taken, on_hand, by_share)
  local rule = rule_of(at)
  if not rule then return true end
  if rule.cap_share < 0 and rule.kept_share == 0 then
    local most = policy.room(at, stock, channel, free, taken, on_hand, by_share)
    if most and most < units and policy.fallbacks then
      most = policy.lent(at, stock, channel, free, taken, on_hand, by_share, units, most)
    end
    return not most or most >= units
  end
  count(at, stock, rule)
  local sums, _, rank = stock.sums, seat_of(channel)
  local used = used_after(rule, sums.used, by_share or { [channel] = taken })
  settle(rule, used, sums.moved, add(on_hand, sums.shipped), rank)
  local list = policy.fallbacks and policy.fallbacks[channel] or {}
  local is_under = is_under_caps(rule, channel, units)
  for i = 1, #list do is_under = is_under or is_under_caps(rule, list[i], units) end
  return is_under
end

-- The place of the limit on exactly that channel; 0 where there is none.
local function own_seat(rule, channel)
  local number = seat_of(channel)
  local seat = innermost(rule, number)
  return seat > 0 and rule[R_LOW][seat] == number and seat or 0
end

-- The most that may be moved from the share of a channel to that of another; nil and who has none for
-- that.
function policy.movable(at, stock, from, to)
  local rule = rule_of(at)
  if not rule then return nil, from end
  if not stock.sums then charge_all(stock, rule) end
  local sums, giver, taker = stock.sums, own_seat(rule, from), own_seat(rule, to)
  if giver == 0 then return nil, from elseif taker == 0 then return nil, to end
  local supply = add(stock[ON_HAND], sums.shipped)
  return movable(rule, sums.used, sums.moved, supply, LAST, giver, taker), to
end

-- How the limit stood that was found last: packed, with the channel of its entry, where it has one.
function policy.bound()
  local rule, limit, place, supply, units, used = unpack(bound)
  local number, amounts = rule[R_LOW][place], rule[R_KEPT]
  if limit == BY_CAP then amounts = rule[R_CAP] end
  for channel = 0, #seats / 4 - 1 do
    if unpack_integers('<I2', seats, channel * 4 + 1) == number then
      return pack_integers('<BI2i6I5I5I5', limit, channel, amounts[place], supply, units, used)
    end
  end
  return limit
end

-- Adds units that a channel holds to what is used.
function policy.charge(stock, channel, units)
  local totals, sums = stock.totals, stock.sums
  totals.used = add(totals.used, units)
  if sums then charge(sums.rule, sums.used, sums.moved, (seat_of(channel)), units, 0) end
end

-- The campaign that forbids edits of a SKU, and until when; nil where none does.
function policy.freeze(at)
  local packed = call('HGET', POLICY, '/f' .. class_of(at))
  local campaigns = packed and cmsgpack.unpack(packed) or {}
  for i = 1, #campaigns, 3 do
    if campaigns[i] <= now and now < campaigns[i + 1] then return campaigns[i + 2], campaigns[i + 1] end
  end
end

-- The beginning of the window in which units of a SKU are shipped.
function policy.window(at)
  local rule = rule_of(at)
  return rule and rule.window or 0
end
