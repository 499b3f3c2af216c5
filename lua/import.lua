#!lua
-- PURPOSE    make a partition of an export, part by part: begin, put, finish
-- KEYS       meta, stock, records, refs, names, due, events, ties, policy, staged, versions
-- ARGV       step, token of the import (hex digits), what the step needs (see each), partitions
-- REPLY      1; or an error EXISTS, IMPORTING, MALFORMED, SHORT
-- WHY ATOMIC nobody may take a part for the whole: until the last step there is no epoch, and every
--            other script refuses a partition without one

local call = redis.call
local META, STOCK, RECORDS, REFS, NAMES, DUE, POLICY, VERSIONS =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[9], KEYS[11]
local step, token, given, partitions = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local STACK, CHANNEL_END = 4000, 18

-- Writes fields and values into a hash.
local function put(key, args)
  for from = 1, #args, STACK do
    call('HSET', key, unpack(args, from, math.min(from + STACK - 1, #args)))
  end
end

-- begin: empty, or `again` and the token of an import that is to be thrown away. Where the ledger has
-- several partitions, some of them may be finished already.
local function begin()
  local again, previous = given ~= '', string.sub(given, #'again' + 1)
  local unfinished = call('HEXISTS', META, 'importing') == 1
    or previous ~= '' and call('HGET', META, 'import') == previous
  if unfinished and not again then
    return redis.error_reply('IMPORTING an earlier import was not finished')
  end
  if not unfinished and call('EXISTS', unpack(KEYS)) > 0 then
    return redis.error_reply('EXISTS there is a ledger already')
  end
  call('UNLINK', unpack(KEYS))
  call('HSET', META, 'importing', token, 'partitions', partitions)
  return 1
end

-- When the reservation in a record was made, and its sequence.
local function made(record)
  local _, sequence = struct.unpack('<BI6', record)
  local stop = cmsgpack.unpack_one(record, CHANNEL_END)
  return (struct.unpack('<I6', record, stop + 1)), sequence
end

-- Which id each channel and reference stands for: that of the latest reservation. `found` has
-- channel and reference, id, when it was made and sequence, four by four.
local function latest(found)
  local ids, times, sequences, args = {}, {}, {}, {}
  for i = 1, #found, 4 do
    local field, id, time, sequence = found[i], found[i + 1], found[i + 2], found[i + 3]
    if not times[field] then
      local known = call('HGET', REFS, field)
      local record = known and call('HGET', RECORDS, known)
      ids[field], times[field], sequences[field] = known, -1, -1
      if record then times[field], sequences[field] = made(record) end
    end
    local is_later = time > times[field] or time == times[field] and sequence >= sequences[field]
    if is_later then ids[field], times[field], sequences[field] = id, time, sequence end
  end
  for field, id in pairs(ids) do args[#args + 1], args[#args + 2] = field, id end
  return args
end

-- put: fields and values of stock, names, records and signposts; references as above; deadlines and
-- ids; fields and values of the policy and its versions. A signpost gives way to whatever has its id.
local function put_part()
  local stock, names, records, signposts, references, deadlines, policy, versions =
    cmsgpack.unpack(given)
  local odd = #stock % 2 + #names % 2 + #records % 2 + #signposts % 2 + #references % 4
  if odd + #deadlines % 2 + #policy % 2 + #versions % 2 > 0 then return redis.error_reply('MALFORMED part') end
  local refs = latest(references)
  put(STOCK, stock)
  put(NAMES, names)
  put(RECORDS, records)
  put(POLICY, policy)
  put(VERSIONS, versions)
  for i = 1, #signposts, 2 do call('HSETNX', RECORDS, signposts[i], signposts[i + 1]) end
  put(REFS, refs)
  for i = 1, #deadlines, 2 do call('ZADD', DUE, deadlines[i], deadlines[i + 1]) end
  return 1
end

-- finish: fields and values of the meta; how many stocks and records there must be, least and most.
local function finish()
  local fields, counts = cmsgpack.unpack(given)
  local there = { call('HLEN', STOCK), call('HLEN', RECORDS) }
  for i = 1, 2 do
    if there[i] < counts[i] or there[i] > counts[i + 2] then
      return redis.error_reply('SHORT a part of the import is missing')
    end
  end
  put(META, fields)
  call('HSET', META, 'import', token)
  call('HDEL', META, 'importing')
  return 1
end

if step == 'begin' then return begin() end
if call('HGET', META, 'importing') ~= token then
  return redis.error_reply('IMPORTING this import was taken over by another, or is finished')
end
if step == 'put' then return put_part() end
return finish()
