-- macro.unit_key: the key by which a unit is known from staging on: HMAC-SHA-256 of its identifier under the secret of
-- the warehouse, the first 96 bits in hexadecimal; the session sets the two blocks of the secret
-- reads: none
-- params: none
create or replace temporary macro unit_key(identifier) as
left(
    sha256(
        getvariable('unit_key_outer') || unhex(sha256(getvariable('unit_key_inner') || encode(identifier)))
    ),
    24
)
