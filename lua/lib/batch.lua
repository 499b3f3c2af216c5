-- All commands are decided; what is left is to write. The stream's entry is the first write: its id is the sequence
-- of its first event, so that it is refused when an earlier call stopped half way, and nothing that
-- stands after it can fail. The last write is the partition's own sequence.
if at ~= past then malformed('length') end

local function stock_args()
  local args = {}
  for i = 1, #changed_order do
    local place = changed_order[i]
    args[i * 2 - 1], args[i * 2] = skus[place], encode_stock(stocks[place])
  end
  return args
end

-- What is to be written and deleted of a hash, the latter after the former.
local function field_args(changes)
  local args, gone = {}, {}
  for field, value in pairs(changes) do
    if value then
      args[#args + 1], args[#args + 2] = field, value
    else
      gone[#gone + 1] = field
    end
  end
  return args, gone
end

-- In ascending order: where a batch moves a deadline that it gave itself, the same entry comes
-- twice, and the later one counts.
local function write_due()
  local deadlines = {}
  for deadline in pairs(dues) do deadlines[#deadlines + 1] = deadline end
  table.sort(deadlines)
  for i = 1, #deadlines do
    call('ZADD', DUE, format('%d', deadlines[i]), concat(dues[deadlines[i]]))
  end
end

local refs_put, refs_gone = field_args(new_refs)
-- These hashes were perhaps not read: are they any?
if #refs_put + #refs_gone > 0 then call('HLEN', REFS) end
local ties_put, ties_gone
if ties then
  ties_put, ties_gone = field_args(ties.changed)
  if #ties_put + #ties_gone > 0 then call('HLEN', ties.KEY) end
end
local stocks_put, gone = stock_args(), {}
for slot in pairs(dropped) do gone[#gone + 1] = ids[slot] end
if seq > before then tip = redis.sha1hex(tip .. redis.sha1hex(argument)) end
local reply =
  pack({ batch_id, epoch, now, before, tip, backlog and 1 or 0, policy_version, expired, told,
    results })

if seq > before then
  local entry = redis.pcall('XADD', EVENTS, format('%d-0', before + 1), 'a', argument, 'r', reply)
  if type(entry) == 'table' and entry.err then
    return redis.error_reply('TORN an earlier batch was written in part: ' .. entry.err)
  end
end
put(STOCK, stocks_put)
put(REFS, refs_put)
if #refs_gone > 0 then call('HDEL', REFS, unpack(refs_gone)) end
if ties then put(ties.KEY, ties_put) end
if ties and #ties_gone > 0 then call('HDEL', ties.KEY, unpack(ties_gone)) end
put(NAMES, name_args)
for i = 1, #due_done do call('ZREM', DUE, due_done[i]) end
write_due()
put(RECORDS, record_args)
if #gone > 0 then call('HDEL', RECORDS, unpack(gone)) end
if swap_policy then swap_policy() end
if more_short ~= 0 then call('HINCRBY', META, 'short', format('%d', more_short)) end
if more_missing ~= 0 then call('HINCRBY', META, 'missing', format('%d', more_missing)) end
call('HSET', META, 'seq', format('%d', seq), 'tip', tip, 'now', format('%d', now),
  'open', format('%d', open_lines))
return reply
