-- The numbers of the wire; the same as in src/ledger/remote/wire.

-- Commands.
local RESERVE, CONFIRM, RELEASE, EXTEND, SHIP, RETURN, TRANSFER = 1, 2, 3, 4, 5, 6, 7
local STOCK_SET, STOCK_ADJUST, STOCK_TRANSFER, PUT_SETTINGS = 8, 9, 10, 11
local READ_STOCK, READ_RECORD, READ_REFERENCE, READ_NAMES = 12, 13, 14, 15
local NAME, FORGET, EXPIRE, RESERVE_ONE = 16, 17, 18, 19

-- Results. The first three stand alone, the others first in a list. A number below zero is that many
-- grants in a row.
local GRANTED, DEFERRED, FULL = -1, 1, 2
local PART, ACTED, CHANGED, SETTLED, REFUSED, UNRECORDED, RECORD, NAMED, VALUE, INDEXED, ARRIVED =
  2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13
local SHARED = 20

-- Records: the first byte.
local RESERVATION, ANSWER, REFUSAL = 1, 2, 3

-- Refusals of more than one family; the others stand with theirs.
local KEY_REUSED, UNKNOWN_SKU, INSUFFICIENT_STOCK, TOO_MANY = 1, 2, 3, 19

-- Limits, in order of precedence.
-- A cap and a protection go before a node.
local BY_SELLING, BY_STOCK, BY_SAFETY, BY_NODE, BY_CAP, BY_PROTECTION = 1, 2, 3, 4, 5, 6
local BY_INBOUND, BY_LATER, BY_DATE = 7, 8, 9

local results = {}
-- What to do for each command: from its place in `cmds` to that of the next one, and the result where
-- it is not among `results` yet.
local commands = {}
