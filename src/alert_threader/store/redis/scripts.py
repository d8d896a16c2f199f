"""What Redis does in one step, as Lua: each script has all of its effect or none."""

#: KEYS record, ts, due, channels, index, seen, lease, due in the channel that the thread was in before
#: ARGV expected rev, new rev, data, ts, action, key, drop at, seen at, channel, lease token, lease ttl (ms)
#: Returns 1, 0 where the revision has changed, -1 where the lease has passed on. An empty argument is none.
COMMIT = """
if ARGV[10] ~= '' and redis.call('GET', KEYS[7]) ~= ARGV[10] then return -1 end
if (redis.call('HGET', KEYS[1], 'rev') or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HDEL', KEYS[8], ARGV[6])
  redis.call('ZREM', KEYS[5], ARGV[6])
  redis.call('ZREM', KEYS[6], ARGV[6])
  if ARGV[10] ~= '' then redis.call('PEXPIRE', KEYS[7], ARGV[11]) end
  return 1
end
-- The first write of all: Redis checks its memory only before that, and only for one that adds.
redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'data', ARGV[3])
if ARGV[10] ~= '' then redis.call('PEXPIRE', KEYS[7], ARGV[11]) end
redis.call('HDEL', KEYS[8], ARGV[6])
if ARGV[4] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[4]) end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[6], ARGV[5])
  redis.call('SADD', KEYS[4], ARGV[9])
end
if ARGV[7] == '' then
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[5], '+inf', ARGV[6])
else
  redis.call('PEXPIREAT', KEYS[1], ARGV[7])
  redis.call('PEXPIREAT', KEYS[2], ARGV[7])
  redis.call('ZADD', KEYS[5], tonumber(ARGV[7]) / 1000, ARGV[6])
end
if ARGV[8] == '' then redis.call('ZREM', KEYS[6], ARGV[6]) else redis.call('ZADD', KEYS[6], ARGV[8], ARGV[6]) end
return 1
"""

#: KEYS lease; ARGV token, ttl (ms), 0 to give it back. Returns 1, or 0 where the lease has passed on.
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""

#: KEYS budget; ARGV interval (s), allowance (s). The generic cell rate algorithm, as in pacing.Bucket, on Redis' clock.
#: Returns the seconds until there is a token, '0' if one was used.
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local interval, allowance = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.min(tonumber(redis.call('GET', KEYS[1]) or '0'), now + allowance + interval)
full_at = math.max(full_at, now)
local wait = full_at - now - allowance
if wait > 0.001 then return tostring(wait) end
full_at = full_at + interval
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000) + 1000)
return '0'
"""
