#!lua
-- PURPOSE    make a partition of an export, part by part: begin, put, finish
-- KEYS       meta, stock, records, refs, names, due, events, ties
-- ARGV       step, token of the import (hex digits), what the step needs (see each)
-- REPLY      1; or an error EXISTS, IMPORTING, MALFORMED, SHORT
-- WHY ATOMIC nobody may take a part for the whole: until the last step there is no epoch, and every
--            other script refuses a partition without one

local call = redis.call
local META, STOCK, RECORDS, REFS, NAMES, DUE =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local step, token, given = ARGV[1], ARGV[2], ARGV[3]
local STACK = 4000

-- Writes fields and values into a hash.
local function put(key, args)
  for from = 1, #args, STACK do
    call('HSET', key, unpack(args, from, math.min(from + STACK - 1, #args)))
  end
end

-- begin: 1 where an import that was not finished is to be thrown away.
local function begin()
  local unfinished = call('HEXISTS', META, 'importing') == 1
  if unfinished and given ~= '1' then
    return redis.error_reply('IMPORTING an earlier import was not finished')
  end
  if not unfinished and call('EXISTS', unpack(KEYS)) > 0 then
    return redis.error_reply('EXISTS there is a ledger already')
  end
  call('UNLINK', unpack(KEYS))
  call('HSET', META, 'importing', token)
  return 1
end

-- Which id each channel and reference stands for: that of the latest reservation. `found` has
-- channel and reference, id and sequence, three by three.
local function latest(found)
  local ids, sequences, args = {}, {}, {}
  for i = 1, #found, 3 do
    local field, id, sequence = found[i], found[i + 1], found[i + 2]
    if not sequences[field] then
      local known = call('HGET', REFS, field)
      local record = known and call('HGET', RECORDS, known)
      ids[field], sequences[field] = known, -1
      if record then
        local _, number = struct.unpack('<BI6', record)
        sequences[field] = number
      end
    end
    if sequence >= sequences[field] then ids[field], sequences[field] = id, sequence end
  end
  for field, id in pairs(ids) do args[#args + 1], args[#args + 2] = field, id end
  return args
end

-- put: fields and values of stock, names and records; references as above; deadlines and ids.
local function put_part()
  local stock, names, records, references, deadlines = cmsgpack.unpack(given)
  if #stock % 2 + #names % 2 + #records % 2 + #references % 3 + #deadlines % 2 > 0 then
    return redis.error_reply('MALFORMED part')
  end
  local refs = latest(references)
  put(STOCK, stock)
  put(NAMES, names)
  put(RECORDS, records)
  put(REFS, refs)
  for i = 1, #deadlines, 2 do call('ZADD', DUE, deadlines[i], deadlines[i + 1]) end
  return 1
end

-- finish: fields and values of the meta; how many stocks, names and records there must be.
local function finish()
  local fields, counts = cmsgpack.unpack(given)
  local there = { call('HLEN', STOCK), call('HLEN', NAMES), call('HLEN', RECORDS) }
  for i = 1, 3 do
    if there[i] ~= counts[i] then return redis.error_reply('SHORT a part of the import is missing') end
  end
  put(META, fields)
  call('HDEL', META, 'importing')
  return 1
end

if step == 'begin' then return begin() end
if call('HGET', META, 'importing') ~= token then
  return redis.error_reply('IMPORTING this import was taken over by another, or is finished')
end
if step == 'put' then return put_part() end
return finish()
