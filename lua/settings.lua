-- put settings: id, fingerprint, SKU's place, safety stock (-1 leaves) and 1 where it is a share in
-- basis points, selling (-1 leaves, 0 on, 1 suspended), low-water mark (false leaves, else its text),
-- expected version or -1, why the freeze of a campaign is overridden or an empty text, safety stocks of
-- nodes (false leaves, else their text).
local VERSION_MISMATCH, FROZEN = 20, 21

local function settings_of(stock)
  return { stock[SAFETY], stock[FLAGS], stock[LOW], stock[KEPT], stock[SETTINGS] }
end

-- Sets a flag, or takes it away, where it is to change.
local function put_flag(stock, flag, changes, is_set)
  if not changes then return end
  if has_bit(stock[FLAGS], flag) then stock[FLAGS] = stock[FLAGS] - flag end
  if is_set then stock[FLAGS] = stock[FLAGS] + flag end
end

local function put_settings(at)
  local slot, fingerprint, place, past = cmds[at + 1], cmds[at + 2], cmds[at + 3], at + 11
  local record = records[slot]
  if record then return past, answered(record, fingerprint) end
  local stock = stock_of(place) or empty_stock()
  local safety, share, selling, low = cmds[at + 4], cmds[at + 5], cmds[at + 6], cmds[at + 7]
  local expected, kept, version = cmds[at + 8], cmds[at + 10], stock[SETTINGS]
  if expected >= 0 and expected ~= version then
    return past, refuse(slot, fingerprint, { REFUSED, VERSION_MISMATCH, version })
  end
  local over, campaign, till = '', nil, nil
  if policy then campaign, till = policy.freeze(place) end
  if campaign then over = cmds[at + 9] end
  if campaign and over == '' then
    return past, refuse(slot, fingerprint, { REFUSED, FROZEN, campaign, till })
  end
  local earlier = settings_of(stock)
  put_flag(stock, IS_SHARE, safety >= 0, share == 1)
  put_flag(stock, IS_SUSPENDED, selling >= 0, selling == 1)
  put_flag(stock, IS_MARKED, low, low ~= '')
  put_flag(stock, IS_SPREAD, kept, kept ~= '')
  if safety >= 0 then stock[SAFETY] = safety end
  if low then stock[LOW] = low end
  if kept then stock[KEPT] = kept end
  stock[SETTINGS] = version + 1
  stocks[place] = stock
  touch_stock(place)
  watch(place)
  local result = { SETTLED, skus[place], earlier, settings_of(stock), over }
  return past, conclude(slot, fingerprint, ANSWER, result)
end

commands[PUT_SETTINGS] = put_settings
