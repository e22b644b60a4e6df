-- Keeps the later of two positions in PostgreSQL's log, each written as 16/B374D848.
-- KEYS[1]: the position; ARGV[1]: another one; ARGV[2]: how long to keep it, in seconds.
local function place(text)
    local high, low = string.match(text or '', '^(%x+)/(%x+)$')
    return high and tonumber(high, 16) * 4294967296 + tonumber(low, 16) or -1
end

if place(redis.call('GET', KEYS[1]) or nil) < place(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
