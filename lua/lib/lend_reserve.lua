-- What `place` borrows.
commands.lent_reserve = {
  all_fit = all_fit, grants_of = grants_of, take = take, add_users = add_users,
  add_grants = add_grants,
}
