-- Leases: who may do a job that one instance does at a time. Each is a field of the meta, which is
-- always there: its token, its deadline, its holder. The token grows with every holder and is never
-- taken back, so that a holder who slept past its deadline is known by an old one. A store that failed
-- over may have lost the last tokens and give them again: then the holder is another.
local META = KEYS[1]
local clock = redis.call('TIME')
local now = math.max(
  clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(redis.call('HGET', META, 'now') or 0))

local function lease_of(job)
  local field = 'lease:' .. job
  local token, deadline, holder =
    string.match(redis.call('HGET', META, field) or '0 0 ', '^(%d+) (%d+) (.*)$')
  return { field = field, token = tonumber(token), deadline = tonumber(deadline), holder = holder }
end

-- Whether the job was given to another, or never in this history to this one: then nothing may be
-- written under this token.
local function is_fenced(job, token, holder)
  local lease = lease_of(job)
  return token ~= lease.token or holder ~= lease.holder
end
