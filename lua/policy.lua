-- put policy: what was staged is in force for the batches after this one. Alone in its batch. Version
-- that is in force, version that it will be, token of what was staged, when it was put (0: now), from when
-- on it is not put any more (0: always), who, why, why a freeze was overridden, and the text. With a text it
-- is an event, and kept among the last versions. The version that is in force afterwards, and 1 where that is
-- this one.

local POLICY, STAGED, VERSIONS =
  KEYS[9], KEYS[10], KEYS[11]
local PUT_POLICY, KEPT_VERSIONS = 30, 16

commands[PUT_POLICY] = function(at)
  local expected, version, token, moment, till, text =
    cmds[at + 1], cmds[at + 2], cmds[at + 3], cmds[at + 4], cmds[at + 5], cmds[at + 9]
  if at > 1 or at + 9 < #cmds then malformed('company') end
  local in_force = call('HGET', POLICY, '/token')
  if policy_version == version and in_force == token then return at + 10, { VALUE, version, 1 } end
  if policy_version ~= expected then return at + 10, { VALUE, policy_version, 0 } end
  if till > 0 and now >= till then return at + 10, { VALUE, policy_version, 0 } end
  if call('HGET', STAGED, '/token') ~= token then return at + 10, { VALUE, policy_version, 0 } end
  if moment == 0 then moment = now end
  policy_version = version
  local kept = text ~= ''
    and pack({ moment, cmds[at + 6], cmds[at + 7], cmds[at + 8], text })
  function swap_policy()
    call('PERSIST', STAGED)
    call('UNLINK', POLICY)
    call('RENAME', STAGED, POLICY)
    if kept then call('HSET', VERSIONS, format('%d', version), kept) end
    if kept then call('HDEL', VERSIONS, format('%d', version - KEPT_VERSIONS)) end
    call('HSET', META, 'policy', format('%d', version))
  end
  if not kept then return at + 10, { VALUE, version, 1 } end
  seq = seq + 1
  return at + 10, { NAMED, 1 }
end
