-- PURPOSE    decide and do a batch of commands of one partition, in order, each by itself
-- KEYS       meta, stock, records, refs, names, due, events, ties, policy, staged, versions
-- ARGV       argument (bytes), batch_id (16 bytes), time (decimal milliseconds, or empty)
-- REPLY      bytes: see README.md; or an error UNINITIALISED, QUARANTINED, MALFORMED, INCONSISTENT,
--            TORN
-- WHY ATOMIC what is promised, what it is promised of, the key's answer and the event are one fact

local clock = redis.call('TIME')
local call = redis.call
local META, STOCK, RECORDS, REFS, NAMES, DUE, EVENTS =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local argument, batch_id, time = ARGV[1], ARGV[2], ARGV[3]

local floor, max, min = math.floor, math.max, math.min
local byte, char, format, sub = string.byte, string.char, string.format, string.sub
local concat = table.concat
local pack_integers, unpack_integers = struct.pack, struct.unpack
local pack, unpack_one = cmsgpack.pack, cmsgpack.unpack_one

-- Most values that pass over Lua's stack at once: it ends at 8,000.
local STACK = 4000
local UNITS_MAX = 1000000000000

local head = call('HMGET', META, 'epoch', 'seq', 'tip', 'now', 'open', 'lost', 'policy')
if not head[1] then
  return redis.error_reply('UNINITIALISED this partition has no ledger')
end
if head[6] then
  return redis.error_reply('QUARANTINED acknowledged changes were lost: ' .. head[6])
end
local epoch, before, tip = tonumber(head[1]), tonumber(head[2]), head[3]
local open_lines = tonumber(head[5])
-- The version of the policy; 0: there is none.
local policy_version = tonumber(head[7] or 0)
local now = time ~= '' and tonumber(time) or clock[1] * 1000 + floor(clock[2] / 1000)
now = max(now, tonumber(head[4]))

-- The batch: texts of SKUs, ids, the commands one after another in one flat list, the places in
-- ids of reservations that are acted on or read, and channel-and-reference texts to look up.
local skus, ids, cmds, targets, fields = cmsgpack.unpack(argument)

-- Sequence of the last event so far.
local seq = before
-- Reservations past their deadline that this call leaves for the next one.
local backlog = false
-- Id, line, SKU and units of what expired, four by four.
local expired = {}
-- What to write: fields and values; what to delete.
local record_args, record_count = {}, 0
local dropped, due_done = {}, {}
-- Ids by new deadline, and channel-and-reference texts with the id they stand for now.
local dues, new_refs, name_args = {}, {}, {}

local function malformed(what)
  error({ err = 'MALFORMED ' .. what })
end

local function inconsistent(what)
  error({ err = 'INCONSISTENT ' .. what })
end

-- The values of these fields of a hash, from the place `first` on; false for a missing one.
local function fetch(key, names, first)
  local count = #names
  if count < first then return {} end
  if count - first < STACK then return call('HMGET', key, unpack(names, first, count)) end
  local values = {}
  for from = first, count, STACK do
    local part = call('HMGET', key, unpack(names, from, min(from + STACK - 1, count)))
    for i = 1, #part do values[from - first + i] = part[i] end
  end
  return values
end

-- Writes fields and values into a hash.
local function put(key, args)
  for from = 1, #args, STACK do
    call('HSET', key, unpack(args, from, min(from + STACK - 1, #args)))
  end
end
