-- What `several` borrows: by way of `commands`, since a function reaches 60 names around it, and the
-- acts need nearly all.
commands.lent_acts = {
  verbs = verbs, amounts_of = amounts_of, plan_act = plan_act, add_move = add_move, pass = pass,
  do_moves = do_moves, acted = acted, COMMIT = COMMIT, RELEASE_HELD = RELEASE_HELD,
  RELEASE_COMMITTED = RELEASE_COMMITTED, SHIP_FROM = SHIP_FROM, RESTOCK = RESTOCK, REPIN = REPIN,
}
