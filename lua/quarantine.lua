#!lua flags=allow-oom
-- PURPOSE    stop a partition that lacks acknowledged changes until somebody accepts the loss
-- KEYS       meta
-- ARGV       ledger (32 hex digits), epoch (decimal), name of the loss
-- REPLY      the loss for which it is stopped; empty where the ledger or the epoch is another
-- WHY ATOMIC a loss that was accepted meanwhile must not stop it again

local META = KEYS[1]
local ledger, epoch, name = ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('HMGET', META, 'ledger', 'epoch', 'lost')
if found[1] ~= ledger or found[2] ~= epoch then return '' end
if found[3] then return found[3] end
redis.call('HSET', META, 'lost', name)
return name
