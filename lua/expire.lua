-- expire: nothing more than every call does; 1 where more is left to do.
commands[EXPIRE] = function(at)
  return at + 1, { VALUE, backlog and 1 or 0 }
end
