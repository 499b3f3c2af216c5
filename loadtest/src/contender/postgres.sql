-- One reservation of one SKU in one statement, as a careful team would write it: the row is locked
-- for as short as can be, and a key that was used before is a unique violation, after which the
-- caller reads what became of it.
\set n :n + 1
\set sku random(1, :skus)
WITH taken AS (
    UPDATE stock SET held = held + 1 WHERE sku = :sku AND on_hand - held >= 1 RETURNING sku
)
INSERT INTO reservation (key, sku, units, deadline)
SELECT :run::text || '-' || :client_id::text || '-' || :n::text, sku, 1, now() + interval '15 minutes'
FROM taken;
