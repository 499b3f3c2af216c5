-- What `place` borrows.
commands.lent_reserve = {
  grants_of = grants_of, take = take, add_states = add_states, add_grants = add_grants,
  states_with = states_with,
}
