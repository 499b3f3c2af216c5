-- PURPOSE    remove the oldest entries of the stream, under the lease of this job
-- KEYS       meta, events
-- ARGV       token and holder of the lease, number of events that stay
-- REPLY      entries removed; or an error FENCED
-- WHY ATOMIC the meta says up to where the stream was trimmed, and how the chain stood there

local EVENTS = KEYS[2]
local token, holder, stay = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
-- Entries looked at in one call: each may hold a whole batch.
local MOST = 16

if is_fenced('trim', token, holder) then
  return redis.error_reply('FENCED another holder has this job')
end
local last = tonumber(redis.call('HGET', META, 'seq') or 0) - stay
if last < 1 then return 0 end
local page = redis.call('XRANGE', EVENTS, '-', string.format('%d', last), 'COUNT', MOST + 1)
-- The last of them may go on beyond what goes.
if #page < 2 then return 0 end
local reply = cmsgpack.unpack(page[#page - 1][2][4])
local first = string.match(page[#page][1], '^%d+')
redis.call('HSET', META, 'base', string.format('%d', tonumber(first) - 1),
  'base_epoch', string.format('%d', reply[2]), 'base_tip', reply[5])
return redis.call('XTRIM', EVENTS, 'MINID', first)
