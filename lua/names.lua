-- name: the table, the name, the most names of that table.
commands[NAME] = function(at)
  local index, is_new = index_of(cmds[at + 1], cmds[at + 2], cmds[at + 3])
  return at + 4, { is_new and NAMED or VALUE, index or -1 }
end
