-- What `place` borrows.
commands.lent_reserve = { all_fit = all_fit, grants_of = grants_of, take = take }
