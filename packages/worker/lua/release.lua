-- release.lua: takes handed-over entries out of a shard's outbox.
--
-- KEYS   [1] the outbox stream
-- ARGV   [1] consumer group, then the entries' ids (at most 5,000)
-- Reply  how many entries were still there
-- Events none
--
-- One script and not two commands: a worker killed between XACK and XDEL would
-- leave an entry that is never read again and stays in the outbox.

redis.call('XACK', KEYS[1], unpack(ARGV))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
