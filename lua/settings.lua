-- put settings: id, fingerprint, SKU's place, safety stock (-1 leaves, -2 is as the policy says) and 1 where it
-- is a share in basis points, selling (-1 leaves, 0 on, 1 suspended), low-water mark (false leaves, true is as
-- the policy says, else its text),
-- expected version or -1, why the freeze of a campaign is overridden or an empty text, safety stocks of
-- nodes (false leaves, else their text).
local VERSION_MISMATCH, FROZEN = 20, 21

local function settings_of(stock)
  return { stock[SAFETY], stock[FLAGS], stock[LOW], stock[KEPT], stock[SETTINGS] }
end

local function put_settings(at)
  local slot, fingerprint, place, past = cmds[at + 1], cmds[at + 2], cmds[at + 3], at + 11
  local record = records[slot]
  if record then return past, answered(record, fingerprint) end
  look_at(at + 3, at + 3, 1)
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
  if safety ~= -1 then put_flag(stock, OWN_SAFETY, safety >= 0) end
  if safety >= 0 then
    put_flag(stock, IS_SHARE, share == 1)
    stock[SAFETY] = safety
  end
  if selling >= 0 then put_flag(stock, IS_SUSPENDED, selling == 1) end
  if low then put_flag(stock, OWN_LOW, low ~= true) end
  if low and low ~= true then
    put_flag(stock, IS_MARKED, low ~= '')
    stock[LOW] = low
  end
  if kept then
    put_flag(stock, IS_SPREAD, kept ~= '')
    stock[KEPT] = kept
  end
  stock[SETTINGS] = version + 1
  follow(place, stock)
  stocks[place] = stock
  touch_stock(place)
  watch(place)
  local result = { SETTLED, skus[place], earlier, settings_of(stock), over }
  return past, conclude(slot, fingerprint, ANSWER, result)
end

commands[PUT_SETTINGS] = put_settings
