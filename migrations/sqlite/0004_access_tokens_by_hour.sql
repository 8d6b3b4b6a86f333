-- The key of an access token is the number of the hour of its end in 2 bytes and 32 bytes of hash, as in PostgreSQL, where
-- it names a partition; 'ffff' is no hour: of tokens that live long, and of those that were issued until now.
UPDATE access_token SET signature = unhex('ffff' || hex(signature));
UPDATE refresh_token SET access_token = unhex('ffff' || hex(access_token));
