"""What Redis does in one step, as Lua: each script has all of its effect or none."""

#: KEYS record, ts, threads, open, lanes, lease, and each lane that lists the record or is to list it.
#: ARGV the record, empty to drop it, and a transactions.Write as JSON.
#: Returns 1, 0 where the revision has changed, -1 where the lease has passed on.
COMMIT = """
local record, stamp, threads, open, lanes, lease = unpack(KEYS, 1, 6)
local data, write = ARGV[1], cjson.decode(ARGV[2])
if write.token ~= '' and redis.call('GET', lease) ~= write.token then return -1 end
if (redis.call('HGET', record, 'rev') or '') ~= write.expected then return 0 end
if data == '' then
  redis.call('DEL', record, stamp)
  redis.call('ZREM', threads, write.key)
  redis.call('SREM', open, write.key)
else
  -- The first write of all: Redis checks its memory only before that, and only for one that adds.
  redis.call('HSET', record, 'rev', write.rev, 'thread', data, 'lanes', write.listed, 'data', write.unreadable)
  redis.call('PERSIST', record)
  if write.ts == '' then redis.call('DEL', stamp) else redis.call('SET', stamp, write.ts) end
  redis.call('ZADD', threads, write.ages_at, write.key)
  redis.call(write.is_open and 'SADD' or 'SREM', open, write.key)
end
if write.token ~= '' then redis.call('PEXPIRE', lease, write.ttl) end
for i, place in ipairs(write.places) do
  if place.action == '' then
    redis.call('HDEL', KEYS[6 + i], write.key)
  else
    redis.call('HSET', KEYS[6 + i], write.key, place.action)
    redis.call('SADD', lanes, place.lane)
  end
end
return 1
"""

#: KEYS lease; ARGV token, ttl (ms), 0 to give it back. Returns 1, or 0 where the lease has passed on.
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""

#: KEYS budget; ARGV interval (s), allowance (s), tolerance (s).
#: The generic cell rate algorithm, as in tokens.Bucket, on Redis' clock.
#: Returns the seconds until there is a token, '0' if one was used.
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local interval, allowance = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.min(tonumber(redis.call('GET', KEYS[1]) or '0'), now + allowance + interval)
full_at = math.max(full_at, now)
local wait = full_at - now - allowance
if wait > tonumber(ARGV[3]) then return tostring(wait) end
full_at = full_at + interval
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000) + 1000)
return '0'
"""

#: KEYS budget; ARGV interval and tolerance (s). As tokens.Bucket.arrived, on Redis' clock.
ARRIVED = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local full_at = now + tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or '0') < full_at then
  redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000) + 1000)
end
return 1
"""

#: KEYS index, seen and channels of the first release, and the record of each key.
#: ARGV what the names of its lists by channel begin with, and each key.
#: Takes the keys from its lists whose record is taken over or gone; when none is left, takes the lists away.
FORGET_FORMER = """
local dues = {}
for _, channel in ipairs(redis.call('SMEMBERS', KEYS[3])) do table.insert(dues, ARGV[1] .. channel) end
for i = 2, #ARGV do
  local record = KEYS[i + 2]
  if redis.call('EXISTS', record) == 0 or redis.pcall('HEXISTS', record, 'thread') == 1 then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
    for _, due in ipairs(dues) do redis.call('HDEL', due, ARGV[i]) end
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2], KEYS[3], unpack(dues))
end
return 1
"""
