#!lua
-- PURPOSE    make a partition of a ledger, once; or say what it is
-- KEYS       meta, names
-- ARGV       ledger (32 hex digits), schema, partitions, seed (all decimal), names of channels that
--            it counts as given: all but the first partition have no index to give
-- REPLY      fields and values of meta
-- WHY ATOMIC two instances that start together must agree on one ledger

local META, NAMES = KEYS[1], KEYS[2]
if redis.call('EXISTS', META) == 0 then
  redis.call('HSET', NAMES, 'n:main', '0', 'n', '1', 'c', ARGV[5])
  redis.call('HSET', META, 'ledger', ARGV[1], 'schema', ARGV[2], 'partitions', ARGV[3],
    'seed', ARGV[4], 'epoch', '1', 'seq', '0', 'tip', '', 'now', '0', 'open', '0',
    'short', '0', 'missing', '0')
end
return redis.call('HGETALL', META)
