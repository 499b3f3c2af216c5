-- Stock of a SKU as a flat list: these fields, then five for each node in order. All are integers but
-- USES, a text: see `uses.lua`.
local VERSION, HELD, COMMITTED, ON_HAND, FLAGS, SAFETY, FRONT, OPEN, USES, APART, LOW, SETTINGS =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
-- Offsets from a node's index: the index of a node is where its number stands.
local N_ON_HAND, N_APART, N_PINNED, N_COUNTED, N_FIELDS = 1, 2, 3, 4, 5
-- FLAGS: 1 for a safety stock in percent, plus 2 for suspended. LOW: 0, or the mark plus one. FRONT: the
-- channel whose use changed last, OPEN: its held and committed units.

