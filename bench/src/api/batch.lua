-- Asks for batches of 100 decisions about 10,000 subjects; answers other than 200 are counted. The key is the script's argument.
local requests, index = {}, 0
wrong = 0 -- global: read by done() from another state

function init(args)
  math.randomseed(42)
  local headers = { ['Authorization'] = 'Bearer ' .. args[1], ['Content-Type'] = 'application/json' }
  for place = 1, 200 do
    local each = {}
    for one = 1, 100 do each[one] = '{"subject":"user-' .. math.random(10000) .. '"}' end
    requests[place] = wrk.format('POST', nil, headers, '{"requests":[' .. table.concat(each, ',') .. ']}')
  end
end

function request()
  index = index % 200 + 1
  return requests[index]
end

function response(status)
  if status ~= 200 then wrong = wrong + 1 end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + (thread:get('wrong') or 0) end
  print('wrong answers: ' .. sum)
  print('p99 us: ' .. latency:percentile(99))
end
