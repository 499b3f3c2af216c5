#!lua
-- One reservation of one SKU, as a good team would write it: checked, changed, remembered and given
-- a deadline in one step. No events, no chain, no lines, no channels, no settings: the least that is
-- still right.
--
-- KEYS  stock: SKU to units that are free; reservations: key to what was answered; deadlines
-- ARGV  key, SKU, units, milliseconds until the hold ends
-- Reply: 1 granted, 0 refused; the same again for the same key
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then
    return known == '0' and 0 or 1
end
local units = tonumber(ARGV[3])
local free = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0')
if free < units then
    redis.call('HSET', KEYS[2], ARGV[1], '0')
    return 0
end
local time = redis.call('TIME')
local deadline = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4])
redis.call('HINCRBY', KEYS[1], ARGV[2], -units)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. deadline)
redis.call('ZADD', KEYS[3], deadline, ARGV[1])
return 1
