-- The arithmetic of a token bucket: the twin of `take` in commontrace-core/src/token_bucket.rs.
-- The same operations on the same doubles in the same order, so that both decide alike to the bit.
-- It calls nothing of Redis; what reads the clock and keeps the bucket is `take.lua`, appended to it.

-- Writes a double so that reading it back gives the same one.
local function exact(number)
  return string.format('%.17g', number)
end

-- Reads what `encode` wrote; nothing if it is not there or was written by somebody else.
local function decode(text)
  if type(text) ~= 'string' then return nil end
  local tokens, at = string.match(text, '^(%S+) (%S+)$')
  tokens, at = tonumber(tokens), tonumber(at)
  if tokens and at and tokens >= 0 and at >= 0 then return tokens, at end
  return nil
end

local function encode(tokens, at)
  return exact(tokens) .. ' ' .. exact(at)
end

-- Takes one token at `now` from a bucket of `capacity` that fills up in `period`, in microseconds
-- both; without `tokens` from a full one. Returns whether there was one, the tokens left, and when.
local function take(tokens, at, capacity, period, now)
  if not tokens then
    tokens, at = capacity, now
  end
  local elapsed = math.max(now - at, 0)
  tokens = math.min(tokens + elapsed * (capacity / period), capacity)
  local allowed = tokens + 1e-6 >= 1
  if allowed then
    tokens = math.max(tokens - 1, 0)
  end
  return allowed, tokens, math.max(now, at)
end
