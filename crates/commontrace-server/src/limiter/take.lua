-- Appended to `token_bucket.lua`: takes one token from the bucket at KEYS[1] on the clock of Redis.
-- ARGV: tokens in a full bucket, microseconds in which an empty one fills up.
-- Returns 1 or 0 for let through or refused, and the tokens left as text.

local capacity, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
-- A value of another type is an error here and not a bucket either; SET replaces both.
local tokens, at = decode(redis.pcall('GET', KEYS[1]))
local allowed, left, counted = take(tokens, at, capacity, period, now)
-- A full bucket and none are the same, so the key goes when the bucket is full.
local until_full = period
if capacity > 0 then
  until_full = (capacity - left) / (capacity / period)
end
redis.call('SET', KEYS[1], encode(left, counted), 'PX', math.ceil(until_full / 1000) + 1)
return { allowed and 1 or 0, exact(left) }
