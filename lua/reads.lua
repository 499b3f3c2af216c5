-- Reads: they see what the commands before them did.

-- SKU's place: the stock as it is stored, by what the policy says at this moment; empty where it is unknown.
local function read_stock(at)
  local place = cmds[at + 1]
  local stock = stock_of(place)
  if stock and policy then stock = in_terms(place, stock) end
  return at + 2, { VALUE, stock and encode_stock(stock) or '' }
end

-- Place of an id: what it stands for, empty where nothing is known of it.
local function read_record(at)
  return at + 2, { RECORD, records[cmds[at + 1]] or '' }
end

-- Place of a channel-and-reference text: the latest reservation, empty where there is none.
local function read_reference(at)
  local i = cmds[at + 1]
  local id = new_refs[fields[i]]
  if id == nil then id = found[i] end
  return at + 2, { VALUE, id and (id .. (records[slot_of(id)] or '')) or '' }
end

-- All names: field and index, one after the other.
local function read_names(at)
  local all = call('HGETALL', NAMES)
  for i = 1, #name_args do all[#all + 1] = name_args[i] end
  return at + 1, { VALUE, all }
end

commands[READ_STOCK], commands[READ_RECORD] = read_stock, read_record
commands[READ_REFERENCE], commands[READ_NAMES] = read_reference, read_names
