#!lua flags=allow-oom
-- PURPOSE    go on without the changes that were lost, in a new epoch
-- KEYS       meta
-- ARGV       name of the loss
-- REPLY      the new epoch; 0 where the partition is not stopped for this loss
-- WHY ATOMIC only the loss that was named is accepted, and only once

local META = KEYS[1]
local name = ARGV[1]
if redis.call('HGET', META, 'lost') ~= name then return 0 end
local epoch = redis.call('HINCRBY', META, 'epoch', 1)
redis.call('HDEL', META, 'lost')
return epoch
