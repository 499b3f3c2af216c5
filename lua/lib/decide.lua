local at, past = 1, #cmds + 1

-- Decides commands in order, up to the first one of a family that was not made yet: its kind. A
-- function's price is that of finding everything of its surroundings that it uses, so no family is made
-- that no command needs: all of them cost as much as several commands.
local function decide()
  while at < past do
    local command = commands[cmds[at]]
    if not command then return cmds[at] end
    local result
    at, result = command(at)
    if result then results[#results + 1] = result end
    if watched[1] then settle_watched() end
  end
end
