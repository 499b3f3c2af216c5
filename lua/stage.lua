#!lua
-- PURPOSE    bring a policy to a partition, part by part: begin, put
-- KEYS       meta, staged
-- ARGV       step, token, fields and values (MessagePack) to put
-- REPLY      1; or an error UNINITIALISED, STAGED
-- WHY ATOMIC what several instances bring at once must not be mixed

local META, STAGED = KEYS[1], KEYS[2]
local step, token, given = ARGV[1], ARGV[2], ARGV[3]
local STACK = 4000
-- Whoever is broken off leaves nothing for ever.
local LIFE = 3600
if not redis.call('HGET', META, 'epoch') then
  return redis.error_reply('UNINITIALISED this partition has no ledger')
end
if step == 'begin' then
  redis.call('UNLINK', STAGED)
  redis.call('HSET', STAGED, '/token', token)
elseif redis.call('HGET', STAGED, '/token') ~= token then
  return redis.error_reply('STAGED another instance brings a policy')
else
  local args = cmsgpack.unpack(given)
  for from = 1, #args, STACK do
    redis.call('HSET', STAGED, unpack(args, from, math.min(from + STACK - 1, #args)))
  end
end
redis.call('EXPIRE', STAGED, LIFE)
return 1
