-- Searches as fast as the server answers: the eight queries in turn, by one account.
-- wrk -t1 -c16 -d20s -s load/saturate.lua URL -- API_KEY

local queries = {
    "react hooks useState", "postgresql migration alembic", "docker compose healthcheck",
    "fastapi async sqlalchemy", "python error handling retry", "github actions ci pipeline",
    "jwt authentication middleware", "redis caching ttl pattern",
}
local count = 0

function init(args)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["X-API-Key"] = args[1]
end

function request()
    count = count + 1
    local query = queries[count % #queries + 1]
    return wrk.format(nil, "/api/v1/traces/search", nil, string.format('{"q":"%s","limit":10}', query))
end

-- One line for the program that reads it; times are in microseconds.
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'figures {"requests":%d,"micros":%d,"p50":%d,"p90":%d,"p99":%d,"p999":%d,"max":%d,"refused":%d,"broken":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),
        latency:percentile(99.9), latency.max, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
