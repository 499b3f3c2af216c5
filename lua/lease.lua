-- PURPOSE    give, prolong and take back the right to do a job that one instance does at a time
-- KEYS       meta
-- ARGV       step (acquire, renew, release), job, holder, time to live (ms), token (0 to acquire)
-- REPLY      the token of the lease that the holder has now; 0 where it has none
-- WHY ATOMIC two holders of one token, or a token that does not grow, would fence nobody

local step, job, holder = ARGV[1], ARGV[2], ARGV[3]
local ttl, token = tonumber(ARGV[4]), tonumber(ARGV[5])
local lease = lease_of(job)

local function keep(number, name, deadline)
  redis.call('HSET', META, lease.field, string.format('%d %d %s', number, deadline, name))
  return number
end

if step == 'acquire' then
  if lease.holder == holder and lease.deadline > now then
    return keep(lease.token, holder, now + ttl)
  end
  if lease.holder ~= '' and lease.deadline > now then return 0 end
  return keep(lease.token + 1, holder, now + ttl)
end
-- Whoever comes too late may go on only while nobody came after.
if lease.token ~= token or lease.holder ~= holder then return 0 end
if step == 'renew' then return keep(token, holder, now + ttl) end
return keep(token, '', 0)
