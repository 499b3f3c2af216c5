#!lua
-- PURPOSE    make a partition of a ledger, once; or say what it is
-- KEYS       meta, names
-- ARGV       ledger (32 hex digits), schema, partitions, seed (all decimal)
-- REPLY      fields and values of meta
-- WHY ATOMIC two instances that start together must agree on one ledger

local META, NAMES = KEYS[1], KEYS[2]
if redis.call('EXISTS', META) == 0 then
  redis.call('HSET', NAMES, 'n:main', '0', 'n', '1', 'c', '0')
  redis.call('HSET', META, 'ledger', ARGV[1], 'schema', ARGV[2], 'partitions', ARGV[3],
    'seed', ARGV[4], 'epoch', '1', 'seq', '0', 'tip', '', 'now', '0', 'open', '0')
end
return redis.call('HGETALL', META)
