-- put settings: id, fingerprint, SKU's place, safety stock (-1 leaves) and 1 where it is a share in
-- basis points, selling (-1 leaves, 0 on, 1 suspended), low-water mark (-1 leaves, 0 none, else the
-- mark plus one), expected version or -1, why the freeze of a campaign is overridden or an empty text.
local VERSION_MISMATCH, FROZEN = 20, 21

local function settings_of(stock)
  return { stock[SAFETY], stock[FLAGS], stock[LOW], stock[SETTINGS] }
end

local function put_settings(at)
  local slot, fingerprint, place, past = cmds[at + 1], cmds[at + 2], cmds[at + 3], at + 10
  local record = records[slot]
  if record then return past, answered(record, fingerprint) end
  local stock = stock_of(place) or empty_stock()
  local safety, share, selling, low = cmds[at + 4], cmds[at + 5], cmds[at + 6], cmds[at + 7]
  local expected, version = cmds[at + 8], stock[SETTINGS]
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
  local is_share = stock[FLAGS] % 2
  local suspended = (stock[FLAGS] - is_share) / 2
  if safety >= 0 then stock[SAFETY], is_share = safety, share end
  if selling >= 0 then suspended = selling end
  if low >= 0 then stock[LOW] = low end
  stock[FLAGS], stock[SETTINGS] = is_share + 2 * suspended, version + 1
  stocks[place] = stock
  touch_stock(place)
  local result = { SETTLED, skus[place], earlier, settings_of(stock), over }
  return past, conclude(slot, fingerprint, ANSWER, result)
end

commands[PUT_SETTINGS] = put_settings
