-- Each request comes from one of 10,000 API keys; answers other than 200, 201 and 429 are counted. `/generations` gets a body.
local requests, index = {}, 0
wrong = 0 -- global: read by done() from another state

function init(args)
  math.randomseed(42)
  for place = 1, 10000 do
    local headers = { ['X-API-Key'] = 'key-' .. math.random(10000) }
    if wrk.path == '/generations' then
      headers['Content-Type'] = 'application/json'
      requests[place] = wrk.format('POST', nil, headers, '{"model":"sd-3","prompt":"a lighthouse in a storm, oil on canvas"}')
    else
      requests[place] = wrk.format('GET', nil, headers)
    end
  end
end

function request()
  index = index % 10000 + 1
  return requests[index]
end

function response(status)
  if status ~= 200 and status ~= 201 and status ~= 429 then wrong = wrong + 1 end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + (thread:get('wrong') or 0) end
  print('wrong answers: ' .. sum)
  print('p99 us: ' .. latency:percentile(99))
end
